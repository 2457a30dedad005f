# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 3: the learner as a function of a data set, other attention, other embeddings, two linear layers; (10)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from iclab.predictors import LeastSquares
from iclab.prompts import Prompts
from iclab.studies.claims.bench import Bench, written_gamma
from iclab.studies.claims.claim import Items, check
from iclab.studies.claims.cubature import LinearPrompts, forward, quartic_gradient, root
from iclab.studies.claims.evidence import at_most, equal, positive
from iclab.theory import LSAParameters, embed, gamma, lsa, population_gradient, population_loss

Embedding = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@check("section-3.1-least-squares", prediction=equal("forward pass", tolerance=1e-8, scale=1e-2))
def least_squares_in_context(bench: Bench) -> Items:
    for problem in bench.problems(20):
        d = problem.dimension
        xs = bench.rng.standard_normal((1, d + 8, d)) @ root(problem.covariance).T
        ys = xs @ bench.vector(d)
        yield "prediction", LeastSquares()(Prompts(xs, ys, xs, ys))[:, d + 2 :], ys[:, d + 2 :]


@check("linear-attention", output=equal("forward pass", scale=1e-3))
def linear_attention(bench: Bench) -> Items:
    for _ in range(bench.count(40)):
        d, n = bench.sizes(5, 9)
        embedding = embed(*bench.prompt(n, d))
        key, query, value = bench.rng.standard_normal((3, 4, d + 1))
        projection = bench.rng.standard_normal((d + 1, 4))
        written = embedding + projection @ value @ embedding @ ((key @ embedding).T @ (query @ embedding) / n)
        yield "output", lsa(embedding, LSAParameters(projection @ value, key.T @ query)), written


@check("multiples-of-identity", prediction=equal("forward pass", scale=1e-3))
def multiples_of_identity(bench: Bench) -> Items:
    for _ in range(bench.count(40)):
        d, n = bench.sizes(5, 9)
        xs, ys, query = bench.prompt(n, d)
        v, k = bench.normal(), bench.normal()
        found = forward(LSAParameters(v * np.eye(d + 1), k * np.eye(d + 1)), xs, ys, query)
        yield "prediction", found, v * k * query @ (xs.T @ ys) / n


@check(
    "padding",
    even=equal("forward pass", scale=1e-3),
    loss=at_most("quadrature"),
    joined=equal("forward pass", scale=1e-3),
)
def padding(bench: Bench) -> Items:
    yield from separate_tokens(bench, padded)
    for _ in range(bench.count(40)):
        d, n = bench.sizes(5, 9)
        xs, ys, query = bench.prompt(n, d)
        theta = bench.parameters(d)
        # Every label's column also takes in the column before it; the inputs' columns are then left out.
        columns = padded(xs, ys, query)
        columns[:, 1::2] += columns[:, :-1:2]
        joined = np.hstack([columns[:, 1::2], columns[:, -1:]])
        yield "joined", lsa(joined, theta)[-1, -1], forward(theta, xs, ys, query)


@check(
    "transformed-columns",
    prediction=equal("forward pass", scale=1e-3),
    orthogonal=equal(tolerance=1e-8),
    differs=positive(tolerance=1e-3),
)
def transformed_columns(bench: Bench) -> Items:
    for problem in bench.problems(6, dimensions=(2, 2), condition=10.0):
        law, n, theta = problem.law, problem.n_train, bench.parameters(2)
        xs, ys, query = bench.prompt(5, 2)
        slope = population_gradient(theta, law, n)
        stated = np.stack([slope.w_pv, slope.w_kq])
        for name, T in (("orthogonal", bench.rotation(3)), ("differs", np.eye(3) + bench.matrix(3) / 4)):
            inverse = np.linalg.inv(T)

            def back(v: np.ndarray) -> LSAParameters:
                """The layer on (x_i, y_i) with the weights v of a layer on T(x_i, y_i)."""
                w_pv, w_kq = v.reshape(2, 3, 3)
                return LSAParameters(inverse @ w_pv @ T, T.T @ w_kq @ T)

            start = np.stack([T @ theta.w_pv @ inverse, inverse.T @ theta.w_kq @ inverse])
            there = lsa(T @ embed(xs, ys, query), LSAParameters(*start))
            yield "prediction", (inverse @ there)[-1, -1], forward(theta, xs, ys, query)
            found = quartic_gradient(lambda v: population_loss(back(v), law, n), start.ravel())
            moved = back(found)  # the speed of the original weights, as ``back`` is linear
            velocity = np.stack([moved.w_pv, moved.w_kq])
            if name == "orthogonal":
                yield name, velocity, stated
            else:
                yield name, np.linalg.norm(velocity - stated), np.linalg.norm(stated)


@check("section-3.3-two-layers", prediction=equal("forward pass", scale=1e-3), balance=equal())
def two_layers(bench: Bench) -> Items:
    for problem in bench.problems(40):
        d, theta = problem.dimension, bench.parameters(problem.dimension)
        xs, ys, query = bench.prompt(problem.n_test, d)
        a, u, U, b = theta.blocks
        E = embed(xs, ys, query)
        hidden = np.vstack([U, b]) @ query
        yield "prediction", forward(theta, xs, ys, query), np.append(a, u) @ (E @ E.T / len(ys)) @ hidden
        da, du, dU, db = population_gradient(theta, problem.law, problem.n_train).blocks
        yield "balance", a @ da + u * du, np.sum(U * dU) + b @ db


@check("equation-10", gamma=equal(), commutes=equal(), larger=positive("eigenvalues"))
def equation_10(bench: Bench) -> Items:
    for problem in bench.problems(60):
        cov, n = problem.covariance, problem.n_train
        found = gamma(cov, n)
        yield "gamma", found, written_gamma(cov, n)
        yield "commutes", found @ cov, cov @ found
        yield "larger", np.linalg.eigvalsh(found - cov)[0], np.linalg.eigvalsh(cov)[-1]


def padded(xs: np.ndarray, ys: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Columns (x_1; 0), (0; y_1), …, (x_q; 0), shape (..., d + 1, 2n + 1): Akyürek et al. (2022)."""
    return _alternating(xs, ys, query, xs.shape[-1])


def interleaved(xs: np.ndarray, ys: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The same with the label in the first coordinate of its column, and an empty last one: Garg et al. (2022)."""
    return _alternating(xs, ys, query, 0)


def separate_tokens(bench: Bench, embedding: Embedding) -> Items:
    """One layer on separate columns for inputs and labels: predictions for labels of either sign, and its loss."""
    for _ in range(bench.count(40)):
        d, n = bench.sizes(5, 9)
        xs, ys, query = bench.prompt(n, d)
        theta = bench.parameters(d)
        yield "even", lsa(embedding(xs, -ys, query), theta)[-1, -1], lsa(embedding(xs, ys, query), theta)[-1, -1]
    for _ in range(bench.count(6)):
        cov, theta = bench.covariance(2, 10.0), bench.parameters(2)
        prompts = LinearPrompts.build(cov, 2)
        found = lsa(embedding(prompts.contexts, prompts.labels, prompts.queries), theta)[..., -1, -1]
        yield "loss", np.trace(cov) / 2, prompts.mean((found - prompts.targets) ** 2) / 2


def _alternating(xs: np.ndarray, ys: np.ndarray, query: np.ndarray, place: int) -> np.ndarray:
    n, d = xs.shape[-2:]
    leading = np.broadcast_shapes(xs.shape[:-2], ys.shape[:-1], query.shape[:-1])
    columns = np.zeros((*leading, d + 1, 2 * n + 1))
    columns[..., :d, :-1:2] = np.swapaxes(xs, -1, -2)
    columns[..., place, 1::2] = ys
    columns[..., :d, -1] = query
    return columns
