"""The whole trajectory from one scalar function.

In the clock s = ∫u² dt and with f = 1/u, the reduced flow becomes dD_i/ds = −k_i D_i + ξ_i f together with the
conservation law f⁻² = C + Σ D_i² + R(s). D is linear in f, so on a panel the law is one equation for f at 20
collocation points, solved by Newton. Panels at most double in width: f is analytic away from s ≈ −u0²/(2‖ξ‖), and
a panel as long as its distance from there is resolved to 1e-15 by 20 points. Time is dt = f² ds.

The method needs u > 0. It stops, and says so, where u comes near 0: if C < 0 the trajectory may cross (see
``crossing``); if C = 0 only a start on the stable manifold of the saddle at 0 gets there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64
from scipy.linalg.lapack import dgesv

from iclab.flow import collocation
from iclab.flow.octaves import NODES, RateGrid, grid_of, lagrange, octaves_of
from iclab.flow.reduced import Reduced

_EPS = float(np.finfo(np.float64).eps)
# A panel is accepted when its last Legendre coefficients are below this part of f.
_TOLERANCE = 2e-14
# e^{-_REACH} is what is left of the slowest mode when the limit counts as reached.
_REACH = 42.0
# With C < 0, hand over when u has fallen to this part of its largest value.
_NEAR_CROSSING = 0.05
# Rounding amplified beyond this on the way in to u = 0: the start is on the saddle's stable manifold to rounding.
_LOST = 1e13


class End(Enum):
    """Why the panels stop."""

    REACHED = "the final time is reached"
    CONVERGED = "the limit is reached"
    CROSSING = "u comes close to 0 and may cross"
    SADDLE = "u tends to 0"


@dataclass(frozen=True, eq=False)
class Panel:
    """One interval of s: values at its 21 points (the left end and 20 Radau points)."""

    s: float
    width: float
    f: Float64[np.ndarray, 21]
    time: Float64[np.ndarray, 21]
    response: Float64[np.ndarray, "m 21"]


class Modes:
    """The diagonal modes as the collocation sees them: D_i = D_i(0) e^{−k_i s} + ξ_i E(k_i, s).

    E, the response to f of a mode of rate k, is carried at the rates themselves or, when these are more than the
    nodes of the octaves they occupy, at the nodes.
    """

    def __init__(self, problem: Reduced) -> None:
        self.active = np.flatnonzero(problem.rates > 0)
        rates = problem.rates[self.active]
        octave, position = octaves_of(rates)
        grid = grid_of(octave)
        start, drive = problem.diagonal[self.active], problem.drive[self.active]
        self.grid: RateGrid | None = grid if len(rates) > NODES * len(grid.octaves) else None
        self._own_rates, self._start, self._drive = rates, start, drive
        if self.grid is None:
            self.rates = rates
            self._weights = lagrange(position)
            self._groups = [(int(o), np.flatnonzero(octave == o)) for o in grid.octaves]
        else:
            self.rates = grid.rates
            self._energies = self.grid.gather(rates, start**2, start * drive, drive**2)

    def resolvents(self, exponent: int) -> Float64[np.ndarray, "m 20 20"]:
        """The collocation resolvents of all modes on a panel of width 2^exponent."""
        if self.grid is not None:
            return np.concatenate([collocation.resolvents(int(o) + exponent) for o in self.grid.octaves])
        shape = (collocation.STAGES, collocation.STAGES)
        matrices = np.empty((len(self.rates), *shape))
        for octave, rows in self._groups:
            table = collocation.resolvents(octave + exponent).reshape(NODES, -1)
            matrices[rows] = (self._weights[rows] @ table).reshape(-1, *shape)
        return matrices

    def change(
        self,
        decayed: Float64[np.ndarray, " m"],
        response: Float64[np.ndarray, " m"],
        shrink: Float64[np.ndarray, "m n"],
        step: Float64[np.ndarray, "m n"],
    ) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "m n"], Float64[np.ndarray, " n"]]:
        """Change of Σ D_i² on a panel, its derivative with respect to E, and the size of its terms.

        From e^{−ks} and E at the panel's start, and their changes: ``shrink`` relative, ``step`` absolute.
        """
        if self.grid is None:
            kept = self._start * decayed
            before = (kept + self._drive * response)[:, None]
            move = kept[:, None] * shrink + self._drive[:, None] * step
            terms = move * (2 * before + move)
            return terms.sum(axis=0), 2 * self._drive[:, None] * (before + move), np.abs(terms).sum(axis=0)
        kept, mixed, forced = (weights[:, None] for weights in self._energies)
        e, E = decayed[:, None], response[:, None]
        fall = e * shrink
        terms = (
            kept * fall * (2 * e + fall) + 2 * mixed * (fall * (E + step) + e * step) + forced * step * (2 * E + step)
        )
        return terms.sum(axis=0), 2 * (mixed * (e + fall) + forced * (E + step)), np.abs(terms).sum(axis=0)

    def energy(self, decayed: Float64[np.ndarray, " m"], response: Float64[np.ndarray, " m"]) -> float:
        """Σ D_i² from e^{−ks} and E."""
        if self.grid is None:
            return float(np.sum((self._start * decayed + self._drive * response) ** 2))
        kept, mixed, forced = self._energies
        return float(kept @ decayed**2 + 2 * mixed @ (decayed * response) + forced @ response**2)

    def projection(self, s: float, response: Float64[np.ndarray, " m"]) -> float:
        """ξ·D/‖ξ‖ at clock s."""
        if self.grid is None:
            along = float(self._drive @ (self._start * np.exp(-s * self.rates) + self._drive * response))
        else:
            _, mixed, forced = self._energies
            along = float(mixed @ np.exp(-s * self.rates) + forced @ response)
        return along / float(np.linalg.norm(self._drive))

    def diagonal(
        self, problem: Reduced, s: Float64[np.ndarray, " n"], response: Float64[np.ndarray, "n m"]
    ) -> Float64[np.ndarray, "n d"]:
        """D at clocks s from the responses there."""
        if self.grid is not None:
            response = self.grid.spread(self._own_rates, response)
        diagonal = np.tile(problem.diagonal, (len(s), 1))
        decayed = np.exp(-np.multiply.outer(s, self._own_rates))
        diagonal[:, self.active] = self._start * decayed + self._drive * response
        return diagonal


@dataclass(frozen=True, eq=False)
class SpectralSegment:
    """A stretch of trajectory with u > 0, evaluated at any time.

    Attributes
    ----------
    problem : Reduced
        Its start, u > 0.
    end : End
        Why it stops.
    lost : float
        How much nearer the saddle the path came than it was before: rounding grows so much on the way in, and as much
        on the way out.
    """

    problem: Reduced
    modes: Modes
    panels: list[Panel]
    end: End
    lost: float

    @cached_property
    def _starts(self) -> Float64[np.ndarray, " n"]:
        return np.array([panel.time[0] for panel in self.panels])

    @property
    def last_computed(self) -> float:
        """Time of the last point computed; what follows is the limit."""
        return float(self.panels[-1].time[-1])

    def _by_panel(self, index: Int64[np.ndarray, " n"]) -> Iterator[tuple[Panel, Int64[np.ndarray, " m"]]]:
        for number in sorted(set(index.tolist())):
            yield self.panels[number], np.flatnonzero(index == number)

    def _locate(self, t: Float64[np.ndarray, " n"]) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        index = np.clip(np.searchsorted(self._starts, t, side="right") - 1, 0, len(self.panels) - 1)
        x = np.empty(len(t))
        for panel, rows in self._by_panel(index):
            x[rows] = _position(panel, t[rows])
        return index, x

    def scalars(self, t: Float64[np.ndarray, " n"]) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """u and s at times t (infinite allowed where the limit is reached)."""
        index, x = self._locate(t)
        f, s = np.empty(len(t)), np.empty(len(t))
        for panel, rows in self._by_panel(index):
            f[rows] = collocation.interpolation(x[rows]) @ panel.f
            s[rows] = panel.s + panel.width * x[rows]
        beyond = t - self.last_computed
        after = beyond > 0
        if self.end is End.SADDLE:  # what is left of u fades at the saddle's rate
            f[after] *= np.exp(np.minimum(float(np.linalg.norm(self.problem.drive)) * beyond[after], 650.0))
        else:  # at the limit: u is constant and s goes on, as far as its products with rates are finite
            s[after] += np.minimum(beyond[after] / f[after] ** 2, 1e300 / max(1.0, self.problem.fastest_rate))
        return 1 / f, s

    def states(
        self, t: Float64[np.ndarray, " n"]
    ) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n d"], Float64[np.ndarray, " n"]]:
        """u, D and s at times t."""
        index, x = self._locate(t)
        u, s = self.scalars(t)
        response = np.empty((len(t), len(self.modes.rates)))
        for panel, rows in self._by_panel(index):
            response[rows] = collocation.interpolation(x[rows]) @ panel.response.T
        return u, self.modes.diagonal(self.problem, s, response), s


def _position(panel: Panel, t: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """x in [0, 1] where the panel's time is t: inverse interpolation, then Newton on a monotone function."""
    x = np.interp(t, panel.time, collocation.POINTS)
    start, goal = panel.time[0], np.clip(t, panel.time[0], panel.time[-1])
    elapsed = panel.time - start
    for _ in range(8):
        matrix = collocation.interpolation(x)
        step = (matrix @ elapsed - (goal - start)) / (panel.width * (matrix @ panel.f) ** 2)
        x = np.clip(x - step, 0.0, 1.0)
        if np.abs(step).max() < 1e-15:
            break
    return x


def solve(problem: Reduced, t_end: float) -> SpectralSegment:
    """Follow the flow from u > 0 up to ``t_end`` (infinite: to its limit), or to where u comes near 0.

    Parameters
    ----------
    problem : Reduced
        Start with u > 0.
    t_end : float
        Time to cover; infinity runs until e^{−k s} < 1e-18 for the slowest mode that moves.

    Returns
    -------
    SpectralSegment
        The trajectory and the reason for its end.
    """
    return _Solver(problem, t_end).run()


class _Solver:
    def __init__(self, problem: Reduced, t_end: float) -> None:
        self.problem, self.t_end = problem, t_end
        self.modes = Modes(problem)
        self.constant = problem.balance + problem.frozen_energy
        self.panels: list[Panel] = []
        self.s, self.time, self.f = 0.0, 0.0, 1 / problem.u
        self.response = np.zeros(len(self.modes.rates))
        self.smallest = self.f
        self.furthest, self.lost = 0.0, 1.0

    def run(self) -> SpectralSegment:
        exponent = self._first_exponent()
        halvings, cautious = 0, False
        reach = _REACH / self.problem.slowest_rate
        while True:
            panel = self._panel(exponent)
            size = np.inf if panel is None else collocation.tail(panel.f)
            if panel is None or size > _TOLERANCE:
                exponent, cautious, halvings = exponent - 1, True, halvings + 1
                if halvings > 80:
                    return self._segment(End.CROSSING if self.constant < 0 else End.SADDLE)
                continue
            halvings = 0
            self._advance(panel)
            if self.time >= self.t_end:
                return self._segment(End.REACHED)
            if self.s >= reach:
                return self._segment(End.CONVERGED)
            if panel.f[-1] > panel.f[0]:
                if self.constant < 0 and cautious and self.smallest < _NEAR_CROSSING * self.f:
                    return self._segment(End.CROSSING)
                if self.constant == 0 and self.lost > _LOST:
                    return self._segment(End.SADDLE)
            # After a rejection, grow only when the panel was resolved with room to spare.
            if (not cautious or size < _TOLERANCE / 10) and 2 * panel.width <= self.s:
                exponent, cautious = exponent + 1, False

    def _first_exponent(self) -> int:
        problem = self.problem
        speed = -problem.rates * problem.diagonal + problem.drive * self.f
        slope = 2 * float(problem.diagonal @ speed) - 2 * float(problem.off_diagonal.dissipation(np.zeros(1))[0])
        width = 1 / problem.fastest_rate
        if slope != 0:
            width = min(width, problem.u**2 / abs(slope))
        return int(np.floor(np.log2(width)))

    def _panel(self, exponent: int) -> Panel | None:
        """The panel of width 2^exponent that starts here, if Newton's iteration converges on it."""
        width = 2.0**exponent
        modes, resolvents = self.modes, self.modes.resolvents(exponent)
        z = width * modes.rates
        decayed = np.exp(-self.s * modes.rates)
        shrink = np.expm1(-np.multiply.outer(z, collocation.NODES))
        fixed = self._anchor(decayed) + self.problem.off_diagonal.change(self.s, width * collocation.NODES)
        # E = E_0 + G (h f − z E_0): the part that does not depend on f, then the rest.
        homogeneous = -resolvents.sum(axis=2) * (z * self.response)[:, None]
        f = self._guess(s=self.s + width * collocation.NODES)
        step, converged = homogeneous, False
        flat = resolvents.reshape(-1, collocation.STAGES)
        for _ in range(16):
            step = homogeneous + (flat @ (width * f)).reshape(homogeneous.shape)
            change, slope, terms = modes.change(decayed, self.response, shrink, step)
            total = fixed + change
            if converged or not np.isfinite(total).all():
                break
            jacobian = (width * f**2)[:, None] * np.einsum("mj,mjl->jl", slope, resolvents)
            jacobian.ravel()[:: collocation.STAGES + 1] += 2 * f * total
            _, _, move, failed = dgesv(jacobian, 1 - f**2 * total)
            if failed:
                return None
            noise = 8 * _EPS * float(((fixed + terms) / np.abs(total)).max())
            converged = bool((np.abs(move) / f).max() < max(1e-8, noise))
            f = np.maximum(f + move, f / 4)
        if not converged:
            return None
        f = np.concatenate([[self.f], f])
        time = self.time + width * np.concatenate([[0.0], collocation.INTEGRATE @ f[1:] ** 2])
        response = np.empty((len(z), collocation.STAGES + 1))
        response[:, 0] = self.response
        np.add(self.response[:, None], step, out=response[:, 1:])
        return Panel(self.s, width, f, time, response)

    def _guess(self, s: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """f at clocks s, extrapolated as a quadratic of log f in log s: f goes through powers of s."""
        previous = self.panels[-1] if self.panels else None
        if previous is None or previous.s == 0 or previous.width < previous.s / 8:
            return np.full(len(s), self.f)
        known = [0, collocation.STAGES // 2, collocation.STAGES]
        x = np.log(previous.s + previous.width * collocation.POINTS[known])
        y = np.log(previous.f[known])
        first = (y[2] - y[1]) / (x[2] - x[1])
        second = (first - (y[1] - y[0]) / (x[1] - x[0])) / (x[2] - x[0])
        distance = np.log(s) - x[2]
        return self.f * np.exp(distance * (first + second * (distance + x[2] - x[1])))

    def _anchor(self, decayed: Float64[np.ndarray, " m"]) -> float:
        """f⁻² at the panel's start; the law adds changes to it, which do not cancel where u ≪ ‖U‖."""
        if self.constant < 0:
            return self.f**-2
        # A sum of squares: computed anew, so that errors do not add up near the saddle, where u = ‖U‖ is small.
        return self.constant + self.modes.energy(decayed, self.response) + self.problem.off_diagonal.energy(self.s)

    def _advance(self, panel: Panel) -> None:
        self.panels.append(panel)
        self.s, self.time, self.f = panel.s + panel.width, float(panel.time[-1]), float(panel.f[-1])
        self.response = panel.response[:, -1]
        self.smallest = min(self.smallest, float(panel.f.min()))
        # Near a saddle, u and ξ·D are its unstable and stable coordinates: digits are lost as both shrink.
        distance = 1 / self.f
        if self.constant < 0:
            distance = float(np.hypot(distance, self.modes.projection(self.s, self.response)))
        self.furthest = max(self.furthest, distance)
        self.lost = max(self.lost, self.furthest / distance)

    def _segment(self, end: End) -> SpectralSegment:
        return SpectralSegment(self.problem, self.modes, self.panels, end, self.lost)
