"""A linear self-attention layer as a predictor, all positions in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from iclab.foundations import InvalidInputError, Matrix, PromptLabels, Vector
from iclab.predictors.base import counts, dot_sums_before, each_output, sums_before
from iclab.prompts import Prompts


class HasBlocks(Protocol):
    """LSA parameters: ``iclab.theory.LSAParameters``, or anything with its blocks."""

    @property
    def blocks(self) -> tuple[Vector, float, Matrix, Vector]:
        """(a, u, U, b) = (w21^PV, w22^PV, W11^KQ, w21^KQ): all that the prediction depends on."""
        ...


@dataclass(frozen=True)
class TrainedLSA:
    """Linear self-attention (3)-(6) at every position i with ρ = i examples and that position's query.

    ŷ = [a' u] (EE'/ρ) [U; b'] x_q, from running sums of y x, y² and (a·x) x; no matrix is formed per position.

    Parameters
    ----------
    parameters : LSAParameters
        The layer, for example ``theory.minimizer(covariates, n_train)``.
    """

    parameters: HasBlocks

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P).

        Raises
        ------
        InvalidInputError
            If the prompts have another dimension than the layer.
        """
        a, u, U, b = self.parameters.blocks
        if U.shape[0] != prompts.dimension:
            raise InvalidInputError(
                f"prompts must have the layer's dimension {U.shape[0]}; they have {prompts.dimension}."
            )
        xs, ys, queries = prompts.xs, prompts.ys, prompts.queries
        keys = queries @ U.T
        predictions = u * dot_sums_before(ys, xs, keys)
        if np.any(a):  # Σ (a·x_j) x_j, and the query's own term (a·x_q) x_q
            predictions += dot_sums_before(np.einsum("bpd,d->bp", xs, a), xs, keys)
            predictions += np.einsum("bpd,d->bp", queries, a) * np.einsum("bpd,bpd->bp", queries, keys)
        if np.any(b):
            labels = u * ys**2
            if np.any(a):
                labels = labels + np.einsum("bpd,d->bp", xs, a) * ys
            predictions += sums_before(labels) * np.einsum("bpd,d->bp", queries, b)
        predictions /= counts(prompts.n_points)
        predictions[:, 0] = 0.0  # no example, no prediction: ρ would be 0
        return predictions
