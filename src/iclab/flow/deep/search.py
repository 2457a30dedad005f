"""The best of many L-BFGS runs: all starts briefly on few contexts, the best of them to the end on all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize

Objective = Callable[[Float64[np.ndarray, " n"]], tuple[float, Float64[np.ndarray, " n"]]]
_HUGE = 60.0


@dataclass(frozen=True, eq=False)
class Run:
    """One start.

    Attributes
    ----------
    theta : ndarray
        Where it ended.
    loss : float
        There, on the contexts it last saw.
    evaluations : int
        Of loss and gradient, in both rounds.
    polished : bool
        Whether it ran to the end on all contexts.
    slope : float
        Largest |∂ log loss/∂θ| there.
    """

    theta: Float64[np.ndarray, " n"]
    loss: float
    evaluations: int
    polished: bool
    slope: float


def search(
    starts: Sequence[Float64[np.ndarray, " n"]],
    few: Objective,
    every: Objective,
    *,
    brief: int = 40,
    polish: int = 3,
    iterations: int = 400,
) -> list[Run]:
    """Run L-BFGS from every start on ``few``, go on from the best ``polish`` of them on ``every``.

    Parameters
    ----------
    starts : sequence of ndarray
        Where to begin.
    few, every : callable
        Loss and gradient on a part and on all of the contexts.
    brief, iterations : int
        Iterations of the first and of the second round.
    polish : int
        Runs of the second round.

    Returns
    -------
    list of Run
        One per start, in their order.
    """
    runs = [_descend(few, start, brief, 0, polished=False) for start in starts]
    # What fits few contexts can explode on one of the others: then go on from the start itself.
    origins = [
        min((run.theta, start), key=lambda theta: _logarithm(every, theta)[0])
        for run, start in zip(runs, starts, strict=True)
    ]
    ranks = [_logarithm(every, origin)[0] for origin in origins]
    for index in sorted(range(len(ranks)), key=ranks.__getitem__)[:polish]:
        runs[index] = _descend(every, origins[index], iterations, runs[index].evaluations + 3, polished=True)
    return runs


def best(runs: Sequence[Run]) -> Run:
    """The polished run with the smallest loss."""
    return min((run for run in runs if run.polished), key=lambda run: run.loss)


def _descend(
    objective: Objective, start: Float64[np.ndarray, " n"], iterations: int, before: int, *, polished: bool
) -> Run:
    found = minimize(
        lambda theta: _logarithm(objective, theta),
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "maxcor": 20, "ftol": 1e-10, "gtol": 1e-6},
    )
    value, slope = _logarithm(objective, found.x)
    return Run(found.x, float(np.exp(value)), before + int(found.nfev), polished, float(np.abs(slope).max()))


def _logarithm(objective: Objective, theta: Float64[np.ndarray, " n"]) -> tuple[float, Float64[np.ndarray, " n"]]:
    """Logarithm of the loss, and its gradient: the loss spans orders of magnitude, its logarithm has sane steps."""
    with np.errstate(all="ignore"):
        loss, gradient = objective(theta)
        slope = gradient / loss
    if not (0 < loss < np.exp(_HUGE) and np.isfinite(slope).all()):
        return _HUGE, np.zeros_like(theta)
    return float(np.log(loss)), slope
