"""What a prompt holds that a model may have computed: the targets of probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float64

from iclab.foundations import InvalidInputError, check_array, check_reals
from iclab.predictors import LeastSquares
from iclab.predictors.base import counts, sums_before
from iclab.predictors.exact import bayes_predictor
from iclab.prompts import Prompts
from iclab.prompts.labels import REAL

Quantity: TypeAlias = Callable[[Prompts], np.ndarray]
"""From prompts to an array (B, P), (B, P, k), or (B, k) for what is the same at all positions (k ≠ P)."""
# Of the largest target: beyond it labels are no linear function.
_ROUNDING = 1e-8


def moment(prompts: Prompts) -> Float64[np.ndarray, "B P d"]:
    """X'y/i = (1/i) Σ y_j x_j of the examples before each position."""
    _require_real(prompts, "X'y/i")
    return sums_before(prompts.ys[..., None] * prompts.xs) / counts(prompts.n_points)[:, None]


def least_squares(prompts: Prompts) -> Float64[np.ndarray, "B P d"]:
    """The minimum-norm least-squares weights of the examples before each position, w_OLS."""
    _require_real(prompts, "least-squares weights")
    return LeastSquares().weights(prompts)


def least_squares_prediction(prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    """What least squares predicts at each position, x_q'w_OLS."""
    _require_real(prompts, "a least-squares prediction")
    return LeastSquares()(prompts)


def weights(prompts: Prompts) -> Float64[np.ndarray, "B P d"]:
    """The weights w of each prompt's function h(x) = w'x, found from its noise-free targets, at every position.

    Raises
    ------
    InvalidInputError
        If h is not linear, or the queries do not determine w.
    """
    return np.repeat(_weights(prompts)[:, None], prompts.n_points, axis=1)


def norm(prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    """‖w‖, likewise."""
    return np.linalg.norm(weights(prompts), axis=2)


def noise_level(prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    """Root mean square of the label noise y − h(x) over the whole prompt, at every position."""
    _require_real(prompts, "the noise level")
    clean = prompts.targets if not prompts.shifted_queries else np.einsum("bpd,bd->bp", prompts.xs, _weights(prompts))
    level = np.sqrt(np.square(prompts.ys - clean).mean(axis=1))
    return np.repeat(level[:, None], prompts.n_points, axis=1)


def posterior_mean(distribution: Any) -> Quantity:
    """The quantity E[w | examples] at every position, for prompts of this law.

    Parameters
    ----------
    distribution : PromptDistribution
        The law.

    Raises
    ------
    InvalidInputError
        If no exact Bayes predictor with weights is known for it.
    """
    bayes: Any = bayes_predictor(distribution)
    if not hasattr(bayes, "weights"):
        raise InvalidInputError(
            f"prompts must be of linear functions for a posterior mean of w; {type(bayes).__name__} has no weights."
        )
    return bayes.weights


def task_index(pool: Any) -> Quantity:
    """The quantity that marks which of the weight vectors (M, d) of a pool a prompt is of: an indicator (B, P, M).

    Raises
    ------
    InvalidInputError
        If the pool is no matrix; when called, if a prompt is of none of its tasks.
    """
    vectors = check_array(pool, "pool", (None, None))

    def indicator(prompts: Prompts) -> Float64[np.ndarray, "B P M"]:
        gaps = np.linalg.norm(_weights(prompts)[:, None] - vectors, axis=2)
        if gaps.min(axis=1).max() > 1e-6 * np.abs(vectors).max():
            raise InvalidInputError(
                "prompts must be of the pool's tasks; some are of others: give the pool they are from."
            )
        return np.repeat(np.eye(len(vectors))[gaps.argmin(axis=1)][:, None], prompts.n_points, axis=1)

    return indicator


QUANTITIES: dict[str, Quantity] = {
    "moment": moment,
    "least_squares": least_squares,
    "least_squares_prediction": least_squares_prediction,
    "weights": weights,
    "norm": norm,
    "noise_level": noise_level,
}
"""By the names under which ``probe`` knows them."""


def quantity_of(name: str, given: Quantity, prompts: Prompts) -> Float64[np.ndarray, "B P k"]:
    """A quantity of prompts, checked.

    Raises
    ------
    InvalidInputError
        If it has another shape, or is not finite.
    """
    values = check_reals(given(prompts), name)
    lead = len(prompts), prompts.n_points
    if values.shape == lead:
        values = values[..., None]
    elif values.ndim == 2 and len(values) == lead[0]:
        values = np.repeat(values[:, None], lead[1], axis=1)
    if values.ndim != 3 or values.shape[:2] != lead or not np.isfinite(values).all():
        raise InvalidInputError(
            f"{name} must be finite numbers of every prompt and position, shape {lead} or {(*lead, 'k')}; "
            f"an array of shape {values.shape} was given."
        )
    return values


def _weights(prompts: Prompts) -> Float64[np.ndarray, "B d"]:
    _require_real(prompts, "weights")
    found = np.empty((len(prompts), prompts.dimension))
    for i, (queries, targets) in enumerate(zip(prompts.queries, prompts.targets, strict=True)):
        found[i], _, rank, _ = np.linalg.lstsq(queries, targets, rcond=None)
        gap = np.abs(queries @ found[i] - targets).max()
        if rank < prompts.dimension or gap > _ROUNDING * max(np.abs(targets).max(), 1e-300):
            raise InvalidInputError(
                f"prompts must be of linear functions, with at least {prompts.dimension} positions, for their weights "
                f"to be known; those of prompt {i} are not determined by its targets."
            )
    return found


def _require_real(prompts: Prompts, what: str) -> None:
    if prompts.labels != REAL or not prompts.dimension:
        raise InvalidInputError(f"prompts must have inputs and labels of one number for {what}; theirs are others.")
