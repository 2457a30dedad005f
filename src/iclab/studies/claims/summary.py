# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""The summary document: its three mechanisms, what breaks them, and the signatures of failure."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from iclab.flow import gradient_flow
from iclab.foundations import Matrix
from iclab.prompts import Gaussian
from iclab.studies.claims.bench import Bench, Problem, layer, written_gamma
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import GeneralPrompts, LinearPrompts, block_gradient
from iclab.studies.claims.cubature import root as square_root
from iclab.studies.claims.trajectories import gained, horizon, restricted_excess, threshold, trajectory
from iclab.theory import (
    LSAParameters,
    PopulationLoss,
    assumption3,
    expected_risk,
    minimizer,
    noisy_linear_law,
    shift_risk,
    theorem5_risk,
)
from iclab.theory.cubature import symmetric_rule


def mechanism_1(problem: Problem) -> Items:
    loss = PopulationLoss(problem.law, problem.n)
    values = np.linalg.eigvalsh(loss.hessian(assumption3(problem.theta, problem.scale / 100)))
    yield "curvature", -values[0], values[-1]
    excess = trajectory(problem).excesses[-1] / gained(problem)
    yield "excess", excess, 1e-14
    yield "remains", excess


def mechanism_1_core_assumption(bench: Bench) -> Items:
    reached = 0
    for k, problem in enumerate(bench.problems(12, dimensions=(2, 3), condition=30.0)):
        d, cov, n = problem.d, problem.cov, problem.n
        if k % 2:  # unbalanced, not symmetric, of any sign
            start = layer(bench.normal(), bench.matrix(d))
        else:  # Assumption 3 far above the threshold
            start = assumption3(problem.theta, threshold(problem) * float(bench.rng.uniform(1.5, 10)))
        _, u0, U0, _ = start.blocks
        late = gradient_flow(start, problem.law, n, _late(cov, n, u0, U0))
        _, u, U, _ = late.blocks(late.t_end)
        end = restricted_excess(cov, n, float(u), U) / gained(problem)
        yield "needed", end, 1.0
        reached += end < 1e-9
    yield "reached", reached


def mechanism_1_break(bench: Bench) -> Items:
    for k in range(bench.count(4)):
        d, n = 2, 1 + k % 2
        cov = float(np.exp(bench.rng.uniform(-1, 1))) * np.eye(d)
        g = written_gamma(cov, n)[0, 0]
        direction = bench.vector(d)
        direction /= np.linalg.norm(direction)
        c = float(np.exp(bench.rng.uniform(-0.3, 0.3)))
        zero = np.zeros((d, d))
        point = LSAParameters.from_blocks(c * direction / np.sqrt(g), 0.0, zero, direction / np.sqrt(g) / c)
        loss = PopulationLoss(Gaussian(cov), n)
        least = loss(minimizer(Gaussian(cov), n))
        gain, excess = loss(layer(0.0, zero)) - least, loss(point) - least
        yield "gradient", block_gradient(LinearPrompts.build(cov, n), point).vector / gain, 0.0
        yield "excess", excess, gain
        values = np.linalg.eigvalsh(loss.hessian(point))
        yield "curvature", values[0], values[-1]
        if k < 2:
            start = LSAParameters.from_vector(point.vector + 1e-2 * bench.rng.standard_normal((d + 1) ** 2))
            end = gradient_flow(start, Gaussian(cov), n, 60 / float(cov[0, 0]) ** 2)
            yield "returns", end.excess(end.t_end) / excess, 1.0


def mechanism_2(bench: Bench) -> Items:
    for problem in bench.problems(40):
        law = noisy_linear_law(problem.cov, bench.vector(problem.d), float(bench.rng.uniform(0.5, 2)))
        size = 10**7
        ratio = theorem5_risk(problem.cov, size, size, *law) / law.best
        yield "error", ratio, 1.01
        yield "ratio", ratio
    for k in range(bench.count(4)):
        problem = bench.problem(2, condition=10.0)
        w = bench.vector(2)
        prompts = GeneralPrompts.build(problem.cov, 2, lambda xs: xs @ w, 1.0)
        n, law = 10**6 * (k + 1), noisy_linear_law(problem.cov, w, 1.0)
        yield "exact", prompts.risk(minimizer(problem.law, n)), theorem5_risk(problem.cov, n, 2, *law)


def mechanism_2_core_assumption(d: int, cov: Matrix, n: int, gamma: Matrix, trace: float) -> Items:
    yield "gamma", n * (gamma - cov), cov + trace * np.eye(d)
    m = 1 + n % 3
    nodes, weights = symmetric_rule(m * d)
    xs = nodes.reshape(-1, m, d) @ square_root(cov).T
    deviation = np.einsum("kmi,kmj->kij", xs, xs) / m - cov
    found = weights @ np.sum(deviation**2, axis=(1, 2))
    yield "spread", m * found, np.trace(cov @ cov) + trace**2


def mechanism_2_break(bench: Bench, d: int, cov: Matrix, trace: float) -> Items:
    size = 10**4
    K, other = np.linalg.inv(written_gamma(cov, size)), bench.covariance(d, 100.0)
    moment = np.eye(d)
    before = shift_risk(K, cov, cov, size, moment) / trace
    after = shift_risk(K, other, other, size, moment) / np.trace(other)
    yield "error", before, after
    yield "factor", after / before


def mechanism_3(bench: Bench, d: int, cov: Matrix) -> Items:
    size = 10**8
    K, other, w = np.linalg.inv(written_gamma(cov, size)), bench.covariance(d, 100.0), bench.vector(d)
    W, noise = np.outer(w, w), float(bench.rng.uniform(0, 2))
    task = shift_risk(K, cov, cov, size, 100 * W, noise) / (100 * w @ cov @ w)
    query = shift_risk(K, cov, other, size, W) / (w @ other @ w)
    for share in (task, query):
        yield "tolerated", share, 1e-2
        yield "share", share
    yield "broken", shift_risk(K, other, other, size, W), w @ other @ w


def mechanism_3_query(bench: Bench, d: int, cov: Matrix) -> Items:
    size = 10**8
    K, query, w = np.linalg.inv(written_gamma(cov, size)), bench.covariance(d, 100.0), bench.vector(d)
    share = shift_risk(K, cov, query, size, np.outer(w, w)) / (w @ query @ w)
    yield "independent", share, 1e-2
    yield "share", share
    m = d - 1  # few examples and a query chosen orthogonal to them: isotropic Λ, where the prediction is 0
    xs = bench.rng.standard_normal((m, d))
    chosen = np.linalg.svd(xs)[2][-1]
    prediction = chosen @ xs.T @ (xs @ w) / m
    yield "dependent", (prediction - chosen @ w) / abs(chosen @ w), -1.0 * np.sign(chosen @ w)


def mechanism_3_break(bench: Bench, d: int, cov: Matrix) -> Items:
    w = bench.vector(d)
    K, other = np.linalg.inv(cov), bench.covariance(d, 100.0)
    mismatch = (K @ other - np.eye(d)) @ w
    yield "mismatch", shift_risk(K, other, other, math.inf, np.outer(w, w)), mismatch @ other @ mismatch
    errors = [shift_risk(K, c * cov, cov, math.inf, np.outer(w, w)) for c in (1.0, 1.5, 2.0, 4.0)]
    for smaller, larger in pairwise(errors):
        yield "ordered", smaller, larger


def failure_2_test_length(problem: Problem) -> Items:
    errors = [expected_risk(problem.law, problem.n, m) for m in (1, 3, 10, 100, 1000)]
    for earlier, later in pairwise(errors):
        yield "ordered", later, earlier
    yield "ratio", errors[0] / errors[-1]


def failure_2_training_length(bench: Bench, problem: Problem) -> Items:
    m = int(bench.rng.integers(2, 60))
    grid = sorted({1, max(1, m // 4), max(1, m // 2), m, 2 * m, 5 * m, 50 * m})
    errors = [expected_risk(problem.law, n, m) for n in grid]
    for n, (shorter, longer) in zip(grid[1:], pairwise(errors), strict=True):
        yield "ordered", longer, shorter
        if n <= m:
            yield "shorter", longer, shorter


def failure_2_both_lengths(problem: Problem) -> Items:
    yield "floor", expected_risk(problem.law, problem.n, math.inf), problem.trace
    yield "floor", expected_risk(problem.law, math.inf, problem.m), problem.trace
    share = expected_risk(problem.law, 10**9, 10**9) / problem.trace
    yield "together", share, 1e-6
    yield "share", share


def _late(cov: np.ndarray, n: int, u0: float, U0: np.ndarray) -> float:
    """A horizon that also covers unbalanced starts, whose u may pass near zero."""
    size = Problem(cov, n, n, np.eye(len(cov)), 1.0)
    return float(20 * horizon(cov, n, max(abs(u0), 1e-3)) * (1 + np.linalg.norm(U0) ** 2 * size.trace))
