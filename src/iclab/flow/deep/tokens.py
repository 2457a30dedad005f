"""Deep attention token by token, with softmax or without, and its derivatives by all merged weights.

z_t ← z_t + W^PV Σ_j s_tj z_j over the N examples j, s_t = softmax_j(z_j'W^KQ z_t), or z_j'W^KQ z_t/N without softmax.
Scores are not divided by ρ, which at a fixed N only rescales W^KQ. The prediction is minus the label of the query.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from iclab.flow.deep.contexts import Contexts
from iclab.flow.deep.moments import Weights

_Tokens = Float64[np.ndarray, "B T D"]
_Scores = Float64[np.ndarray, "B T N"]
_BLOCK = 250


class TokenRisk:
    """½ mean (ŷ − y)² on contexts, and its derivatives by all weights."""

    def __init__(self, contexts: Contexts, softmax: bool = True) -> None:
        examples = np.concatenate([contexts.xs, contexts.ys[..., None]], axis=2)
        queries = np.pad(contexts.queries, ((0, 0), (0, 0), (0, 1)))
        self.tokens = np.concatenate([examples, queries], axis=1)
        self.targets = contexts.targets
        self.n_examples = contexts.xs.shape[1]
        self.softmax = softmax

    def predictions(self, weights: Weights) -> Float64[np.ndarray, "B K"]:
        """ŷ at every query."""
        found = np.empty(self.targets.shape)
        for start in range(0, len(found), _BLOCK):
            some = slice(start, start + _BLOCK)
            found[some] = -self._forward(weights, self.tokens[some])[0][:, self.n_examples :, -1]
        return found

    def each(self, weights: Weights) -> Float64[np.ndarray, " B"]:
        """½ (ŷ − y)², averaged over the queries of each context."""
        return np.mean((self.predictions(weights) - self.targets) ** 2, axis=1) / 2

    def __call__(self, weights: Weights) -> tuple[float, Weights]:
        """Risk and its derivatives by W^PV and W^KQ of every layer."""
        total, gradient = 0.0, np.zeros_like(weights)
        for start in range(0, len(self.tokens), _BLOCK):  # blocks that stay in a core's cache
            some = slice(start, start + _BLOCK)
            last, kept = self._forward(weights, self.tokens[some])
            residual = -last[:, self.n_examples :, -1] - self.targets[some]
            total += float(np.sum(residual**2)) / 2
            by_z = np.zeros_like(last)
            by_z[:, self.n_examples :, -1] = -residual / self.targets.size
            for index in range(len(weights) - 1, -1, -1):
                by_z = self._backward(weights[index], kept[index], by_z, gradient[index])
        return total / self.targets.size, gradient

    def _forward(self, weights: Weights, z: _Tokens) -> tuple[_Tokens, list[tuple[_Tokens, _Tokens, _Scores, _Tokens]]]:
        kept: list[tuple[_Tokens, _Tokens, _Scores, _Tokens]] = []
        for w_pv, w_kq in weights:
            keys = z[:, : self.n_examples]
            asked = z @ w_kq.T
            scores = asked @ np.swapaxes(keys, 1, 2)
            if self.softmax:
                scores -= scores.max(axis=2, keepdims=True)
                np.exp(scores, out=scores)
                scores /= scores.sum(axis=2, keepdims=True)
            else:
                scores /= self.n_examples
            mixed = scores @ keys
            kept.append((z, asked, scores, mixed))
            z = z + mixed @ w_pv.T
        return z, kept

    def _backward(
        self,
        weights: Float64[np.ndarray, "2 D D"],
        kept: tuple[_Tokens, _Tokens, _Scores, _Tokens],
        by_z: _Tokens,
        gradient: Float64[np.ndarray, "2 D D"],
    ) -> _Tokens:
        """Add to ``gradient`` and return the derivatives by the tokens before the layer."""
        (w_pv, w_kq), (z, asked, scores, mixed) = weights, kept
        size, keys = z.shape[2], z[:, : self.n_examples]
        gradient[0] += by_z.reshape(-1, size).T @ mixed.reshape(-1, size)
        by_mixed = by_z @ w_pv
        by_scores = by_mixed @ np.swapaxes(keys, 1, 2)
        by_keys = np.swapaxes(scores, 1, 2) @ by_mixed
        if self.softmax:
            by_scores -= np.sum(by_scores * scores, axis=2, keepdims=True)
            by_scores *= scores
        else:
            by_scores /= self.n_examples
        by_asked = by_scores @ keys
        by_keys += np.swapaxes(by_scores, 1, 2) @ asked
        gradient[1] += by_asked.reshape(-1, size).T @ z.reshape(-1, size)
        result = by_z + by_asked @ w_kq
        result[:, : self.n_examples] += by_keys
        return result
