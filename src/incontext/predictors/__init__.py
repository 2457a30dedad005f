"""Classical in-context learners.

A *predictor* is any callable that maps ``Prompts`` to one prediction per position, shape (B, P), from the
examples before that position alone; position 0 predicts 0. The classes here are frozen dataclasses whose
fields are the learner's settings, so their ``repr`` names them fully. Those that are linear in the query also
give their ``weights(prompts)``. Least squares, ridge, averaging, neighbours, descent and LSA answer every
position in one pass over the prompt.
"""

from incontext.predictors.averaging import Averaging, Zero
from incontext.predictors.base import LinearPredictor, Predictor
from incontext.predictors.least_squares import LeastSquares, Ridge
from incontext.predictors.lsa import TrainedLSA
from incontext.predictors.square_root_filter import PrefixFit, fit_prefixes

__all__ = [
    "Averaging",
    "LeastSquares",
    "LinearPredictor",
    "Predictor",
    "PrefixFit",
    "Ridge",
    "TrainedLSA",
    "Zero",
    "fit_prefixes",
]
