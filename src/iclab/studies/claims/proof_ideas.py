# ruff: noqa: D103 (what checks are about stands in their claims)
"""Section 5: the quadratic form, the dynamics of the blocks, and the PL inequality."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.optimize import least_squares, minimize

from iclab.foundations import Matrix, Vector
from iclab.studies.claims.bench import Bench, Problem, layer, written_gamma
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import LinearPrompts, block_gradient, forward
from iclab.studies.claims.trajectories import (
    flat,
    gained,
    on_vectors,
    pl_constant,
    restricted_gradient,
    restricted_loss,
    trajectory,
)
from iclab.theory import LSAParameters, PopulationLoss, embed


def lemma_9(bench: Bench, xs: Matrix, ys: Vector, query: Vector) -> Items:
    d = len(query)
    theta = bench.parameters(d)
    a, u, U, b = theta.blocks
    t = np.vstack([np.column_stack([U, a]), np.append(b, u)]).T.ravel()
    yield "prediction", forward(theta, xs, ys, query), t @ _quadratic_form(xs, ys, query) @ t


def section_5_1_determinant(bench: Bench, xs: Matrix, w: Vector, query: Vector) -> Items:
    d = len(query)
    X, Z = _factors(xs, xs @ w, query)
    mu = bench.rng.uniform(-3, 3)
    yield "spectrum", np.linalg.det(mu * np.eye(d + 1) - X), mu ** (d - 1) * (mu**2 - query @ query)
    products = np.sort(np.outer(np.linalg.eigvalsh(X) / 2, np.linalg.eigvalsh(Z)).ravel())
    yield "spectrum", np.linalg.eigvalsh(np.kron(X, Z) / 2), products


def section_5_1_nonconvex(bench: Bench, problem: Problem, d: int, n: int) -> Items:
    xs, w, query = bench.linear_prompt(n, d)
    X, Z = _factors(xs, xs @ w, query)
    yield "count", np.count_nonzero(np.linalg.eigvalsh(X) < -1e-9), 1
    values = np.linalg.eigvalsh(np.kron(X, Z) / 2)
    yield "lowest", -values[0], values[-1]
    # (u, U11) and (−u, −U11) predict alike: the origin lies between two minimisers and above both.
    loss = PopulationLoss(problem.law, n)
    ends = loss(layer(1.0, problem.inverse)), loss(layer(-1.0, -problem.inverse))
    yield "midpoint", (ends[0] + ends[1]) / 2, loss(layer(0.0, np.zeros((d, d))))


def section_5_1_eigenvalue_count(bench: Bench) -> Items:
    fewer = 0
    for _ in range(bench.count(120)):
        d, n = int(bench.rng.integers(2, 6)), int(bench.rng.integers(1, 9))
        xs, w, query = bench.linear_prompt(n, d)
        values = np.linalg.eigvalsh(_quadratic_form(xs, xs @ w, query))
        negative = int(np.count_nonzero(values < -1e-10 * np.abs(values).max()))
        yield "exact", negative, min(n, d) + 1
        yield "count", d + 1, negative
        fewer += d + 1 > negative
        if n >= d:
            yield "long", d + 1, negative
    yield "fewer", fewer


def lemma_10(bench: Bench) -> Items:
    for k in range(bench.count(6)):
        d = 2 if k % 3 else 3
        n = int(bench.rng.integers(1, 4 if d == 2 else 3))
        cov = bench.covariance(d, 30.0)
        U, u = bench.matrix(d), bench.normal()
        da, du, dU, db = block_gradient(LinearPrompts.build(cov, n), layer(u, U)).blocks
        gamma = written_gamma(cov, n)
        stated_U = -(u**2) * gamma @ cov @ U @ cov + u * cov @ cov
        stated_u = -np.trace(u * gamma @ cov @ U @ cov @ U.T - cov @ cov @ U.T)
        stated = np.concatenate([np.zeros(d), [stated_u], stated_U.ravel(), np.zeros(d)])
        yield "velocity", -np.concatenate([da, [du], dU.ravel(), db]), stated


def equation_28(bench: Bench, d: int, n: int, cov: Matrix) -> Items:
    prompts = LinearPrompts.build(cov, n)
    a, u, U, b = bench.parameters(d).blocks
    stated = restricted_loss(cov, n, u, U) + np.trace(cov) / 2
    yield "restricted", prompts.loss(LSAParameters.from_blocks(0 * a, u, U, 0 * b)), stated
    yield "anywhere", prompts.loss(LSAParameters.from_blocks(a, u, U, b)), stated


def lemma_11(bench: Bench, problem: Problem, d: int, cov: Matrix, n: int) -> Items:
    for _ in range(2):
        found = _descend(problem, bench.rng.standard_normal(d * d + 1))
        u, U = found[0], found[1:].reshape(d, d)
        yield "loss", restricted_loss(cov, n, u, U), restricted_loss(cov, n, 1.0, problem.inverse)
        yield "product", u * U, problem.inverse


def section_5_2_prediction(bench: Bench, d: int, m: int, inverse: Matrix) -> Items:
    xs, w, query = bench.linear_prompt(m, d)
    c = float(bench.rng.choice([-1, 1]) * bench.rng.uniform(0.1, 3))
    found = forward(layer(c, inverse / c), xs, xs @ w, query)
    yield "prediction", found, w @ (xs.T @ xs / m) @ inverse @ query


def lemma_12_pl(problem: Problem, cov: Matrix, n: int) -> Items:
    mu = pl_constant(problem)
    yield "constant", mu, problem.trace**2  # a rate scales like Λ²
    least = -gained(problem)
    for u, U in trajectory(problem).states:
        excess = restricted_loss(cov, n, u, U) - least
        if excess > 1e-9 * abs(least):  # below, both sides are rounding
            du, dU = restricted_gradient(cov, n, u, U)
            slope = du**2 + np.sum(dU**2)
            yield "inequality", mu * excess, slope
            yield "ratio", slope / (mu * excess)


def lemma_12_rate(problem: Problem) -> Items:
    yield from trajectory(problem).decaying("excess", pl_constant(problem))


def lemma_12_limit(problem: Problem, inverse: Matrix) -> Items:
    rho = np.linalg.norm(inverse)
    yield from trajectory(problem).reaching(np.sqrt(rho), inverse / np.sqrt(rho))


def _factors(xs: np.ndarray, ys: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X and EE'/N of Lemma 9."""
    E = embed(xs, ys, query)
    X = np.zeros((len(query) + 1,) * 2)
    X[:-1, -1] = X[-1, :-1] = query
    return X, E @ E.T / len(ys)


def _quadratic_form(xs: np.ndarray, ys: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.kron(*_factors(xs, ys, query)) / 2


def _descend(problem: Problem, start: np.ndarray) -> np.ndarray:
    """BFGS on ℓ in (u, U11) from ``start``."""
    cov, n, d, found = problem.cov, problem.n, problem.d, start
    value, gradient = (on_vectors(partial(each, cov, n), d) for each in (restricted_loss, restricted_gradient))

    def slope(v: np.ndarray) -> np.ndarray:
        return flat(*gradient(v))

    for _ in range(3):
        found = minimize(value, found, jac=slope, method="L-BFGS-B", options={"maxiter": 300, "ftol": 1e-14}).x
        # ℓ is the same on (cu, U/c); balanced layers keep a line search from running off along u → 0, U11 → ∞.
        c = np.sqrt(np.linalg.norm(found[1:]) / abs(found[0]))
        found = found * np.append(c, np.full(d * d, 1 / c))
    # The minima form a curve (cu, U/c): Levenberg-Marquardt does not mind the flat direction.
    return least_squares(slope, found, method="lm", xtol=1e-12, ftol=1e-15, gtol=1e-12).x
