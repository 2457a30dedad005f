"""Predictors that need no more than running sums: zero and averaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iclab.foundations import PromptInputs, PromptLabels
from iclab.predictors.base import counts, dot_sums_before, each_output, sums_before
from iclab.prompts import Prompts


@dataclass(frozen=True)
class Zero:
    """Predicts 0: the error of having learned nothing."""

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Zeros, shape (B, P, d)."""
        return np.zeros(prompts.xs.shape)

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Zeros, shape (B, P)."""
        return np.zeros(prompts.ys.shape)


@dataclass(frozen=True)
class Averaging:
    """ŷ = x_q · (1/i) Σ_{j<i} y_j x_j: least squares with X'X replaced by its mean i·I (Garg et al. 2022).

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.predictors import Averaging
    >>> from iclab.prompts import Prompts
    >>> xs, ys = np.array([[[1.0], [2.0], [3.0]]]), np.array([[1.0, 2.0, 3.0]])
    >>> Averaging()(Prompts(xs, ys, xs, ys))  # the last is 3 · (1·1 + 2·2) / 2
    array([[0. , 2. , 7.5]])
    """

    def weights(self, prompts: Prompts) -> PromptInputs:
        """(1/i) Σ_{j<i} y_j x_j at every position, shape (B, P, d)."""
        sums = sums_before(prompts.ys[..., None] * prompts.xs)
        sums /= counts(prompts.n_points)[:, None]
        return sums

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return dot_sums_before(prompts.ys, prompts.xs, prompts.queries) / counts(prompts.n_points)
