"""Judging any in-context learner.

An *error curve* is the mean squared error by position, with standard errors, of one predictor on prompts of
one distribution. ``compare`` puts several on the same prompts; ``differences`` pairs them. Prompts are
streamed in chunks and merged in index order, so memory is constant and the numbers do not depend on how many
processes computed them.
"""

from incontext.evaluation.compare import compare, differences
from incontext.evaluation.curves import ErrorCurve, error_curve
from incontext.evaluation.references import least_squares_risk, lsa_error
from incontext.evaluation.streaming import Histogram, Moments, accumulate

__all__ = [
    "ErrorCurve",
    "Histogram",
    "Moments",
    "accumulate",
    "compare",
    "differences",
    "error_curve",
    "least_squares_risk",
    "lsa_error",
]
