"""Exact expectations over whole prompts by Gaussian cubature: a check of the closed forms that shares none of them.

(ŷ − w'x_q)² is a polynomial in the prompt: of degree 4 in each x_i and in w, and 6 in x_q. Product rules of degree 5
for every x_i and for w, and of degree 7 for x_q, integrate it exactly through the real forward pass. As it does not
change when all inputs change sign, half of the query's nodes suffice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, check_covariance, check_integer
from iclab.theory.covariance_rules import eigenbasis
from iclab.theory.lsa import LSAParameters, embed, lsa

# Nodes (n, dimension) and weights (n,).
Nodes: TypeAlias = tuple[Float64[np.ndarray, "n k"], Float64[np.ndarray, " n"]]
_MAXIMUM = 5_000_000
_CHUNK = 50_000


@dataclass(frozen=True, eq=False)
class PromptCubature:
    """Prompts with weights that integrate exactly, over x_i, x_q ~ N(0, Λ) and w ~ N(0, I).

    Exact for functions that are even under a change of sign of all inputs, and of degree at most 5 in each x_i and
    in w, and 7 in x_q. Not in the paper.

    Attributes
    ----------
    weights : ndarray, shape (K,)
        Positive, sum to 1.
    xs : ndarray, shape (K, n, d)
        Inputs of the examples.
    queries : ndarray, shape (K, d)
        Query inputs.
    tasks : ndarray, shape (K, d)
        Weight vectors w.
    """

    weights: Float64[np.ndarray, " K"]
    xs: Float64[np.ndarray, "K n d"]
    queries: Float64[np.ndarray, "K d"]
    tasks: Float64[np.ndarray, "K d"]

    @property
    def ys(self) -> Float64[np.ndarray, "K n"]:
        """Labels w'x_i, shape (K, n)."""
        return np.einsum("knd,kd->kn", self.xs, self.tasks)

    @property
    def targets(self) -> Float64[np.ndarray, " K"]:
        """Targets w'x_q, shape (K,)."""
        return np.einsum("kd,kd->k", self.queries, self.tasks)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Expectation, such as that in (8), from values at the nodes, shape (K, ...): the node axis is summed."""
        return np.tensordot(self.weights, values, axes=1)


def prompt_cubature(covariance: ArrayLike, n_train: int) -> PromptCubature:
    """Nodes for prompts of ``n_train`` examples and a query, w ~ N(0, I), x ~ N(0, Λ) as in (8).

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ.
    n_train : int
        Number n of examples. The number of nodes is (r₅)^{n+1} r₇/2 with r₅ = 3, 9, 14, 24 and r₇ = 4, 16, 64, 256 for
        d = 1, 2, 3, 4.

    Raises
    ------
    InvalidInputError
        If that number exceeds five million.
    """
    Lambda = check_covariance(covariance)
    n = check_integer(n_train, "n_train", minimum=1)
    d = Lambda.shape[0]
    spectrum, rotation = eigenbasis(Lambda)
    root = np.diag(np.sqrt(spectrum)) if rotation is None else np.sqrt(spectrum)[:, None] * rotation.T
    nodes, weights = _degree_5(d)
    queries, query_weights = tensor_rule(d, 4)
    half = queries[:, 0] > 0  # no node of the even-order rule is zero
    queries, query_weights = queries[half], 2 * query_weights[half]
    count = len(nodes) ** (n + 1) * len(queries)
    if count > _MAXIMUM:
        raise InvalidInputError(
            f"n_train and the dimension must give at most {_MAXIMUM} cubature nodes; n_train = {n} in dimension {d} "
            f"needs {count}."
        )
    index = np.indices((len(nodes),) * (n + 1) + (len(queries),)).reshape(n + 2, count)
    return PromptCubature(
        weights=np.prod(weights[index[:-1]], axis=0) * query_weights[index[-1]],
        xs=(nodes @ root)[index[:n].T],
        queries=(queries @ root)[index[-1]],
        tasks=nodes[index[n]],
    )


def cubature_loss(parameters: LSAParameters, covariance: ArrayLike, n_train: int) -> float:
    """L(θ) = ½ E(ŷ − w'x_q)² by exact cubature through f_LSA(E) of (3), for small prompts.

    Parameters
    ----------
    parameters : LSAParameters
        θ, in dimension d.
    covariance : array_like, shape (d, d)
        Λ.
    n_train : int
        N; see :func:`prompt_cubature` for what is small.

    Returns
    -------
    float

    Examples
    --------
    >>> from iclab.prompts import Gaussian
    >>> from iclab.theory import minimizer, minimum_loss
    >>> law = Gaussian.isotropic(2)
    >>> abs(cubature_loss(minimizer(law, 2), law.covariance, 2) - minimum_loss(law, 2)) < 1e-14
    True
    """
    nodes = prompt_cubature(covariance, n_train)
    ys, targets = nodes.ys, nodes.targets
    total = 0.0
    for start in range(0, targets.shape[0], _CHUNK):
        part = slice(start, start + _CHUNK)
        output = lsa(embed(nodes.xs[part], ys[part], nodes.queries[part]), parameters)[:, -1, -1]
        total += float(nodes.weights[part] @ (output - targets[part]) ** 2)
    return total / 2


@lru_cache
def tensor_rule(dimension: int, points: int) -> Nodes:
    """Nodes and weights for N(0, I), exact up to degree 2·points − 1 in each variable: (n, dimension), (n,)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    weights = weights / weights.sum()
    grid, shares = (
        np.stack(np.meshgrid(*[each] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
        for each in (nodes, weights)
    )
    return _shared(grid, shares.prod(1))


@lru_cache
def symmetric_rule(dimension: int) -> Nodes:
    """Nodes and weights for N(0, I), exact up to total degree 5, with only 2·dimension² + 1 nodes.

    Fully symmetric rule on the generators 0, √3 and (√3, √3) (McNamee and Stenger, 1967).
    """
    n, r = dimension, np.sqrt(3.0)
    axis = r * np.vstack([np.eye(n), -np.eye(n)])
    i, j = np.triu_indices(n, 1)
    pairs = np.zeros((4, len(i), n))
    rows = np.arange(len(i))
    for block, (s, t) in zip(pairs, ((1, 1), (1, -1), (-1, 1), (-1, -1)), strict=True):
        block[rows, i], block[rows, j] = s * r, t * r
    nodes = np.vstack([np.zeros((1, n)), axis, pairs.reshape(-1, n)])
    weights = np.concatenate([[1 + (n * n - 7 * n) / 18], np.full(2 * n, (4 - n) / 18), np.full(4 * len(i), 1 / 36)])
    return _shared(nodes, weights)


def _shared(nodes: Float64[np.ndarray, "n k"], weights: Float64[np.ndarray, " n"]) -> Nodes:
    """A rule that is kept for every caller, and that none may change."""
    for each in (nodes, weights):
        each.setflags(write=False)
    return nodes, weights


def _degree_5(dimension: int) -> Nodes:
    """A rule of degree 5 for N(0, I): Gauss-Hermite products for d ≤ 2, else 2d + 2^d nodes.

    The nodes ±r e_i and (±s, …, ±s) with weights r⁻⁴ and 2^{−d}s⁻⁴: E x_i⁴ = 3 and E x_i²x_j² = 1 hold by the
    weights, E x_i² = 1 and the sum of weights give 2/r² + 1/s² = 1 and 2d/r⁴ + 1/s⁴ = 1.
    """
    d = dimension
    if d <= 2:
        return tensor_rule(d, 3)
    p, q = 2 / (d + 2), (d - 2) / (d + 2)  # r⁻², s⁻²
    axes = np.concatenate([np.eye(d), -np.eye(d)]) / np.sqrt(p)
    corners = np.array(list(product((1.0, -1.0), repeat=d))) / np.sqrt(q)
    return np.concatenate([axes, corners]), np.concatenate([np.full(2 * d, p**2), np.full(2**d, q**2 / 2**d)])
