"""Deep linear attention with any merged weights, at a cost that does not depend on N.

E_{ℓ+1} = E_ℓ + W_ℓ^PV (E_ℓ E_ℓ'/N) W_ℓ^KQ E_ℓ, sums over the examples: the query attends and is not attended to. Then
E_ℓ = J_ℓ E with J_{ℓ+1} = J_ℓ + W_ℓ^PV J_ℓ S J_ℓ' W_ℓ^KQ J_ℓ, S = EE'/N of the examples, and the prediction, which is
minus the bottom-right entry, is linear in the query. With ``own_key`` the query is a key too and the read-out has
sign +1: (3) and (6) of the paper applied L times.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from iclab.flow.deep.contexts import Contexts

_Matrices = Float64[np.ndarray, "B D D"]
# W^PV and W^KQ of every layer.
Weights = Float64[np.ndarray, "L 2 D D"]


def second_moments(xs: Float64[np.ndarray, "B N d"], ys: Float64[np.ndarray, "B N"]) -> _Matrices:
    """S = (1/N) Σ e_j e_j' of tokens e = (x; y)."""
    tokens = np.concatenate([xs, ys[..., None]], axis=2)
    return np.swapaxes(tokens, 1, 2) @ tokens / xs.shape[1]


def last_rows(weights: Weights, moments: _Matrices) -> Float64[np.ndarray, "B d"]:
    """The last row of J_L over the inputs: the bottom-right entry of E_L is its product with x_q."""
    return _forward(weights, moments)[0][:, -1, :-1]


class MomentRisk:
    """½ mean (ŷ − y)² of merged weights on contexts, and its derivatives by all weights.

    Parameters
    ----------
    contexts : Contexts
        N examples and K queries each.
    own_key : bool
        Whether the query is among the keys, as in (3), and is read with sign +1, as in (6).
    """

    def __init__(self, contexts: Contexts, own_key: bool = False) -> None:
        queries, targets = contexts.queries, contexts.targets
        self.moments = second_moments(contexts.xs, contexts.ys)
        self.sign = 1.0 if own_key else -1.0
        if own_key:  # one prompt per query
            count = queries.shape[1]
            tokens = np.pad(queries.reshape(-1, 1, queries.shape[2]), ((0, 0), (0, 0), (0, 1)))
            queries, targets = tokens[..., :-1], targets.reshape(-1, 1)
            own = np.swapaxes(tokens, 1, 2) @ tokens / contexts.xs.shape[1]
            self.moments = np.repeat(self.moments, count, axis=0) + own
        n_queries = queries.shape[1]
        self.queries, self.targets = queries, targets
        self.quadratic = np.swapaxes(queries, 1, 2) @ queries / n_queries
        self.linear = np.einsum("bki,bk->bi", queries, targets) / n_queries
        self.constant = np.mean(targets**2, axis=1)

    def predictions(self, weights: Weights) -> Float64[np.ndarray, "B K"]:
        """ŷ at every query."""
        return np.einsum("bki,bi->bk", self.queries, self.sign * last_rows(weights, self.moments))

    def each(self, weights: Weights) -> Float64[np.ndarray, " B"]:
        """½ (ŷ − y)², averaged over the queries of each context."""
        return np.mean((self.predictions(weights) - self.targets) ** 2, axis=1) / 2

    def __call__(self, weights: Weights) -> tuple[float, Weights]:
        """Risk and its derivatives by W^PV and W^KQ of every layer."""
        J, kept = _forward(weights, self.moments)
        learned = self.sign * J[:, -1, :-1]
        slope: np.ndarray = np.einsum("bij,bj->bi", self.quadratic, learned) - self.linear
        each: np.ndarray = np.sum(learned * (slope - self.linear), axis=1) + self.constant
        risk = float(np.mean(each)) / 2
        by_j = np.zeros_like(J)
        by_j[:, -1, :-1] = self.sign * slope / len(J)
        gradient = np.zeros_like(weights)
        for index in range(len(weights) - 1, -1, -1):
            (w_pv, w_kq), (before, read, M, K) = weights[index], kept[index]
            gradient[index, 0] = _summed(by_j, M @ K)
            through = w_pv.T @ by_j
            by_k = M @ through  # M is symmetric
            by_m = through @ np.swapaxes(K, 1, 2)
            gradient[index, 1] = _summed(by_k, before)
            by_j = by_j + w_kq.T @ by_k + (by_m + np.swapaxes(by_m, 1, 2)) @ read
        return risk, gradient


def _forward(weights: Weights, moments: _Matrices) -> tuple[_Matrices, list[tuple[_Matrices, ...]]]:
    current: _Matrices = np.broadcast_to(np.eye(moments.shape[1]), moments.shape)
    kept: list[tuple[_Matrices, ...]] = []
    for w_pv, w_kq in weights:
        read = current @ moments
        M = read @ np.swapaxes(current, 1, 2)
        K = w_kq @ current
        kept.append((current, read, M, K))
        current = current + w_pv @ (M @ K)
    return current, kept


def _summed(left: _Matrices, right: _Matrices) -> Float64[np.ndarray, "D D"]:
    """Σ_b left_b right_b'."""
    size = left.shape[1]
    return np.moveaxis(left, 0, 1).reshape(size, -1) @ np.moveaxis(right, 0, 1).reshape(size, -1).T
