"""Confidence intervals of a proportion, from how often something happened in independent trials."""

from __future__ import annotations

import numpy as np

from iclab.foundations.errors import InvalidInputError
from iclab.foundations.estimates import Interval, normal_quantile, tail_probability
from iclab.foundations.validation import check_integer


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927): all p with (p̂ − p)² ≤ z² p(1 − p)/n.

    Parameters
    ----------
    successes : int
        How often it happened, 0 … n.
    n : int
        Independent trials, at least 1.
    level : float
        Probability that the interval holds the truth, about.

    Returns
    -------
    Interval
        Ends between 0 and 1.

    Raises
    ------
    InvalidInputError
        If a count is out of range, or the level does not lie between 0 and 1.

    Examples
    --------
    >>> [round(float(end), 4) for end in wilson_interval(7, 10)]
    [0.3968, 0.8922]
    """
    k, n = _counts(successes, n)
    z, p = normal_quantile(level), k / n
    middle, reach = 2 * n * p + z**2, z * np.sqrt(4 * n * p * (1 - p) + z**2)
    below, above = (middle - reach) / (2 * (n + z**2)), (middle + reach) / (2 * (n + z**2))
    return Interval(0.0 if k == 0 else float(below), 1.0 if k == n else float(above))


def clopper_pearson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """The exact interval of a proportion (Clopper & Pearson 1934): p is inside unless a binomial tail is too small.

    It holds the truth with at least the stated probability, for every n and p.

    Parameters
    ----------
    successes, n, level
        As in ``wilson_interval``.

    Returns
    -------
    Interval
        The p at which P(X ≥ successes), and that at which P(X ≤ successes), is (1 − level)/2; 0 and 1 where every p
        gives more.

    Raises
    ------
    InvalidInputError
        As in ``wilson_interval``.

    Examples
    --------
    >>> [round(float(end), 4) for end in clopper_pearson_interval(7, 10)]
    [0.3475, 0.9333]
    """
    from scipy.special import betainccinv, betaincinv

    k, n = _counts(successes, n)
    tail = tail_probability(level)
    low = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    return Interval(low, float(betainccinv(k + 1, n - k, tail)) if k < n else 1.0)


def _counts(successes: int, n: int) -> tuple[int, int]:
    n = check_integer(n, "n", minimum=1)
    k = check_integer(successes, "successes", minimum=0)
    if k > n:
        raise InvalidInputError(f"successes must be at most n, {n}; {k} were given.")
    return k, n
