"""Judging any in-context learner.

An *error curve* is the mean squared error by position, with standard errors, of one predictor on prompts of
one distribution. ``compare`` puts several on the same prompts; ``differences`` pairs them. Prompts are
streamed in chunks and merged in index order, so memory is constant and the numbers do not depend on how many
processes computed them. A *suite* is a set of shifts to judge on. ``nearest_algorithm`` asks which classical
learner a predictor is, and ``effective_learner`` what linear map it applies.
"""

from incontext.evaluation.compare import compare, differences
from incontext.evaluation.curves import ErrorCurve, error_curve
from incontext.evaluation.linear_map import EffectiveLearner, effective_learner, effective_weights
from incontext.evaluation.nearest import NearestAlgorithm, nearest_algorithm
from incontext.evaluation.references import least_squares_risk, lsa_error
from incontext.evaluation.streaming import Histogram, Moments, accumulate
from incontext.evaluation.suites import SUITES, Suite

__all__ = [
    "SUITES",
    "EffectiveLearner",
    "ErrorCurve",
    "Histogram",
    "Moments",
    "NearestAlgorithm",
    "Suite",
    "accumulate",
    "compare",
    "differences",
    "effective_learner",
    "effective_weights",
    "error_curve",
    "least_squares_risk",
    "lsa_error",
    "nearest_algorithm",
]
