# ruff: noqa: D103 (what checks are about stands in their claims)
"""Section 4.1, first half: convergence to a global minimum (Theorem 4) and the predictor found there, (11)-(14)."""

from __future__ import annotations

import numpy as np

from iclab.foundations import Matrix, Vector
from iclab.studies.claims.bench import Bench, Problem
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import forward, root
from iclab.studies.claims.trajectories import gained, integrate, restricted_excess, restricted_loss, trajectory
from iclab.theory import LSAParameters, PopulationLoss, quadratic_law, theorem5_risk
from iclab.theory.cubature import tensor_rule


def theorem_4_convergence(bench: Bench) -> Items:
    for problem in bench.problems(24):
        left = trajectory(problem).excesses[-1] / gained(problem)
        yield "left", left, 1e-14
        yield "remains", left
    for problem in bench.problems(4, dimensions=(2, 3), condition=10.0):
        path = trajectory(problem)
        times = path.times[np.linspace(12, 20, 4).astype(int)]
        _, u, U, _ = path.flow.blocks(times)
        for k, (direct_u, direct_U) in enumerate(integrate(problem, times)):
            yield "path", u[k], direct_u
            yield "path", U[k], direct_U


def theorem_4_limit(problem: Problem, inverse: Matrix) -> Items:
    yield from trajectory(problem).reaching_weights(np.trace(inverse @ inverse) ** 0.25, inverse)


def theorem_4_global(bench: Bench, problem: Problem, d: int, cov: Matrix, n: int) -> Items:
    loss = PopulationLoss(problem.law, n)
    least = loss(problem.trained)
    for _ in range(10):
        a, u, U, b = bench.parameters(d).blocks
        size = float(np.exp(bench.rng.uniform(-4, 1)))  # small even parts are the hard case
        V = u * U + size**2 * np.outer(a, b)
        linear = restricted_loss(cov, n, 1.0, V) + problem.trace / 2
        yield "even", linear, loss(LSAParameters.from_blocks(size * a, u, U, size * b))
        yield "odd", linear - least, restricted_excess(cov, n, 1.0, V)


def theorem_4_scale_invariance(bench: Bench, xs: Matrix, ys: Vector, query: Vector) -> Items:
    d = len(query)
    theta, c = bench.parameters(d), float(np.exp(bench.rng.uniform(-5, 5)) * bench.rng.choice([-1, 1]))
    scaled = LSAParameters(c * theta.w_pv, theta.w_kq / c)
    yield "prediction", forward(scaled, xs, ys, query), forward(theta, xs, ys, query)


def von_oswald_construction(bench: Bench, problem: Problem, d: int, n: int, m: int) -> Items:
    isotropic = Problem(np.eye(d), n, m, problem.theta, np.sqrt(1 / (np.sqrt(d) * (1 + (d + 1) / n))))
    path = trajectory(isotropic)
    found = path.flow.parameters(path.horizon)
    c = 1 / found.blocks[1]
    k = 1 / (1 + (d + 1) / n)
    yield "weights", c * found.w_pv, np.diag(np.append(np.zeros(d), 1.0))
    yield "weights", found.w_kq / c, np.diag(np.append(np.full(d, k), 0.0))
    xs, w, query = bench.linear_prompt(m, d)
    step = query @ (xs.T @ (xs @ w)) / m  # one step of gradient descent from zero: their construction
    yield "prediction", forward(found, xs, xs @ w, query), k * step


def equation_12(bench: Bench, problem: Problem, d: int, cov: Matrix, m: int) -> Items:
    xs = bench.rng.standard_normal((m, d)) @ root(cov).T
    w, query = bench.vector(d), bench.vector(d)
    stated = query @ np.linalg.solve(problem.gamma, xs.T @ (xs @ w) / m)
    yield "prediction", forward(problem.trained, xs, xs @ w, query), stated


def equation_13(bench: Bench, problem: Problem, d: int, m: int) -> Items:
    xs, ys, query = bench.rng.standard_cauchy((m, d)), bench.rng.standard_cauchy(m), bench.vector(d)
    found = forward(problem.trained, xs, ys, query)
    size = float(np.abs(xs).max() * np.abs(ys).max())
    yield "prediction", found / size, query @ np.linalg.solve(problem.gamma, xs.T @ ys / m) / size


def equation_14(bench: Bench, d: int, cov: Matrix) -> Items:
    w, v, c = bench.vector(d), bench.vector(d), bench.normal()
    law = quadratic_law(cov, w, v, c)
    nodes, weights = tensor_rule(d, 4)
    xs = nodes @ root(cov).T
    ys = xs @ w + c * ((xs @ v) ** 2 - v @ cov @ v)
    scaled = np.sqrt(weights)[:, None]
    yield "best", np.linalg.lstsq(scaled * xs, scaled[:, 0] * ys, rcond=None)[0], law.a  # a weighted regression
    yield "best", np.linalg.solve(cov, xs.T @ (weights * ys)), law.a
    share = np.nan
    for size, allowed in ((10**4, 1e-1), (10**6, 1e-3), (10**8, 1e-5)):
        share = (theorem5_risk(cov, size, size, *law) - law.best) / (w @ cov @ w + law.best)
        yield "distance", share, allowed
    yield "last", share
