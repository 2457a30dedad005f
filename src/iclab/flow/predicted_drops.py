"""When gradient flow of rank-one heads leaves its plateaus, from the starting weights alone.

On a plateau every head that has not learned yet is small and feels only the drive ξ_j of the directions that are left:
v̇ = Σ ξ_j k_j q_j, k̇_j = ξ_j v q_j, q̇_j = ξ_j v k_j. In s = ∫v dt the sums k + q grow like e^{ξs} and the differences
shrink, so that with p = (k + q)/2 and m = (k − q)/2 one number per head is left,
s̈ = Σ ξ_j (p_j² e^{2ξ_j s} − m_j² e^{−2ξ_j s}), which reaches infinity at a finite time. The first head to do so learns
the direction it has grown along; the others go on without that direction. A head that saturates passes half of its
drop 1.2534 (1/ξ)(κ/ξ)^{1/3} before the time at which it would be infinite. The picture is that of Zhang, Singh, Latham
and Saxe (ICML 2025); the errors are of the order of the starting weights.

A head that has learned i keeps it if it does not itself grow along a direction j that is left: its k_j and q_j feel the
drive ξ_j and the cost of the entries ij and ji of V, and shrink if √(k_ij k_ji) ξ_i/k_ii > ξ_j. A fixed Λ always
fulfils this, since it says that i gains more than j; random covariances need not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.integrate import quad, solve_ivp

from iclab.flow.heads import FactoredHeads, HeadsLoss
from iclab.foundations import InvalidInputError, Vector, check_integer
from iclab.theory import CovarianceLaw, TrainLength

# The value v, over that of a head that has learned, at which a head is told to be on its way.
_GROWN = 0.2
# Half of the fall 1 − (1 − V/V*)² is behind at V/V* = 1 − 1/√2 = x³.
_HALF = (1 - math.sqrt(0.5)) ** (1 / 3)
_AHEAD = quad(lambda x: x / (1 - x**3), 0, _HALF)[0] - 1 / _HALF


@dataclass(frozen=True, eq=False)
class PredictedDrops:
    """The drops of the loss in the order of time, one per head that learns a direction.

    Attributes
    ----------
    times : ndarray, shape (n,)
        Times at which each drop is half done.
    heads : ndarray of int, shape (n,)
        The head that learns.
    directions : ndarray of int, shape (n,)
        The direction it learns: the rank of its drive E λ_i² among all, 0 for the largest.
    errors : ndarray, shape (n + 1,)
        E(ŷ − w'x_q)² before, between and after the drops: ``theory.plateau_losses`` if the order is that of the drives.
    kept : bool
        Whether heads keep what they learn. If not, the last drop is followed by another of the same head, after a
        time that grows only like the logarithm of the starting weights, and nothing is predicted beyond.
    """

    times: Float64[np.ndarray, " n"]
    heads: Int64[np.ndarray, " n"]
    directions: Int64[np.ndarray, " n"]
    errors: Float64[np.ndarray, " levels"]
    kept: bool


def predicted_drops(
    initial: FactoredHeads,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    *,
    most: int | None = None,
) -> PredictedDrops:
    """Times, heads and directions of the drops of :func:`head_flow` from small weights of rank one.

    After Zhang, Singh, Latham and Saxe (ICML 2025); the times are not in the paper. To first order in the weights.

    Parameters
    ----------
    initial : FactoredHeads
        Start, of rank one, in dimension d; small beside the weights of the minimum.
    covariates, n_train, noise_variance
        As in :func:`head_flow`, with covariances that commute.
    most : int, optional
        How many drops are predicted, the first ones; all when omitted.

    Returns
    -------
    PredictedDrops

    Raises
    ------
    InvalidInputError
        If the rank is not one, the weights are not small, the covariances do not commute, dimensions differ, or
        ``most`` is below 1.
    """
    loss = HeadsLoss(covariates, n_train, noise_variance)
    loss.check(initial.dimension)
    if not loss.commuting:
        raise InvalidInputError("covariates must have covariances that commute, for directions to be learned singly.")
    if initial.keys.ndim != 3 or initial.keys.shape[1] != 1:
        raise InvalidInputError(
            "initial must have heads of rank 1, each of which learns one direction; "
            f"keys of shape {initial.keys.shape} were given."
        )
    start = initial if loss.rotation is None else initial.rotated(loss.rotation)
    heads = [
        _Head(float(v), (k + q) / 2, (k - q) / 2)
        for v, k, q in zip(start.values, start.keys[:, 0], start.queries[:, 0], strict=True)
    ]
    drops, kept = _learned(heads, loss, math.inf if most is None else check_integer(most, "most", minimum=1))
    drive = _drive(loss)
    gains = drive * np.diagonal(loss.target)
    falls = np.cumsum([0.0, *(gains[direction] for _, _, direction in drops)])
    rank = np.argsort(np.argsort(-drive, kind="stable"))
    return PredictedDrops(
        np.array([time for time, _, _ in drops]),
        np.array([head for _, head, _ in drops], dtype=np.int64),
        np.array([rank[direction] for _, _, direction in drops], dtype=np.int64),
        2 * (float(loss.excess(0 * loss.target)) + loss.minimum) - falls,
        kept,
    )


def _drive(loss: HeadsLoss) -> Vector:
    return np.diagonal(loss.decay) * np.diagonal(loss.target)


def _learned(heads: list[_Head], loss: HeadsLoss, most: float) -> tuple[list[tuple[float, int, int]], bool]:
    """Time, head and coordinate of every drop, or of the first ones, and whether heads keep what they learn."""
    drive, target = _drive(loss), np.diagonal(loss.target)
    grown = np.cbrt(target)  # v of a head that has learned a direction: V = vkq and v² = k² = q²
    size, small = max(head.size(drive) for head in heads), _GROWN * float(grown.min(initial=np.inf, where=drive > 0))
    if size > small:
        raise InvalidInputError(
            "initial must be small beside the weights of the minimum; "
            f"its largest is {size:.3g}, and {small:.3g} is the most."
        )
    left: dict[int, _Head] = dict(enumerate(heads))
    mutual = np.sqrt(loss.decay * loss.decay.T)
    clock, drops, kept = 0.0, list[tuple[float, int, int]](), True
    while drive.any() and left and kept and len(drops) < most:
        ends: dict[int, tuple[float, int]] = {index: head.escape(drive, small) for index, head in left.items()}
        (wait, direction), winner = min((end, index) for index, end in ends.items())
        if math.isinf(wait):
            break
        wait = max(wait + _AHEAD / float(drive[direction] * grown[direction]), 0.0)
        clock += wait
        drops.append((clock, winner, direction))
        left = left if len(drops) == most else {i: left[i].advanced(drive, wait) for i in left if i != winner}
        drive = np.where(np.arange(len(drive)) == direction, 0.0, drive)
        kept = bool((mutual[direction] * target[direction] > drive)[drive > 0].all())
    return drops, kept


@dataclass(frozen=True, eq=False)
class _Head:
    """A small head: its value v, half of the sum of its key and query, p, and half of their difference, m."""

    v: float
    p: Vector
    m: Vector

    def escape(self, drive: Vector, limit: float) -> tuple[float, int]:
        """The time at which it would be infinite, and the direction it is along where v reaches ``limit``."""
        size = self.size(drive)
        if size == 0:
            return math.inf, 0
        t, s, v = self._follow(drive, math.inf, max(limit, 2 * size))
        up, down = self._parts(drive, s)
        force = float(drive @ (up**2 - down**2))
        key = np.where(drive > 0, np.abs(up + down), 0.0)
        return t + v / force, int(np.argmax(key))  # v̇ = ξv², so that 1/(ξv) = v/v̇ are left

    def advanced(self, drive: Vector, wait: float) -> _Head:
        """The head after the time ``wait``."""
        if wait == 0 or self.size(drive) == 0:
            return self
        _, s, v = self._follow(drive, wait, math.inf)
        return _Head(v, *self._parts(drive, s))

    def size(self, drive: Vector) -> float:
        """Largest weight that the drive reaches."""
        along = drive > 0
        return float(max(abs(self.v), np.abs(self.p[along]).max(initial=0.0), np.abs(self.m[along]).max(initial=0.0)))

    def _parts(self, drive: Vector, s: float) -> tuple[Vector, Vector]:
        """p and m at s, which grow and shrink."""
        along = drive * s
        return self.p * np.exp(along), self.m * np.exp(-along)

    def _follow(self, drive: Vector, wait: float, limit: float) -> tuple[float, float, float]:
        """Time, s and v where ``wait`` is over or |v| reaches ``limit``."""
        size = self.size(drive)  # times scale with 1/size, and s not at all

        def velocity(t: float, y: np.ndarray) -> np.ndarray:
            up, down = self._parts(drive, y[0])
            return np.array([y[1], drive @ (up**2 - down**2) / size**2])

        def grown(t: float, y: np.ndarray) -> float:
            return abs(y[1]) * size - limit

        grown.terminal = True  # type: ignore[attr-defined]
        end = wait * size if math.isfinite(wait) else 1e6 / float(drive[drive > 0].min())
        with np.errstate(over="ignore"):  # trial steps that are far too long
            path = solve_ivp(
                velocity,
                (0.0, end),
                [0.0, self.v / size],
                method="DOP853",
                rtol=1e-8,
                atol=1e-10,
                events=grown if math.isfinite(limit) else None,
            )
        s, v = path.y[:, -1]
        t = float(path.t[-1]) / size
        if math.isfinite(limit) and abs(v) * size < 0.9 * limit:
            return math.inf, float(s), float(v) * size
        return t, float(s), float(v) * size
