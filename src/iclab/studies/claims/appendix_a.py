# ruff: noqa: D103 (what checks are about stands in their claims)
"""Appendix A, and the displays of the proofs: the loss as a quadratic form, the dynamics, the lower bound on u."""

from __future__ import annotations

from functools import partial

import numpy as np

from iclab.foundations import Matrix, Vector
from iclab.prompts import Gaussian
from iclab.studies.claims.bench import Bench, Problem, layer, written_gamma
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import LinearPrompts, Moments, block_gradient, forward, quadratic_gradient, root
from iclab.studies.claims.random_laws import RandomProblem
from iclab.studies.claims.trajectories import (
    flat,
    on_vectors,
    restricted_excess,
    restricted_gradient,
    restricted_loss,
    threshold,
    trajectory,
    u_lower_bound,
)
from iclab.theory import assumption3, embed, population_gradient, population_loss, quadratic_form
from iclab.theory.cubature import symmetric_rule


def equation_37(problem: Problem, d: int, cov: Matrix) -> Items:
    n = min(problem.n, 5)
    nodes, weights = symmetric_rule(n * d)
    xs = nodes.reshape(-1, n, d) @ root(cov).T
    empirical = np.einsum("kni,knj->kij", xs, xs) / n
    found = np.einsum("k,kij,kjl->il", weights, empirical, empirical)
    yield "moment", found, written_gamma(cov, n) @ cov


def equation_33(bench: Bench, d: int, n: int, cov: Matrix) -> Items:
    # A symmetric matrix is its quadratic form: t'E[w'x_q H]t = E[w'x_q ŷ].
    prompts = LinearPrompts.build(cov, n)
    theta = bench.parameters(d)
    a, u, U, b = theta.blocks
    square = cov @ cov
    found = prompts.mean(prompts.predictions(theta) * prompts.targets)
    yield "form", found, u * np.trace(square @ U) + b @ square @ a


def lemma_15(bench: Bench, problem: Problem, d: int, cov: Matrix, n: int) -> Items:
    U, u = bench.matrix(d), bench.normal()
    _, du, dU, _ = population_gradient(layer(u, U), problem.law, n).blocks
    loss = on_vectors(partial(restricted_loss, cov, n), d)
    yield "gradient", quadratic_gradient(loss, flat(u, U)), flat(du, dU)
    yield "gradient", flat(*restricted_gradient(cov, n, u, U)), flat(du, dU)


def corollary_16(bench: Bench, d: int, cov: Matrix, n: int, inverse: Matrix) -> Items:
    least = -np.trace(cov @ cov @ inverse) / 2
    yield "loss", restricted_loss(cov, n, 1.0, inverse), least
    u, U = bench.normal(), bench.matrix(d)
    yield "loss", restricted_loss(cov, n, u, U) - least, restricted_excess(cov, n, u, U)


def corollary_16_line_ii(bench: Bench, d: int, cov: Matrix, inverse: Matrix, gamma: Matrix) -> Items:
    U = bench.matrix(d)
    low, q = np.linalg.eigh(cov)
    half = (q * np.sqrt(low)) @ q.T
    left = np.trace(gamma @ cov @ inverse @ half @ U @ half + gamma @ half @ U @ half @ cov @ inverse)
    size = np.linalg.norm(cov) ** 2 * np.linalg.norm(U)
    yield "printed", left / size, 2 * np.trace(cov @ cov @ U @ half) / size
    yield "meant", abs(left - 2 * np.trace(cov @ cov @ U)) / size


def lemma_17(bench: Bench) -> Items:
    for problem in bench.problems(16):
        yield from trajectory(problem).balanced("flow")
    for problem in bench.problems(40):
        u, U = bench.normal(), bench.matrix(problem.d)
        du, dU = restricted_gradient(problem.cov, problem.n, u, U)
        yield "slope", u * du, np.sum(U * dU)


def lemma_18_initial_loss(problem: Problem, d: int, cov: Matrix, n: int) -> Items:
    s2 = problem.scale**2
    found = restricted_loss(cov, n, problem.scale, problem.scale * problem.theta)
    size = float(np.trace(cov @ problem.theta @ cov)) * s2
    bound = size / 2 * (np.sqrt(d) * s2 * np.linalg.norm(problem.gamma, 2) - 2)
    yield "bound", bound - found, size
    yield "negative", -bound, size


def lemma_18(bench: Bench, problem: Problem) -> Items:
    path = trajectory(problem, scale=threshold(problem) * float(bench.rng.uniform(0.5, 0.999)))
    for u, _ in path.states:
        yield "u", u, path.end[0]


def lemma_19(problem: Problem) -> Items:
    yield from trajectory(problem).bounded(u_lower_bound(problem), problem.scale)


def lemma_19_loss_bound(bench: Bench, d: int, cov: Matrix, n: int, inverse: Matrix) -> Items:
    u, U = abs(bench.normal()), bench.matrix(d)
    if bench.rng.random() < 0.5:
        U = inverse * bench.rng.uniform(0.1, 2)
    middle = -u * np.trace(cov @ cov @ U.T)
    last = -np.sqrt(d) * u * np.linalg.norm(cov @ cov, 2) * np.linalg.norm(U)
    size = abs(last)
    yield "chain", restricted_loss(cov, n, u, U) - middle, size
    yield "chain", middle - last, size


def appendix_a_norms(bench: Bench, d: int, cov: Matrix, gamma: Matrix) -> Items:
    low, q = np.linalg.eigh(cov)
    g = np.diagonal(q.T @ gamma @ q)
    G = q.T @ bench.matrix(d) @ q
    left = np.sum((np.sqrt(g)[:, None] * G) ** 2)
    right = np.sum((g * np.sqrt(low))[:, None] ** 2 * G**2 * low) * np.sum(1 / (g * low)) * np.sum(1 / low)
    yield "norms", left, right


def theorem_4_scales(bench: Bench, problem: Problem) -> Items:
    theta = problem.theta
    s2 = 2 * bench.rng.uniform(0.5, 0.999) / (np.linalg.norm(problem.gamma, 2) * np.linalg.norm(theta, 2))
    _, u, U, _ = assumption3(theta, float(np.sqrt(s2))).blocks
    size = s2 * np.trace(problem.cov @ theta @ problem.cov)
    yield "negative", -restricted_loss(problem.cov, problem.n, u, U), size


def equation_25(bench: Bench) -> Items:
    d, n = bench.sizes(4, 8)
    theta = bench.parameters(d)
    by_form, by_layer = 0.0, 0.0
    for _ in range(20):
        xs, w, query = bench.linear_prompt(n, d)
        t = theta.vector
        by_form += (t @ quadratic_form(embed(xs, xs @ w, query)) @ t - w @ query) ** 2 / 40
        by_layer += (forward(theta, xs, xs @ w, query) - w @ query) ** 2 / 40
    yield "risk", by_form, by_layer


def section_5_1_rank_one(bench: Bench, xs: Matrix, ys: Vector, query: Vector) -> Items:
    d = len(query)
    theta = bench.parameters(d)
    factor = np.outer(theta.vector, theta.vector)
    yield "value", np.sum(quadratic_form(embed(xs, ys, query)) * factor), forward(theta, xs, ys, query)
    yield "rank", np.linalg.matrix_rank(factor), 1


def equation_26(cov: Matrix, n: int, moments: Moments) -> Items:
    t = moments.parameters.vector
    error = np.einsum("cwqij,i,j->cwq", moments.form, t, t) - moments.prompts.targets
    yield "loss", moments.mean(error**2) / 2, population_loss(moments.parameters, Gaussian(cov), n)


def equation_31(cov: Matrix, n: int, moments: Moments) -> Items:
    t, form = moments.parameters.vector, moments.form
    value = np.einsum("cwqij,i,j->cwq", form, t, t)
    slopes = form @ t
    found = -2 * moments.mean(value[..., None] * slopes)
    found += 2 * moments.mean(moments.prompts.targets[..., None] * slopes)
    yield "velocity", found, -population_gradient(moments.parameters, Gaussian(cov), n).vector


def equation_32(xs: Matrix, w: Vector, query: Vector) -> Items:
    n = len(xs)
    E, empirical = embed(xs, xs @ w, query), xs.T @ xs / n
    moved = empirical @ w
    written = np.block(
        [[empirical + np.outer(query, query) / n, moved[:, None]], [moved[None, :], np.array([[w @ moved]])]]
    )
    yield "blocks", E @ E.T / n, written


def equation_35(bench: Bench, xs: Matrix, w: Vector, query: Vector) -> Items:
    n, d = xs.shape
    u, U = bench.normal(), bench.matrix(d)
    E, empirical = embed(xs, xs @ w, query), xs.T @ xs / n
    X = np.zeros((d + 1, d + 1))
    X[:-1, -1] = X[-1, :-1] = query
    found = E @ E.T / n @ np.block([[U, np.zeros((d, 1))], [np.zeros((1, d)), np.array([[u]])]]) @ X
    moved = empirical @ w
    corner = (empirical + np.outer(query, query) / n) @ U @ query
    last = np.append(w @ moved * u * query, moved @ U @ query)
    yield "entries", found, np.vstack([np.column_stack([np.outer(moved, query) * u, corner]), last])


def equation_36(moments: Moments) -> Items:
    D = moments.first_term
    size = np.linalg.norm(D)
    yield "vanish", D[:-1, -1] / size, 0.0
    yield "vanish", D[-1, :-1] / size, 0.0


def equation_38(cov: Matrix, n: int, moments: Moments) -> Items:
    _, u, U, _ = moments.parameters.blocks
    D, drive = moments.first_term[:-1, :-1], moments.second_term[:-1, :-1]
    stated = u**2 * written_gamma(cov, n) @ cov @ U @ cov
    yield "first", D, stated
    yield "second", drive, u * cov @ cov
    yield "velocity", drive - D, -stated + u * cov @ cov


def equation_39(cov: Matrix, n: int, moments: Moments) -> Items:
    _, u, U, _ = moments.parameters.blocks
    product = moments.product
    last = product[..., -1, -1]
    inner = np.einsum("cwqij,ij->cwq", product[..., :-1, :-1], U)
    stated = u * np.trace(written_gamma(cov, n) @ cov @ U @ cov @ U.T)
    yield "halves", moments.mean(inner * last), stated
    yield "halves", moments.mean(last * u * last), stated
    yield "sum", moments.first_term[-1, -1], stated


def equation_40(cov: Matrix, n: int, moments: Moments) -> Items:
    _, u, U, _ = moments.parameters.blocks
    found = moments.second_term[-1, -1] - moments.first_term[-1, -1]
    yield "velocity", found, -np.trace(u * written_gamma(cov, n) @ cov @ U @ cov @ U.T - cov @ cov @ U.T)


def equation_50(bench: Bench, problem: RandomProblem) -> Items:
    n = min(problem.n, 2)
    u, U = bench.normal(), bench.matrix(2)
    for value in bench.rng.permutation(problem.outcomes[0])[:3]:
        cov = np.diag(value)
        gamma = written_gamma(cov, n)
        dU = -(u**2) * gamma @ cov @ U @ cov + u * cov @ cov
        du = -u * np.trace(gamma @ cov @ U @ cov @ U.T) + np.trace(cov @ cov @ U.T)
        found = block_gradient(LinearPrompts.build(cov, n), layer(u, U))
        yield "velocity", -found.vector, layer(float(du), dU).vector
