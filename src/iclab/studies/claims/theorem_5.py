# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 4.1: the error of the trained layer on prompts of any law with Gaussian inputs (Theorem 5)."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import exp1

from iclab.foundations import Draws
from iclab.prompts import Gaussian
from iclab.studies.claims.bench import Bench, Problem
from iclab.studies.claims.claim import Items, check
from iclab.studies.claims.cubature import GeneralPrompts, Label
from iclab.studies.claims.evidence import at_most, equal, number, sampled
from iclab.studies.claims.monte_carlo import Drawn, squared_error
from iclab.theory import LabelLaw, cubic_law, noisy_linear_law, predict, quadratic_law, theorem5_risk


@check("theorem-5-linear", risk=equal("quadrature"))
def theorem_5_linear(bench: Bench) -> Items:
    for problem, m in list(bench.tiny(12)):
        w, noise = bench.vector(problem.dimension), float(bench.rng.uniform(0, 2))
        law = noisy_linear_law(problem.covariance, w, noise**2)
        yield _risk(problem, m, lambda xs: xs @ w, law, noise)


@check("theorem-5-quadratic", risk=equal("quadrature"))
def theorem_5_quadratic(bench: Bench) -> Items:
    for problem, m in list(bench.tiny(12)):
        cov = problem.covariance
        w, v, c = bench.vector(problem.dimension), bench.vector(problem.dimension), bench.normal()
        yield _risk(problem, m, _quadratic(cov, w, v, c), quadratic_law(cov, w, v, c))


@check("theorem-5-cubic", risk=equal("quadrature"))
def theorem_5_cubic(bench: Bench) -> Items:
    for problem, m in list(bench.tiny(12)):
        v, c = bench.vector(problem.dimension), bench.normal()
        yield _risk(problem, m, lambda xs: c * (xs @ v) ** 3, cubic_law(problem.covariance, v, c))


@check("theorem-5-sampled", risk=sampled(3))
def theorem_5_sampled(bench: Bench) -> Items:
    for k in range(3):
        problem = bench.problem(int(bench.rng.integers(4, 9)), condition=10.0)
        d, cov, m = problem.dimension, problem.covariance, int(bench.rng.integers(20, 61))
        w, v, c = bench.vector(d) / d, bench.vector(d) / d, float(bench.rng.uniform(0.2, 0.6))
        theta, label = problem.trained, _quadratic(cov, w, v, c)

        def draw(draws: Draws) -> Drawn:
            xs = Gaussian(cov).sample(draws, m + 1)
            ys = label(xs)
            return xs[:, :m], ys[:, :m], xs[:, m], ys[:, m]

        found = squared_error(bench, draw, lambda x, y, q, t=theta: predict(t, x, y, q), 9_000, channel=k)
        yield "risk", found, written_theorem_5(problem, m, quadratic_law(cov, w, v, c))


@check("theorem-5-assumptions", settled=equal(), finite=equal("quadrature", under=True), ratio=number())
def theorem_5_assumptions(bench: Bench) -> Items:
    # d = 1, y = |x|^(−1/2), x ~ N(0, l): E[y²; |x| > δ] = E₁(δ²/2l)/√(2πl), which grows with every decade of δ.
    # The error should be a number: it should settle as δ → 0.
    for _ in range(bench.count(20)):
        variance = float(np.exp(bench.rng.uniform(-1, 1)))
        first, second = (float(exp1(delta**2 / (2 * variance))) for delta in (1e-20, 1e-40))
        yield "settled", second, first
        yield "ratio", second / first
    for problem, m in list(bench.tiny(3)):
        w = bench.vector(problem.dimension)
        law = noisy_linear_law(problem.covariance, w, 1.0)
        yield "finite", *_risk(problem, m, lambda xs: xs @ w, law, 1.0)[1:]


@check("theorem-5-rates", bound=at_most(), in_m=equal(tolerance=1e-2), in_n=equal(tolerance=1e-2))
def theorem_5_rates(bench: Bench) -> Items:
    for problem in bench.problems(60):
        cov, w = problem.covariance, bench.vector(problem.dimension)
        law = noisy_linear_law(cov, w, float(bench.rng.uniform(0, 2)))
        inverse = np.linalg.inv(cov)
        by_m = np.trace(law.sigma @ inverse)  # the terms with Γ replaced by Λ ≤ Γ
        by_n = w @ cov @ w + 2 * problem.trace * w @ w + problem.trace**2 * w @ inverse @ w

        def excess(n: float, m: float) -> float:
            return theorem5_risk(cov, n, m, law.a, law.sigma, 0.0)

        for n in (1, 10, 1000):
            for m in (1, 10, 1000):
                yield "bound", excess(n, m), by_m / m + by_n / n**2
        large = 10**7
        yield "in_m", excess(math.inf, 10 * large) * 10, excess(math.inf, large)
        yield "in_n", excess(10 * large, math.inf) * 100, excess(large, math.inf)


@check("equation-15", a=equal("quadrature"), sigma=equal("quadrature"))
def equation_15(bench: Bench) -> Items:
    for problem in bench.problems(20, dimensions=(1, 3), condition=30.0):
        d, cov = problem.dimension, problem.covariance
        w, v, c = bench.vector(d), bench.vector(d), bench.normal()
        law = quadratic_law(cov, w, v, c)
        mean, sigma = _moments_of(GeneralPrompts.build(cov, 1, _quadratic(cov, w, v, c)))
        yield "a", np.linalg.solve(cov, mean), law.a
        yield "sigma", sigma, law.sigma


@check("section-4.1-noiseless-sigma", sigma=equal("quadrature"))
def noiseless_sigma(bench: Bench) -> Items:
    for problem in bench.problems(40, dimensions=(1, 3)):
        w = bench.vector(problem.dimension)
        Lw = problem.covariance @ w
        _, found = _moments_of(GeneralPrompts.build(problem.covariance, 1, lambda xs: xs @ w))
        yield "sigma", found, w @ Lw * problem.covariance + np.outer(Lw, Lw)


def written_theorem_5(problem: Problem, n_test: int, law: LabelLaw) -> float:
    """(16) as printed, term by term."""
    cov, n, trace = problem.covariance, problem.n_train, problem.trace
    square = problem.inverse @ problem.inverse
    powers = [law.a @ square @ np.linalg.matrix_power(cov, k) @ law.a for k in (3, 2, 1)]
    second = np.trace(law.sigma @ square @ cov) / n_test
    return float(law.best + second + (powers[0] + 2 * trace * powers[1] + trace**2 * powers[2]) / n**2)


def _risk(problem: Problem, m: int, label: Label, law: LabelLaw, noise: float = 0.0) -> tuple[str, float, float]:
    """The error through the forward pass, and (16)."""
    prompts = GeneralPrompts.build(problem.covariance, m, label, noise)
    return "risk", prompts.risk(problem.trained), written_theorem_5(problem, m, law)


def _quadratic(cov: np.ndarray, w: np.ndarray, v: np.ndarray, c: float) -> Label:
    """Labels y = w'x + c((v'x)² − v'Λv)."""
    q = float(v @ cov @ v)
    return lambda xs: xs @ w + c * ((xs @ v) ** 2 - q)


def _moments_of(prompts: GeneralPrompts) -> tuple[np.ndarray, np.ndarray]:
    """E[yx] and Cov(xy), from prompts of one example."""
    products = (prompts.ys[:, 0, 0, :, None] * prompts.xs[:, 0, 0])[:, 0]
    weights = prompts.measure.sum(axis=(1, 2))
    mean = weights @ products
    return mean, np.einsum("c,ci,cj->ij", weights, products, products) - np.outer(mean, mean)
