"""The linear map that a predictor applies: its derivative in the query, and the learner behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from iclab.evaluation.curves import own_copy, predictions
from iclab.foundations import InvalidInputError, PromptInputs, check_real
from iclab.predictors import LinearPredictor, Predictor
from iclab.predictors.base import counts, sums_before
from iclab.prompts import Prompts
from iclab.prompts.labels import REAL


def effective_weights(predictor: Predictor, prompts: Prompts, *, step: float = 1e-3) -> PromptInputs:
    """Gradient of each prediction in its query, shape (B, P, d): the w of ŷ ≈ w'x_q near the query.

    Exact for predictors that give their ``weights``; otherwise central differences, 2d calls of the predictor.

    Parameters
    ----------
    predictor : callable
        Any predictor that answers shifted queries.
    prompts : Prompts
        B prompts of P positions.
    step : float
        Half width of the difference, times the root mean square of the queries.

    Raises
    ------
    InvalidInputError
        If the step is not positive, the queries are all 0, labels are no single numbers, or a prediction is not finite.
    """
    if prompts.labels != REAL:
        raise InvalidInputError(
            f"prompts must have single numbers as labels for a linear map; theirs are of kind {prompts.labels.kind}."
        )
    if isinstance(predictor, LinearPredictor):
        return predictor.weights(own_copy(prompts))
    width = check_real(step, "step", above=0.0) * float(np.sqrt(np.mean(prompts.queries**2)))
    if width == 0:
        raise InvalidInputError("queries must not all be 0, which leaves no scale for differences.")
    gradient = np.empty(prompts.xs.shape)
    for k in range(prompts.dimension):
        offset = np.zeros(prompts.dimension)
        offset[k] = width
        sides = [
            predictions(predictor, "the predictor", replace(prompts, queries=prompts.queries + sign * offset))
            for sign in (1, -1)
        ]
        gradient[..., k] = (sides[0] - sides[1]) / (2 * width)
    return gradient


@dataclass(frozen=True, eq=False)
class EffectiveLearner:
    """The learner K of ŷ ≈ x_q'K (1/i) Σ y_j x_j that fits a predictor best, by position.

    Attributes
    ----------
    matrices : ndarray, shape (P, d, d)
        K by position, NaN where fewer than d prompts determine it (position 0 always). For linear
        self-attention at its minimum K = Γ⁻¹; for averaging I.
    explained : ndarray, shape (P,)
        Share of the variance of the effective weights that K explains: 1 for such a learner.
    """

    matrices: Float64[np.ndarray, "P d d"]
    explained: Float64[np.ndarray, " P"]


def effective_learner(predictor: Predictor, prompts: Prompts, *, step: float = 1e-3) -> EffectiveLearner:
    """Regress the effective weights of a predictor on (1/i) Σ y_j x_j over prompts, position by position.

    Parameters
    ----------
    predictor, prompts, step
        As in ``effective_weights``; more prompts than dimensions are needed.

    Raises
    ------
    InvalidInputError
        If there are fewer prompts than dimensions, or as in ``effective_weights``.
    """
    n_prompts, n_points, dimension = prompts.xs.shape
    if n_prompts < dimension:
        raise InvalidInputError(
            f"prompts must number at least the dimension {dimension} to determine a learner; {n_prompts} were given."
        )
    weights = effective_weights(predictor, prompts, step=step)
    moments = sums_before(prompts.ys[..., None] * prompts.xs) / counts(n_points)[:, None]
    matrices = np.full((n_points, dimension, dimension), np.nan)
    explained = np.full(n_points, np.nan)
    for i in range(1, n_points):
        solution, _, rank, _ = np.linalg.lstsq(moments[:, i], weights[:, i], rcond=None)
        if rank == dimension:
            matrices[i] = solution.T
            residual = weights[:, i] - moments[:, i] @ solution
            total = float(np.sum(weights[:, i] ** 2))
            explained[i] = 1 - float(np.sum(residual**2)) / total if total > 0 else 1.0
    return EffectiveLearner(matrices, explained)
