"""A trajectory of gradient flow: evaluated at any time, whatever method follows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from iclab.flow.paths import BlockArrays, Path, Times
from iclab.foundations import InvalidInputError, check_real, check_reals
from iclab.theory import LSAParameters, PopulationLoss, minimum_loss

_Values = Float64[np.ndarray, "..."]


class Trajectory:
    """Parameters under gradient flow θ̇ = −∇L(θ), (9), on [0, t_end].

    Made by :func:`iclab.flow.gradient_flow`. Times may be scalars or arrays of any shape, ∞ where ``t_end`` is;
    results carry their shape first.

    Attributes
    ----------
    initial : LSAParameters
        θ(0).
    population : PopulationLoss
        The loss that is descended.
    covariates, n_train
        Its law of Λ and prompt length N.
    t_end : float
        Last time, possibly ∞.
    method : str
        How it is followed.
    status : Status
        Where it goes: a member of an enumeration whose value is a sentence.
    limit : LSAParameters or None
        Where the flow tends to, known in closed form for a = b = 0; None if the integrator was not run to a limit.
    minimum_loss : float
        min L.
    horizon : float
        Time, at most t_end, after which only rounding changes.
    amplification : float
        How much a passage near the saddle amplifies relative errors of the start, rounding included, to order of
        magnitude; 1 without one. Known for a = b = 0 only; 1 for the integrator.
    """

    def __init__(
        self,
        path: Path,
        initial: LSAParameters,
        population: PopulationLoss,
        t_end: float,
    ) -> None:
        self._path = path
        self.initial, self.population, self.t_end = initial, population, t_end
        self.covariates, self.n_train = population.covariates, population.n_train
        self.method, self.status, self.horizon = path.method, path.status, path.horizon
        self.amplification = path.amplification
        self.minimum_loss = minimum_loss(*population.problem)
        self.limit = None if path.limit is None else self._assemble(path.limit, 0)

    def u(self, t: ArrayLike) -> _Values:
        """W22^PV, u of (27) and (52), at times t; shape of t."""
        times, shape = self._times(t)
        return _shaped(self._path.u(times), shape)

    def excess(self, t: ArrayLike) -> _Values:
        """L(θ(t)) − min L; shape of t. Computed as the sum of squares of Lemma 24 where a = b = 0."""
        times, shape = self._times(t)
        return _shaped(self._path.excess(times), shape)

    def loss(self, t: ArrayLike) -> _Values:
        """L(θ(t)), (8), with its constant ½ E tr WΛ; shape of t."""
        return self.excess(t) + self.minimum_loss

    def blocks(self, t: ArrayLike) -> tuple[_Values, _Values, _Values, _Values]:
        """(a, u, U, b), the blocks that (6) depends on, at times t; the shape of t, then (d,), (), (d, d), (d,)."""
        times, shape = self._times(t)
        a, u, U, b = (block.reshape(shape + block.shape[1:]) for block in self._path.blocks(times))
        return a, u, U, b

    @overload
    def parameters(self, t: float) -> LSAParameters: ...
    @overload
    def parameters(self, t: Sequence[float] | Times) -> list[LSAParameters]: ...
    def parameters(self, t: float | Sequence[float] | Times) -> LSAParameters | list[LSAParameters]:
        """θ(t) of (9): one LSAParameters for a scalar t, a list for an array of shape (n,)."""
        times, shape = self._times(t)
        blocks = self._path.blocks(times)
        if not shape:
            return self._assemble(blocks, 0)
        return [self._assemble(blocks, index) for index in range(len(times))]

    def balance(self, t: ArrayLike) -> _Values:
        """u² + ‖a‖² − ‖U‖_F² − ‖b‖² at times t: conserved by the flow, (42) for a = b = 0; shape of t."""
        a, u, U, b = self.blocks(t)
        return u**2 + np.sum(a**2, -1) - np.sum(U**2, (-2, -1)) - np.sum(b**2, -1)

    def balance_drift(self, n_times: int = 33) -> float:
        """Largest |balance(t) − balance(0)| over times, relative to the squared norm of θ's blocks at t."""
        times = np.concatenate([[0.0], self.horizon * np.geomspace(1e-4, 1, n_times - 1)])
        a, u, U, b = self.blocks(times)
        terms = np.stack([u**2, np.sum(a**2, -1), -np.sum(U**2, (-2, -1)), -np.sum(b**2, -1)])
        values, size = terms.sum(axis=0), np.abs(terms).sum(axis=0)
        drift = np.abs(values - values[0])
        return float(np.divide(drift, size, out=np.zeros_like(drift), where=size > 0).max())

    def time_to(self, fraction: float) -> float:
        """Time when L has made ``fraction`` of the way from L(0) to min L; ∞ if it does not get there.

        Parameters
        ----------
        fraction : float
            Part of the gain, 0 ≤ fraction < 1.

        Returns
        -------
        float
            To about 1e-12 relative; the loss decreases along the flow, so it is unique.
        """
        part = check_real(fraction, "fraction", minimum=0.0)
        if part >= 1:
            raise InvalidInputError(f"fraction must be below 1, as the minimum is never reached; {part} was given.")
        start = float(self.excess(0.0))
        if start <= 0:
            return 0.0
        goal = np.log1p(-part)

        def distance(t: float) -> float:
            value = float(self.excess(t)) / start
            return (np.log(value) if value > 0 else -np.inf) - goal

        low, high = 0.0, min(self.t_end, 1.0)
        if distance(self.t_end) > 0:
            return np.inf
        if part == 0:
            return 0.0
        while distance(high) > 0:
            low, high = high, min(2 * high, self.t_end)
        while high > 1e-300 and low == 0.0 and distance(high / 2) <= 0:
            high /= 2
        value = distance(high)
        if not np.isfinite(value):  # already at the minimum to rounding: bisect on the sign
            return float(brentq(lambda t: max(distance(t), -50.0), low, high, xtol=1e-300, rtol=1e-13))
        return float(brentq(distance, low, high, xtol=1e-300, rtol=1e-13))

    def __repr__(self) -> str:
        return f"Trajectory(d={self.initial.dimension}, t_end={self.t_end:g}, method={self.method!r}): {self.status}"

    def _times(self, t: ArrayLike) -> tuple[Times, tuple[int, ...]]:
        times = check_reals(t, "t")
        if np.isnan(times).any() or (times < 0).any() or (times > self.t_end).any():
            raise InvalidInputError(
                f"t must lie in [0, t_end] = [0, {self.t_end:g}]; times from {np.min(times):g} to {np.max(times):g} "
                "were given."
            )
        return times.ravel(), times.shape

    def _assemble(self, blocks: BlockArrays, index: int) -> LSAParameters:
        a, u, U, b = (block[index] for block in blocks)
        d = self.initial.dimension
        w_pv, w_kq = np.array(self.initial.w_pv), np.array(self.initial.w_kq)
        w_pv[d, :d], w_pv[d, d] = a, u
        w_kq[:d, :d], w_kq[d, :d] = U, b
        return LSAParameters(w_pv, w_kq)


def _shaped(values: Times, shape: tuple[int, ...]) -> _Values:
    return values.reshape(shape)[()]  # a number, not an array of no dimension, for a scalar time
