"""What a risk is taken over: contexts of N examples with several queries each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from iclab.prompts import Prompts


@dataclass(frozen=True, eq=False)
class Contexts:
    """B contexts of N examples, each asked K queries that no other token attends to; not in the paper, where K = 1.

    Attributes
    ----------
    xs, ys : ndarray, shapes (B, N, d) and (B, N)
        Examples.
    queries, targets : ndarray, shapes (B, K, d) and (B, K)
        Queries and the noise-free values there.
    """

    xs: Float64[np.ndarray, "B N d"]
    ys: Float64[np.ndarray, "B N"]
    queries: Float64[np.ndarray, "B K d"]
    targets: Float64[np.ndarray, "B K"]

    def __len__(self) -> int:
        return len(self.xs)

    @classmethod
    def of(cls, prompts: Prompts, n_train: int) -> Contexts:
        """The first N examples of each prompt, as in (7); the positions after them are the K ≥ 1 queries."""
        return cls(
            prompts.xs[:, :n_train], prompts.ys[:, :n_train], prompts.queries[:, n_train:], prompts.targets[:, n_train:]
        )

    def first(self, count: int) -> Contexts:
        """The first ``count`` contexts."""
        return Contexts(self.xs[:count], self.ys[:count], self.queries[:count], self.targets[:count])
