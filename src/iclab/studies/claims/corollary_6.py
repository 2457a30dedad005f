# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 4.1: the error on linear prompts, what training on finite prompts leaves, and least squares (Corollary 6)."""

from __future__ import annotations

import math

import numpy as np

from iclab.foundations import Draws, Matrix
from iclab.predictors import LeastSquares, Predictor, TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.claims.bench import Bench, Problem, written_gamma
from iclab.studies.claims.claim import Items, check
from iclab.studies.claims.cubature import LinearPrompts
from iclab.studies.claims.evidence import at_most, equal, number, positive, sampled
from iclab.studies.claims.monte_carlo import mean_over_prompts, prompts_at
from iclab.studies.claims.theorem_5 import written_theorem_5
from iclab.theory import corollary6_floor, expected_risk, noisy_linear_law


@check("section-4.1-noiseless-bound", bounds=at_most())
def noiseless_bound(bench: Bench) -> Items:
    for problem in bench.problems(100, dimensions=(1, 6)):
        d, cov, n, m, trace = problem.dimension, problem.covariance, problem.n_train, problem.n_test, problem.trace
        w, inverse = bench.vector(d), np.linalg.inv(cov)
        size = w @ cov @ w
        fixed = (d + 1) * size / m + (size + 2 * trace * w @ w + trace**2 * w @ inverse @ w) / n**2
        yield "bounds", written_theorem_5(problem, m, noisy_linear_law(cov, w)), fixed
        middle = (d + 1) * trace / m + (trace + 2 * d * trace + np.trace(inverse) * trace**2) / n**2
        yield "bounds", expected_risk(problem.law, n, m), middle
        yield "bounds", middle, (d + 1) * trace / m + (1 + 2 * d + d**2 * problem.condition_number) * trace / n**2


@check("corollary-6", error=at_most())
def corollary_6(bench: Bench) -> Items:
    for problem in bench.problems(200, dimensions=(1, 6)):
        epsilon = float(np.exp(bench.rng.uniform(-7, 1))) * problem.trace
        m = math.ceil((problem.dimension + 1) * problem.trace / epsilon)
        error = expected_risk(problem.law, problem.n_train, m)
        yield "error", error, corollary6_floor(problem.covariance, problem.n_train) + epsilon


@check("corollary-6-exact", exact=equal("quadrature"), larger=sampled(2))
def corollary_6_exact(bench: Bench) -> Items:
    for k in range(bench.count(12)):
        d = 2 + k % 2
        problem, m = bench.problem(d, condition=30.0), int(bench.rng.integers(1, 5 if d == 2 else 3))
        written = _written_risk(problem, m)
        yield "exact", 2 * LinearPrompts.build(problem.covariance, m).loss(problem.trained), written
        yield "exact", expected_risk(problem.law, problem.n_train, m), written
    for k in range(2):
        problem, m = bench.problem(8, condition=10.0), 30
        law, theta = PromptDistribution(problem.law, Linear()), TrainedLSA(problem.trained)

        def score(draws: Draws) -> np.ndarray:
            return _error_of(theta, law, draws, m)

        yield "larger", mean_over_prompts(bench, score, 9_000, channel=k), _written_risk(problem, m)


@check("corollary-6-floor", floor=positive(tolerance=1e-12), below=at_most())
def corollary_6_positive(bench: Bench) -> Items:
    for problem in bench.problems(200, dimensions=(1, 6)):
        floor = expected_risk(problem.law, problem.n_train, math.inf)
        yield "floor", floor, problem.trace
        yield "below", floor, corollary6_floor(problem.covariance, problem.n_train)


@check("section-4.1-variance", scaled=equal(), grown=at_most())
def greater_variance(bench: Bench) -> Items:
    for problem in bench.problems(60):
        c = float(np.exp(bench.rng.uniform(0.1, 3)))
        n, m = problem.n_train, problem.n_test
        yield "scaled", expected_risk(Gaussian(c * problem.covariance), n, m), c * expected_risk(problem.law, n, m)
        grown = problem.covariance + np.outer(w := bench.vector(problem.dimension) * 0.3, w)
        yield "grown", expected_risk(problem.law, n, n), expected_risk(Gaussian(grown), n, n)


@check(
    "section-4.1-ill-conditioned",
    equal=at_most(),
    longer=at_most(under=True),
    lower=number(),
    higher=number(),
    short_isotropic=number(),
    short_ill=number(),
    long_isotropic=number(),
    long_ill=number(),
)
def ill_conditioned(bench: Bench) -> Items:
    def risks(covariance: Matrix, n: int, m: int) -> tuple[float, float]:
        """Of Λ ∝ I with the same trace, and of the covariance."""
        d = len(covariance)
        base = np.trace(covariance) / d * np.eye(d)
        return expected_risk(Gaussian(base), n, m), expected_risk(Gaussian(covariance), n, m)

    lower = higher = 0
    for problem in bench.problems(100, condition=1e3):
        if problem.condition_number < 1.1:
            continue
        n = 200 * problem.dimension
        equal_lengths = risks(problem.covariance, problem.n_train, problem.n_train)
        longer = risks(problem.covariance, n, 5 * n)
        lower += equal_lengths[1] < equal_lengths[0]
        higher += longer[1] > longer[0]
        yield "equal", *equal_lengths
        yield "longer", *longer
    yield "lower", lower
    yield "higher", higher
    spread = np.exp(np.linspace(0, np.log(1000), 20))
    for name, lengths in (("short", (40, 40)), ("long", (1000, 10_000))):
        isotropic, ill = risks(np.diag(20 * spread / spread.sum()), *lengths)
        yield f"{name}_isotropic", isotropic
        yield f"{name}_ill", ill


@check(
    "summary-least-squares",
    noiseless=at_most(),
    factor=equal(tolerance=1e-6, under=True),
    sampled=sampled(1, under=True),
    layer=number(),
    layer_sampled=number("Monte Carlo"),
    least_squares=number("Monte Carlo"),
)
def competitive(bench: Bench) -> Items:
    # A factor of at most 100 over least squares would count as competitive.
    d, n = 20, 40
    problem = Problem(np.eye(d), n, n, np.eye(d) / np.sqrt(d), 0.1)
    noiseless = PromptDistribution(Gaussian(np.eye(d)), Linear())
    stream = {"seed": bench.seed, "step": bench.address, "stream": "verification"}
    prompts = noiseless.sample(bench.samples(200), n + 1, **stream)
    squares = float(np.mean((LeastSquares()(prompts) - prompts.targets)[:, n] ** 2))
    layer = _written_risk(problem, n)
    yield "noiseless", layer, 100 * squares
    yield "layer", layer
    yield "least_squares", squares
    for _ in range(bench.count(20)):
        d, s2 = int(bench.rng.integers(1, 30)), float(np.exp(bench.rng.uniform(-2, 2)))
        m = 10**9
        excess = expected_risk(Gaussian(np.eye(d)), math.inf, m, noise_variance=s2)
        yield "factor", excess / (s2 * d / (m - d - 1)), (d + 1 + s2) / s2
    trained = TrainedLSA(problem.trained)
    found = mean_over_prompts(bench, lambda draws: _error_of(trained, noiseless, draws, n), 8_000, channel=1)
    yield "sampled", found, layer
    yield "layer_sampled", found


def _written_risk(problem: Problem, n_test: int) -> float:
    """trΛ − 2tr(Γ⁻¹Λ²) + tr(Γ⁻²Λ²Γ_M)."""
    cov, inverse = problem.covariance, problem.inverse
    square = cov @ cov
    spread = inverse @ inverse @ square @ written_gamma(cov, n_test)
    return float(problem.trace - 2 * np.trace(inverse @ square) + np.trace(spread))


def _error_of(predictor: Predictor, law: PromptDistribution, draws: Draws, n: int) -> np.ndarray:
    """Squared error at position n, one number per prompt."""
    prompts = prompts_at(law, draws, n + 1)
    return (predictor(prompts)[:, n] - prompts.targets[:, n]) ** 2
