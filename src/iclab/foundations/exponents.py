"""Exponents of power laws, measured on replicates, with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from iclab.foundations import InvalidInputError


@dataclass(frozen=True)
class Exponent:
    """An estimate with its 95 % confidence interval.

    Attributes
    ----------
    value, low, high : float
        Estimate and the ends of its interval.
    n : int
        Replicates behind it.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2f} (95 % interval {self.low:.2f} to {self.high:.2f})"


def exponents(predictors: ArrayLike, samples: Float64[np.ndarray, "R K"]) -> list[Exponent]:
    """Exponents p_j of E sample = C Π x_j^{p_j}: least squares of log mean samples on log x, jackknifed.

    Parameters
    ----------
    predictors : array_like, shape (K,) or (K, m)
        x of every column of samples, positive.
    samples : ndarray, shape (R, K)
        One row per independent replicate, R ≥ 2; columns may depend on one another. Means must be positive.

    Returns
    -------
    list of Exponent
        One per predictor, with Student intervals of the jackknife over replicates.

    Raises
    ------
    InvalidInputError
        If there are too few replicates or columns, or a mean is not positive.
    """
    x = np.asarray(predictors, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    n, k = samples.shape
    if n < 2 or k < x.shape[1] + 1:
        raise InvalidInputError(
            f"samples must have at least 2 replicates of {x.shape[1] + 1} columns; {n} of {k} were given."
        )
    design = np.column_stack([np.ones(k), np.log(x)])

    def fit(means: np.ndarray) -> np.ndarray:
        if not (means > 0).all():
            raise InvalidInputError(f"means must be positive to have logarithms; {means.min():.3g} was found.")
        return np.linalg.lstsq(design, np.log(means))[0][1:]

    total = samples.sum(axis=0)
    whole = fit(total / n)
    without = np.array([fit((total - row) / (n - 1)) for row in samples])
    spread = np.sqrt((n - 1) / n * np.square(without - without.mean(axis=0)).sum(axis=0))
    reach = _quantile(n - 1) * spread
    return [Exponent(float(v), float(v - r), float(v + r), n) for v, r in zip(whole, reach, strict=True)]


def regressed(predictors: ArrayLike, values: ArrayLike) -> list[Exponent]:
    """Exponents p_j of values = C Π x_j^{p_j}: least squares of logarithms, with Student intervals of the regression.

    Parameters
    ----------
    predictors : array_like, shape (K, m)
        x of every value, positive.
    values : array_like, shape (K,)
        Positive, K > m + 1, with independent errors of one relative size.

    Returns
    -------
    list of Exponent
        One per predictor.

    Raises
    ------
    InvalidInputError
        If there are too few values.
    """
    x, logs = np.log(np.asarray(predictors, dtype=np.float64)), np.log(np.asarray(values, dtype=np.float64))
    design = np.column_stack([np.ones(len(logs)), x])
    freedom = len(logs) - design.shape[1]
    if freedom < 1:
        raise InvalidInputError(f"at least {design.shape[1] + 1} values must be given; {len(logs)} were given.")
    found = np.linalg.lstsq(design, logs)[0]
    variance = float(np.sum(np.square(logs - design @ found))) / freedom
    spread = np.sqrt(variance * np.diag(np.linalg.inv(design.T @ design)))
    reach = _quantile(freedom) * spread
    return [
        Exponent(float(v), float(v - r), float(v + r), len(logs)) for v, r in zip(found[1:], reach[1:], strict=True)
    ]


def _quantile(freedom: int) -> float:
    return float(stdtrit(freedom, 0.975))  # pyright: ignore[reportUnknownArgumentType]


def local_slopes(x: ArrayLike, values: ArrayLike) -> Float64[np.ndarray, " K"]:
    """Slopes of log values against log x between neighbours, NaN first, shape (K,)."""
    slopes = np.diff(np.log(np.asarray(values, dtype=np.float64))) / np.diff(np.log(np.asarray(x, dtype=np.float64)))
    return np.concatenate([[np.nan], slopes])
