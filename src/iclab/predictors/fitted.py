"""Learners that are fitted anew at every prefix: scikit-learn's, and a small network by Adam.

They cost a fit per prompt and position (``fits``), minutes for what the one-pass learners do in a second.
scikit-learn is imported on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64

from iclab.foundations import PromptLabels, check_integer, check_real
from iclab.predictors.base import each_output
from iclab.prompts import Prompts


class _Estimator(Protocol):
    def fit(self, X: Any, y: Any) -> Any: ...
    def predict(self, X: Any) -> Any: ...


def predict_by_refitting(make: Any, prompts: Prompts) -> PromptLabels:
    """Fit a fresh estimator to the examples before each position and ask it for that position's query.

    Parameters
    ----------
    make : callable
        Returns an unfitted scikit-learn regressor.
    prompts : Prompts
        B prompts.

    Returns
    -------
    ndarray, shape (B, P)
        Zero at position 0.
    """
    predictions = np.zeros(prompts.ys.shape)
    for b in range(len(prompts)):
        for i in range(1, prompts.n_points):
            estimator: _Estimator = make()
            estimator.fit(prompts.xs[b, :i], prompts.ys[b, :i])
            predictions[b, i] = estimator.predict(prompts.queries[b, i : i + 1])[0]
    return predictions


@dataclass(frozen=True)
class Lasso:
    """scikit-learn's Lasso without intercept: min (1/2i)|Xw − y|² + alpha·|w|₁, at every position.

    Parameters
    ----------
    alpha : float
        Positive.
    """

    alpha: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", check_real(self.alpha, "alpha", above=0.0))

    def weights(self, prompts: Prompts) -> Float64[np.ndarray, "B P d"]:
        """Lasso solution at every position, shape (B, P, d)."""
        from sklearn import linear_model

        path: Any = linear_model.lasso_path
        weights = np.zeros(prompts.xs.shape)
        for b, (xs, ys) in enumerate(zip(prompts.xs, prompts.ys, strict=True)):
            solution = np.zeros(prompts.dimension)
            for i in range(1, prompts.n_points):
                # Started from the solution one example earlier, which is close.
                solution = path(
                    np.asfortranarray(xs[:i]),
                    ys[:i],
                    alphas=[self.alpha],
                    coef_init=solution,
                    max_iter=100_000,
                    tol=1e-4,
                )[1][:, 0]
                weights[b, i] = solution
        return weights

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return np.einsum("bpd,bpd->bp", self.weights(prompts), prompts.queries)


@dataclass(frozen=True)
class RegressionTree:
    """scikit-learn's regression tree at every position.

    Parameters
    ----------
    max_depth : int, optional
        Unlimited when omitted.
    seed : int
        Breaks ties between equally good splits.
    """

    max_depth: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_depth is not None:
            object.__setattr__(self, "max_depth", check_integer(self.max_depth, "max_depth", minimum=1))
        object.__setattr__(self, "seed", check_integer(self.seed, "seed", minimum=0))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        from sklearn.tree import DecisionTreeRegressor

        return predict_by_refitting(
            lambda: DecisionTreeRegressor(max_depth=self.max_depth, random_state=self.seed), prompts
        )


@dataclass(frozen=True)
class GradientBoosting:
    """scikit-learn's gradient-boosted trees at every position.

    Parameters
    ----------
    n_estimators : int
        Number of trees.
    max_depth : int
        Of each tree.
    seed : int
        Breaks ties between equally good splits.
    """

    n_estimators: int = 100
    max_depth: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_estimators", "max_depth"):
            object.__setattr__(self, name, check_integer(getattr(self, name), name, minimum=1))
        object.__setattr__(self, "seed", check_integer(self.seed, "seed", minimum=0))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        from sklearn.ensemble import GradientBoostingRegressor

        return predict_by_refitting(
            lambda: GradientBoostingRegressor(
                n_estimators=self.n_estimators, max_depth=self.max_depth, random_state=self.seed
            ),
            prompts,
        )
