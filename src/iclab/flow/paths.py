"""The three ways to follow the flow, behind one face: a path gives the blocks of θ and the excess loss at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from iclab.flow.crossing import CrossingSegment, cross
from iclab.flow.isotropic import IsotropicFlow
from iclab.flow.reduced import Reduced
from iclab.flow.spectral import End, SpectralSegment, solve
from iclab.flow.status import Status
from iclab.foundations import InvalidInputError, Matrix
from iclab.theory import FlowCoefficients

Times: TypeAlias = Float64[np.ndarray, " n"]
# a (n, d), u (n,), U (n, d, d), b (n, d)
BlockArrays: TypeAlias = tuple[
    Float64[np.ndarray, "n d"], Times, Float64[np.ndarray, "n d d"], Float64[np.ndarray, "n d"]
]


class Path(Protocol):
    """A trajectory of the blocks of θ."""

    method: str
    status: Status
    limit: BlockArrays | None
    # How much a passage near the saddle amplifies rounding, at least 1.
    amplification: float
    # Time after which nothing changes but rounding; at most t_end.
    horizon: float

    def u(self, t: Times) -> Times:
        """u at times t."""
        ...

    def excess(self, t: Times) -> Times:
        """L − min L at times t."""
        ...

    def blocks(self, t: Times) -> BlockArrays:
        """The blocks a, u, U, b at times t."""
        ...


class ClosedForm:
    """Isotropic covariance and a balanced start with a = b = 0 (see ``isotropic``)."""

    method = "closed form (isotropic covariance, balanced start)"
    amplification = 1.0

    def __init__(self, problem: Reduced, coefficients: FlowCoefficients, t_end: float) -> None:
        self._sign = 1.0 if problem.u > 0 else -1.0
        self._problem = problem
        self._flow = IsotropicFlow(
            float(problem.rates[0]), float(problem.drive[0]), abs(problem.u), self._sign * problem.matrix
        )
        self.limit: BlockArrays | None
        if self._flow.margin == 0:
            self.limit, self.status = _point(0.0, np.zeros_like(problem.matrix)), Status.SADDLE
        else:
            self.limit, self.status = _minimum(problem, self._sign, coefficients), Status.GLOBAL_MINIMUM
        self._coefficients = coefficients
        self.horizon = min(t_end, self._flow.horizon)

    def u(self, t: Times) -> Times:
        """u at times t."""
        return self._sign * self._flow.evaluate(t)[0]

    def excess(self, t: Times) -> Times:
        """L − min L at times t."""
        u, coordinates = self._flow.evaluate(t)
        problem, flow = self._problem, self._flow
        axis = np.sqrt(len(problem.drive)) * problem.target[0]
        sine = flow.margin * (2 - flow.margin)
        misfit = (u * coordinates[:, 0] - axis) ** 2 + (u * coordinates[:, 1]) ** 2 * sine
        return 0.5 * flow.kappa * misfit

    def blocks(self, t: Times) -> BlockArrays:
        """a, u, U, b at times t."""
        u, coordinates = self._flow.evaluate(t)
        # Isotropic: every basis is an eigenbasis, and the one at hand is the user's unless a rotation says otherwise.
        U = self._sign * self._flow.matrices(coordinates)
        zero = np.zeros((len(t), U.shape[-1]))
        return zero, self._sign * u, _rotate(self._coefficients, U), zero


class Spectral:
    """Commuting covariances and a = b = 0: spectral segments where u ≠ 0, short integrations across u = 0."""

    def __init__(self, problem: Reduced, coefficients: FlowCoefficients, t_end: float) -> None:
        self._problem, self._coefficients = problem, coefficients
        self._segments = _follow(problem, t_end)
        self.method = "spectral (one scalar function)"
        if any(isinstance(segment.path, CrossingSegment) for segment in self._segments):
            self.method += " with integration across u = 0"
        last = self._segments[-1]
        self.horizon = min(t_end, last.start + last.path.last_computed)
        self.limit: BlockArrays | None
        if last.path.end is End.SADDLE:
            t = np.array([last.path.last_computed])
            _, D, s = last.path.states(t)
            matrix = last.sign * last.path.problem.full(D, s)[0]
            self.limit, self.status = _point(0.0, coefficients.from_eigenbasis(matrix)), Status.SADDLE
        elif isinstance(last.path, SpectralSegment):
            self.limit, self.status = _minimum(last.path.problem, last.sign, coefficients), Status.GLOBAL_MINIMUM
        else:
            self.limit, self.status = None, Status.UNDECIDED
        lost = [s.path.lost for s in self._segments if isinstance(s.path, SpectralSegment)]
        # Errors grow on the way in as on the way out: the saddle's rates are ±‖ξ‖.
        self.amplification = max([1.0, *lost]) ** 2

    def u(self, t: Times) -> Times:
        """u at times t."""
        u = np.empty(len(t))
        for segment, rows, local in self._split(t):
            u[rows] = segment.sign * segment.path.scalars(local)[0]
        return u

    def excess(self, t: Times) -> Times:
        """L − min L at times t."""
        excess = np.empty(len(t))
        for segment, rows, local in self._split(t):
            u, D, s = segment.path.states(local)
            excess[rows] = segment.path.problem.excess(u, D, s)
        return excess

    def blocks(self, t: Times) -> BlockArrays:
        """a, u, U, b at times t."""
        d = len(self._problem.drive)
        u, U = np.empty(len(t)), np.empty((len(t), d, d))
        for segment, rows, local in self._split(t):
            value, D, s = segment.path.states(local)
            u[rows] = segment.sign * value
            U[rows] = segment.sign * segment.path.problem.full(D, s)
        zero = np.zeros((len(t), d))
        return zero, u, _rotate(self._coefficients, U), zero

    def _split(self, t: Times) -> list[tuple[_Segment, Int64[np.ndarray, " n"], Times]]:
        starts = np.array([segment.start for segment in self._segments])
        index = np.searchsorted(starts, t, side="right") - 1
        parts: list[tuple[_Segment, Int64[np.ndarray, " n"], Times]] = []
        for number, segment in enumerate(self._segments):
            rows = np.flatnonzero(index == number)
            if not len(rows):
                continue
            parts.append((segment, rows, t[rows] - segment.start))
        return parts


# Stretches of trajectory between passages of u = 0.
_CROSSINGS = 64


@dataclass(frozen=True, eq=False)
class _Segment:
    start: float
    sign: float
    path: SpectralSegment | CrossingSegment


def _follow(problem: Reduced, t_end: float) -> Sequence[_Segment]:
    """Spectral segments with u > 0 (both signs by the symmetry (u, U) → (−u, −U)) joined across u = 0."""
    segments: list[_Segment] = []
    time, sign = 0.0, 1.0
    for _ in range(_CROSSINGS):
        if problem.u < 0:
            problem, sign = problem.mirrored(), -sign
        path: SpectralSegment | CrossingSegment | None = None
        if problem.u > 0 and not (segments and isinstance(segments[-1].path, SpectralSegment)):
            path = solve(problem, t_end - time)
        if path is None or not path.panels:
            path = cross(problem, t_end - time)
        segments.append(_Segment(time, sign, path))
        if path.end is not End.CROSSING:
            break
        end = path.last_computed
        u, D, s = path.states(np.array([end]))
        problem, time = path.problem.restarted(float(u[0]), D[0], float(s[0])), time + end
    else:  # what follows is not known, least of all the limit
        raise InvalidInputError(
            f"the start must let the flow get away from u = 0 in {_CROSSINGS} stretches; they were used up at "
            f"t = {time:.6g}: choose a t_end below that, or a smaller U."
        )
    return segments


def _minimum(problem: Reduced, sign: float, coefficients: FlowCoefficients) -> BlockArrays:
    """The minimum with the same u² − ‖U‖_F² and the same sign of u; entries that never move stay."""
    u = problem.limit_u
    U = np.where(problem.decay > 0, 0.0, problem.matrix)
    moving = np.flatnonzero(problem.rates > 0)
    U[moving, moving] = problem.target[moving] / u
    return _point(sign * u, sign * coefficients.from_eigenbasis(U))


def _point(u: float, U: Matrix) -> BlockArrays:
    zero = np.zeros((1, len(U)))
    return zero, np.array([u]), U[None], zero


def _rotate(coefficients: FlowCoefficients, matrices: Float64[np.ndarray, "n d d"]) -> Float64[np.ndarray, "n d d"]:
    Q = coefficients.rotation
    return matrices if Q is None else Q @ matrices @ Q.T
