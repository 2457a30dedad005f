"""Many starts of two layers at once: the whole path of each, its plateaus, and where it ends.

The risk of two layers is of degree 16 in the weights, so its flow is steep and stiff. Explicit integrators need
tens of thousands of steps; here ROS2 takes few, with the Gauss-Newton matrix of the risk, which is positive
semi-definite, for the Hessian. All starts advance together, each with its own step and its own time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from iclab.flow.rosenbrock import ros2
from iclab.flow.two_layer import TwoLayerRisk, TwoLayerWeights
from iclab.foundations import InvalidInputError, check_integer, check_real
from iclab.prompts import Prompts

_Times = Float64[np.ndarray, " K"]
# A plateau is a minimum of ‖∇L‖² that much below the peaks on both sides,
_PROMINENCE = 4.0
# and the risk falls by that part of the prediction 0's before it rests again.
_DROP = 0.02
# At rest: ‖∇L‖ below this part of the risk of the prediction 0.
_REST = 1e-6


@dataclass(frozen=True)
class Plateau:
    """A stretch where the risk (7) hardly falls, before it falls again.

    Attributes
    ----------
    start, end : float
        Times between which ‖∇L‖² is below the geometric mean of its minimum and the lower peak beside it.
    height : float
        Risk where ‖∇L‖² is smallest.
    """

    start: float
    end: float
    height: float


@dataclass(frozen=True, eq=False)
class TwoLayerPath:
    """One start followed by :func:`two_layer_runs` (not in the paper: the multi-layer extension of its summary).

    Attributes
    ----------
    times : ndarray, shape (K,)
        Steps of the integrator.
    losses : ndarray, shape (K,)
        Empirical risk there.
    speeds : ndarray, shape (K,)
        ‖∇L‖² = −dL/dt there.
    end : TwoLayerWeights
        Last weights.
    settled : bool
        Whether the gradient has vanished there.
    drift : float
        Largest change of ‖W^PV‖_F² − ‖W^KQ‖_F² of a layer, relative to the squared norm of all weights at that time;
        rounding, as every step is put back on the conserved value by (W^PV, W^KQ) → (cW^PV, W^KQ/c), which does not
        change ŷ.
    correction : float
        What the steps would have drifted otherwise: the sum of these corrections, in the same measure.
    scale : float
        Risk of the prediction 0.
    """

    times: _Times
    losses: _Times
    speeds: _Times
    end: TwoLayerWeights
    settled: bool
    drift: float
    correction: float
    scale: float

    @property
    def plateaus(self) -> list[Plateau]:
        """The plateaus of the risk (7), in order; the first may be the start, the rest at the end is none."""
        from scipy.signal import find_peaks  # half a second to import, for this alone

        speeds = np.log(np.maximum(self.speeds, 1e-300))
        padded = np.concatenate([[np.inf], speeds])  # the start may be a minimum, the end may not
        finite = np.where(np.isfinite(padded), padded, speeds.max() + 2 * math.log(_PROMINENCE))
        found, facts = find_peaks(-finite, prominence=math.log(_PROMINENCE))
        plateaus: list[Plateau] = []
        lowest = float(self.losses[-1])
        for at, prominence in zip(found[::-1], facts["prominences"][::-1], strict=True):
            index = int(at) - 1
            if self.losses[index] < lowest + _DROP * self.scale:
                continue
            lowest = float(self.losses[index])
            level = speeds[index] + prominence / 2
            above = np.flatnonzero(speeds > level)
            before, after = above[above < index], above[above > index]
            first = int(before[-1]) + 1 if before.size else 0
            last = int(after[0]) - 1
            plateaus.append(Plateau(float(self.times[first]), float(self.times[last]), float(self.losses[index])))
        return plateaus[::-1]


def two_layer_runs(
    starts: Sequence[TwoLayerWeights],
    prompts: Prompts,
    t_end: float,
    *,
    tolerance: float = 1e-3,
    max_steps: int = 5_000,
) -> list[TwoLayerPath]:
    """Gradient flow of two layers, (3) applied twice, from many starts on the empirical risk (7) of one sample.

    Parameters
    ----------
    starts : sequence of TwoLayerWeights
        At least one start, in the dimension of the prompts.
    prompts : Prompts
        The sample; the larger, the nearer to the population loss.
    t_end : float
        Last time, finite.
    tolerance : float
        Local error of a step, relative to the largest weight.
    max_steps : int
        Rounds after which runs are left where they are; ``times[-1]`` says where.

    Returns
    -------
    list of TwoLayerPath
        One per start.

    Raises
    ------
    InvalidInputError
        If there is no start, dimensions differ, or a number is out of its range.
    """
    if not starts:
        raise InvalidInputError("starts must hold at least one start; none was given.")
    risk = TwoLayerRisk(prompts)
    for start in starts:
        risk.check(start)
    end = check_real(t_end, "t_end", above=0.0)
    accuracy = check_real(tolerance, "tolerance", above=0.0)
    rounds = check_integer(max_steps, "max_steps", minimum=1)
    sample = _Sample(risk)
    y = np.array([start.vector for start in starts])
    records: list[list[tuple[float, float, float]]] = [[] for _ in starts]
    balance, (drift, correction) = sample.balance(y), np.zeros((2, len(y)))
    settled = np.zeros(len(y), dtype=bool)
    rows, times, step = np.arange(len(y)), np.zeros(len(y)), np.full(len(y), 1e-3)
    fresh = np.ones(len(y), dtype=bool)  # whether a row's slope and matrix are those of its weights
    loss, slope, matrix = sample.curvature(y)
    for _ in range(rounds):
        if not fresh[rows].all():
            stale = rows[~fresh[rows]]
            loss[stale], slope[stale], matrix[stale] = sample.curvature(y[stale])
            fresh[stale] = True
        for row in rows:
            if not records[row] or records[row][-1][0] < times[row]:
                records[row].append((float(times[row]), float(loss[row]), float(slope[row] @ slope[row])))
        rest = np.sum(slope[rows] ** 2, axis=1) <= (_REST * sample.scale) ** 2
        settled[rows[rest]] = True
        rows = rows[~rest & (times[rows] < end)]
        if not len(rows):
            break
        h = np.minimum(step[rows], end - times[rows])
        new, error = ros2(sample.slope, y[rows], slope[rows], matrix[rows], h)
        size = np.abs(y[rows]).max(axis=1)
        ratio = np.maximum(np.abs(error).max(axis=1) / (accuracy * size), 1e-6)
        ratio = np.where(np.isfinite(ratio), ratio, np.inf)
        accepted = ratio <= 1
        moved = rows[accepted]
        y[moved], fresh[moved] = sample.balanced(new[accepted], balance[moved]), False
        times[moved] += h[accepted]
        energy = np.sum(y[moved] ** 2, axis=1)
        correction[moved] += sample.imbalance(new[accepted], balance[moved]) / energy
        drift[moved] = np.maximum(drift[moved], sample.imbalance(y[moved], balance[moved]) / energy)
        step[rows] = h * np.clip(0.9 * ratio ** (-1 / 2), 0.2, 3.0)
    paths: list[TwoLayerPath] = []
    for row, record in enumerate(records):
        t, losses, speeds = np.array(record).T
        paths.append(
            TwoLayerPath(
                t,
                losses,
                speeds,
                TwoLayerWeights.from_vector(y[row]),
                bool(settled[row]),
                float(drift[row]),
                float(correction[row]),
                sample.scale,
            )
        )
    return paths


class _Sample:
    """The risk of many weights at once: prompts on the last axis, so that every operation runs over them."""

    def __init__(self, risk: TwoLayerRisk) -> None:
        self._S = np.ascontiguousarray(np.moveaxis(risk.moments, 0, -1))
        self._q = np.ascontiguousarray(risk.query.T)
        self._targets = risk.targets
        self.size = risk.size
        self.scale = float(np.mean(risk.targets**2)) / 2

    def balance(self, y: np.ndarray) -> np.ndarray:
        """‖W^PV‖_F² − ‖W^KQ‖_F² of both layers, (R, 2)."""
        parts = np.sum(y.reshape(len(y), 2, 2, self.size**2) ** 2, axis=-1)
        return parts[:, 0] - parts[:, 1]

    def imbalance(self, y: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """How far the balance is from ``wanted``, (R, 2), in the worse layer, (R,)."""
        return np.abs(self.balance(y) - wanted).max(axis=1)

    def balanced(self, y: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """``y`` with each layer scaled to the balance ``wanted``, (R, 2).

        A projection onto the conserved quantities (Hairer, Lubich and Wanner 2006, §IV.4) along their symmetry.
        Of the second W^PV only the last row reaches ŷ and moves.
        """
        w = y.reshape(len(y), 2, 2, self.size, self.size).copy()
        for layer, part in ((0, slice(None)), (1, slice(-1, None))):
            value, key = w[:, 0, layer, part], w[:, 1, layer]
            p, q = np.sum(value**2, (1, 2)), np.sum(key**2, (1, 2))
            still = np.sum(w[:, 0, layer] ** 2, (1, 2)) - p  # the rows that never move
            goal = wanted[:, layer] - still
            root: np.ndarray = np.sqrt(goal**2 + 4 * p * q)
            # c²p − q/c² = goal; of the two forms of c² the one without cancellation.
            with np.errstate(divide="ignore", invalid="ignore"):
                larger, smaller = (goal + root) / (2 * p), 2 * q / (root - goal)
            square = np.asarray(np.where(goal >= 0, larger, smaller), dtype=np.float64)
            c = np.sqrt(np.where((p > 0) & (q > 0), square, 1.0))[:, None, None]
            value *= c
            key /= c
        return w.reshape(y.shape)

    def curvature(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Risks (R,), downhill slopes (R, m), and Gauss-Newton matrices (R, m, m)."""
        residual, J = self._derivatives(y)
        n = residual.shape[1]
        slope = -(J @ residual[:, :, None])[:, :, 0] / n
        return np.mean(residual**2, axis=1) / 2, slope, J @ np.swapaxes(J, 1, 2) / n

    def slope(self, y: np.ndarray) -> np.ndarray:
        """Downhill slopes (R, m)."""
        residual, J = self._derivatives(y)
        return -(J @ residual[:, :, None])[:, :, 0] / residual.shape[1]

    def _derivatives(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (R, B) and the derivatives (R, m, B) of ŷ; notation of ``TwoLayerRisk.gradient``."""
        R, s = len(y), self.size
        w = y.reshape(R, 2, 2, s, s)
        v1, row, k1, k2 = w[:, 0, 0], w[:, 0, 1, -1], w[:, 1, 0], w[:, 1, 1]
        S, q = self._S, self._q
        n = q.shape[1]
        spread = np.einsum("rij,rkl->riljk", v1, k1).reshape(R, s * s, s * s)
        J = (spread @ S.reshape(s * s, n)).reshape(R, s, s, n) + np.eye(s)[:, :, None]
        token = np.einsum("rijb,jb->rib", J, q)
        read = np.einsum("ijb,rjb->rib", S, (row[:, None] @ J.reshape(R, s, s * n)).reshape(R, s, n))
        back = np.einsum("rijb,rjb->rib", J, read)
        keyed = k2 @ token
        residual = token[:, -1] + np.einsum("rib,rib->rb", back, keyed) - self._targets
        through = np.einsum("ijb,rjb->rib", S, np.einsum("rkjb,rkb->rjb", J, keyed))
        ahead = np.swapaxes(k2, 1, 2) @ back
        ahead[:, -1] += 1
        to_J = ahead[:, :, None] * q + row[:, :, None, None] * through[:, None] + keyed[:, :, None] * read[:, None]
        found = np.zeros((R, 2, 2, s, s, n))
        right = (k1[:, None] @ to_J).reshape(R, s, s, n)
        np.einsum("rikb,jkb->rijb", right, S, out=found[:, 0, 0])
        left = (np.swapaxes(v1, 1, 2) @ to_J.reshape(R, s, s * n)).reshape(R, s, s, n)
        np.einsum("jkb,rjlb->rklb", S, left, out=found[:, 1, 0])
        np.einsum("rijb,rjb->rib", J, through, out=found[:, 0, 1, -1])
        np.multiply(back[:, :, None], token[:, None], out=found[:, 1, 1])
        return residual, found.reshape(R, 4 * s * s, n)
