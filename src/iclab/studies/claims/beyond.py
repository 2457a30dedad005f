# ruff: noqa: D103 (what a check is about stands in its claim)
"""Beyond the paper: exact statements that sharpen or extend its results, judged in the same way."""

from __future__ import annotations

import numpy as np

from iclab.flow import gradient_flow
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.claims.bench import Bench, Problem
from iclab.studies.claims.claim import OURS, Finding, Section
from iclab.studies.claims.cubature import quartic_gradient
from iclab.studies.claims.evidence import agreement, inequality, positivity
from iclab.studies.claims.trajectories import (
    integrate,
    pl_constant,
    restricted_gradient,
    trajectory,
    u_lower_bound,
)
from iclab.theory import (
    AllPositions,
    LSAParameters,
    PopulationLoss,
    assumption3,
    asymptotic_rate,
    certificate,
    expected_risk,
    minimizer,
    optimal_learner,
    shift_risk,
)

SECTION = Section("Beyond the paper", OURS)
SOURCE = "not in the paper"


@SECTION.claim(
    "beyond-prior-and-noise",
    f"{SOURCE}; extends Lemma 11",
    r"For $w \sim (0, W)$ and training labels with noise variance $s^2$, the best learner is $K = W[(1 + "
    r"\frac1N)\Lambda W + \frac{\mathrm{tr}(W\Lambda) + s^2}{N}I]^{-1}$.",
)
def prior_and_noise(bench: Bench) -> Finding:
    pairs, slopes = [], []
    for problem in bench.problems(30, dimensions=(2, 4), condition=30.0):
        d, cov, n = problem.dimension, problem.covariance, problem.n_train
        W, s2 = bench.covariance(d, 10.0), float(bench.rng.uniform(0, 2))
        written = W @ np.linalg.inv((1 + 1 / n) * cov @ W + (np.trace(W @ cov) + s2) / n * np.eye(d))
        pairs.append((optimal_learner(Gaussian(cov), n, s2, W), written))
        # The error of any learner is a quadratic in K, so its slope at the best one is exactly zero.
        slope = quartic_gradient(
            lambda k, cov=cov, n=n, W=W, s2=s2, d=d: shift_risk(k.reshape(d, d), cov, cov, n, W, s2), written.ravel()
        )
        slopes.append((slope / np.trace(W @ cov), 0.0))
    evidence = [agreement(pairs), agreement(slopes, scale=1.0)]
    return Finding(
        f"The error's slope at K vanishes (to {evidence[1].deviation:.1e} of tr WΛ).",
        "closed form (exact error of any learner), five-point differences",
        evidence,
    )


@SECTION.claim(
    "beyond-all-positions",
    f"{SOURCE}; Appendix E's training objective",
    r"Trained on all positions $1, \dots, N$ with equal weight, the layer minimises with $H_N/N$ in place of $1/N$ in "
    r"$\Gamma$ ($H_N$ harmonic).",
)
def all_positions(bench: Bench) -> Finding:
    pairs, slopes = [], []
    for problem in bench.problems(20, dimensions=(2, 4), condition=30.0):
        d, cov, n = problem.dimension, problem.covariance, min(problem.n_train, 30)
        share = np.mean(1 / np.arange(1.0, n + 1))
        gamma = (1 + share) * cov + share * problem.trace * np.eye(d)
        theta = minimizer(Gaussian(cov), AllPositions(n))
        pairs.append((theta.learner, np.linalg.inv(gamma)))
        total = sum(PopulationLoss(Gaussian(cov), i).gradients(theta.vector) for i in range(1, n + 1)) / n
        slopes.append((total / problem.trace, 0.0))
    evidence = [agreement(pairs), agreement(slopes, scale=1.0)]
    return Finding(
        f"The mean of the N gradients vanishes there (to {evidence[1].deviation:.1e}), in all of (W^PV, W^KQ).",
        "closed form of the loss on all parameters, one per position",
        evidence,
    )


@SECTION.claim(
    "beyond-strict-minimum",
    f"{SOURCE}; extends Theorem 4",
    r"For $d \ge 2$ the minimisers over all of $(u, U_{11}, u_{12}, u_{21})$ are exactly $uU_{11} = \Gamma^{-1}$, "
    r"$u_{12} = u_{21} = 0$: strict up to scaling.",
)
def strict_minimum(bench: Bench) -> Finding:
    flat, curved = [], []
    for problem in bench.problems(30, dimensions=(2, 4), condition=30.0):
        law = Gaussian(problem.covariance)
        values = np.linalg.eigvalsh(PopulationLoss(law, problem.n_train).hessian(minimizer(law, problem.n_train)))
        flat.append((values[0] / values[-1], 0.0))
        curved.append((values[1], values[-1]))
    evidence = [agreement(flat, scale=1.0), positivity(curved, strict=True, tolerance=1e-8)]
    return Finding(
        "The Hessian at the limit has one zero eigenvalue (the scaling) and the next is at least "
        f"{evidence[1].margin:.1e} of the largest.",
        "Hessian on all parameters",
        evidence,
    )


@SECTION.claim(
    "beyond-asymptotic-rate",
    f"{SOURCE}; compare (30)",
    r"The loss converges at the exact rate $2\lambda_{\min}(\rho K^{1/2}(I + \hat v\hat v^\top)K^{1/2})$, $\rho = "
    r"\|\Gamma^{-1}\|_F$, $K = \mathrm{diag}(g_il_il_j)$, $\hat v = \mathrm{vec}(\Gamma^{-1})/\rho$.",
)
def rate(bench: Bench) -> Finding:
    pairs, measured, ratios = [], [], []
    for problem in bench.problems(14, dimensions=(2, 4), condition=10.0):
        law, d = Gaussian(problem.covariance), problem.dimension
        exact = asymptotic_rate(law, problem.n_train)
        theta = minimizer(law, problem.n_train)
        _, u, U, _ = theta.blocks
        basis = np.eye(d * d + 1)

        def velocity(v: np.ndarray, problem: Problem = problem, d: int = d) -> np.ndarray:
            du, dU = restricted_gradient(problem.covariance, problem.n_train, v[0], v[1:].reshape(d, d))
            return np.append(du, dU.ravel())

        at = np.append(u, U.ravel())
        hessian = np.stack([(velocity(at + 1e-5 * e) - velocity(at - 1e-5 * e)) / 2e-5 for e in basis])
        pairs.append((2 * np.linalg.eigvalsh((hessian + hessian.T) / 2)[1], exact))
        path = trajectory(problem)
        # Late enough for the slowest mode to be alone, early enough for its excess to be above rounding.
        times = path.flow.time_to(0.9) + np.array([25.0, 35.0]) / exact
        early, late = path.flow.excess(times)
        measured.append((np.log(early / late) / (times[1] - times[0]), exact))
        ratios.append(exact / pl_constant(problem))
    evidence = [agreement(pairs, tolerance=1e-6), agreement(measured, tolerance=0.2, refutation=0.5)]
    return Finding(
        f"It is twice the smallest nonzero curvature at the limit (to {evidence[0].deviation:.1e}) and the slope of "
        f"log excess late in the flow (to {evidence[1].deviation:.1%}); it exceeds the paper's μ by factors from "
        f"{min(ratios):.0f} to {max(ratios):.0e}.",
        "Hessian of ℓ at the limit; ODE (gradient flow)",
        evidence,
    )


@SECTION.claim(
    "beyond-sharp-bounds",
    f"{SOURCE}; sharpens (30) and (44)",
    r"$u(t)$ and $\|\nabla\ell\|^2$ obey larger lower bounds: the smallest $u$ that a balanced point with loss "
    r"$\ell(0)$ can have, and $2\min(k_{ij})$ times that bound squared.",
)
def sharp_bounds(bench: Bench) -> Finding:
    bounds, sharper = [], []
    for problem in bench.problems(12):
        found = certificate(Gaussian(problem.covariance), problem.n_train, problem.theta, problem.scale)
        path = trajectory(problem)
        bounds += [(found.sharp_u_lower_bound, u) for u, _ in path]
        decay = np.exp(-found.sharp_pl_constant * path.times)
        bounds += list(zip(path.excesses, decay * path.excesses[0], strict=True))
        sharper += [
            (u_lower_bound(problem), found.sharp_u_lower_bound),
            (pl_constant(problem), found.sharp_pl_constant),
        ]
    evidence = [inequality(bounds), inequality(sharper)]
    return Finding(
        f"Both hold at all {len(bounds)} points (smallest margin {evidence[0].margin_text}) and are larger than the "
        "paper's.",
        "closed form; ODE (gradient flow)",
        evidence,
    )


@SECTION.claim(
    "beyond-isotropic-path",
    f"{SOURCE}; extends Theorem 4",
    r"For $\Lambda = \lambda I$ the whole trajectory from Assumption 3 is elementary: $\tan(\varphi/2) = e^{c - x}$, "
    r"$x = \lambda^2\sqrt d\,t$, and $u^{-2} = \mathrm{sech}^2(x - c)[\cosh^2c/u_0^2 + \frac{2\kappa}{\beta}(\frac x2 "
    r"+ \frac{\sinh 2(x - c) + \sinh 2c}{4})]$.",
)
def isotropic_path(bench: Bench) -> Finding:
    pairs = []
    for _ in range(bench.count(12)):
        d, n, level = int(bench.rng.integers(2, 5)), int(bench.rng.integers(1, 30)), float(bench.rng.uniform(0.5, 2))
        theta, scale = bench.theta(d), float(bench.rng.uniform(0.1, 0.5))
        problem = Problem(level * np.eye(d), n, n, theta, scale)
        g = (1 + (d + 1) / n) * level
        beta, kappa = level**2 * np.sqrt(d), g * level**2
        times = np.array([0.3, 1.0, 3.0]) / beta
        c = np.log(np.tan(np.arccos(np.trace(theta) / np.sqrt(d)) / 2))
        x = beta * times
        bracket = np.cosh(c) ** 2 / scale**2 + 2 * kappa / beta * (x / 2 + (np.sinh(2 * (x - c)) + np.sinh(2 * c)) / 4)
        u = np.cosh(x - c) / np.sqrt(bracket)
        rest = theta - np.trace(theta) / d * np.eye(d)
        phi = 2 * np.arctan(np.exp(c - x))
        for k, (direct, matrix) in enumerate(integrate(problem, times)):
            U = u[k] * (np.cos(phi[k]) * np.eye(d) / np.sqrt(d) + np.sin(phi[k]) * rest / np.linalg.norm(rest))
            pairs += [(direct, u[k]), (matrix, U)]
        law = Gaussian(problem.covariance)
        pairs.append((gradient_flow(assumption3(theta, scale), law, n, float(times[-1])).u(times), u))
    evidence = agreement(pairs, tolerance=1e-7)
    return Finding(
        f"u(t) and U11(t) agree with a direct integration of (27) to {evidence.deviation:.1e}.",
        "ODE (adaptive integrator on d² + 1 equations) against the closed form",
        [evidence],
    )


@SECTION.claim(
    "beyond-exponential-error",
    f"{SOURCE}; finite N and M of Figure 1's LSA limit",
    r"On $c\,\mathrm{diag}(\mathrm{Exp}(1))$ the layer with coefficient $k$ has an error over $d$ of "
    r"$c^3k^2(6 + (2d + 10)/M) - 4c^2k + c$, with $k = 1/(3 + (d + 5)/N)$ after random and $1/(1 + (d + 1)/N)$ after "
    r"identity training; on $I$ it is $k^2(1 + (d + 1)/M) - 2k + 1$.",
)
def exponential_error(bench: Bench) -> Finding:
    pairs = []
    for _ in range(bench.count(16)):
        d, n, m = (int(value) for value in bench.rng.integers((1, 1, 1), (30, 100, 100)))
        c = float(np.exp(bench.rng.uniform(-1, 2.5)))
        random, fixed = RandomDiagonal.exponential(d), Gaussian.isotropic(d)
        test = RandomDiagonal.exponential(d, c)
        for law, k in ((random, 1 / (3 + (d + 5) / n)), (fixed, 1 / (1 + (d + 1) / n))):
            on_random = c**3 * k**2 * (6 + (2 * d + 10) / m) - 4 * c**2 * k + c
            on_identity = k**2 * (1 + (d + 1) / m) - 2 * k + 1
            pairs += [
                (expected_risk(law, n, m, test) / d, on_random),
                (expected_risk(law, n, m, fixed) / d, on_identity),
            ]
    evidence = agreement(pairs)
    return Finding(
        f"It holds to {evidence.deviation:.1e}; at d = 20, N = M = 40, c = 1 it is "
        f"{expected_risk(RandomDiagonal.exponential(20), 40, 40) / 20:.6f}.",
        "closed form",
        [evidence],
    )


@SECTION.claim(
    "beyond-step-size",
    f"{SOURCE}; Section 6 asks about finite step sizes",
    r"For $\Lambda = I$ gradient descent on $(u, U_{11})$ is stable at the limit if and only if its step is below "
    r"$1/\sqrt d$.",
)
def step_size(bench: Bench) -> Finding:
    pairs = []
    for d in range(1, 7):
        n = int(bench.rng.integers(1, 100))
        cov = np.eye(d)
        theta = minimizer(Gaussian(cov), n)
        full = PopulationLoss(Gaussian(cov), n).hessian(theta)
        marked = LSAParameters.from_blocks(np.zeros(d), 1.0, np.ones((d, d)), np.zeros(d)).vector.astype(bool)
        pairs.append((2 / np.linalg.eigvalsh(full[np.ix_(marked, marked)])[-1], 1 / np.sqrt(d)))
    evidence = agreement(pairs)
    return Finding(
        f"2 over the largest curvature is 1/√d to {evidence.deviation:.1e}, for every N.",
        "Hessian of the loss on all parameters, restricted to (u, U11)",
        [evidence],
    )
