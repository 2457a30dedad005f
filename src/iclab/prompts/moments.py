"""Moments of laws of one positive number."""

from __future__ import annotations

import math
import warnings
from typing import Any


def law_moment(law: Any, order: int) -> float:
    """E λ^order of a frozen scipy.stats distribution of positive numbers; infinite where the integral diverges.

    For laws without a closed form SciPy integrates numerically, and returns a meaningless number with a warning, or
    NaN, where there is no moment.
    """
    from scipy.integrate import IntegrationWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", IntegrationWarning)
            value = float(law.moment(order))
    except IntegrationWarning:
        return math.inf
    return math.inf if math.isnan(value) else value
