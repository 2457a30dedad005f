"""The best predictor that is linear in the labels, from the covariance of h(x) and h(x') alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.linalg import solve_triangular

from iclab.foundations import PromptInputs, PromptLabels, check_integer, check_real
from iclab.predictors.base import each_output
from iclab.prompts import Prompts

# Beside the variances of the labels, so that inputs seen twice do not make the covariance singular.
_JITTER = 1e-10


@dataclass(frozen=True)
class KernelRegression:
    """ŷ = k(x_q, X)(k(X, X) + noise²)⁻¹y at every position, k(x, x') = E h(x)h(x').

    Of all predictors that are linear in the labels it has the smallest expected squared error, whatever the law of h
    with E h = 0; for Gaussian h it is Bayes.

    Parameters
    ----------
    kernel : callable
        Inputs (B, P, d) and (B, Q, d) to covariances (B, P, Q).
    noise : float
        Standard deviation of the label noise.

    Raises
    ------
    InvalidInputError
        If the noise is negative.
    """

    kernel: Callable[[PromptInputs, PromptInputs], np.ndarray]
    noise: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", check_real(self.noise, "noise", minimum=0.0))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        covariances = self.kernel(prompts.xs, prompts.xs)
        asked = self.kernel(prompts.xs, prompts.queries) if prompts.shifted_queries else covariances
        size = np.diagonal(covariances, axis1=1, axis2=2)
        noise = self.noise**2 + _JITTER * np.where(size > 0, size, 1.0)
        lower = np.linalg.cholesky(covariances + noise[:, None] * np.eye(prompts.n_points))
        predicted = np.zeros(prompts.ys.shape)
        for b, factor in enumerate(lower):
            # The factor of a prefix is the corner of the whole one.
            labels = solve_triangular(factor, prompts.ys[b], lower=True)
            queries = solve_triangular(factor, asked[b], lower=True)
            predicted[b] = np.einsum("ji,j,ji->i", queries, labels, np.triu(np.ones(factor.shape), 1))
        return predicted


@dataclass(frozen=True)
class ArcCosine:
    """E h(x)h(x') of ``ReluNetwork`` of any width, (1/π)|x||x'|(sin θ + (π − θ) cos θ) at angle θ (Cho, Saul 2009)."""

    def __call__(self, xs: PromptInputs, others: PromptInputs) -> Float64[np.ndarray, "B P Q"]:
        """Covariances, shape (B, P, Q)."""
        lengths = np.linalg.norm(xs, axis=2)[:, :, None] * np.linalg.norm(others, axis=2)[:, None]
        cosine = np.clip(xs @ others.mT / np.where(lengths > 0, lengths, 1.0), -1.0, 1.0)
        theta = np.arccos(cosine)
        return lengths / np.pi * (np.sin(theta) + (np.pi - theta) * cosine)


@dataclass(frozen=True)
class SharedLeaf:
    """E h(x)h(x') of ``DecisionTree``: that both meet in a leaf, (share of coordinates of equal sign)^depth.

    Parameters
    ----------
    depth : int
        Number of splits on the way to a leaf.
    """

    depth: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", check_integer(self.depth, "depth", minimum=0))

    def __call__(self, xs: PromptInputs, others: PromptInputs) -> Float64[np.ndarray, "B P Q"]:
        """Covariances, shape (B, P, Q)."""
        one, two = (np.where(inputs > 0, 1.0, -1.0) for inputs in (xs, others))
        return ((1 + one @ two.mT / xs.shape[2]) / 2) ** self.depth
