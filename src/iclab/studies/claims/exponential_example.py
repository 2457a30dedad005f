# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 4.3, the Exponential example: training on Λ = diag(λ_1, …, λ_d) with λ_i ~ Exponential(1)."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad

from iclab.foundations import Draws
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.claim import Items, check
from iclab.studies.claims.evidence import equal, number, sampled
from iclab.studies.claims.monte_carlo import mean_over_prompts
from iclab.theory import expected_risk, minimizer


@check("exponential-moments", moments=equal("quadrature"))
def exponential_moments(bench: Bench) -> Items:
    law = RandomDiagonal.exponential(3)
    yield "moments", [quad(lambda x: x**k * math.exp(-x), 0, math.inf)[0] for k in (1, 2, 3)], [1.0, 2.0, 6.0]
    yield "moments", np.array([law.moments(k)[0] for k in (1, 2, 3)]), [1.0, 2.0, 6.0]
    yield "moments", minimizer(law, math.inf).learner, np.eye(3) / 3
    for n in (1, 5, 40, 1000):
        d = int(bench.rng.integers(2, 30))
        yield "moments", minimizer(RandomDiagonal.exponential(d), n).learner, 1 / (3 + (d + 5) / n) * np.eye(d)


@check(
    "exponential-third",
    dependent=equal("quadrature", scale=1e-2),
    independent=equal("quadrature", scale=1e-2, under=True),
    posterior=equal("quadrature", tolerance=1e-7, under=True),
    change=number("quadrature"),
)
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
@check("exponential-slope", slope=sampled(2), found=number("Monte Carlo"), exact=number())
def exponential_slope(bench: Bench) -> Items:
    d = 5
    law = RandomDiagonal.exponential(d)

    def products(draws: Draws) -> np.ndarray:
        variances, w = law.variances(draws), draws.normals("task", d)
        query = draws.normals("query", d) * np.sqrt(variances)
        return np.sum(query * variances * w, axis=1) / 3 * np.sum(query * w, axis=1) / d  # E y² = d

    found = mean_over_prompts(bench, products, 40_000)
    yield "slope", found, 1 / 3
    yield "found", found
    yield "exact", law.moments(2)[0] / 3  # Eλ²/3, as x_q and Λ_new vary together


@check(
    "figure-1-lsa-limit",
    sampled=sampled(4),
    exact=equal(),
    one=number(),
    four=number(),
    nine=number(),
    identity=number(),
)
def lsa_limit(bench: Bench) -> Items:
    d = 20
    trained = RandomDiagonal.exponential(d)
    for k, (name, c) in enumerate((("one", 1.0), ("four", 4.0), ("nine", 9.0), ("identity", None))):
        stated = 4 / 9 if c is None else 6 * c**3 / 9 - 4 * c**2 / 3 + c
        test = Gaussian.isotropic(d) if c is None else RandomDiagonal.exponential(d, c)

        def score(draws: Draws) -> np.ndarray:
            variances = test.variances(draws) if isinstance(test, RandomDiagonal) else np.ones((draws.count, d))
            w, query = draws.normals("task", d), draws.normals("query", d) * np.sqrt(variances)
            return np.sum(query * (variances / 3 - 1) * w, axis=1) ** 2 / d

        yield "sampled", mean_over_prompts(bench, score, 18_000, channel=k), stated
        yield "exact", expected_risk(trained, math.inf, math.inf, test) / d, stated
        yield name, stated


def _exponential_mean_given_input(x: float) -> float:
    """E[λ | x] for λ ~ Exponential(1), by integration in √λ."""

    # With λ = s² the density of (λ, x) is smooth in s.
    def density(s: float) -> float:
        return 2 * math.exp(-(x**2) / (2 * s * s) - s * s)

    above = quad(lambda s: s * s * density(s), 0, math.inf)[0]
    return above / quad(density, 0, math.inf)[0]
