"""The three named learners of ``estimators`` on scaled data: their weights, and the deviations that they imply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, check_covariance
from iclab.foundations.threads import on_one_thread
from iclab.prompts import Gaussian
from iclab.theory import optimal_learner

LINEAR = ("lsa", "ridge", "least_squares")
# Rows reduced to a triangle at once: so many of 20 columns stay in a core's cache.
_ROWS = 2048


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A linear learner fitted to k targets.

    Attributes
    ----------
    weights : ndarray, shape (k, d)
        ŷ = weights · x.
    reduction : ndarray, shape (d, d)
        Var(ŷ − y) = x'·reduction·x + constant, on the scaled data.
    constant : ndarray, shape (k,)
        The part of it that does not depend on x; NaN where it cannot be known.
    unit : ndarray, shape (k,)
        What the quadratic form is multiplied by for each target.
    """

    weights: Float64[np.ndarray, "k d"]
    reduction: Float64[np.ndarray, "d d"]
    constant: Float64[np.ndarray, " k"]
    unit: Float64[np.ndarray, " k"]

    def deviations(self, queries: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m k"]:
        """Standard deviation of the label at each query, shape (m, k).

        Raises
        ------
        InvalidInputError
            If there are too few examples for a residual variance.
        """
        if np.isnan(self.constant).any():
            raise InvalidInputError(
                "return_std of least_squares must have more examples than features and an intercept; there are fewer: "
                "take ridge."
            )
        form = np.einsum("md,de,me->m", queries, self.reduction, queries, optimize=True)
        return np.sqrt(np.maximum(self.unit * form[:, None] + self.constant, 0.0))


def fit_linear(
    model: str,
    xs: Float64[np.ndarray, "n d"],
    ys: Float64[np.ndarray, "k n"],
    noise: float,
    covariance: ArrayLike | None,
    sample_weight: Float64[np.ndarray, " n"] | None,
) -> LinearFit:
    """One of ``LINEAR`` on scaled data.

    Parameters
    ----------
    model : str
        Its name.
    xs, ys : ndarray, shapes (n, d) and (k, n)
        Examples.
    noise : float
        Standard deviation of label noise that "lsa" and "ridge" assume.
    covariance : array_like, shape (d, d), optional
        Λ for "lsa"; X'X/n when omitted.
    sample_weight : ndarray, shape (n,), optional
        How often each example counts.
    """
    counts = np.ones(len(xs)) if sample_weight is None else sample_weight
    if model == "lsa":
        return _lsa(xs, ys, noise, covariance, counts)
    return _ridge(xs, ys, noise if model == "ridge" else None, counts)


def _lsa(
    xs: Float64[np.ndarray, "n d"],
    ys: Float64[np.ndarray, "k n"],
    noise: float,
    covariance: ArrayLike | None,
    counts: Float64[np.ndarray, " n"],
) -> LinearFit:
    """Given X, w ~ N(0, I) and noise s²: y − x'KSw − x'K X'ε/n has variance |(SK − I)x|² + s²·x'KSKx/n + s²."""
    total, dimension = float(counts.sum()), xs.shape[1]
    moment = (xs.T * counts) @ xs / total
    Lambda = check_covariance(moment if covariance is None else covariance, dimension=dimension)
    if total.is_integer():
        learner = optimal_learner(Gaussian(Lambda), int(total), noise**2)
    else:  # the same formula, Theorem 4's, between whole numbers
        level = (np.trace(Lambda) + noise**2) / total
        learner = np.linalg.pinv((1 + 1 / total) * Lambda + level * np.eye(dimension), hermitian=True)
    weights = (ys * counts) @ xs @ learner / total
    missed = moment @ learner - np.eye(dimension)
    reduction = missed.T @ missed + noise**2 / total * learner @ moment @ learner
    return LinearFit(weights, reduction, np.full(len(ys), noise**2), np.ones(len(ys)))


def _ridge(
    xs: Float64[np.ndarray, "n d"],
    ys: Float64[np.ndarray, "k n"],
    noise: float | None,
    counts: Float64[np.ndarray, " n"],
) -> LinearFit:
    """Ridge with penalty ``noise``²; without one least squares of minimum norm, its noise estimated.

    From a singular value decomposition of the triangular factor of (X, Y), never of X'X. Given X and w ~ N(0, I) the
    error of ridge has variance s²·x'(X'X + s²)⁻¹x + s² on the span of X and |x|² off it.
    """
    rows, dimension = xs.shape
    both = np.concatenate([xs, ys.T], axis=1)
    if (counts != 1).any():
        both *= np.sqrt(counts)[:, None]
    upper = triangular(both)
    left, values, right = np.linalg.svd(upper[:, :dimension], full_matrices=False)
    kept = values > max(rows, dimension) * np.finfo(np.float64).eps * values[:1].max(initial=0.0)
    left, values, right = left[:, kept], values[kept], right[kept]
    penalty = 0.0 if noise is None else noise**2
    # s/(s² + p) without squares that leave the range.
    with np.errstate(over="ignore"):
        shrunk = 1 / (values + penalty / values)
    projected = left.T @ upper[:, dimension:]  # (r, k)
    weights = (right.T @ (shrunk[:, None] * projected)).T
    if noise is not None:
        reduction = np.eye(dimension) - (right.T * (values * shrunk)) @ right
        return LinearFit(weights, reduction, np.full(len(ys), penalty), np.ones(len(ys)))
    free = counts.sum() - len(values) - 1  # a mean was taken off
    with np.errstate(over="ignore"):
        spread = right.T / values
    residual = ((upper[:, dimension:] - upper[:, :dimension] @ weights.T) ** 2).sum(axis=0)
    variance = residual / free if free > 0 else np.full(len(ys), np.nan)
    return LinearFit(weights, spread @ spread.T, variance * (1 + 1 / counts.sum()), variance)


def triangular(values: Float64[np.ndarray, "n c"]) -> Float64[np.ndarray, "r c"]:
    """R with R'R = values'values, of at most c rows; the values themselves where they have no more.

    Some rows at a time, and then their triangles: as exact as of all at once, and they stay in the cache. On one
    thread, as a second one would mostly wait for so small products.
    """
    columns = values.shape[1]
    size = max(_ROWS, 4 * columns)
    with on_one_thread("blas"):
        while len(values) > columns:
            parts = [values[start : start + size] for start in range(0, len(values), size)]
            values = np.concatenate([np.asarray(np.linalg.qr(part, mode="r")) for part in parts])
    return values
