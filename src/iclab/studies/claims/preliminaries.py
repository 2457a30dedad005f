# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 3: in-context learning, the linear self-attention layer, its embedding, its loss and its initialisation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from iclab.foundations import Draws, Matrix, Vector
from iclab.predictors import Averaging, LeastSquares
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
from iclab.studies.claims.bench import Bench, Problem, layer, prompts_at, written_gamma
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import LinearPrompts, forward, loss_gradient, quadratic_gradient, root
from iclab.studies.claims.trajectories import Compared
from iclab.theory import (
    LSAParameters,
    PopulationLoss,
    assumption3,
    embed,
    expected_risk,
    gamma,
    lsa,
    population_gradient,
    population_loss,
    predict,
    random_theta,
)


def definition_1(bench: Bench) -> Items:
    runs = 0
    for problem in bench.problems(5, dimensions=(2, 3), condition=10.0):
        loss = PopulationLoss(problem.law, problem.n)
        best = problem.trained
        least, size = loss(best), (problem.d + 1) ** 2
        radii = np.exp(bench.rng.uniform(np.log(1e-2), np.log(3), (400, 1)))
        around = best.vector + radii * bench.rng.standard_normal((400, size))
        anywhere = bench.rng.standard_normal((400, size)) * np.exp(bench.rng.uniform(-2, 1, (400, 1)))
        found = [float(loss.values(around).min()), float(loss.values(anywhere).min())]
        for start in anywhere[:2]:
            found.append(float(minimize(loss.values, start, jac=loss.gradients, options={"maxiter": 150}).fun))
            runs += 1
        for value in found:
            yield "excess", least, value
    yield "descents", runs


def definition_2(problem: Problem) -> Items:
    law, l = problem.law, problem.eigenvalues  # noqa: E741
    g = (1 + 1 / problem.n) * l + l.sum() / problem.n
    eta = float(np.sum(l * (1 - l / g) ** 2))  # Λ of Γ⁻¹Λ − I: what remains when M → ∞
    needed = float(np.sum(l * (l + l.sum()) / g**2 * l))  # M(ε) = needed/ε
    for m in (1, 7, 100, 10_000):
        yield "error", expected_risk(law, problem.n, m), eta + needed / m
    yield "floor", eta, l.sum()
    yield "rest", expected_risk(law, problem.n, 10**9) - eta, l.sum()


def equation_6(bench: Bench, xs: Matrix, ys: Vector, query: Vector) -> Items:
    n, d = xs.shape
    full = bench.parameters(d)
    a, u, U, b = full.blocks
    embedding = np.block([[xs.T, query[:, None]], [ys[None, :], np.zeros((1, 1))]])
    written = np.append(a, u) @ (embedding @ embedding.T / n) @ np.vstack([U, b]) @ query
    other = bench.parameters(d)
    w_pv, w_kq = other.w_pv.copy(), other.w_kq.copy()
    w_pv[-1], w_kq[:, :d] = full.w_pv[-1], full.w_kq[:, :d]
    found = forward(full, xs, ys, query)
    yield "prediction", found, written
    yield "prediction", forward(LSAParameters(w_pv, w_kq), xs, ys, query), found
    yield "prediction", predict(full, xs, ys, query), found


def equation_7(bench: Bench) -> Items:
    for k in range(4):
        problem = bench.problem(int(bench.rng.integers(3, 7)), condition=5.0)
        d, law, n = problem.d, problem.law, int(bench.rng.integers(10, 31))
        a, U, b = bench.vector(d) / (2 * d), bench.matrix(d) / d, bench.vector(d) / (2 * d)
        theta = LSAParameters.from_blocks(a, float(bench.rng.uniform(0.5, 1)), U, b)

        def score(draws: Draws) -> np.ndarray:
            prompts = prompts_at(PromptDistribution(law, Linear()), draws, n + 1)
            found = predict(theta, prompts.xs[:, :n], prompts.ys[:, :n], prompts.queries[:, n])
            return (found - prompts.targets[:, n]) ** 2 / 2

        yield "risk", bench.mean(score, 11_000, k), population_loss(theta, law, n)


def equation_8(bench: Bench, d: int, n: int, cov: Matrix) -> Items:
    theta = bench.parameters(d)
    yield "loss", LinearPrompts.build(cov, n).loss(theta), population_loss(theta, Gaussian(cov), n)


def equation_9(bench: Bench) -> Items:
    cov, n, theta = bench.covariance(2, 10.0), int(bench.rng.integers(1, 4)), bench.parameters(2)
    stated = population_gradient(theta, Gaussian(cov), n)
    written = np.concatenate([stated.w_pv.ravel(), stated.w_kq.ravel()])
    yield "gradient", loss_gradient(LinearPrompts.build(cov, n), theta), written


def assumption_3(bench: Bench, problem: Problem, d: int, cov: Matrix) -> Items:
    theta = random_theta(d, int(bench.rng.integers(1 << 32)))
    yield "norm", np.linalg.norm(theta), 1.0
    yield "product", float(np.trace(cov @ theta @ cov)), float(np.trace(cov @ cov))  # ‖ΛΘ‖_F²
    a, u, U, b = assumption3(theta, problem.scale).blocks
    yield "balance", u**2, np.sum(U**2) + np.sum(a**2) + np.sum(b**2)


def footnote_2_limit(bench: Bench) -> Items:
    step, d, n = Averaging(), 8, 20
    for k in range(2):
        cov = bench.covariance(d, 5.0)

        def score(draws: Draws) -> np.ndarray:
            xs, w = Gaussian(cov).sample(draws, n + 1), Linear().weights(draws, d)
            ys = np.einsum("bpi,bi->bp", xs, w)
            limit = np.einsum("bi,ij,bj->b", xs[:, n], cov, w)
            return n * (step(Prompts(xs, ys, xs, ys))[:, n] - limit) ** 2

        # n times the variance about x'Λw is E x'(Λww'Λ + w'Λw Λ)x: the distance itself is of order 1/√n.
        stated = float(np.trace(np.linalg.matrix_power(cov, 3)) + np.trace(cov) * np.trace(cov @ cov))
        yield "spread", bench.mean(score, 11_000, k), stated
    for problem in bench.problems(8, dimensions=(2, 3), condition=10.0):
        prompts = LinearPrompts.build(problem.cov, 2)
        mean = prompts.over_contexts(prompts.predictions(layer(1.0, np.eye(problem.d))))
        yield "mean", mean, prompts.weights @ problem.cov @ prompts.queries.T


def footnote_2_gap(problem: Problem) -> Items:
    l = problem.eigenvalues  # noqa: E741
    # Over w ~ N(0, I) a step of rate r leaves Σ l(1 − r l)²; the best rate is Σl²/Σl³.
    rate = np.sum(l**2) / np.sum(l**3)
    left = float(np.sum(l * (1 - rate * l) ** 2))
    yield "step", left, l.sum()
    yield "left", left / l.sum()
    yield "trained", expected_risk(problem.law, math.inf, 10**12) / l.sum(), 1e-9


Embedding = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def section_3_1_least_squares(bench: Bench, d: int, cov: Matrix) -> Items:
    xs = bench.rng.standard_normal((1, d + 8, d)) @ root(cov).T
    ys = xs @ bench.vector(d)
    yield "prediction", LeastSquares()(Prompts(xs, ys, xs, ys))[:, d + 2 :], ys[:, d + 2 :]


def linear_attention(bench: Bench) -> Items:
    d, n = bench.sizes(5, 9)
    embedding = embed(*bench.prompt(n, d))
    key, query, value = bench.rng.standard_normal((3, 4, d + 1))
    projection = bench.rng.standard_normal((d + 1, 4))
    written = embedding + projection @ value @ embedding @ ((key @ embedding).T @ (query @ embedding) / n)
    yield "output", lsa(embedding, LSAParameters(projection @ value, key.T @ query)), written


def multiples_of_identity(bench: Bench, xs: Matrix, ys: Vector, query: Vector) -> Items:
    n, d = xs.shape
    v, k = bench.normal(), bench.normal()
    found = forward(LSAParameters(v * np.eye(d + 1), k * np.eye(d + 1)), xs, ys, query)
    yield "prediction", found, v * k * query @ (xs.T @ ys) / n


def padding(bench: Bench) -> Items:
    yield from separate_tokens(alternating, bench)
    for xs, ys, query in bench.prompts(40, largest=(5, 9)):
        theta = bench.parameters(len(query))
        # Every label's column also takes in the column before it; the inputs' columns are then left out.
        columns = alternating(xs, ys, query)
        columns[:, 1::2] += columns[:, :-1:2]
        joined = np.hstack([columns[:, 1::2], columns[:, -1:]])
        yield "joined", lsa(joined, theta)[-1, -1], forward(theta, xs, ys, query)


def transformed_columns(bench: Bench, problem: Problem, n: int) -> Items:
    law, theta = problem.law, bench.parameters(2)
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
        found = quadratic_gradient(lambda v: population_loss(back(v), law, n), start.ravel())
        moved = back(found)  # the speed of the original weights, as ``back`` is linear
        velocity = np.stack([moved.w_pv, moved.w_kq])
        if name == "orthogonal":
            yield name, velocity, stated
        else:
            yield name, np.linalg.norm(velocity - stated), np.linalg.norm(stated)


def section_3_3_two_layers(bench: Bench, problem: Problem, d: int, n: int, m: int) -> Items:
    theta = bench.parameters(d)
    xs, ys, query = bench.prompt(m, d)
    a, u, U, b = theta.blocks
    E = embed(xs, ys, query)
    hidden = np.vstack([U, b]) @ query
    yield "prediction", forward(theta, xs, ys, query), np.append(a, u) @ (E @ E.T / len(ys)) @ hidden
    da, du, dU, db = population_gradient(theta, problem.law, n).blocks
    yield "balance", a @ da + u * du, np.sum(U * dU) + b @ db


def equation_10(cov: Matrix, n: int) -> Items:
    found = gamma(cov, n)
    yield "gamma", found, written_gamma(cov, n)
    yield "commutes", found @ cov, cov @ found
    yield "larger", np.linalg.eigvalsh(found - cov)[0], np.linalg.eigvalsh(cov)[-1]


def alternating(xs: np.ndarray, ys: np.ndarray, query: np.ndarray, place: int = -1) -> np.ndarray:
    """Columns for inputs and for labels in turn, (x_1; 0), (0; y_1), …, (x_q; 0), shape (..., d + 1, 2n + 1).

    Akyürek et al. (2022); Garg et al. (2022) have the label in coordinate ``place`` = 0 of its column, not in the last.
    """
    n, d = xs.shape[-2:]
    leading = np.broadcast_shapes(xs.shape[:-2], ys.shape[:-1], query.shape[:-1])
    columns = np.zeros((*leading, d + 1, 2 * n + 1))
    columns[..., :d, :-1:2] = np.swapaxes(xs, -1, -2)
    columns[..., place, 1::2] = ys
    columns[..., :d, -1] = query
    return columns


def separate_tokens(embedding: Embedding, bench: Bench) -> Compared:
    """One layer on separate columns for inputs and labels: predictions for labels of either sign, and its loss."""
    for xs, ys, query in bench.prompts(40, largest=(5, 9)):
        theta = bench.parameters(len(query))
        yield "even", lsa(embedding(xs, -ys, query), theta)[-1, -1], lsa(embedding(xs, ys, query), theta)[-1, -1]
    for _ in range(bench.count(6)):
        cov, theta = bench.covariance(2, 10.0), bench.parameters(2)
        prompts = LinearPrompts.build(cov, 2)
        found = lsa(embedding(prompts.contexts, prompts.labels, prompts.queries), theta)[..., -1, -1]
        yield "loss", np.trace(cov) / 2, prompts.mean((found - prompts.targets) ** 2) / 2
