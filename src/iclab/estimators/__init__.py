"""In-context learners as scikit-learn estimators.

``fit`` holds the examples as a context and trains nothing; ``predict`` answers all queries from it: linear
self-attention, ridge, least squares and logistic regression by their weights, a trained model by reading each context
once, with every query a branch of it.
"""

from iclab.estimators.classifier import InContextClassifier
from iclab.estimators.regressor import InContextRegressor

__all__ = ["InContextClassifier", "InContextRegressor"]
