# ruff: noqa: D103 (what checks are about stands in their claims)
"""Beyond the paper: exact statements that sharpen or extend its results, judged in the same way."""

from __future__ import annotations

from functools import partial

import numpy as np

from iclab.flow import gradient_flow
from iclab.foundations import Matrix
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.claims.bench import Bench, Problem, layer
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import quadratic_gradient
from iclab.studies.claims.trajectories import (
    flat,
    integrate,
    on_vectors,
    pl_constant,
    restricted_gradient,
    trajectory,
    u_lower_bound,
)
from iclab.theory import (
    AllPositions,
    PopulationLoss,
    assumption3,
    asymptotic_rate,
    certificate,
    expected_risk,
    minimizer,
    optimal_learner,
    shift_risk,
)


def beyond_prior_and_noise(bench: Bench, d: int, cov: Matrix, n: int) -> Items:
    W, s2 = bench.covariance(d, 10.0), float(bench.rng.uniform(0, 2))
    written = W @ np.linalg.inv((1 + 1 / n) * cov @ W + (np.trace(W @ cov) + s2) / n * np.eye(d))
    yield "learner", optimal_learner(Gaussian(cov), n, s2, W), written
    # The error of any learner is a quadratic in K, so its slope at the best one is exactly zero.
    slope = quadratic_gradient(lambda k: shift_risk(k.reshape(d, d), cov, cov, n, W, s2), written.ravel())
    yield "slope", slope / np.trace(W @ cov), 0.0


def beyond_all_positions(problem: Problem, d: int, cov: Matrix) -> Items:
    n = min(problem.n, 30)
    share = np.mean(1 / np.arange(1.0, n + 1))
    gamma = (1 + share) * cov + share * problem.trace * np.eye(d)
    theta = minimizer(problem.law, AllPositions(n))
    yield "learner", theta.learner, np.linalg.inv(gamma)
    total = sum(PopulationLoss(problem.law, i).gradients(theta.vector) for i in range(1, n + 1)) / n
    yield "slope", total / problem.trace, 0.0


def beyond_strict_minimum(problem: Problem) -> Items:
    values = np.linalg.eigvalsh(PopulationLoss(problem.law, problem.n).hessian(problem.trained))
    yield "flat", values[0] / values[-1], 0.0
    yield "curved", values[1], values[-1]


def beyond_asymptotic_rate(problem: Problem, d: int, cov: Matrix, n: int) -> Items:
    exact = asymptotic_rate(problem.law, n)
    _, u, U, _ = problem.trained.blocks
    slope, at = on_vectors(partial(restricted_gradient, cov, n), d), flat(u, U)
    steps = 1e-5 * np.eye(d * d + 1)
    hessian = np.stack([(flat(*slope(at + e)) - flat(*slope(at - e))) / 2e-5 for e in steps])
    yield "curvature", 2 * np.linalg.eigvalsh((hessian + hessian.T) / 2)[1], exact
    path = trajectory(problem)
    # Late enough for the slowest mode to be alone, early enough for its excess to be above rounding.
    times = path.flow.time_to(0.9) + np.array([25.0, 35.0]) / exact
    early, late = path.flow.excess(times)
    yield "slope", np.log(early / late) / (times[1] - times[0]), exact
    yield "ratio", exact / pl_constant(problem)


def beyond_sharp_bounds(problem: Problem) -> Items:
    found = certificate(problem.law, problem.n, problem.theta, problem.scale)
    path = trajectory(problem)
    for u, _ in path.states:
        yield "bounds", found.sharp_u_lower_bound, u
    yield from path.decaying("bounds", found.sharp_pl_constant)
    yield "sharper", u_lower_bound(problem), found.sharp_u_lower_bound
    yield "sharper", pl_constant(problem), found.sharp_pl_constant


def beyond_isotropic_path(bench: Bench) -> Items:
    d, n, level = int(bench.rng.integers(2, 5)), int(bench.rng.integers(1, 30)), float(bench.rng.uniform(0.5, 2))
    theta, scale = bench.theta(d), float(bench.rng.uniform(0.1, 0.5))
    problem = Problem(level * np.eye(d), n, n, theta, scale)
    g = (1 + (d + 1) / n) * level
    beta, kappa = level**2 * np.sqrt(d), g * level**2
    times = np.array([0.3, 1.0, 3.0]) / beta
    c = np.log(np.tan(np.arccos(np.trace(theta) / np.sqrt(d)) / 2))
    x = beta * times
    bracket = np.cosh(c) ** 2 / scale**2 + 2 * kappa / beta * (x / 2 + (np.sinh(2 * (x - c)) + np.sinh(2 * c)) / 4)
    u = np.cosh(x - c) / np.sqrt(bracket)
    rest = theta - np.trace(theta) / d * np.eye(d)
    phi = 2 * np.arctan(np.exp(c - x))
    for k, (direct, matrix) in enumerate(integrate(problem, times)):
        U = u[k] * (np.cos(phi[k]) * np.eye(d) / np.sqrt(d) + np.sin(phi[k]) * rest / np.linalg.norm(rest))
        yield "path", direct, u[k]
        yield "path", matrix, U
    flow = gradient_flow(assumption3(theta, scale), problem.law, n, float(times[-1]))
    yield "path", flow.u(times), u


def beyond_exponential_error(bench: Bench) -> Items:
    for _ in range(bench.count(16)):
        d, n, m = (int(value) for value in bench.rng.integers((1, 1, 1), (30, 100, 100)))
        c = float(np.exp(bench.rng.uniform(-1, 2.5)))
        random, fixed = RandomDiagonal.exponential(d), Gaussian.isotropic(d)
        test = RandomDiagonal.exponential(d, c)
        for law, k in ((random, 1 / (3 + (d + 5) / n)), (fixed, 1 / (1 + (d + 1) / n))):
            on_random = c**3 * k**2 * (6 + (2 * d + 10) / m) - 4 * c**2 * k + c
            yield "error", expected_risk(law, n, m, test) / d, on_random
            yield "error", expected_risk(law, n, m, fixed) / d, k**2 * (1 + (d + 1) / m) - 2 * k + 1
    yield "example", expected_risk(RandomDiagonal.exponential(20), 40, 40) / 20


def beyond_step_size(bench: Bench) -> Items:
    for d in range(1, 7):
        n = int(bench.rng.integers(1, 100))
        law = Gaussian(np.eye(d))
        full = PopulationLoss(law, n).hessian(minimizer(law, n))
        marked = layer(1.0, np.ones((d, d))).vector.astype(bool)
        yield "step", 2 / np.linalg.eigvalsh(full[np.ix_(marked, marked)])[-1], 1 / np.sqrt(d)
