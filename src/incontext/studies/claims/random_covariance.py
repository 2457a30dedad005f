"""Section 4.3: training on random covariances (Theorem 8), and the Exponential example."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad

from incontext.foundations import Draws
from incontext.prompts import Gaussian, RandomDiagonal
from incontext.studies.claims.bench import Bench
from incontext.studies.claims.claim import Finding, Section
from incontext.studies.claims.cubature import LinearPrompts, forward
from incontext.studies.claims.evidence import FAILS, agreement, inequality, positivity, sampling
from incontext.studies.claims.monte_carlo import describe, mean_over_prompts
from incontext.studies.claims.random_laws import Atoms, random_problems
from incontext.theory import (
    LSAParameters,
    PopulationLoss,
    expected_risk,
    minimizer,
    minimum_loss,
    population_loss,
)

SECTION = Section("Section 4.3: random covariances")


@SECTION.claim(
    "definition-7",
    "Definition 7, (19) (arXiv Definition 4.4, (4.9))",
    "Training with random covariate distributions recovers Definition 1 when Δ is concentrated on one distribution.",
)
def definition_7(bench: Bench) -> Finding:
    pairs = []
    for _ in range(bench.count(30)):
        d, n = int(bench.rng.integers(2, 5)), int(bench.rng.integers(1, 30))
        variances = np.exp(bench.rng.uniform(-1, 1, d))
        fixed = Gaussian(np.diag(variances))
        single = RandomDiagonal([Atoms((float(v),), (1.0,)) for v in variances])
        theta = bench.parameters(d)
        pairs += [
            (population_loss(theta, single, n), population_loss(theta, fixed, n)),
            (minimizer(single, n).w_kq, minimizer(fixed, n).w_kq),
            (minimum_loss(single, n), minimum_loss(fixed, n)),
        ]
    evidence = agreement(pairs)
    return Finding(
        f"Loss at random parameters, minimiser and minimum agree to {evidence.deviation:.1e}.", "closed form", [evidence]
    )


@SECTION.claim(
    "theorem-8-convergence",
    "Theorem 8 (arXiv Theorem 4.5)",
    "From Assumption 3 with ‖EΛΘ‖_F ≠ 0 and σ below (21), gradient flow over (20) converges to a global minimum.",
)
def theorem_8_convergence(bench: Bench) -> Finding:
    left = []
    for problem in random_problems(bench, 60):
        least = np.sum(problem.mean_square * problem.target) / 2
        left.append((problem.excess(*problem.states[-1]) / least, 1e-14))
    evidence = inequality(left)
    return Finding(
        f"ℓ_rdm − min ℓ_rdm falls to at most {max(e for e, _ in left):.1e} of |min ℓ_rdm| in every problem.",
        "ODE (gradient flow), expectations over Λ_τ by enumeration",
        [evidence],
    )


@SECTION.claim(
    "theorem-8-limit",
    "Theorem 8 (arXiv Theorem 4.5)",
    "W^KQ → ‖A‖_F^{−1/2}diag(A, 0) and W^PV → ‖A‖_F^{1/2}diag(0_d, 1) with A = [EΓ_τΛ_τ²]⁻¹EΛ_τ².",
)
def theorem_8_limit(bench: Bench) -> Finding:
    pairs = []
    for problem in random_problems(bench, 60):
        d = problem.dimension
        A = np.linalg.solve(problem.expect(lambda cov, gamma: gamma @ cov @ cov), np.diag(problem.mean_square))
        size = np.sqrt(np.linalg.norm(A))
        w_pv, w_kq = np.zeros((2, d + 1, d + 1))
        w_pv[d, d], w_kq[:d, :d] = size, A / size
        found = problem.flow.parameters(problem.horizon)
        pairs += [(found.w_pv, w_pv), (found.w_kq, w_kq)]
    evidence = agreement(pairs, tolerance=1e-8)
    return Finding(
        f"Both matrices are reached to {evidence.deviation:.1e}.",
        "ODE (gradient flow), expectations over Λ_τ by enumeration",
        [evidence],
    )


@SECTION.claim(
    "theorem-8-global",
    "Theorem 8 (arXiv Theorem 4.5)",
    "The limit is a global minimum of the population loss (20), over all of θ; the proof compares it only with "
    "u12 = u21 = 0.",
    erratum=True,
)
def theorem_8_global(bench: Bench) -> Finding:
    even, odd, exact = [], [], []
    for problem in random_problems(bench, 40):
        d, loss = problem.dimension, PopulationLoss(problem.covariates, problem.n_train)
        least = loss(minimizer(problem.covariates, problem.n_train))
        for _ in range(10):
            a, u, U, b = bench.parameters(d).blocks
            size = float(np.exp(bench.rng.uniform(-4, 1)))
            V = u * U + size**2 * np.outer(a, b)
            linear = loss(LSAParameters.from_blocks(0 * a, 1.0, V, 0 * b))
            even.append((linear, loss(LSAParameters.from_blocks(size * a, u, U, size * b))))
            odd.append((linear - least, problem.excess(1.0, V)))
    for problem in random_problems(bench, 3, (2, 2)):
        theta = bench.parameters(2)
        values, weights = problem.outcomes
        n = min(problem.n_train, 2)
        found = sum(
            weight * LinearPrompts.build(np.diag(value), n).loss(theta)
            for value, weight in zip(values, weights, strict=True)
        )
        exact.append((found, population_loss(theta, problem.covariates, n)))
    evidence = [inequality(even), agreement(odd, tolerance=1e-8), agreement(exact)]
    return Finding(
        "L(θ) = (loss of the linear part) + ½E(even part)²: the first exceeds the minimum by the squares of (55) (to "
        f"{evidence[1].deviation:.1e}) and the second is positive (smallest share {evidence[0].margin_text}).",
        f"closed form on all parameters, itself checked by cubature and enumeration (to {evidence[2].deviation:.1e})",
        evidence,
    )


@SECTION.claim(
    "equation-22",
    "(22) (arXiv (4.12))",
    "At the limit the prediction is x_q'EΛ²[EΓΛ²]⁻¹((1/M)Σx_ix_i')w.",
)
def equation_22(bench: Bench) -> Finding:
    pairs = []
    for problem in random_problems(bench, 60):
        d, m = problem.dimension, int(bench.rng.integers(1, 40))
        xs, w, query = bench.rng.standard_normal((m, d)), bench.vector(d), bench.vector(d)
        found = forward(minimizer(problem.covariates, problem.n_train), xs, xs @ w, query)
        learner = np.diag(problem.mean_square) @ np.linalg.inv(problem.expect(lambda cov, gamma: gamma @ cov @ cov))
        pairs.append((found, query @ learner @ (xs.T @ (xs @ w)) / m))
    evidence = agreement(pairs, scale=1e-2)
    return Finding(
        f"It holds to {evidence.deviation:.1e}.", "forward pass; expectations over Λ_τ by enumeration", [evidence]
    )


@SECTION.claim(
    "equation-23",
    "(23) (arXiv (4.13))",
    "ŷ → x_q'EΛ²[EΓΛ²]⁻¹Λ_new w almost surely as M → ∞.",
    tests=2,
)
def equation_23(bench: Bench) -> Finding:
    means, spreads, sampled = [], [], []
    for problem in random_problems(bench, 6, (2, 2)):
        values, _ = problem.outcomes
        new = np.diag(values[int(bench.rng.integers(len(values)))])
        theta = minimizer(problem.covariates, problem.n_train)
        learner = theta.learner
        for m in (1, 2, 3):
            prompts = LinearPrompts.build(new, m)
            found = prompts.predictions(theta)
            limit = prompts.weights @ new @ learner.T @ prompts.queries.T
            on_contexts = prompts.measure.sum(axis=(1, 2))
            means.append((np.einsum("c,cwq->wq", on_contexts, found), limit))
            spreads.append((m * prompts.mean((found - limit) ** 2), prompts.mean(np.zeros(1)) + _spread(learner, new)))
    for k in range(2):
        d, m = 5, 400
        theta = minimizer(RandomDiagonal.exponential(d), 20)
        learner, new = theta.learner, np.diag(bench.rng.exponential(size=d))

        def score(draws: Draws, m=m, learner=learner, new=new, theta=theta) -> np.ndarray:
            xs = Gaussian(new).sample(draws, m + 1)
            w = draws.normals("task", len(new))
            found = np.einsum("bi,ij,bj->b", xs[:, m], learner, _moment(xs[:, :m], w))
            return m * (found - np.einsum("bi,ij,jk,bk->b", xs[:, m], learner, new, w)) ** 2

        sampled.append((mean_over_prompts(bench, score, 3_000, channel=k), _spread(learner, new)))
    evidence = [agreement(means), agreement(spreads), sampling(sampled, bench.critical, resolution=0.1)]
    return Finding(
        f"E[ŷ | x_q, w, Λ_new] is the limit for every M (to {evidence[0].deviation:.1e}) and M·E(ŷ − limit)² is constant "
        f"(to {evidence[1].deviation:.1e}; |z| ≤ {evidence[2].deviation:.2f} at M = 400): the law of large numbers.",
        f"Gaussian cubature through the forward pass; {describe([e for e, _ in sampled])}",
        evidence,
    )


@SECTION.claim(
    "section-4.3-failure",
    "Section 4.3, after (23), and abstract",
    "For random Λ_τ, EΛ²[EΓΛ²]⁻¹Λ_new is in general not close to I: an error remains even when N, M → ∞; when Λ_τ is "
    "deterministic it vanishes.",
)
def section_4_3_failure(bench: Bench) -> Finding:
    remains, vanishes = [], []
    for problem in random_problems(bench, 60):
        trace = sum(law.moment(1) for law in problem.laws)
        remains.append((expected_risk(problem.covariates, math.inf, math.inf), trace))
        fixed = Gaussian(np.diag([law.moment(1) for law in problem.laws]))
        vanishes.append((expected_risk(fixed, math.inf, math.inf) / trace, 1e-12))
    exponential = expected_risk(RandomDiagonal.exponential(4), math.inf, math.inf) / 4
    evidence = [positivity(remains, strict=True, tolerance=1e-6), inequality(vanishes)]
    return Finding(
        f"At N = M = ∞ between {evidence[0].margin:.2g} and {max(r / t for r, t in remains):.2g} of E tr Λ remains; for "
        f"Exponential(1) variances {exponential:.4f} per dimension; for deterministic Λ nothing.",
        "closed form",
        evidence,
    )


@SECTION.claim(
    "section-4.3-brittle",
    "abstract and Section 4.3",
    "Even when trained on a variety of covariate distributions, the layer fails under covariate shift: on c·diag(Exp(1)) "
    "with c = 4, 9 its error exceeds that of predicting zero.",
)
def brittle(bench: Bench) -> Finding:
    pairs, texts = [], []
    for d, n, m in ((5, 10, 25), (20, 40, 100), (20, 100, 100)):
        for c in (4.0, 9.0):
            test = RandomDiagonal.exponential(d, c)
            error = expected_risk(RandomDiagonal.exponential(d), n, m, test) / d
            pairs.append((c, error))
            texts.append(f"{error:.0f}")
    evidence = inequality(pairs, strict=True)
    return Finding(
        f"Error/d is {', '.join(texts)} for c = 4, 9 at (d, N, M) = (5, 10, 25), (20, 40, 100), (20, 100, 100), where "
        "predicting zero has 4 and 9.",
        "closed form (exact risk over w and Λ_new)",
        [evidence],
    )


@SECTION.claim(
    "exponential-moments",
    "Section 4.3, the Exponential example",
    "For λ_i iid Exponential(1), EΛ = I, EΛ² = 2I, EΛ³ = 6I, so EΛ²(EΛ³)⁻¹ = ⅓I as N → ∞.",
)
def exponential_moments(bench: Bench) -> Finding:
    moments = [quad(lambda x, k=k: x**k * math.exp(-x), 0, math.inf)[0] for k in (1, 2, 3)]
    law = RandomDiagonal.exponential(3)
    pairs = [
        (moments, [1.0, 2.0, 6.0]),
        (np.array([law.moments(k)[0] for k in (1, 2, 3)]), [1.0, 2.0, 6.0]),
        (minimizer(law, math.inf).learner, np.eye(3) / 3),
    ]
    for n in (1, 5, 40, 1000):
        d = int(bench.rng.integers(2, 30))
        k = 1 / (3 + (d + 5) / n)
        pairs.append((minimizer(RandomDiagonal.exponential(d), n).learner, k * np.eye(d)))
    evidence = agreement(pairs)
    return Finding(
        f"It holds to {evidence.deviation:.1e}; at finite N the coefficient is 1/(3 + (d + 5)/N).",
        "numerical integration and closed form",
        [evidence],
    )


@SECTION.claim(
    "section-4.3-conditional-mean",
    "Section 4.3, display before the Exponential example",
    "E[ŷ | x_q, w] → x_q'EΛ²(EΛ³)⁻¹[EΛ]w as M, N → ∞.",
    condition="x_q is independent of Λ_new",
    erratum=True,
)
def conditional_mean(bench: Bench) -> Finding:
    stated, under = [], []
    for problem in random_problems(bench, 40):
        d = problem.dimension
        w, coefficient = bench.vector(d), np.array([law.moment(2) / law.moment(3) for law in problem.laws])
        means = np.array([law.moment(1) for law in problem.laws])
        query = bench.vector(d) * np.sqrt(means)
        posterior = np.array([_mean_given_input(law, x) for law, x in zip(problem.laws, query, strict=True)])
        size = float(np.abs(query * coefficient * means * w).sum())
        claimed = query @ (coefficient * means * w)
        stated.append((query @ (coefficient * posterior * w) / size, claimed / size))
        # An independent query says nothing about Λ_new: average the outcomes.
        values, weights = problem.outcomes
        independent = weights @ np.array([query @ (coefficient * value * w) for value in values])
        under.append((independent / size, claimed / size))
    outcome, conditional = agreement(stated, scale=1e-2), agreement(under, scale=1e-2)
    return Finding(
        f"x_q ~ N(0, Λ_new) carries information on Λ_new: E[λ_i | x_qi] replaces Eλ_i, a change of up to "
        f"{max(abs(f - s) for f, s in stated):.2f} of the terms' size.",
        "closed form (Bayes' rule over the values of λ)",
        [outcome],
        [conditional],
    )


@SECTION.claim(
    "exponential-third",
    "Section 4.3, the Exponential example",
    "E[ŷ | x_q, w] → ⅓⟨w, x_q⟩.",
    condition="x_q is independent of Λ_new (otherwise it is ⅓Σw_ix_qi(½ + |x_qi|/√2))",
    erratum=True,
)
def exponential_third(bench: Bench) -> Finding:
    stated, under, formula = [], [], []
    third = minimizer(RandomDiagonal.exponential(3), math.inf).learner
    for _ in range(bench.count(20)):
        query, w = bench.rng.standard_normal(3) * np.sqrt(bench.rng.exponential(size=3)), bench.vector(3)
        posterior = np.array([_exponential_mean_given_input(x) for x in query])
        formula.append((posterior, 0.5 + np.abs(query) / math.sqrt(2)))
        size = float(np.abs(query * w).sum())
        stated.append((query @ third @ (posterior * w) / size, query @ w / 3 / size))
        prior = quad(lambda x: x * math.exp(-x), 0, math.inf)[0]
        under.append((query @ third @ (prior * w) / size, query @ w / 3 / size))
    mean = agreement(formula, tolerance=1e-7)
    return Finding(
        f"E[λ | x] = ½ + |x|/√2 (to {mean.deviation:.0e}), not 1: the conditional mean differs from ⅓⟨w, x_q⟩ by up to "
        f"{max(abs(f - s) for f, s in stated):.2f} of Σ|w_ix_qi|; it is ⅓⟨w, x_q⟩ for a query independent of Λ_new.",
        "numerical integration over λ",
        [agreement(stated, scale=1e-2)],
        [agreement(under, scale=1e-2), mean],
    )


@SECTION.claim(
    "exponential-slope",
    "Section 4.3, the Exponential example, read as a shrinkage",
    "The prediction is one third of the truth on average: the least-squares slope of ŷ on y is ⅓.",
    expected=FAILS,
    tests=2,
    erratum=True,
)
def exponential_slope(bench: Bench) -> Finding:
    d = 5
    law = RandomDiagonal.exponential(d)

    def products(draws: Draws) -> np.ndarray:
        variances, w = law.variances(draws), draws.normals("task", d)
        query = draws.normals("query", d) * np.sqrt(variances)
        return np.sum(query * variances * w, axis=1) / 3 * np.sum(query * w, axis=1) / d  # E y² = d

    found = mean_over_prompts(bench, products, 200_000)
    wrong = sampling([(found, 1 / 3)], bench.critical)
    right = sampling([(found, 2 / 3)], bench.critical)
    return Finding(
        f"The slope E[ŷy]/E[y²] is {found.value:.4f} ± {found.standard_error:.4f}; exactly it is Eλ²/3 = 2/3 (z = "
        f"{found.z_score(2 / 3):.2f}, {right.outcome.value}), as x_q and Λ_new vary together.",
        describe([found]),
        [wrong],
    )


@SECTION.claim(
    "figure-1-lsa-limit",
    "Figure 1, the line 'LSA limit'",
    "By (23), as M, N → ∞ the layer trained on diag(Exp(1)) has error/d c³·6/9 − 4c²/3 + c on c·diag(Exp(1)) and 4/9 on "
    "I (the paper draws the line without numbers).",
    tests=4,
)
def lsa_limit(bench: Bench) -> Finding:
    d, pairs, closed = 20, [], []
    trained = RandomDiagonal.exponential(d)
    for k, c in enumerate((1.0, 4.0, 9.0, None)):
        stated = 4 / 9 if c is None else 6 * c**3 / 9 - 4 * c**2 / 3 + c
        test = Gaussian.isotropic(d) if c is None else RandomDiagonal.exponential(d, c)

        def score(draws: Draws, test=test) -> np.ndarray:
            variances = test.variances(draws) if isinstance(test, RandomDiagonal) else np.ones((draws.count, d))
            w, query = draws.normals("task", d), draws.normals("query", d) * np.sqrt(variances)
            return np.sum(query * (variances / 3 - 1) * w, axis=1) ** 2 / d

        pairs.append((mean_over_prompts(bench, score, 100_000, channel=k), stated))
        closed.append((expected_risk(trained, math.inf, math.inf, test) / d, stated))
    evidence = [sampling(pairs, bench.critical), agreement(closed)]
    return Finding(
        "Error/d is " + ", ".join(f"{stated:.4g}" for _, stated in pairs) + " for c = 1, 4, 9 and identity (zero estimator "
        f"1, 4, 9, 1); sampled within |z| ≤ {evidence[0].deviation:.2f}.",
        f"closed form; {describe([e for e, _ in pairs])}",
        evidence,
    )


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


def _exponential_mean_given_input(x: float) -> float:
    """E[λ | x] for λ ~ Exponential(1), by integration in √λ."""
    # With λ = s² the density of (λ, x) is smooth in s.
    def density(s: float) -> float:
        return 2 * math.exp(-(x**2) / (2 * s * s) - s * s)

    above = quad(lambda s: s * s * density(s), 0, math.inf)[0]
    return above / quad(density, 0, math.inf)[0]
