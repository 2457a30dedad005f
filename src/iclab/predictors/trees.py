"""Bayes for random decision trees, by the list of their splits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float64, Int64

from iclab.foundations import InvalidInputError, PromptInputs, PromptLabels, check_integer, check_real
from iclab.predictors.base import each_output
from iclab.prompts import Prompts

# Most trees that are listed, and numbers of leaves kept at once.
MOST_TREES, _BLOCK = 20_000, 1 << 22


@dataclass(frozen=True)
class TreeBayes:
    """Posterior mean for ``DecisionTree``: every inner node splits on the sign of a random coordinate, leaves N(0, 1).

    Given the splits the leaves are independent Gaussians; trees are weighed by the density of the labels. Without
    noise, trees are possible where equal labels, and only they, share a leaf.

    Parameters
    ----------
    depth : int
        Number of splits on the way to a leaf.
    noise : float
        Standard deviation of the label noise.

    Raises
    ------
    InvalidInputError
        If a number is negative, or there are more than 20 000 trees of this depth on the prompts' coordinates.
    """

    depth: int
    noise: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", check_integer(self.depth, "depth", minimum=0))
        object.__setattr__(self, "noise", check_real(self.noise, "noise", minimum=0.0))

    @staticmethod
    def count(depth: int, dimension: int) -> float:
        """Number of trees, d^(2^depth − 1)."""
        return float(dimension) ** (2**depth - 1) if depth < 8 or dimension == 1 else np.inf

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        if self.count(self.depth, prompts.dimension) > MOST_TREES:
            raise InvalidInputError(
                f"the trees must be at most {MOST_TREES} to be listed; {prompts.dimension} coordinates at depth "
                f"{self.depth} make more: take GradientBoosting, or KernelRegression(SharedLeaf(depth), noise)."
            )
        trees = np.array(list(product(range(prompts.dimension), repeat=2**self.depth - 1)), dtype=np.int64)
        predictions = np.empty(prompts.ys.shape)
        size = max(1, _BLOCK // (len(trees) * 2**self.depth))
        for start in range(0, len(prompts), size):
            some = slice(start, start + size)
            xs, queries = prompts.xs[some], prompts.queries[some]
            predictions[some] = self._predict(xs, prompts.ys[some], queries, trees)
        return predictions

    def _predict(
        self, xs: PromptInputs, ys: PromptLabels, queries: PromptInputs, trees: Int64[np.ndarray, "K n"]
    ) -> PromptLabels:
        n_prompts, n_points = ys.shape
        counts, sums = np.zeros((2, n_prompts, len(trees), 2**self.depth))
        logs = np.zeros((n_prompts, len(trees)))
        predictions = np.empty(ys.shape)
        for i in range(n_points):
            seen, total = self._at(queries[:, i], trees, counts, sums)
            weights = np.exp(logs - logs.max(axis=1, keepdims=True))
            means = total / np.where(seen > 0, seen + self.noise**2, 1.0)
            predictions[:, i] = (weights * means).sum(axis=1) / weights.sum(axis=1)
            leaf = self._leaves(xs[:, i], trees)[..., None]
            seen, total = self._at(xs[:, i], trees, counts, sums)
            found = logs + self._log_density(ys[:, i, None], ys[:, :i], seen, total)
            # Labels that no tree can have made leave the posterior as it was.
            logs = np.where(np.isfinite(found.max(axis=1, keepdims=True)), found, logs)
            np.put_along_axis(counts, leaf, seen[..., None] + 1, axis=2)
            np.put_along_axis(sums, leaf, (total + ys[:, i, None])[..., None], axis=2)
        return predictions

    def _log_density(
        self, y: np.ndarray, earlier: np.ndarray, seen: np.ndarray, total: np.ndarray
    ) -> Float64[np.ndarray, "B K"]:
        """Of a label in its leaf under every tree, up to a constant of the label."""
        if self.noise == 0:
            same = np.abs(total / np.where(seen > 0, seen, 1.0) - y) <= 1e-9 * np.maximum(1.0, np.abs(y))
            known = (np.abs(earlier - y) <= 1e-9 * np.maximum(1.0, np.abs(y))).any(axis=1, keepdims=True)
            return np.where((seen > 0) == known, np.where((seen > 0) & ~same, -np.inf, 0.0), -np.inf)
        left = self.noise**2 / (seen + self.noise**2)  # variance of the leaf's value
        variance = left + self.noise**2
        return -0.5 * ((y - total / (seen + self.noise**2)) ** 2 / variance + np.log(variance))

    def _at(self, x: np.ndarray, trees: np.ndarray, counts: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, ...]:
        """Number and sum of the labels in the leaf of x under every tree, (B, K)."""
        leaf = self._leaves(x, trees)[..., None]
        return tuple(np.take_along_axis(each, leaf, axis=2)[..., 0] for each in (counts, sums))

    def _leaves(self, x: Float64[np.ndarray, "B d"], trees: Int64[np.ndarray, "K n"]) -> Int64[np.ndarray, "B K"]:
        node = np.zeros((len(x), len(trees)), dtype=np.int64)
        right, rows = (x > 0).astype(np.int64), np.arange(len(trees))
        for _ in range(self.depth):
            coordinate = trees[rows, node]
            node = 2 * node + 1 + np.take_along_axis(right, coordinate, axis=1)
        return node - (2**self.depth - 1)
