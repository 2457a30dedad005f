# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 4.1 and Appendix B: convergence to a global minimum, the predictor found there, and its error."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import exp1

from iclab.foundations import Draws, Matrix, Vector
from iclab.predictors import LeastSquares, Predictor, TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.claims.bench import Bench, Problem, prompts_at, written_gamma
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import GeneralPrompts, Label, LinearPrompts, forward, root
from iclab.studies.claims.trajectories import gained, integrate, restricted_excess, restricted_loss, trajectory
from iclab.theory import (
    LabelLaw,
    LSAParameters,
    PopulationLoss,
    corollary6_floor,
    cubic_law,
    expected_risk,
    noisy_linear_law,
    predict,
    quadratic_law,
    theorem5_risk,
)
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


def theorem_5_linear(bench: Bench) -> Items:
    for problem, m in list(bench.tiny(12)):
        w, noise = bench.vector(problem.d), float(bench.rng.uniform(0, 2))
        law = noisy_linear_law(problem.cov, w, noise**2)
        yield _risk(problem, m, lambda xs: xs @ w, law, noise)


def theorem_5_quadratic(bench: Bench) -> Items:
    for problem, m in list(bench.tiny(12)):
        cov = problem.cov
        w, v, c = bench.vector(problem.d), bench.vector(problem.d), bench.normal()
        yield _risk(problem, m, _quadratic(cov, w, v, c), quadratic_law(cov, w, v, c))


def theorem_5_cubic(bench: Bench) -> Items:
    for problem, m in list(bench.tiny(12)):
        v, c = bench.vector(problem.d), bench.normal()
        yield _risk(problem, m, lambda xs: c * (xs @ v) ** 3, cubic_law(problem.cov, v, c))


def theorem_5_sampled(bench: Bench) -> Items:
    for k in range(3):
        problem = bench.problem(int(bench.rng.integers(4, 9)), condition=10.0)
        d, cov, m = problem.d, problem.cov, int(bench.rng.integers(20, 61))
        w, v, c = bench.vector(d) / d, bench.vector(d) / d, float(bench.rng.uniform(0.2, 0.6))
        theta, label = problem.trained, _quadratic(cov, w, v, c)

        def score(draws: Draws) -> np.ndarray:
            xs = Gaussian(cov).sample(draws, m + 1)
            ys = label(xs)
            return (predict(theta, xs[:, :m], ys[:, :m], xs[:, m]) - ys[:, m]) ** 2

        yield "risk", bench.mean(score, 9_000, k), written_theorem_5(problem, m, quadratic_law(cov, w, v, c))


def theorem_5_assumptions(bench: Bench) -> Items:
    # d = 1, y = |x|^(−1/2), x ~ N(0, l): E[y²; |x| > δ] = E₁(δ²/2l)/√(2πl), which grows with every decade of δ.
    # The error should be a number: it should settle as δ → 0.
    for _ in range(bench.count(20)):
        variance = float(np.exp(bench.rng.uniform(-1, 1)))
        first, second = (float(exp1(delta**2 / (2 * variance))) for delta in (1e-20, 1e-40))
        yield "settled", second, first
        yield "ratio", second / first
    for problem, m in list(bench.tiny(3)):
        w = bench.vector(problem.d)
        law = noisy_linear_law(problem.cov, w, 1.0)
        yield "finite", *_risk(problem, m, lambda xs: xs @ w, law, 1.0)[1:]


def theorem_5_rates(bench: Bench, d: int, cov: Matrix, trace: float) -> Items:
    w = bench.vector(d)
    law = noisy_linear_law(cov, w, float(bench.rng.uniform(0, 2)))
    inverse = np.linalg.inv(cov)
    by_m = np.trace(law.sigma @ inverse)  # the terms with Γ replaced by Λ ≤ Γ
    by_n = w @ cov @ w + 2 * trace * w @ w + trace**2 * w @ inverse @ w

    def excess(n: float, m: float) -> float:
        return theorem5_risk(cov, n, m, law.a, law.sigma, 0.0)

    for n in (1, 10, 1000):
        for m in (1, 10, 1000):
            yield "bound", excess(n, m), by_m / m + by_n / n**2
    large = 10**7
    yield "in_m", excess(math.inf, 10 * large) * 10, excess(math.inf, large)
    yield "in_n", excess(10 * large, math.inf) * 100, excess(large, math.inf)


def equation_15(bench: Bench, d: int, cov: Matrix) -> Items:
    w, v, c = bench.vector(d), bench.vector(d), bench.normal()
    law = quadratic_law(cov, w, v, c)
    mean, sigma = _moments_of(GeneralPrompts.build(cov, 1, _quadratic(cov, w, v, c)))
    yield "a", np.linalg.solve(cov, mean), law.a
    yield "sigma", sigma, law.sigma


def section_4_1_noiseless_sigma(bench: Bench, d: int, cov: Matrix) -> Items:
    w = bench.vector(d)
    Lw = cov @ w
    _, found = _moments_of(GeneralPrompts.build(cov, 1, lambda xs: xs @ w))
    yield "sigma", found, w @ Lw * cov + np.outer(Lw, Lw)


def written_theorem_5(problem: Problem, n_test: int, law: LabelLaw) -> float:
    """(16) as printed, term by term."""
    cov, n, trace = problem.cov, problem.n, problem.trace
    square = problem.inverse @ problem.inverse
    powers = [law.a @ square @ np.linalg.matrix_power(cov, k) @ law.a for k in (3, 2, 1)]
    second = np.trace(law.sigma @ square @ cov) / n_test
    return float(law.best + second + (powers[0] + 2 * trace * powers[1] + trace**2 * powers[2]) / n**2)


def _risk(problem: Problem, m: int, label: Label, law: LabelLaw, noise: float = 0.0) -> tuple[str, float, float]:
    """The error through the forward pass, and (16)."""
    prompts = GeneralPrompts.build(problem.cov, m, label, noise)
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


def section_4_1_noiseless_bound(
    bench: Bench, problem: Problem, d: int, cov: Matrix, n: int, m: int, trace: float
) -> Items:
    w, inverse = bench.vector(d), np.linalg.inv(cov)
    size = w @ cov @ w
    fixed = (d + 1) * size / m + (size + 2 * trace * w @ w + trace**2 * w @ inverse @ w) / n**2
    yield "bounds", written_theorem_5(problem, m, noisy_linear_law(cov, w)), fixed
    middle = (d + 1) * trace / m + (trace + 2 * d * trace + np.trace(inverse) * trace**2) / n**2
    yield "bounds", expected_risk(problem.law, n, m), middle
    yield "bounds", middle, (d + 1) * trace / m + (1 + 2 * d + d**2 * problem.condition_number) * trace / n**2


def corollary_6(bench: Bench, problem: Problem) -> Items:
    epsilon = float(np.exp(bench.rng.uniform(-7, 1))) * problem.trace
    m = math.ceil((problem.d + 1) * problem.trace / epsilon)
    error = expected_risk(problem.law, problem.n, m)
    yield "error", error, corollary6_floor(problem.cov, problem.n) + epsilon


def corollary_6_exact(bench: Bench) -> Items:
    for k in range(bench.count(12)):
        d = 2 + k % 2
        problem, m = bench.problem(d, condition=30.0), int(bench.rng.integers(1, 5 if d == 2 else 3))
        written = _written_risk(problem, m)
        yield "exact", 2 * LinearPrompts.build(problem.cov, m).loss(problem.trained), written
        yield "exact", expected_risk(problem.law, problem.n, m), written
    for k in range(2):
        problem, m = bench.problem(8, condition=10.0), 30
        law, theta = PromptDistribution(problem.law, Linear()), TrainedLSA(problem.trained)

        def score(draws: Draws) -> np.ndarray:
            return _error_of(theta, law, draws, m)

        yield "larger", bench.mean(score, 9_000, k), _written_risk(problem, m)


def corollary_6_floor(problem: Problem) -> Items:
    floor = expected_risk(problem.law, problem.n, math.inf)
    yield "floor", floor, problem.trace
    yield "below", floor, corollary6_floor(problem.cov, problem.n)


def section_4_1_variance(bench: Bench, problem: Problem, d: int, cov: Matrix, n: int, m: int) -> Items:
    c = float(np.exp(bench.rng.uniform(0.1, 3)))
    yield "scaled", expected_risk(Gaussian(c * cov), n, m), c * expected_risk(problem.law, n, m)
    grown = cov + np.outer(w := bench.vector(d) * 0.3, w)
    yield "grown", expected_risk(problem.law, n, n), expected_risk(Gaussian(grown), n, n)


def section_4_1_ill_conditioned(bench: Bench) -> Items:
    def risks(covariance: Matrix, n: int, m: int) -> tuple[float, float]:
        """Of Λ ∝ I with the same trace, and of the covariance."""
        d = len(covariance)
        base = np.trace(covariance) / d * np.eye(d)
        return expected_risk(Gaussian(base), n, m), expected_risk(Gaussian(covariance), n, m)

    lower = higher = 0
    for problem in bench.problems(100, condition=1e3):
        if problem.condition_number < 1.1:
            continue
        n = 200 * problem.d
        equal_lengths = risks(problem.cov, problem.n, problem.n)
        longer = risks(problem.cov, n, 5 * n)
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


def summary_least_squares(bench: Bench) -> Items:
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
    found = bench.mean(lambda draws: _error_of(trained, noiseless, draws, n), 8_000, 1)
    yield "sampled", found, layer
    yield "layer_sampled", found


def _written_risk(problem: Problem, n_test: int) -> float:
    """trΛ − 2tr(Γ⁻¹Λ²) + tr(Γ⁻²Λ²Γ_M)."""
    cov, inverse = problem.cov, problem.inverse
    square = cov @ cov
    spread = inverse @ inverse @ square @ written_gamma(cov, n_test)
    return float(problem.trace - 2 * np.trace(inverse @ square) + np.trace(spread))


def _error_of(predictor: Predictor, law: PromptDistribution, draws: Draws, n: int) -> np.ndarray:
    """Squared error at position n, one number per prompt."""
    prompts = prompts_at(law, draws, n + 1)
    return (predictor(prompts)[:, n] - prompts.targets[:, n]) ** 2


def appendix_b_decomposition(bench: Bench, problem: Problem, d: int, cov: Matrix, gamma: Matrix, m: int) -> Items:
    w, v, c = bench.vector(d), bench.vector(d), bench.normal()
    prompts = GeneralPrompts.build(cov, m, lambda xs: xs @ w + c * (xs @ v) ** 3)
    found = prompts.predictions(problem.trained)
    on_queries = prompts.measure.sum(axis=(0, 1))
    moment = prompts.queries.T @ (on_queries * prompts.answers)
    a, b = np.linalg.solve(cov, moment), np.linalg.solve(gamma, moment)
    of_a, of_b = prompts.queries @ a, prompts.queries @ b
    size = prompts.risk(problem.trained)
    yield "cross", prompts.mean((found - of_b) * (of_a - prompts.answers)) / size, 0.0
    yield "cross", prompts.mean((found - of_b) * (of_b - of_a)) / size, 0.0
    yield "cross", prompts.mean((of_b - of_a)[None, None] * (of_a - prompts.answers)) / size, 0.0
    xs, ys = prompts.xs[:, 0, 0, 0], prompts.ys[:, 0, 0, 0]
    on_contexts = prompts.measure.sum(axis=(1, 2))
    products = ys[:, None] * xs - moment
    sigma = np.einsum("c,ci,cj->ij", on_contexts, products, products)
    gap = np.linalg.inv(gamma) - np.linalg.inv(cov)
    square = np.linalg.inv(gamma @ gamma)
    yield "terms", prompts.mean((found - of_b) ** 2), np.trace(sigma @ square @ cov) / m
    yield "terms", prompts.mean((of_b - of_a)[None, None] ** 2), a @ cov @ gap @ cov @ gap @ cov @ a
