"""Many starts at once: where the flow on all parameters ends, for counts rather than for one trajectory.

One embedded Runge-Kutta pair (Bogacki and Shampine, order 3(2)) advances all starts together, each with its own step
and its own time; runs that reached a critical point are set aside. What is left after a while is stiff, and goes on
with a linearly implicit method. The tolerance keeps each run in its basin, and its end is exact to the gradient that
counts as rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from iclab.flow.rosenbrock import GAMMA, ros2
from iclab.foundations import InvalidInputError, check_integer, check_real, check_reals
from iclab.theory import CovarianceLaw, LSAParameters, PointKind, PopulationLoss, TrainLength, minimum_loss

_Vectors = Float64[np.ndarray, "R m"]
# Excess, as a part of the gain ½ E tr Λ − min L, below which an end is the global minimum.
_GLOBAL = 1e-6
# A run is at rest when its gradient is below this part of the gain.
_REST = 1e-7
# Rounds of the explicit method; then the implicit one takes over.
_EXPLICIT = 800
GLOBAL, LOCAL, SADDLE = (kind.value for kind in (PointKind.GLOBAL_MINIMUM, PointKind.LOCAL_MINIMUM, PointKind.SADDLE))
UNFINISHED = "unfinished"


@dataclass(frozen=True, eq=False)
class Ends:
    """Where each of R starts of the flow (9) ends.

    Attributes
    ----------
    vectors : ndarray, shape (R, (d + 1)²)
        Last parameters, in the coordinates t of Lemma 9.
    kinds : ndarray of str, shape (R,)
        "global minimum", "local minimum" (that is not global), "saddle" (by the Hessian's smallest eigenvalue), as
        ``theory.PointKind`` names them, or "unfinished".
    excess : ndarray, shape (R,)
        L − min L there.
    times : ndarray, shape (R,)
        Time of flow until the gradient was below tolerance.
    """

    vectors: _Vectors
    kinds: np.ndarray
    excess: Float64[np.ndarray, " R"]
    times: Float64[np.ndarray, " R"]

    def count(self, kind: str) -> int:
        """Number of runs that end so: what the paper leaves open beyond Assumption 3."""
        return int(np.sum(self.kinds == kind))


def flow_ends(
    starts: ArrayLike,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    *,
    tolerance: float = 1e-5,
    max_steps: int = 6_000,
) -> Ends:
    """Follow gradient flow (9) on all parameters from many starts to critical points.

    Parameters
    ----------
    starts : array_like, shape (R, (d + 1)²)
        Starts as vectors t of Lemma 9 (``LSAParameters.vector``).
    covariates : Gaussian, RandomDiagonal or any law of ``iclab.theory.covariance_rule``
        Law of Λ.
    n_train : int, math.inf or AllPositions
        Length N of training prompts.
    tolerance : float
        Local error of a step, relative to the largest parameter.
    max_steps : int
        Rounds after which the remaining runs count as unfinished.

    Returns
    -------
    Ends
    """
    loss = PopulationLoss(covariates, n_train)
    y = np.array(check_reals(starts, "starts"))
    if y.ndim != 2 or y.shape[1] != (loss.dimension + 1) ** 2 or not np.isfinite(y).all():
        raise InvalidInputError(
            f"starts must be finite and of shape (R, {(loss.dimension + 1) ** 2}); shape {y.shape} was given."
        )
    check_real(tolerance, "tolerance", above=0.0)
    check_integer(max_steps, "max_steps", minimum=1)
    zero = LSAParameters.from_vector(np.zeros(y.shape[1]))
    minimum = minimum_loss(covariates, n_train)
    gain = loss(zero) - minimum
    times, done = _advance(loss, y, gain, tolerance, max_steps)
    excess = np.asarray(loss.values(y)) - minimum
    kinds = np.array([UNFINISHED] * len(y), dtype=object)
    for row in range(len(y)):
        if not done[row] and excess[row] >= _GLOBAL * gain:
            done[row] = _polish(loss, y[row], gain)
            excess[row] = float(loss.values(y[row])) - minimum
        if excess[row] < _GLOBAL * gain:
            kinds[row] = GLOBAL
        elif done[row]:
            values = np.linalg.eigvalsh(loss.hessian(LSAParameters.from_vector(y[row])))
            kinds[row] = SADDLE if values[0] < -1e-5 * values[-1] else LOCAL
    return Ends(y, kinds, excess, times)


def _polish(loss: PopulationLoss, y: Float64[np.ndarray, " m"], gain: float) -> bool:
    """Newton's iteration from where a slow run was left, in place; False if it leads elsewhere."""
    point = y.copy()
    for _ in range(20):
        gradient = loss.gradients(point)
        if np.linalg.norm(gradient) <= _REST * gain:
            y[:] = point
            return True
        values, vectors = np.linalg.eigh(loss.hessian(LSAParameters.from_vector(point)))
        # Directions without curvature (the scale of W^PV against W^KQ) are left alone.
        curved = np.abs(values) > 1e-7 * values[-1]
        point = point - vectors[:, curved] @ ((vectors[:, curved].T @ gradient) / values[curved])
        if np.linalg.norm(point - y) > 0.2 * np.linalg.norm(y):
            return False
    return False


def _advance(
    loss: PopulationLoss, y: _Vectors, gain: float, tolerance: float, max_steps: int
) -> tuple[Float64[np.ndarray, " R"], np.ndarray]:
    """Advance the rows of ``y`` in place; times, and whether each row reached a critical point."""
    critical = _REST * gain
    times = np.zeros(len(y))
    done = np.zeros(len(y), dtype=bool)
    rows: Int64[np.ndarray, " r"] = np.arange(len(y))
    slope = -loss.gradients(y)
    step = 1e-2 / (1 + np.linalg.norm(slope, axis=1))
    for _ in range(min(max_steps, _EXPLICIT)):
        size = np.linalg.norm(slope, axis=1)
        ended = size <= critical
        if ended.any():
            done[rows[ended]] = True
            keep = ~ended
            rows, slope, step = rows[keep], slope[keep], step[keep]
        if not len(rows):
            break
        h, now = step[:, None], y[rows]
        second = -loss.gradients(now + h / 2 * slope)
        third = -loss.gradients(now + 3 * h / 4 * second)
        new = now + h * (2 * slope + 3 * second + 4 * third) / 9
        fourth = -loss.gradients(new)
        error = h * (-5 * slope / 72 + second / 12 + third / 9 - fourth / 8)
        # The second part makes errors vanish with the gradient, so that a run can come to rest.
        scale = np.minimum(tolerance * (1e-3 + np.abs(now).max(axis=1)), 0.05 * step * np.abs(slope).max(axis=1))
        ratio = np.maximum(np.abs(error).max(axis=1) / scale, 1e-9)
        accepted = ratio <= 1
        y[rows[accepted]] = new[accepted]
        times[rows[accepted]] += step[accepted]
        slope = np.where(accepted[:, None], fourth, slope)
        step = step * np.clip(0.9 * ratio ** (-1 / 3), 0.2, 4.0)
    for _ in range(max_steps - _EXPLICIT):
        slope = -loss.gradients(y[rows])
        ended = np.linalg.norm(slope, axis=1) <= critical
        done[rows[ended]] = True
        rows, slope, step = rows[~ended], slope[~ended], step[~ended]
        if not len(rows):
            break
        now = y[rows]
        hessians = _hessians(loss, now, slope)
        # A step may not turn a growing mode around: 1 + γhλ stays above ½ for the most negative curvature λ.
        growth = np.maximum(-np.linalg.eigvalsh(hessians)[:, 0], 1e-300)
        h = np.minimum(step, 0.5 / (GAMMA * growth))
        new, error = ros2(lambda x: -loss.gradients(x), now, slope, hessians, h)
        ratio = np.abs(error).max(axis=1) / (tolerance * (1e-3 + np.abs(now).max(axis=1)))
        ratio = np.where(np.isfinite(ratio), np.maximum(ratio, 1e-9), np.inf)
        accepted = ratio <= 1
        y[rows[accepted]] = new[accepted]
        times[rows[accepted]] += h[accepted]
        step = h * np.clip(0.9 * ratio ** (-1 / 2), 0.2, 4.0)
    return times, done


def _hessians(loss: PopulationLoss, y: _Vectors, slope: _Vectors) -> Float64[np.ndarray, "R m m"]:
    """Second derivatives by differences: ROS2 keeps its order with any matrix."""
    m = y.shape[1]
    width = 1e-6 * (1 + np.abs(y).max(axis=1))[:, None, None]
    ahead = loss.gradients((y[:, None] + width * np.eye(m)).reshape(-1, m)).reshape(-1, m, m)
    rows = (ahead + slope[:, None]) / width
    return (rows + np.swapaxes(rows, 1, 2)) / 2
