# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Appendix A: the loss on (U11, u), the balance of the layers, and the lower bound on u."""

from __future__ import annotations

import numpy as np

from iclab.studies.claims.bench import Bench, layer, written_gamma
from iclab.studies.claims.claim import Items, check
from iclab.studies.claims.cubature import LinearPrompts, quartic_gradient, root, symmetric_rule
from iclab.studies.claims.evidence import at_most, equal, number, positive
from iclab.studies.claims.trajectories import (
    balanced,
    bounded,
    flat,
    restricted_excess,
    restricted_gradient,
    restricted_loss,
    threshold,
    trajectory,
    u_lower_bound,
)
from iclab.theory import assumption3, population_gradient


@check("equation-37", moment=equal("quadrature"))
def equation_37(bench: Bench) -> Items:
    for problem in bench.problems(24, dimensions=(1, 3)):
        d, n = problem.dimension, min(problem.n_train, 5)
        nodes, weights = symmetric_rule(n * d)
        xs = nodes.reshape(-1, n, d) @ root(problem.covariance).T
        empirical = np.einsum("kni,knj->kij", xs, xs) / n
        found = np.einsum("k,kij,kjl->il", weights, empirical, empirical)
        yield "moment", found, written_gamma(problem.covariance, n) @ problem.covariance


@check("equation-33", form=equal("quadrature", scale=1e-2))
def equation_33(bench: Bench) -> Items:
    # A symmetric matrix is its quadratic form: t'E[w'x_q H]t = E[w'x_q ŷ].
    for d, n, cov in bench.small(12):
        prompts = LinearPrompts.build(cov, n)
        theta = bench.parameters(d)
        a, u, U, b = theta.blocks
        square = cov @ cov
        found = prompts.mean(prompts.predictions(theta) * prompts.targets)
        yield "form", found, u * np.trace(square @ U) + b @ square @ a


@check("lemma-15", gradient=equal(tolerance=1e-8))
def lemma_15(bench: Bench) -> Items:
    for problem in bench.problems(40):
        d, cov, n = problem.dimension, problem.covariance, problem.n_train
        U, u = bench.matrix(d), bench.normal()
        _, du, dU, _ = population_gradient(layer(u, U), problem.law, n).blocks

        def loss(v: np.ndarray) -> float:
            return restricted_loss(cov, n, v[0], v[1:].reshape(d, d))

        yield "gradient", quartic_gradient(loss, flat(u, U)), flat(du, dU)
        yield "gradient", flat(*restricted_gradient(cov, n, u, U)), flat(du, dU)


@check("corollary-16", loss=equal())
def corollary_16(bench: Bench) -> Items:
    for problem in bench.problems(100):
        cov, n, inverse = problem.covariance, problem.n_train, problem.inverse
        least = -np.trace(cov @ cov @ inverse) / 2
        yield "loss", restricted_loss(cov, n, 1.0, inverse), least
        u, U = bench.normal(), bench.matrix(problem.dimension)
        yield "loss", restricted_loss(cov, n, u, U) - least, restricted_excess(cov, n, u, U)


@check("corollary-16-line-ii", printed=equal(scale=1e-2), meant=number())
def corollary_16_line_ii(bench: Bench) -> Items:
    for problem in bench.problems(60):
        cov, gamma = problem.covariance, problem.gamma
        U = bench.matrix(problem.dimension)
        low, q = np.linalg.eigh(cov)
        half, inverse = (q * np.sqrt(low)) @ q.T, problem.inverse
        left = np.trace(gamma @ cov @ inverse @ half @ U @ half + gamma @ half @ U @ half @ cov @ inverse)
        size = np.linalg.norm(cov) ** 2 * np.linalg.norm(U)
        yield "printed", left / size, 2 * np.trace(cov @ cov @ U @ half) / size
        yield "meant", abs(left - 2 * np.trace(cov @ cov @ U)) / size


@check("lemma-17", flow=equal("flow"), slope=equal())
def lemma_17(bench: Bench) -> Items:
    yield from balanced("flow", (trajectory(problem).states for problem in bench.problems(16)))
    for problem in bench.problems(40):
        u, U = bench.normal(), bench.matrix(problem.dimension)
        du, dU = restricted_gradient(problem.covariance, problem.n_train, u, U)
        yield "slope", u * du, np.sum(U * dU)


@check("lemma-18-initial-loss", bound=positive(strict=False), negative=positive())
def lemma_18_initial_loss(bench: Bench) -> Items:
    for problem in bench.problems(300, dimensions=(1, 6)):
        cov, s2 = problem.covariance, problem.scale**2
        found = restricted_loss(cov, problem.n_train, problem.scale, problem.scale * problem.theta)
        size = float(np.trace(cov @ problem.theta @ cov)) * s2
        bound = size / 2 * (np.sqrt(problem.dimension) * s2 * np.linalg.norm(problem.gamma, 2) - 2)
        yield "bound", bound - found, size
        yield "negative", -bound, size


@check("lemma-18", u=positive("flow"))
def lemma_18(bench: Bench) -> Items:
    for problem in bench.problems(16):
        path = trajectory(problem, scale=threshold(problem) * float(bench.rng.uniform(0.5, 0.999)))
        for u, _ in path:
            yield "u", u, path.end[0]


@check("lemma-19", u=at_most("flow"), bound=positive(tolerance=1e-12))
def lemma_19(bench: Bench) -> Items:
    for problem in bench.problems(16):
        yield from bounded(u_lower_bound(problem), problem.scale, trajectory(problem).states)


@check("lemma-19-loss-bound", chain=positive(strict=False))
def lemma_19_loss_bound(bench: Bench) -> Items:
    for problem in bench.problems(200):
        d, cov = problem.dimension, problem.covariance
        u, U = abs(bench.normal()), bench.matrix(d)
        if bench.rng.random() < 0.5:
            U = problem.inverse * bench.rng.uniform(0.1, 2)
        middle = -u * np.trace(cov @ cov @ U.T)
        last = -np.sqrt(d) * u * np.linalg.norm(cov @ cov, 2) * np.linalg.norm(U)
        size = abs(last)
        yield "chain", restricted_loss(cov, problem.n_train, u, U) - middle, size
        yield "chain", middle - last, size


@check("appendix-a-norms", norms=at_most())
def norms(bench: Bench) -> Items:
    for problem in bench.problems(200, dimensions=(1, 6)):
        low, q = np.linalg.eigh(problem.covariance)
        g = np.diagonal(q.T @ problem.gamma @ q)
        G = q.T @ bench.matrix(problem.dimension) @ q
        left = np.sum((np.sqrt(g)[:, None] * G) ** 2)
        right = np.sum((g * np.sqrt(low))[:, None] ** 2 * G**2 * low) * np.sum(1 / (g * low)) * np.sum(1 / low)
        yield "norms", left, right


@check("theorem-4-scales", negative=positive(tolerance=1e-6))
def without_root_d(bench: Bench) -> Items:
    for problem in bench.problems(300, dimensions=(1, 6)):
        theta = problem.theta
        s2 = 2 * bench.rng.uniform(0.5, 0.999) / (np.linalg.norm(problem.gamma, 2) * np.linalg.norm(theta, 2))
        _, u, U, _ = assumption3(theta, float(np.sqrt(s2))).blocks
        size = s2 * np.trace(problem.covariance @ theta @ problem.covariance)
        yield "negative", -restricted_loss(problem.covariance, problem.n_train, u, U), size
