"""A predictor asked in other inputs: features of the prompt's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from iclab.foundations import PromptInputs, PromptLabels
from iclab.predictors.base import Predictor
from iclab.predictors.evidence import evidence_of
from iclab.prompts import Prompts


@dataclass(frozen=True, eq=False)
class LinearMap:
    """Features x'A.

    Attributes
    ----------
    matrix : ndarray, shape (d, F)
        A.
    """

    matrix: Float64[np.ndarray, "d F"]

    def __call__(self, xs: PromptInputs) -> PromptInputs:
        """Features, shape (B, P, F)."""
        return xs @ self.matrix


@dataclass(frozen=True)
class InFeatures:
    """``predictor`` on the prompt whose inputs are replaced by ``features`` of them.

    With h(x) = w'φ(x), w ~ N(0, I) and label noise of variance s², ridge with penalty s² in the features is Bayes.

    Parameters
    ----------
    predictor : callable
        What is asked.
    features : callable
        Inputs, shape (B, P, d), to features, shape (B, P, F).
    """

    predictor: Predictor
    features: Callable[[PromptInputs], PromptInputs]

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return self.predictor(self._featured(prompts))

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position, shape (B, P), if the predictor gives it."""
        return evidence_of(self.predictor, self._featured(prompts))

    def _featured(self, prompts: Prompts) -> Prompts:
        xs = self.features(prompts.xs)
        queries = self.features(prompts.queries) if prompts.shifted_queries else xs
        return replace(prompts, xs=xs, queries=queries)
