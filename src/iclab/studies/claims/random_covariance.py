# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 4.3: training on random covariances (Theorem 8), and the Exponential example."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad

from iclab.foundations import Draws
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import LinearPrompts, forward
from iclab.studies.claims.random_laws import Atoms, RandomProblem, random_problems
from iclab.theory import LSAParameters, PopulationLoss, expected_risk, minimizer, minimum_loss, population_loss
from iclab.theory.cubature import symmetric_rule


def definition_7(bench: Bench) -> Items:
    d, n = int(bench.rng.integers(2, 5)), int(bench.rng.integers(1, 30))
    variances = np.exp(bench.rng.uniform(-1, 1, d))
    fixed = Gaussian(np.diag(variances))
    single = RandomDiagonal([Atoms((float(v),), (1.0,)) for v in variances])
    theta = bench.parameters(d)
    yield "recovered", population_loss(theta, single, n), population_loss(theta, fixed, n)
    yield "recovered", minimizer(single, n).w_kq, minimizer(fixed, n).w_kq
    yield "recovered", minimum_loss(single, n), minimum_loss(fixed, n)


def theorem_8_convergence(problem: RandomProblem) -> Items:
    least = np.sum(problem.mean_square * problem.target) / 2
    left = problem.excess(*problem.path.end) / least
    yield "left", left, 1e-14
    yield "remains", left


def theorem_8_limit(problem: RandomProblem) -> Items:
    A = np.linalg.solve(problem.expect(lambda cov, gamma: gamma @ cov @ cov), np.diag(problem.mean_square))
    yield from problem.path.reaching_weights(np.sqrt(np.linalg.norm(A)), A)


def theorem_8_global(bench: Bench) -> Items:
    for problem in random_problems(bench, 40):
        loss = PopulationLoss(problem.covariates, problem.n)
        least = loss(minimizer(problem.covariates, problem.n))
        for _ in range(10):
            a, u, U, b = bench.parameters(problem.d).blocks
            size = float(np.exp(bench.rng.uniform(-4, 1)))
            V = u * U + size**2 * np.outer(a, b)
            linear = loss(LSAParameters.from_blocks(0 * a, 1.0, V, 0 * b))
            yield "even", linear, loss(LSAParameters.from_blocks(size * a, u, U, size * b))
            yield "odd", linear - least, problem.excess(1.0, V)
    for problem in random_problems(bench, 3, (2, 2)):
        theta = bench.parameters(2)
        values, weights = problem.outcomes
        n = min(problem.n, 2)
        found = sum(
            weight * LinearPrompts.build(np.diag(value), n).loss(theta)
            for value, weight in zip(values, weights, strict=True)
        )
        yield "loss", found, population_loss(theta, problem.covariates, n)


def equation_22(bench: Bench, problem: RandomProblem) -> Items:
    m = int(bench.rng.integers(1, 40))
    xs, w, query = bench.linear_prompt(m, problem.d)
    found = forward(minimizer(problem.covariates, problem.n), xs, xs @ w, query)
    learner = np.diag(problem.mean_square) @ np.linalg.inv(problem.expect(lambda cov, gamma: gamma @ cov @ cov))
    yield "prediction", found, query @ learner @ (xs.T @ (xs @ w)) / m


def equation_23(bench: Bench) -> Items:
    for problem in random_problems(bench, 6, (2, 2)):
        values, _ = problem.outcomes
        new = np.diag(values[int(bench.rng.integers(len(values)))])
        theta = minimizer(problem.covariates, problem.n)
        learner = theta.learner
        for m in (1, 2, 3):
            prompts = LinearPrompts.build(new, m)
            found = prompts.predictions(theta)
            limit = prompts.weights @ new @ learner.T @ prompts.queries.T
            yield "mean", prompts.over_contexts(found), limit
            yield "spread", m * prompts.mean((found - limit) ** 2), _spread(learner, new)
    for k in range(2):
        d, m = 10, 60
        learner = minimizer(RandomDiagonal.exponential(d), 20).learner
        new = np.diag(bench.rng.uniform(0.5, 2, d))

        def score(draws: Draws) -> np.ndarray:
            xs = Gaussian(new).sample(draws, m + 1)
            w = draws.normals("task", len(new))
            found = np.einsum("bi,ij,bj->b", xs[:, m], learner, _moment(xs[:, :m], w))
            return m * (found - np.einsum("bi,ij,jk,bk->b", xs[:, m], learner, new, w)) ** 2

        yield "larger", bench.mean(score, 9_000, k), _spread(learner, new)


def section_4_3_failure(bench: Bench) -> Items:
    for problem in random_problems(bench, 60):
        trace = sum(law.moment(1) for law in problem.laws)
        left = expected_risk(problem.covariates, math.inf, math.inf)
        yield "remains", left, trace
        yield "share", left / trace
        fixed = Gaussian(np.diag([law.moment(1) for law in problem.laws]))
        yield "fixed", expected_risk(fixed, math.inf, math.inf) / trace, 1e-12
    yield "exponential", expected_risk(RandomDiagonal.exponential(4), math.inf, math.inf) / 4


def section_4_3_dependent_inputs(bench: Bench) -> Items:
    nodes, weights = symmetric_rule(2)  # x_1 and x_q given Λ_τ, in one coordinate
    for problem in random_problems(bench, 20):
        law = problem.laws[0]
        given = [weights @ np.prod(nodes**2 * value, axis=1) for value in law.values]
        yield "conditional", given, np.square(law.values)
        yield "dependent", np.dot(law.probabilities, given) - law.moment(1) ** 2, law.moment(1) ** 2


def section_4_3_in_expectation(problem: RandomProblem) -> Items:
    # At N = M = ∞ the error given Λ_new is Σ λ_i (1 − k_i λ_i)², k = E Λ² (E Λ³)⁻¹: at most 1 % of tr Λ_new would do.
    values, weights = problem.outcomes
    k = np.array([law.moment(2) / law.moment(3) for law in problem.laws])
    errors, traces = np.sum(values * (1 - k * values) ** 2, axis=1), values.sum(axis=1)
    expected, missed = weights @ errors / (weights @ traces), weights @ (errors > 0.01 * traces)
    yield "expected", expected, 0.01
    yield "mean", expected
    yield "probable", missed, 0.01
    yield "share", missed


def section_4_3_brittle(bench: Bench) -> Items:
    for d, n, m in ((5, 10, 25), (20, 40, 100), (20, 100, 100)):
        for name, c in (("four", 4.0), ("nine", 9.0)):
            error = expected_risk(RandomDiagonal.exponential(d), n, m, RandomDiagonal.exponential(d, c)) / d
            yield "error", c, error
            yield name, error


def section_4_3_conditional_mean(bench: Bench, problem: RandomProblem, d: int) -> Items:
    w, coefficient = bench.vector(d), np.array([law.moment(2) / law.moment(3) for law in problem.laws])
    means = np.array([law.moment(1) for law in problem.laws])
    query = bench.vector(d) * np.sqrt(means)
    posterior = np.array([_mean_given_input(law, x) for law, x in zip(problem.laws, query, strict=True)])
    size = float(np.abs(query * coefficient * means * w).sum())
    claimed = query @ (coefficient * means * w)
    found = query @ (coefficient * posterior * w) / size
    yield "dependent", found, claimed / size
    yield "change", abs(found - claimed / size)
    # An independent query says nothing about Λ_new: average the outcomes.
    values, weights = problem.outcomes
    independent = weights @ np.array([query @ (coefficient * value * w) for value in values])
    yield "independent", independent / size, claimed / size


def _spread(learner: np.ndarray, new: np.ndarray) -> float:
    """M·E(ŷ − limit)² over context, w ~ N(0, I) and x_q ~ N(0, Λ_new)."""
    return float(np.trace(new @ learner @ (new @ new + np.trace(new) * new) @ learner.T))


def _moment(xs: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(1/M)Σ(w'x_i)x_i, shape (B, d)."""
    return np.einsum("bmi,bm->bi", xs, np.einsum("bmi,bi->bm", xs, w)) / xs.shape[1]


def _mean_given_input(law: Atoms, x: float) -> float:
    """E[λ | x] for x | λ ~ N(0, λ)."""
    values = np.array(law.values)
    weights = np.array(law.probabilities) * np.exp(-(x**2) / (2 * values)) / np.sqrt(values)
    return float(weights @ values / weights.sum())


def exponential_moments(bench: Bench) -> Items:
    law = RandomDiagonal.exponential(3)
    yield "moments", [quad(lambda x: x**k * math.exp(-x), 0, math.inf)[0] for k in (1, 2, 3)], [1.0, 2.0, 6.0]
    yield "moments", np.array([law.moments(k)[0] for k in (1, 2, 3)]), [1.0, 2.0, 6.0]
    yield "moments", minimizer(law, math.inf).learner, np.eye(3) / 3
    for n in (1, 5, 40, 1000):
        d = int(bench.rng.integers(2, 30))
        yield "moments", minimizer(RandomDiagonal.exponential(d), n).learner, 1 / (3 + (d + 5) / n) * np.eye(d)


def exponential_third(bench: Bench) -> Items:
    third = minimizer(RandomDiagonal.exponential(3), math.inf).learner
    prior = quad(lambda x: x * math.exp(-x), 0, math.inf)[0]
    for _ in range(bench.count(20)):
        query, w = bench.rng.standard_normal(3) * np.sqrt(bench.rng.exponential(size=3)), bench.vector(3)
        posterior = np.array([_exponential_mean_given_input(x) for x in query])
        yield "posterior", posterior, 0.5 + np.abs(query) / math.sqrt(2)
        size = float(np.abs(query * w).sum())
        found, stated = query @ third @ (posterior * w) / size, query @ w / 3 / size
        yield "dependent", found, stated
        yield "change", abs(found - stated)
        yield "independent", query @ third @ (prior * w) / size, stated


# Two tests: the page shows the exact slope beside the sampled one.
def exponential_slope(bench: Bench) -> Items:
    d = 5
    law = RandomDiagonal.exponential(d)

    def products(draws: Draws) -> np.ndarray:
        variances, w = law.variances(draws), draws.normals("task", d)
        query = draws.normals("query", d) * np.sqrt(variances)
        return np.sum(query * variances * w, axis=1) / 3 * np.sum(query * w, axis=1) / d  # E y² = d

    found = bench.mean(products, 40_000)
    yield "slope", found, 1 / 3
    yield "found", found
    yield "exact", law.moments(2)[0] / 3  # Eλ²/3, as x_q and Λ_new vary together


def figure_1_lsa_limit(bench: Bench) -> Items:
    d = 20
    trained = RandomDiagonal.exponential(d)
    for k, (name, c) in enumerate((("one", 1.0), ("four", 4.0), ("nine", 9.0), ("identity", None))):
        stated = 4 / 9 if c is None else 6 * c**3 / 9 - 4 * c**2 / 3 + c
        test = Gaussian.isotropic(d) if c is None else RandomDiagonal.exponential(d, c)

        def score(draws: Draws) -> np.ndarray:
            variances = test.variances(draws) if isinstance(test, RandomDiagonal) else np.ones((draws.count, d))
            w, query = draws.normals("task", d), draws.normals("query", d) * np.sqrt(variances)
            return np.sum(query * (variances / 3 - 1) * w, axis=1) ** 2 / d

        yield "sampled", bench.mean(score, 18_000, k), stated
        yield "exact", expected_risk(trained, math.inf, math.inf, test) / d, stated
        yield name, stated


def _exponential_mean_given_input(x: float) -> float:
    """E[λ | x] for λ ~ Exponential(1), by integration in √λ."""

    # With λ = s² the density of (λ, x) is smooth in s.
    def density(s: float) -> float:
        return 2 * math.exp(-(x**2) / (2 * s * s) - s * s)

    above = quad(lambda s: s * s * density(s), 0, math.inf)[0]
    return above / quad(density, 0, math.inf)[0]
