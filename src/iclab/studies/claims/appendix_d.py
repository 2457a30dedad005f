# ruff: noqa: D103 (what checks are about stands in their claims)
"""Appendix D: the technical lemmas on derivatives, fourth moments, traces and products."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from iclab.foundations import Matrix
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import root
from iclab.theory.cubature import symmetric_rule


def lemma_29(bench: Bench) -> Items:
    m, n = bench.rng.integers(2, 6, size=2)
    x, B = bench.vector(n), bench.matrix(n)
    X, Y = bench.rng.standard_normal((2, m, n))
    A, C = bench.rng.standard_normal((2, m, m))
    for found, stated in (
        (_gradient(lambda v: v @ B @ v, x), (B + B.T) @ x),
        (_vec(A @ X @ B), np.kron(B.T, A) @ _vec(X)),
        (np.trace(X.T @ Y), _vec(X) @ _vec(Y)),
        (_gradient(lambda V: np.trace(V @ B @ V.T), X), X @ B.T + X @ B),
        (_gradient(lambda V: np.trace(Y @ V.T), X), Y),
        (_gradient(lambda V: np.trace(A @ V @ B @ V.T @ C), X), A.T @ C.T @ X @ B.T + C @ A @ X @ B),
    ):
        yield "identities", found, stated


def lemma_30(bench: Bench, d: int, cov: Matrix) -> Items:
    A = bench.matrix(d)
    nodes, weights = symmetric_rule(d)
    xs = nodes @ root(cov).T
    found = np.einsum("n,ni,nj,jk,nk,nl->il", weights, xs, xs, A, xs, xs, optimize=True)
    yield "moments", found, cov @ (A + A.T) @ cov + np.trace(A @ cov) * cov


def lemma_31(bench: Bench) -> Items:
    d = int(bench.rng.integers(1, 6))
    n = d + int(bench.rng.integers(0, 4))
    U, V = bench.rng.standard_normal((2, d, n))
    if bench.rng.random() < 0.5:  # aligned singular vectors come close to equality
        V = U * bench.rng.uniform(0.5, 1.5)
    s, t = (np.linalg.svd(X, compute_uv=False) for X in (U, V))
    chain = [np.sum(U * V), s @ t, s[0] * t.sum(), np.sqrt(d) * s[0] * np.linalg.norm(V)]
    yield "chain", chain[:-1], chain[1:]


def lemma_32_if(bench: Bench) -> Items:
    for A, B in _commuting(bench, bench.count(200)):
        product = A @ B
        yield "symmetric", product, product.T
        yield "form", _lowest(product), 1.0


def lemma_32_only_if(bench: Bench) -> Items:
    # Without symmetry the statement says: a commutator that is not zero forces a negative value of x'ABx.
    kept = 0
    for _ in range(bench.count(200)):
        d = int(bench.rng.integers(2, 6))
        A, B = (np.eye(d) + root @ root.T / (2 * d) for root in bench.rng.standard_normal((2, d, d)))
        product = A @ B
        lowest = _lowest(product) / np.linalg.norm(product)
        kept += lowest > 0
        yield "form", -lowest, 1.0
        yield "asymmetry", float(np.linalg.norm(product - product.T)), float(np.linalg.norm(product))
    yield "kept", kept


def lemma_32_in_the_proofs(bench: Bench, d: int, cov: Matrix, gamma: Matrix) -> Items:
    U = bench.matrix(d)
    A = gamma @ cov
    B = U @ cov @ U.T
    yield "commute", A @ B, B @ A
    yield "trace", np.trace(A @ B), float(np.linalg.norm(A) * np.linalg.norm(B))


def _commuting(bench: Bench, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for _ in range(count):
        d = int(bench.rng.integers(1, 6))
        q = bench.rotation(d)
        first, second = bench.rng.uniform(0, 2, (2, d)) * (bench.rng.random((2, d)) < 0.8)
        yield (q * first) @ q.T, (q * second) @ q.T


def _lowest(matrix: np.ndarray) -> float:
    """Smallest value of x'Mx on the unit sphere."""
    return float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0])


def _vec(matrix: np.ndarray) -> np.ndarray:
    return matrix.T.ravel()


def _gradient(function: Callable[[np.ndarray], float | np.ndarray], at: np.ndarray) -> np.ndarray:
    """Central differences with step 1: exact for quadratic functions."""
    gradient = np.empty_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1.0
        gradient[index] = (function(at + step) - function(at - step)) / 2
    return gradient
