"""Evaluating any in-context learner.

An *error curve* is the mean score by position, with standard errors, of one predictor on prompts of one
distribution: squared error of numbers, cross-entropy of classes, or another of ``SCORES``. ``compare`` puts several
on the same prompts; ``differences`` pairs them. Prompts are streamed in chunks and merged in index order, so memory is
constant and the numbers do not depend on how many processes computed them. A *suite* is a set of shifts to evaluate on.
``nearest_algorithm`` finds the classical learner that is nearest to a predictor, and ``effective_learner`` the linear
map that it applies.
"""

from iclab.evaluation.compare import compare, differences
from iclab.evaluation.curves import ErrorCurve, error_curve
from iclab.evaluation.linear_map import EffectiveLearner, effective_learner, effective_weights
from iclab.evaluation.memorisation import memorisation
from iclab.evaluation.nearest import NearestAlgorithm, nearest_algorithm
from iclab.evaluation.references import least_squares_risk, lsa_error
from iclab.evaluation.scores import SCORES, Score
from iclab.evaluation.streaming import Histogram, Moments, accumulate
from iclab.evaluation.suites import SUITES, Suite

__all__ = [
    "SCORES",
    "SUITES",
    "EffectiveLearner",
    "ErrorCurve",
    "Histogram",
    "Moments",
    "NearestAlgorithm",
    "Score",
    "Suite",
    "accumulate",
    "compare",
    "differences",
    "effective_learner",
    "effective_weights",
    "error_curve",
    "least_squares_risk",
    "lsa_error",
    "memorisation",
    "nearest_algorithm",
]
