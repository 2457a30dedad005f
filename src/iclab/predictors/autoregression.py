"""A predictor asked about a sequence: every label regressed on the one before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iclab.foundations import InvalidInputError, PromptLabels
from iclab.predictors.base import Predictor
from iclab.prompts import Prompts


@dataclass(frozen=True)
class OnPreviousLabel:
    """``predictor`` on the prompt whose input at every position is the label before it, 0 at position 0.

    Position i is then asked for the query y_{i−1} and knows the pairs (y_{j−1}, y_j), j < i; the first pair has the
    input 0 and tells a linear learner nothing. Minimum-norm least squares is Bayes for ``LinearDynamics`` without
    noise: the image of the query's part outside the span of earlier labels has mean 0. With noise and Gaussian W ridge
    is.

    Parameters
    ----------
    predictor : callable
        What is asked.
    """

    predictor: Predictor

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P, k)."""
        if prompts.labels.kind != "vector":
            raise InvalidInputError(
                f"prompts must be sequences of vectors; the labels of these are of kind {prompts.labels.kind}."
            )
        xs = np.zeros(prompts.ys.shape)
        xs[:, 1:] = prompts.ys[:, :-1]
        return self.predictor(Prompts(xs, prompts.ys, xs, prompts.targets))
