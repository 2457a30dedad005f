"""Errors of statistics that have no formula for them: the bootstrap and the jackknife."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations.estimates import Interval, Numbers, check_samples, tail_probability
from iclab.foundations.streams import Draws
from iclab.foundations.validation import check_array, check_integer, check_reals


def bootstrap_weights(n: int, resamples: int, seed: int) -> Float64[np.ndarray, "R n"]:
    """Weights of n samples in bootstrap resamples of them: how often each was drawn, over n.

    Parameters
    ----------
    n : int
        Samples, at least 1.
    resamples : int
        R, at least 1.
    seed : int
        Of the stream "bootstrap": one seed resamples everything measured on the same prompts alike.

    Returns
    -------
    ndarray, shape (R, n)
        Every row sums to 1; ``weights @ samples`` are resampled means.

    Raises
    ------
    InvalidInputError
        If a number is out of range.
    """
    n, resamples = check_integer(n, "n", minimum=1), check_integer(resamples, "resamples", minimum=1)
    return Draws(seed).shared("bootstrap").multinomial(n, np.full(n, 1 / n), size=resamples) / n


def bootstrap_interval(samples: ArrayLike, weights: ArrayLike, level: float = 0.95) -> Interval:
    """Percentile bootstrap interval of a mean, with given weights (Efron 1979).

    Parameters
    ----------
    samples : array_like, shape (n, …)
        Independent samples along the first axis.
    weights : array_like, shape (R, n)
        As ``bootstrap_weights`` gives them. Of any other statistic of weighted samples take ``percentile_interval``.
    level : float
        Probability that the interval holds the truth, for many samples.

    Returns
    -------
    Interval
        Ends, of the shape of one sample.

    Raises
    ------
    InvalidInputError
        If shapes do not fit, or the level does not lie between 0 and 1.
    """
    values = check_reals(samples, "samples")
    drawn = check_array(weights, "weights", (None, values.shape[0] if values.ndim else 1))
    return percentile_interval(np.tensordot(drawn, values, axes=1), level)


def percentile_interval(resampled: ArrayLike, level: float = 0.95, axis: int = 0) -> Interval:
    """Interval between the outer percentiles of a statistic over bootstrap resamples.

    Parameters
    ----------
    resampled : array_like
        The statistic in every resample, along ``axis``. Where it has no value in some (NaN), these are left out.
    level, axis
        As in ``bootstrap_interval``, and where resamples are.

    Returns
    -------
    Interval
        Ends, of the shape of one statistic; NaN where no resample has a value.

    Raises
    ------
    InvalidInputError
        If there are no resamples, or the level does not lie between 0 and 1.
    """
    values = check_samples(resampled, axis, minimum=1)
    tail = tail_probability(level)
    missing = np.isnan(values)
    # nanquantile warns where all are missing, so there its place is held until the end.
    empty = missing.all(axis=axis)
    held = np.where(np.expand_dims(empty, axis), 0.0, values)
    quantile = np.nanquantile if missing.any() else np.quantile
    low, high = (np.where(empty, np.nan, quantile(held, at, axis=axis))[()] for at in (tail, 1 - tail))
    return Interval(low, high)


def jackknife_error(left_out: ArrayLike, axis: int = 0) -> Numbers:
    """Jackknife standard error of a statistic, √((n − 1)/n Σ(θ₍ᵢ₎ − mean θ₍ᵢ₎)²) (Efron 1982, eq. 3.1).

    Parameters
    ----------
    left_out : array_like
        The statistic without sample i, for every i along ``axis``; at least two.
    axis : int
        Along which samples are left out.

    Returns
    -------
    ndarray or float
        The shape of one statistic. For the mean it is ``standard_error``.

    Raises
    ------
    InvalidInputError
        If there are fewer than two.
    """
    values = check_samples(left_out, axis)
    n = values.shape[axis]
    return np.sqrt((n - 1) / n * np.square(values - values.mean(axis=axis, keepdims=True)).sum(axis=axis))
