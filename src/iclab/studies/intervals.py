"""Intervals of counted shares."""

from __future__ import annotations

from scipy.stats import binomtest


def wilson(failures: int, n: int) -> tuple[float, float]:
    """95 % Wilson interval of a proportion."""
    interval = binomtest(failures, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
