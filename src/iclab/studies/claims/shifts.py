# ruff: noqa: D103 (what a check is about stands in its claim)
"""Section 4.2: task, query and covariate shifts."""

from __future__ import annotations

import math

import numpy as np

from iclab.foundations import Draws, Matrix
from iclab.predictors import LeastSquares
from iclab.prompts import Gaussian, Prompts
from iclab.studies.claims.bench import Bench, written_gamma
from iclab.studies.claims.claim import Finding, Section
from iclab.studies.claims.cubature import GeneralPrompts, LinearPrompts, forward, root
from iclab.studies.claims.evidence import agreement, inequality, positivity, sampling
from iclab.studies.claims.monte_carlo import Drawn, describe, squared_error
from iclab.theory import LSAParameters, minimizer, predict, shift_risk

SECTION = Section("Section 4.2: distribution shifts")


@SECTION.claim(
    "equation-17",
    "(17) (arXiv (4.7))",
    r"For $N$ large, $x_q^\top\Gamma^{-1}\frac1M\sum y_ix_i \approx x_q^\top\Lambda^{-1}\frac1M\sum y_ix_i$.",
)
def equation_17(bench: Bench) -> Finding:
    pairs, sizes = [], []
    for problem in bench.problems(60):
        cov = problem.covariance
        inverse = np.linalg.inv(cov)
        first_order = np.eye(problem.dimension) + problem.trace * inverse  # N(I − Γ⁻¹Λ) → I + trΛ Λ⁻¹
        n = 10**9
        gap = np.eye(problem.dimension) - np.linalg.solve(written_gamma(cov, n), cov)
        pairs.append((n * gap, first_order))
        sizes.append((float(np.linalg.norm(gap, 2)), 1e-3))
    evidence = [agreement(pairs, tolerance=1e-3), inequality(sizes)]
    return Finding(
        "The relative difference I − Γ⁻¹Λ is (I + trΛ Λ⁻¹)/N to first order (deviation "
        f"{evidence[0].deviation:.1e} at N = 10⁹): the approximation needs N ≫ trΛ/λ_min.",
        "closed form",
        evidence,
    )


@SECTION.claim(
    "section-4.2-exact-error",
    "Section 4.2, the error under shift (the paper gives approximations only)",
    r"With $x_i \sim N(0, \Lambda')$, $x_q \sim N(0, \Lambda_q)$, $W = ww^\top$ for any $w$ and noise $s^2$, $E(\hat "
    r"y - x_q^\top w)^2 = \mathrm{tr}(\Lambda_q[K((1 + \frac1M)\Lambda' W\Lambda' + "
    r"\frac1M\mathrm{tr}(W\Lambda')\Lambda')K^\top - K\Lambda' W - W\Lambda' K^\top + W]) + "
    r"\frac{s^2}{M}\mathrm{tr}(\Lambda_qK\Lambda' K^\top)$.",
    tests=4,
)
def exact_error(bench: Bench) -> Finding:
    exact, sampled = [], []
    for k in range(bench.count(12)):
        d, m = ((2, 3), (2, 1), (3, 2))[k % 3]
        context, query, R = bench.covariance(d, 10.0), bench.covariance(d, 10.0), bench.rng.standard_normal((d, d))
        theta = _linear_layer(bench.rng.standard_normal((d, d)))
        prompts = LinearPrompts.build(context, m, query_covariance=query, weight_root=R)
        exact.append((2 * prompts.loss(theta), _written_shift(theta.learner, context, query, m, R @ R.T, 0.0)))
    for _ in range(bench.count(6)):
        problem = bench.problem(2, condition=10.0)
        w, noise = bench.vector(2), float(bench.rng.uniform(0.1, 2))
        theta = problem.trained
        prompts = GeneralPrompts.build(problem.covariance, 2, lambda xs, w=w: xs @ w, noise)
        stated = _written_shift(theta.learner, problem.covariance, problem.covariance, 2, np.outer(w, w), noise**2)
        exact.append((prompts.risk(theta) - noise**2, stated))
    for k in range(4):
        problem = bench.problem(5, condition=10.0)
        d, m, n = 5, int(bench.rng.integers(10, 40)), max(problem.n_train, 10)
        context, query = bench.covariance(d, 10.0), bench.covariance(d, 10.0)
        w, noise = bench.vector(d), float(bench.rng.uniform(0, 1))
        theta = minimizer(Gaussian(problem.covariance), n)

        def draw(
            draws: Draws,
            context: np.ndarray = context,
            query: np.ndarray = query,
            w: np.ndarray = w,
            noise: float = noise,
            m: int = m,
        ) -> Drawn:
            xs = Gaussian(context).sample(draws, m)
            asked = draws.normals("query", len(w)) @ root(query).T
            return xs, xs @ w + noise * draws.normals("noise", m), asked, asked @ w

        found = squared_error(bench, draw, lambda x, y, q, t=theta: predict(t, x, y, q), 8_000, channel=k)
        sampled.append((found, shift_risk(theta.learner, context, query, m, np.outer(w, w), noise**2)))
    evidence = [agreement(exact), sampling(sampled, bench.critical)]
    return Finding(
        f"It holds to {evidence[0].deviation:.1e} by cubature, covariances that do not commute included, and within "
        f"|z| ≤ {evidence[1].deviation:.2f} at d = 5.",
        f"Gaussian cubature through the forward pass; {describe([e for e, _ in sampled])}",
        evidence,
    )


@SECTION.claim(
    "task-shift-noise",
    "Section 4.2, task shifts",
    r"For $y_i = \langle w, x_i\rangle + \varepsilon_i$ with independent sub-Gaussian noise, "
    r"$x_q^\top\Lambda^{-1}\frac1M\sum\varepsilon_ix_i$ has mean zero and $\hat y \approx x_q^\top w$ when $N$ and "
    r"$M$ are large.",
)
def task_shift_noise(bench: Bench) -> Finding:
    means, limits = [], []
    for k in range(bench.count(9)):
        d, m = ((2, 2), (2, 1), (3, 1))[k % 3]
        problem = bench.problem(d, condition=10.0)
        w, theta = bench.vector(d), problem.trained
        # Signs ±1: sub-Gaussian and not Gaussian, and enumerated exactly.
        noisy = GeneralPrompts.build(problem.covariance, m, lambda xs, w=w: xs @ w, 2.0)
        found = np.einsum("ceq,ceq->q", noisy.measure, noisy.predictions(theta)) / noisy.measure.sum(axis=(0, 1))
        means.append((found, noisy.queries @ np.linalg.solve(problem.gamma, problem.covariance @ w)))
    for problem in bench.problems(40):
        cov, d = problem.covariance, problem.dimension
        w, s2 = bench.vector(d), float(bench.rng.uniform(0, 4))
        learner, m = np.linalg.inv(cov), 10**10  # N = ∞
        error = _written_shift(learner, cov, cov, m, np.outer(w, w), s2)
        limits.append((error / (w @ cov @ w + s2), 1e-6))
    evidence = [agreement(means), inequality(limits)]
    return Finding(
        f"The noise leaves E[ŷ | x_q] = x_q'Γ⁻¹Λw unchanged (to {evidence[0].deviation:.1e}, signs as noise) and the "
        f"error is at most {max(e for e, _ in limits):.0e} of the label variance at N = ∞, M = 10¹⁰.",
        "cubature with enumerated signs through the forward pass; closed form",
        evidence,
    )


@SECTION.claim(
    "task-shift-any-weight",
    "Section 4.2, task shifts",
    r"The calculation holds for an arbitrary vector $w$, not just those drawn from $N(0, I)$ or of a particular norm.",
)
def task_shift_any_weight(bench: Bench) -> Finding:
    pairs, scaling = [], []
    for problem in bench.problems(40):
        d, cov, m = problem.dimension, problem.covariance, problem.n_test
        w = bench.rng.standard_cauchy(d) * np.exp(bench.rng.uniform(-5, 5))
        xs, query = bench.rng.standard_normal((m, d)) @ root(cov).T, bench.vector(d)
        theta = minimizer(Gaussian(cov), problem.n_train)
        found = forward(theta, xs, xs @ w, query)
        size = np.linalg.norm(w)
        scaling.append((found / size, forward(theta, xs, xs @ (w / size), query)))
        error = _written_shift(np.linalg.inv(cov), cov, cov, 10**10, np.outer(w, w), 0.0)
        pairs.append((error / (w @ cov @ w), 1e-6))
    evidence = [agreement(scaling, scale=1e-2), inequality(pairs)]
    return Finding(
        f"The prediction is linear in w (to {evidence[0].deviation:.1e}); at N = ∞, M = 10¹⁰ the error is below "
        f"{max(e for e, _ in pairs):.0e} of w'Λw for w of any size.",
        "forward pass and closed form",
        evidence,
    )


@SECTION.claim(
    "query-shift",
    "(18) (arXiv (4.8))",
    r"Very general shifts of the query distribution are tolerated: $\hat y \to x_q^\top w$ when $N$ and $M$ are large "
    r"and $x_i \sim N(0, \Lambda)$.",
)
def query_shift(bench: Bench) -> Finding:
    pairs, ordered = [], []
    for problem in bench.problems(60):
        d, cov = problem.dimension, problem.covariance
        query = bench.covariance(d, 1e3)
        w = bench.vector(d)
        errors = [
            shift_risk(np.linalg.inv(written_gamma(cov, n)), cov, query, n, np.outer(w, w)) / (w @ query @ w)
            for n in (10**6, 10**8, 10**12)
        ]
        pairs.append((errors[2], 1e-5))
        ordered += [(errors[1], errors[0]), (errors[2], errors[1])]
    evidence = [inequality(pairs), inequality(ordered)]
    return Finding(
        f"For random query covariances the error falls to at most {max(e for e, _ in pairs):.0e} of w'Λ_qw at N = M = "
        "10¹², monotonically along 10⁶, 10⁸, 10¹².",
        "closed form (exact error under shift)",
        evidence,
    )


@SECTION.claim(
    "query-orthogonal",
    "Section 4.2, query shifts",
    r"If the query is orthogonal to the span of the $x_i$, the prediction is zero.",
    condition="Γ ∝ I or the query is an eigenvector of Γ",
    erratum=True,
)
def query_orthogonal(bench: Bench) -> Finding:
    stated, under = [], []
    for problem in bench.problems(60, dimensions=(3, 6)):
        d, n = problem.dimension, problem.n_train
        m = int(bench.rng.integers(1, d))
        xs, w = bench.rng.standard_normal((m, d)) @ root(problem.covariance).T, bench.vector(d)
        basis = np.linalg.svd(xs)[2]
        query = basis[-1]  # of length 1, orthogonal to every x_i
        theta = minimizer(Gaussian(problem.covariance), n)
        size = np.linalg.norm(np.linalg.inv(problem.gamma) @ (xs.T @ (xs @ w)) / m)
        stated.append((forward(theta, xs, xs @ w, query) / size, 0.0))
        isotropic = minimizer(Gaussian(np.eye(d)), n)
        under.append((forward(isotropic, xs, xs @ w, query) / size, 0.0))
        eigenvector = np.linalg.eigh(problem.covariance)[1][:, int(bench.rng.integers(d))]
        projected = xs - np.outer(xs @ eigenvector, eigenvector)
        under.append((forward(theta, projected, projected @ w, eigenvector) / size, 0.0))
    outcome, conditional = agreement(stated, scale=1.0), agreement(under, scale=1.0)
    return Finding(
        f"|ŷ| reaches {outcome.deviation:.2f} of its largest value over unit queries for anisotropic Λ; it is 0 (to "
        f"{conditional.deviation:.0e}) for Λ ∝ I and for queries that are eigenvectors of Γ.",
        "forward pass at (11), M < d",
        [outcome],
        [conditional],
    )


@SECTION.claim(
    "covariate-shift",
    "Section 4.2, covariate shifts",
    r"When the covariate laws of training and test differ, (18) fails: $\frac1M\sum x_ix_i^\top$ does not cancel "
    r"$\Gamma^{-1}$ for large $M, N$.",
)
def covariate_shift(bench: Bench) -> Finding:
    pairs, exact = [], []
    for problem in bench.problems(60):
        d, cov = problem.dimension, problem.covariance
        other, w = bench.covariance(d, 1e2), bench.vector(d)
        K = np.linalg.inv(cov)
        error = shift_risk(K, other, other, math.inf, np.outer(w, w))
        residual = K @ other @ w - w
        exact.append((error, residual @ other @ residual))
        pairs.append((error, w @ other @ w))
    evidence = [positivity(pairs, strict=True, tolerance=1e-6), agreement(exact)]
    return Finding(
        f"At N = M = ∞ the error ‖(Λ⁻¹Λ' − I)w‖²_Λ' is between {evidence[0].margin:.1e} and "
        f"{max(e / s for e, s in pairs):.0e} of w'Λ'w for random Λ' ≠ Λ.",
        "closed form",
        evidence,
    )


@SECTION.claim(
    "covariate-shift-scaling",
    "Section 4.2, the scaling example",
    r"If covariates are scaled by $c \ne 1$, $\hat y \to c^2x_q^\top w \ne x_q^\top w$.",
)
def covariate_shift_scaling(bench: Bench) -> Finding:
    means, limits, wrong = [], [], []
    for problem in bench.problems(16, dimensions=(2, 3), condition=10.0):
        d, cov = problem.dimension, problem.covariance
        c = float(bench.rng.choice([1 / 3, 0.5, 2.0, 3.0]))
        K = np.linalg.inv(cov)
        prompts = LinearPrompts.build(c**2 * cov, 2, query_covariance=cov)
        on_contexts = prompts.measure.sum(axis=(1, 2))
        found = np.einsum("c,cwq->wq", on_contexts, prompts.predictions(_linear_layer(K)))
        means.append((found, c**2 * prompts.targets))
        w = bench.vector(d)
        size = w @ cov @ w
        limits.append((shift_risk(K, c**2 * cov, cov, math.inf, np.outer(w, w)) / size, (c**2 - 1) ** 2))
        wrong.append(((c**2 - 1) ** 2, 1.0))
    evidence = [agreement(means), agreement(limits), positivity(wrong, strict=True)]
    return Finding(
        f"E[ŷ | x_q, w] = c²x_q'w (to {evidence[0].deviation:.1e}) and the error tends to (c² − 1)²w'Λw (to "
        f"{evidence[1].deviation:.1e}), for c = 1/3, ½, 2, 3.",
        "Gaussian cubature through the forward pass at N = ∞; closed form",
        evidence,
    )


@SECTION.claim(
    "least-squares-scaling",
    "Section 4.2, the scaling example",
    "Ordinary least squares is robust to scaling of the features by a constant, so the algorithms differ.",
)
def least_squares_scaling(bench: Bench) -> Finding:
    unchanged, changed = [], []
    squares = LeastSquares()
    for problem in bench.problems(20):
        d, m, c = problem.dimension, problem.dimension + 5, float(np.exp(bench.rng.uniform(-2, 2)))
        xs = bench.rng.standard_normal((1, m + 1, d)) @ root(problem.covariance).T
        ys = np.einsum("bpd,d->bp", xs, bench.vector(d))
        scaled, plain = Prompts(c * xs, ys, c * xs, ys), Prompts(xs, ys, xs, ys)
        unchanged.append((squares(scaled), squares(plain)))
        theta = problem.trained
        before = forward(theta, xs[0, :m], ys[0, :m], xs[0, m])
        changed.append((forward(theta, c * xs[0, :m], ys[0, :m], c * xs[0, m]), c**2 * before))
    evidence = [agreement(unchanged, tolerance=1e-8), agreement(changed, scale=1e-3)]
    return Finding(
        f"Scaling all x at fixed labels leaves least squares unchanged (to {evidence[0].deviation:.1e}) and multiplies "
        f"the layer's prediction by c² (to {evidence[1].deviation:.1e}).",
        "both predictors run on the same prompts",
        evidence,
    )


def _linear_layer(learner: Matrix) -> LSAParameters:
    """The layer with ŷ = x_q'K(1/M)Σy_ix_i."""
    zero = np.zeros(len(learner))
    return LSAParameters.from_blocks(zero, 1.0, learner.T, zero)


def _written_shift(K: Matrix, context: Matrix, query: Matrix, m: float, W: Matrix, s2: float) -> float:
    """The error under shift as written in the claim."""
    spread = (1 + 1 / m) * context @ W @ context + np.trace(W @ context) * context / m
    middle = K @ spread @ K.T - K @ context @ W - W @ context @ K.T + W
    return float(np.trace(query @ middle) + s2 / m * np.trace(query @ K @ context @ K.T))
