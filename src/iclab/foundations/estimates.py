"""Means with their standard errors, and the confidence intervals of means and of differences of means.

Samples run along the first axis unless ``axis`` says otherwise; whatever other axes there are stay, so that a table of
errors, shape (prompts, positions), has an interval at every position. All intervals are two-sided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations.errors import InvalidInputError
from iclab.foundations.validation import check_real, check_reals

# SciPy is imported where it is used: rooms that only check input or write files start without it.

Numbers: TypeAlias = Float64[np.ndarray, "*shape"] | np.float64 | float


class Interval(NamedTuple):
    """Both ends of a confidence interval; numbers, or arrays of one shape."""

    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Estimate:
    """Mean of independent samples, with its standard error.

    Attributes
    ----------
    value : float
        Sample mean.
    standard_error : float
        Sample standard deviation divided by √n.
    n : int
        Number of independent samples.
    seed : int
        Seed that drew them.
    """

    value: float
    standard_error: float
    n: int
    seed: int

    @classmethod
    def from_samples(cls, samples: Float64[np.ndarray, " n"], seed: int) -> Estimate:
        """Mean and standard error of independent ``samples``, shape (n,), n ≥ 2."""
        return cls(float(samples.mean()), float(standard_error(samples)), samples.shape[0], seed)

    def interval(self, level: float = 0.95) -> Interval:
        """Student's interval with n − 1 degrees of freedom."""
        return student_interval(self.value, self.standard_error, self.n - 1, level)

    def z_score(self, exact: float) -> float:
        """(value − exact) / standard error; 0 when both agree and the standard error is 0."""
        deviation = self.value - exact
        if self.standard_error == 0:
            return 0.0 if deviation == 0 else float(np.copysign(np.inf, deviation))
        return deviation / self.standard_error


def standard_error(samples: ArrayLike, axis: int = 0) -> Numbers:
    """Standard error of the mean of independent samples, s/√n with s² = Σ(x − x̄)²/(n − 1).

    Parameters
    ----------
    samples : array_like
        At least two along ``axis``.
    axis : int
        Along which samples are independent.

    Returns
    -------
    ndarray or float
        The shape of one sample.

    Raises
    ------
    InvalidInputError
        If there are fewer than two samples.

    Examples
    --------
    >>> float(standard_error([1.0, 2.0, 3.0, 6.0]))
    1.0801234497346435
    """
    values = check_samples(samples, axis)
    return values.std(axis=axis, ddof=1) / np.sqrt(values.shape[axis])


def normal_quantile(level: float = 0.95) -> float:
    """The z with P(|Z| ≤ z) = ``level`` for Z ~ N(0, 1).

    Raises
    ------
    InvalidInputError
        If the level does not lie between 0 and 1.

    Examples
    --------
    >>> round(normal_quantile(0.95), 6), round(normal_quantile(0.99), 6)
    (1.959964, 2.575829)
    """
    from scipy.special import ndtri

    return -float(ndtri(tail_probability(level)))


def student_quantile(freedom: ArrayLike, level: float = 0.95) -> Numbers:
    """The t with P(|T| ≤ t) = ``level`` for Student's T with ``freedom`` degrees of freedom, infinitely many included.

    Raises
    ------
    InvalidInputError
        If the level does not lie between 0 and 1, or degrees of freedom are not positive.

    Examples
    --------
    >>> round(float(student_quantile(4)), 6)
    2.776445
    """
    from scipy.special import stdtrit

    degrees = check_reals(freedom, "freedom")
    if not (degrees > 0).all():
        raise InvalidInputError(
            "freedom must be positive: an interval needs at least two samples, or a known variance."
        )
    return -stdtrit(degrees, tail_probability(level))


def normal_interval(mean: ArrayLike, error: ArrayLike, level: float = 0.95) -> Interval:
    """Mean ± z·error, for a mean whose standard error is known or comes from many samples.

    Parameters
    ----------
    mean, error : array_like
        Means and their standard errors, of shapes that broadcast.
    level : float
        Probability that the interval holds the truth.

    Returns
    -------
    Interval
        Its ends.

    Raises
    ------
    InvalidInputError
        If the level does not lie between 0 and 1, or an error is negative.
    """
    return _around(mean, error, normal_quantile(level))


def student_interval(mean: ArrayLike, error: ArrayLike, freedom: ArrayLike, level: float = 0.95) -> Interval:
    """Mean ± t·error, with the quantile t of Student's law.

    Parameters
    ----------
    mean, error, freedom : array_like
        Means, their standard errors, and the degrees of freedom of these, of shapes that broadcast.
    level : float
        Probability that the interval holds the truth, for normal samples.

    Returns
    -------
    Interval
        Its ends.

    Raises
    ------
    InvalidInputError
        If the level does not lie between 0 and 1, an error is negative or degrees of freedom are not positive.
    """
    return _around(mean, error, student_quantile(freedom, level))


def mean_interval(samples: ArrayLike, level: float = 0.95, axis: int = 0) -> Interval:
    """Student's interval of the mean of independent samples, with n − 1 degrees of freedom.

    Parameters
    ----------
    samples : array_like
        At least two along ``axis``.
    level : float
        Probability that the interval holds the truth, for normal samples.
    axis : int
        Along which samples are independent.

    Returns
    -------
    Interval
        Ends, of the shape of one sample.

    Raises
    ------
    InvalidInputError
        If there are fewer than two samples, or the level does not lie between 0 and 1.
    """
    values = check_samples(samples, axis)
    return student_interval(values.mean(axis=axis), standard_error(values, axis), values.shape[axis] - 1, level)


def paired_interval(first: ArrayLike, second: ArrayLike, level: float = 0.95, axis: int = 0) -> Interval:
    """Student's interval of the mean of ``first − second``, measured on the same prompts.

    Parameters
    ----------
    first, second : array_like
        Of one shape; at least two along ``axis``.
    level, axis
        As in ``mean_interval``.

    Returns
    -------
    Interval
        Ends, of the shape of one sample.

    Raises
    ------
    InvalidInputError
        If shapes differ, or as in ``mean_interval``.
    """
    a, b = check_reals(first, "first"), check_reals(second, "second")
    if a.shape != b.shape:
        raise InvalidInputError(f"paired samples must have one shape; {a.shape} and {b.shape} were given.")
    return mean_interval(a - b, level, axis)


def welch_freedom(errors: ArrayLike, freedoms: ArrayLike) -> Numbers:
    """Degrees of freedom of √Σ eₖ², errors of independent estimates (Welch 1947; Satterthwaite 1946, eq. 17).

    Parameters
    ----------
    errors : array_like, shape (K, …)
        Standard errors eₖ of the parts.
    freedoms : array_like, shape (K, …)
        Their degrees of freedom, positive; infinite for an error that is known.

    Returns
    -------
    ndarray or float
        (Σeₖ²)² / Σ(eₖ⁴/νₖ); infinite where no error is uncertain.

    Raises
    ------
    InvalidInputError
        If degrees of freedom are not positive.

    Examples
    --------
    >>> float(welch_freedom([1.0, 1.0], [9, 9])), float(welch_freedom([1.0, 0.0], [9, 3]))
    (18.0, 9.0)
    """
    variances, degrees = np.square(check_reals(errors, "errors")), check_reals(freedoms, "freedoms")
    if not (degrees > 0).all():
        raise InvalidInputError("freedoms must be positive: each estimate needs at least two samples.")
    whole, parts = np.square(variances.sum(axis=0)), (np.square(variances) / degrees).sum(axis=0)
    return np.divide(whole, parts, out=np.full(np.broadcast(whole, parts).shape, np.inf), where=parts > 0)[()]


def welch_interval(first: ArrayLike, second: ArrayLike, level: float = 0.95, axis: int = 0) -> Interval:
    """Welch's interval of the difference of two means, of independent samples with variances of their own.

    Parameters
    ----------
    first, second : array_like
        Samples; at least two of each along ``axis``, not as many of one as of the other.
    level, axis
        As in ``mean_interval``.

    Returns
    -------
    Interval
        Ends for mean ``first`` − mean ``second``, of the shape of one sample.

    Raises
    ------
    InvalidInputError
        As in ``mean_interval``.
    """
    groups = [check_samples(first, axis), check_samples(second, axis)]
    errors = np.stack([np.asarray(standard_error(group, axis)) for group in groups])
    counts = np.array([group.shape[axis] - 1.0 for group in groups]).reshape(2, *[1] * (errors.ndim - 1))
    difference = groups[0].mean(axis=axis) - groups[1].mean(axis=axis)
    return student_interval(difference, np.hypot(*errors), welch_freedom(errors, counts), level)


def tail_probability(level: float) -> float:
    """The probability on either side of a two-sided interval."""
    return (1 - check_real(level, "level", above=0.0, below=1.0)) / 2


def _around(mean: ArrayLike, error: ArrayLike, quantile: Numbers) -> Interval:
    centre, errors = check_reals(mean, "mean"), check_reals(error, "error")
    if (errors < 0).any():
        raise InvalidInputError(f"a standard error must be at least 0; {errors.min():g} was given.")
    return Interval((centre - quantile * errors)[()], (centre + quantile * errors)[()])


def check_samples(values: ArrayLike, axis: int, minimum: int = 2) -> Float64[np.ndarray, "*shape"]:
    """Return ``values`` as a float64 array with at least ``minimum`` entries along ``axis``."""
    array = check_reals(values, "samples")
    if not -array.ndim <= axis < array.ndim or array.shape[axis] < minimum:
        raise InvalidInputError(
            f"samples must be at least {minimum} along axis {axis}; an array of shape {array.shape} was given."
        )
    return array
