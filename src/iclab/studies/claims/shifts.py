# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 4.2: task, query and covariate shifts."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from iclab.foundations import Draws, Matrix
from iclab.predictors import LeastSquares
from iclab.prompts import Gaussian, Prompts
from iclab.studies.claims.bench import Bench, Problem, layer, written_gamma
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import GeneralPrompts, LinearPrompts, forward, root
from iclab.theory import minimizer, predict, shift_risk


def equation_17(d: int, cov: Matrix, trace: float) -> Items:
    n = 10**9
    gap = np.eye(d) - np.linalg.solve(written_gamma(cov, n), cov)
    # N(I − Γ⁻¹Λ) → I + trΛ Λ⁻¹
    yield "first_order", n * gap, np.eye(d) + trace * np.linalg.inv(cov)
    yield "size", float(np.linalg.norm(gap, 2)), 1e-3


def section_4_2_exact_error(bench: Bench) -> Items:
    for k in range(bench.count(12)):
        d, m = ((2, 3), (2, 1), (3, 2))[k % 3]
        context, query, R = bench.covariance(d, 10.0), bench.covariance(d, 10.0), bench.matrix(d)
        theta = layer(1.0, bench.matrix(d).T)
        prompts = LinearPrompts.build(context, m, query_covariance=query, weight_root=R)
        yield "exact", 2 * prompts.loss(theta), _written_shift(theta.learner, context, query, m, R @ R.T, 0.0)
    for _ in range(bench.count(6)):
        problem = bench.problem(2, condition=10.0)
        w, noise = bench.vector(2), float(bench.rng.uniform(0.1, 2))
        theta, cov = problem.trained, problem.cov
        prompts = GeneralPrompts.build(cov, 2, lambda xs: xs @ w, noise)
        stated = _written_shift(theta.learner, cov, cov, 2, np.outer(w, w), noise**2)
        yield "exact", prompts.risk(theta) - noise**2, stated
    for k in range(4):
        problem = bench.problem(5, condition=10.0)
        d, m, n = 5, int(bench.rng.integers(10, 40)), max(problem.n, 10)
        context, query = bench.covariance(d, 10.0), bench.covariance(d, 10.0)
        w, noise = bench.vector(d), float(bench.rng.uniform(0, 1))
        theta = minimizer(problem.law, n)

        def score(draws: Draws) -> np.ndarray:
            xs = Gaussian(context).sample(draws, m)
            asked = draws.normals("query", len(w)) @ root(query).T
            ys = xs @ w + noise * draws.normals("noise", m)
            return (predict(theta, xs, ys, asked) - asked @ w) ** 2

        stated = shift_risk(theta.learner, context, query, m, np.outer(w, w), noise**2)
        yield "larger", bench.mean(score, 8_000, k), stated


def task_shift_noise(bench: Bench) -> Items:
    for problem, m in bench.tiny(9, condition=10.0):
        w, theta = bench.vector(problem.d), problem.trained
        # Signs ±1: sub-Gaussian and not Gaussian, and enumerated exactly.
        noisy = GeneralPrompts.build(problem.cov, m, lambda xs: xs @ w, 2.0)
        found = np.einsum("ceq,ceq->q", noisy.measure, noisy.predictions(theta)) / noisy.measure.sum(axis=(0, 1))
        yield "mean", found, noisy.queries @ np.linalg.solve(problem.gamma, problem.cov @ w)
    for problem in bench.problems(40):
        cov = problem.cov
        w, s2 = bench.vector(problem.d), float(bench.rng.uniform(0, 4))
        error = _written_shift(np.linalg.inv(cov), cov, cov, 10**10, np.outer(w, w), s2)  # N = ∞
        yield "error", error / (w @ cov @ w + s2), 1e-6
        yield "share", error / (w @ cov @ w + s2)


def task_shift_any_weight(bench: Bench, problem: Problem, d: int, cov: Matrix, m: int) -> Items:
    w = bench.rng.standard_cauchy(d) * np.exp(bench.rng.uniform(-5, 5))
    xs, query = bench.rng.standard_normal((m, d)) @ root(cov).T, bench.vector(d)
    theta = problem.trained
    found = forward(theta, xs, xs @ w, query)
    size = np.linalg.norm(w)
    yield "linear", found / size, forward(theta, xs, xs @ (w / size), query)
    share = _written_shift(np.linalg.inv(cov), cov, cov, 10**10, np.outer(w, w), 0.0) / (w @ cov @ w)
    yield "error", share, 1e-6
    yield "share", share


def query_shift(bench: Bench, d: int, cov: Matrix) -> Items:
    query = bench.covariance(d, 1e3)
    w = bench.vector(d)
    errors = [
        shift_risk(np.linalg.inv(written_gamma(cov, n)), cov, query, n, np.outer(w, w)) / (w @ query @ w)
        for n in (10**6, 10**8, 10**12)
    ]
    yield "error", errors[2], 1e-5
    yield "share", errors[2]
    for earlier, later in pairwise(errors):
        yield "falling", later, earlier


def query_orthogonal(bench: Bench, problem: Problem, d: int, cov: Matrix, n: int) -> Items:
    m = int(bench.rng.integers(1, d))
    xs, w = bench.rng.standard_normal((m, d)) @ root(cov).T, bench.vector(d)
    query = np.linalg.svd(xs)[2][-1]  # of length 1, orthogonal to every x_i
    theta = problem.trained
    size = np.linalg.norm(problem.inverse @ (xs.T @ (xs @ w)) / m)
    yield "any_query", forward(theta, xs, xs @ w, query) / size, 0.0
    isotropic = minimizer(Gaussian(np.eye(d)), n)
    yield "aligned", forward(isotropic, xs, xs @ w, query) / size, 0.0
    eigenvector = np.linalg.eigh(cov)[1][:, int(bench.rng.integers(d))]
    projected = xs - np.outer(xs @ eigenvector, eigenvector)
    yield "aligned", forward(theta, projected, projected @ w, eigenvector) / size, 0.0


def covariate_shift(bench: Bench, d: int, cov: Matrix) -> Items:
    other, w = bench.covariance(d, 1e2), bench.vector(d)
    K = np.linalg.inv(cov)
    error = shift_risk(K, other, other, math.inf, np.outer(w, w))
    residual = K @ other @ w - w
    yield "exact", error, residual @ other @ residual
    yield "remains", error, w @ other @ w
    yield "share", error / (w @ other @ w)


def covariate_shift_scaling(bench: Bench, d: int, cov: Matrix) -> Items:
    c = float(bench.rng.choice([1 / 3, 0.5, 2.0, 3.0]))
    K = np.linalg.inv(cov)
    prompts = LinearPrompts.build(c**2 * cov, 2, query_covariance=cov)
    yield "mean", prompts.over_contexts(prompts.predictions(layer(1.0, K.T))), c**2 * prompts.targets
    w = bench.vector(d)
    error = shift_risk(K, c**2 * cov, cov, math.inf, np.outer(w, w))
    yield "limit", error / (w @ cov @ w), (c**2 - 1) ** 2
    yield "wrong", (c**2 - 1) ** 2, 1.0


def least_squares_scaling(bench: Bench) -> Items:
    squares = LeastSquares()
    for problem in bench.problems(20):
        d, m, c = problem.d, problem.d + 5, float(np.exp(bench.rng.uniform(-2, 2)))
        xs = bench.rng.standard_normal((1, m + 1, d)) @ root(problem.cov).T
        ys = np.einsum("bpd,d->bp", xs, bench.vector(d))
        yield "unchanged", squares(Prompts(c * xs, ys, c * xs, ys)), squares(Prompts(xs, ys, xs, ys))
        theta = problem.trained
        before = forward(theta, xs[0, :m], ys[0, :m], xs[0, m])
        yield "changed", forward(theta, c * xs[0, :m], ys[0, :m], c * xs[0, m]), c**2 * before


def _written_shift(K: Matrix, context: Matrix, query: Matrix, m: float, W: Matrix, s2: float) -> float:
    """The error under shift as written in the claim section-4.2-exact-error."""
    spread = (1 + 1 / m) * context @ W @ context + np.trace(W @ context) * context / m
    middle = K @ spread @ K.T - K @ context @ W - W @ context @ K.T + W
    return float(np.trace(query @ middle) + s2 / m * np.trace(query @ K @ context @ K.T))
