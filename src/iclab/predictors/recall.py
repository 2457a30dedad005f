"""Recall of the label that the same input had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iclab.predictors.ngrams import require_classes
from iclab.prompts import Prompts
from iclab.prompts.labels import Law


@dataclass(frozen=True)
class RecallBayes:
    """The class that the query's category had earlier; all classes equally likely for one not seen.

    Exactly Bayes for ``Lookup``. A category is the largest entry of an input, as of an indicator vector.
    """

    def __call__(self, prompts: Prompts) -> Law:
        """Probabilities, shape (B, P, k)."""
        k = require_classes(prompts, "recall")
        keys, asked = prompts.xs.argmax(axis=2), prompts.queries.argmax(axis=2)
        rows = np.arange(len(prompts))
        known = np.full((len(prompts), prompts.dimension), -1)
        answers = np.full((*prompts.ys.shape, k), 1 / k)
        for i in range(prompts.n_points):
            found = known[rows, asked[:, i]]
            answers[:, i] = np.where(found[:, None] >= 0, np.eye(k)[found], 1 / k)
            known[rows, keys[:, i]] = prompts.ys[:, i]
        return answers
