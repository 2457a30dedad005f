# ruff: noqa: D103 (what a check is about stands in its claim)
"""Appendix C: the dynamics, the loss and the PL inequality for random covariances."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from iclab.studies.claims import appendix_d
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.claim import Finding, Section
from iclab.studies.claims.cubature import LinearPrompts, block_gradient, quartic_gradient
from iclab.studies.claims.evidence import agreement, inequality, positivity
from iclab.studies.claims.random_laws import RandomProblem, random_problems
from iclab.theory import LSAParameters, population_loss

SECTION = Section("Appendix C: proof of Theorem 8")


@SECTION.claim(
    "lemma-21",
    "Lemma 21, (49) (arXiv Lemma C.1)",
    r"For random positive definite $\Lambda_\tau$, not only diagonal: $dU_{11}/dt = -u^2E[\Gamma_\tau\Lambda_\tau "
    r"U_{11}\Lambda_\tau] + uE[\Lambda_\tau^2]$, $du/dt = -u\,\mathrm{tr}E[\Gamma_\tau\Lambda_\tau U_{11}\Lambda_\tau "
    r"U_{11}^\top] + \mathrm{tr}E[\Lambda_\tau^2U_{11}^\top]$, $u_{12} = u_{21} = 0$.",
)
def lemma_21(bench: Bench) -> Finding:
    pairs = []
    for _ in range(bench.count(5)):
        d, n = 2, int(bench.rng.integers(1, 4))
        covs, weights = [bench.covariance(d, 30.0) for _ in range(2)], bench.rng.dirichlet(np.ones(2))
        U, u = bench.rng.standard_normal((d, d)), float(bench.rng.standard_normal())
        theta = LSAParameters.from_blocks(np.zeros(d), u, U, np.zeros(d))
        found, dU, du = np.zeros((d + 1) ** 2), np.zeros((d, d)), 0.0
        for cov, weight in zip(covs, weights, strict=True):
            found -= weight * block_gradient(LinearPrompts.build(cov, n), theta).vector
            gamma = (1 + 1 / n) * cov + np.trace(cov) / n * np.eye(d)
            dU += weight * (-(u**2) * gamma @ cov @ U @ cov + u * cov @ cov)
            du += weight * (-u * np.trace(gamma @ cov @ U @ cov @ U.T) + np.trace(cov @ cov @ U.T))
        stated = LSAParameters.from_blocks(np.zeros(d), float(du), dU, np.zeros(d))
        pairs.append((found, stated.vector))
    evidence = agreement(pairs)
    return Finding(
        f"It holds to {evidence.deviation:.1e} for mixtures of two covariances that do not commute.",
        "Gaussian cubature through the forward pass, five-point differences, enumeration of Λ_τ",
        [evidence],
    )


@SECTION.claim(
    "corollary-22",
    "Corollary 22, (51)-(52) (arXiv Corollary C.2)",
    r"For diagonal $\Lambda_\tau$: $du_{ii}/dt = -\gamma_iu^2u_{ii} + \xi_iu$, $du_{ij}/dt = -\zeta_{ij}u^2u_{ij}$, "
    r"$du/dt = -\sum\gamma_iuu_{ii}^2 - \sum\zeta_{ij}uu_{ij}^2 + \sum\xi_iu_{ii}$ with $\gamma_i = \frac{N+1}{N} "
    r"E\lambda_i^3 + \frac1NE[\lambda_i^2\mathrm{tr}\Lambda]$, $\xi_i = E\lambda_i^2$, $\zeta_{ij} = \frac{N+1}{N} "
    r"E[\lambda_i^2\lambda_j] + \frac1NE[\lambda_i\lambda_j\mathrm{tr}\Lambda]$.",
)
def corollary_22(bench: Bench) -> Finding:
    constants, dynamics = [], []
    for problem in random_problems(bench, 30):
        d, n = problem.dimension, problem.n_train
        one, two, three = (np.array([law.moment(k) for law in problem.laws]) for k in (1, 2, 3))
        rest = one.sum() - one
        gamma = (n + 1) / n * three + (three + two * rest) / n
        zeta = np.array(
            [
                [
                    (n + 1) / n * two[i] * one[j]
                    + (two[i] * one[j] + one[i] * two[j] + one[i] * one[j] * (rest[i] - one[j])) / n
                    for j in range(d)
                ]
                for i in range(d)
            ]
        )
        np.fill_diagonal(zeta, gamma)
        constants += [(zeta, problem.decay), (two, problem.mean_square)]
        u, U = float(bench.rng.standard_normal()), bench.rng.standard_normal((d, d))
        du, dU = problem.gradient(u, U)
        general = problem.expect(lambda cov, g, u=u, U=U: -(u**2) * g @ cov @ U @ cov + u * cov @ cov)
        scalar = problem.expect(
            lambda cov, g, u=u, U=U: -u * np.trace(g @ cov @ U @ cov @ U.T) + np.trace(cov @ cov @ U.T)
        )
        dynamics += [(-dU, general), (-du, scalar)]
    evidence = [agreement(constants), agreement(dynamics)]
    return Finding(
        f"The constants follow from the moments to {evidence[0].deviation:.1e}, and (52) equals (49) to "
        f"{evidence[1].deviation:.1e}; ζ is not symmetric.",
        "closed form against enumeration of Λ_τ",
        evidence,
    )


@SECTION.claim(
    "lemma-23",
    "Lemma 23, (53) (arXiv Lemma C.3)",
    r"(52) is gradient flow on $\ell_{rdm} = \frac12\sum\gamma_iu^2u_{ii}^2 + \frac12\sum\zeta_{ij}u^2u_{ij}^2 - "
    r"\sum\xi_iu_{ii}u$, which is $L$ up to a constant when $u_{12} = u_{21} = 0$.",
)
def lemma_23(bench: Bench) -> Finding:
    slopes, values = [], []
    for problem in random_problems(bench, 16, (2, 3)):
        d = problem.dimension
        u, U = float(bench.rng.standard_normal()), bench.rng.standard_normal((d, d))
        du, dU = problem.gradient(u, U)
        numeric = quartic_gradient(
            lambda v, problem=problem, d=d: problem.loss(v[0], v[1:].reshape(d, d)), np.append(u, U.ravel())
        )
        slopes.append((numeric, np.append(du, dU.ravel())))
        written = u**2 * np.sum(problem.decay * U**2) / 2 - u * problem.mean_square @ np.diagonal(U)
        theta = LSAParameters.from_blocks(np.zeros(d), u, U, np.zeros(d))
        whole = population_loss(theta, problem.covariates, problem.n_train)
        trace = sum(law.moment(1) for law in problem.laws)
        values += [(problem.loss(u, U), written), (whole, written + trace / 2)]
    evidence = [agreement(slopes, tolerance=1e-8), agreement(values)]
    return Finding(
        f"Numerical ∇ℓ_rdm is minus (52) to {evidence[0].deviation:.1e}; both forms of (53) and L − ½E trΛ agree to "
        f"{evidence[1].deviation:.1e}.",
        "enumeration of Λ_τ, five-point differences (exact for degree 4)",
        evidence,
    )


@SECTION.claim(
    "lemma-24",
    "Lemma 24, (54)-(56) (arXiv Lemma C.4)",
    r"$\min\ell_{rdm} = -\frac12\sum\xi_i^2/\gamma_i$; $\ell_{rdm} - \min\ell_{rdm}$ is a sum of squares; all minima "
    r"have $u\,u_{ij} = 1(i = j)\xi_i/\gamma_i$.",
)
def lemma_24(bench: Bench) -> Finding:
    values, squares, minima = [], [], []
    for problem in random_problems(bench, 16, (2, 3)):
        d, gamma, xi = problem.dimension, np.diagonal(problem.decay), problem.mean_square
        least = -np.sum(xi**2 / gamma) / 2
        values.append((problem.loss(1.0, np.diag(xi / gamma)), least))
        u, U = float(bench.rng.standard_normal()), bench.rng.standard_normal((d, d))
        written = np.sum(gamma * (u * np.diagonal(U) - xi / gamma) ** 2) / 2
        off = problem.decay * U**2
        written += u**2 * (off.sum() - np.trace(off)) / 2
        squares.append((problem.loss(u, U) - least, written))

        def value(v: np.ndarray, problem: RandomProblem = problem, d: int = d) -> tuple[float, np.ndarray]:
            V = v.reshape(d, d)
            _, slope = problem.gradient(1.0, V)
            quadratic = np.sum(problem.decay * V**2) / 2 - problem.mean_square @ np.diagonal(V)
            return float(quadratic), slope.ravel()

        found = minimize(value, bench.rng.standard_normal(d * d), jac=True, options={"gtol": 1e-12}).x
        minima.append((found.reshape(d, d), np.diag(xi / gamma)))
    evidence = [agreement(values), agreement(squares), agreement(minima, tolerance=1e-7)]
    return Finding(
        f"Minimum and squares hold to {max(e.deviation for e in evidence[:2]):.1e}; minimisation over uU11 ends there "
        f"(to {evidence[2].deviation:.1e}).",
        "enumeration of Λ_τ; BFGS from normal starts",
        evidence,
    )


@SECTION.claim(
    "lemma-25",
    "Lemma 25, (57) (arXiv Lemma C.5)",
    r"$u^2 = \mathrm{tr}(U_{11}U_{11}^\top)$ for all $t \ge 0$.",
)
def lemma_25(bench: Bench) -> Finding:
    pairs = []
    for problem in random_problems(bench, 14):
        pairs += [(u**2, np.sum(U**2)) for u, U in problem.states]
    evidence = agreement(pairs)
    return Finding(
        f"Along the flow both sides agree to {evidence.deviation:.1e}.",
        "ODE (gradient flow at 24 times per problem)",
        [evidence],
    )


@SECTION.claim(
    "lemma-25-citation",
    "proof of Lemma 25",
    "'We multiply the second equation in Lemma 49': the paper has a Lemma of that number.",
    condition="equation (49) is meant: u times its second line is the trace of its first times U11'",
    erratum=True,
    slip=True,
)
def lemma_25_citation(bench: Bench) -> Finding:
    last = max(int(claim.name.split("-")[1]) for claim in appendix_d.SECTION.claims if claim.name.startswith("lemma-"))
    pairs = []
    for problem in random_problems(bench, 25):
        u, U = float(bench.rng.standard_normal()), bench.rng.standard_normal((problem.dimension,) * 2)
        du, dU = problem.gradient(u, U)
        pairs.append((u * du, np.trace(dU @ U.T)))
    under = agreement(pairs)
    return Finding(
        f"The last lemma is Lemma {last}; with equation (49) the step holds to {under.deviation:.1e}.",
        "count of the lemmas; closed form",
        [inequality([(49, last)])],
        [under],
    )


@SECTION.claim(
    "lemma-26",
    "Lemma 26, (58)-(59), and (21) (arXiv Lemma C.6, (4.11))",
    r"If $\sigma^2 < 2\|E\Lambda\Theta\|_F^2/(\sqrt d\,E[\|\Gamma\|_{op}\|\Lambda\|_F^2])$, then $\ell_{rdm}(0) < 0$ "
    r"and $u(t) > 0$ for all $t \ge 0$.",
)
def lemma_26(bench: Bench) -> Finding:
    initial, positive = [], []
    for problem in random_problems(bench, 16):
        initial.append((-problem.loss(problem.scale, problem.scale * problem.theta), problem.scale**2 * problem.reach))
        positive += [(u, problem.states[-1][0]) for u, _ in problem.states]
    evidence = [positivity(initial, strict=True), positivity(positive, strict=True)]
    return Finding(
        f"−ℓ_rdm(0) is at least {evidence[0].margin:.2g} of σ²‖EΛΘ‖², and u(t) at least {evidence[1].margin:.2g} of "
        "its limit.",
        "enumeration of Λ_τ; ODE (gradient flow at 24 times per problem)",
        evidence,
    )


@SECTION.claim(
    "lemma-26-equality",
    "proof of Lemma 26",
    r"$E\,\mathrm{tr}[\sigma^2\Lambda_\tau^2\Theta\Theta^\top] = \sigma^2\|E\Lambda_\tau\Theta\|_F^2$.",
    condition="'=' is read as '≥' (Jensen), which is the direction that the proof needs",
    erratum=True,
    slip=True,
)
def lemma_26_equality(bench: Bench) -> Finding:
    equal, larger = [], []
    for problem in random_problems(bench, 60):
        mean = problem.expect(lambda cov, _, problem=problem: np.trace(cov @ cov @ problem.theta))
        equal.append((mean, problem.reach))
        larger.append((problem.reach, mean))
    stated, under = agreement(equal), inequality(larger)
    return Finding(
        f"The left side exceeds the right by up to {stated.deviation:.0%}; it is never below it (margin "
        f"{under.margin_text}).",
        "enumeration of Λ_τ",
        [stated],
        [under],
    )


@SECTION.claim(
    "lemma-27",
    "Lemma 27, (60) (arXiv Lemma C.7)",
    r"$u(t)^2 \ge \sigma^2[2\|E\Lambda\Theta\|_F^2 - \sqrt d\,\sigma^2E(\|\Gamma\|_{op}\|\Lambda\|_F^2)]/(2\sqrt "
    r"d\,\|E\Lambda^2\|_{op}) > 0$.",
)
def lemma_27(bench: Bench) -> Finding:
    pairs, positive = [], []
    for problem in random_problems(bench, 16):
        pairs += [(problem.u_lower_bound, u) for u, _ in problem.states]
        positive.append((problem.u_lower_bound, problem.scale))
    evidence = [inequality(pairs), positivity(positive, strict=True, tolerance=1e-12)]
    return Finding(
        f"u exceeds the bound by at least {evidence[0].margin_text} of itself at all {len(pairs)} points; the bound is "
        f"at least {evidence[1].margin_text} of σ.",
        "ODE (gradient flow at 24 times per problem)",
        evidence,
    )


@SECTION.claim(
    "lemma-27-citations",
    "proof of Lemma 27",
    r"$\Gamma_\tau\Lambda_\tau \succeq 0$ and $\mathrm{tr}(\frac12u^2\Gamma_\tau\Lambda_\tau U_{11}\Lambda_\tau "
    r"U_{11}^\top) \ge 0$ 'from Lemma 29' (twice), whose identities hold for all matrices.",
    condition="Lemma 32 is meant, with positive semi-definite factors",
    erratum=True,
    slip=True,
)
def lemma_27_citations(bench: Bench) -> Finding:
    # Lemma 29 knows no definiteness: if it gave the conclusion, it would give it for indefinite matrices too.
    stated, under = [], []
    for problem in random_problems(bench, 60):
        d = problem.dimension
        values, _ = problem.outcomes
        cov = np.diag(values[int(bench.rng.integers(len(values)))])
        gamma = (1 + 1 / problem.n_train) * cov + np.trace(cov) / problem.n_train * np.eye(d)
        U = bench.rng.standard_normal((d, d))
        under += [
            (np.min(np.diagonal(gamma @ cov)), np.max(np.diagonal(gamma @ cov))),
            (np.trace(gamma @ cov @ U @ cov @ U.T), np.linalg.norm(gamma @ cov) * np.linalg.norm(U @ cov @ U.T)),
        ]
        A, B = bench.rng.standard_normal((2, d, d))
        A, B = A + A.T, B + B.T
        stated.append((np.trace(A @ B), float(np.linalg.norm(A) * np.linalg.norm(B))))
    wrong, right = positivity(stated), positivity(under)
    return Finding(
        f"Both inequalities hold for the matrices of the proof (smallest share {right.margin:.2g}), but not for "
        f"symmetric matrices at large (tr AB down to {wrong.margin:.2f}‖A‖‖B‖), to which Lemma 29 applies as well.",
        "closed form",
        [wrong],
        [right],
    )


@SECTION.claim(
    "lemma-28-pl",
    "Lemma 28, (61)-(62) (arXiv Lemma C.8)",
    r"$\|\nabla\ell_{rdm}\|^2 \ge \nu(\ell_{rdm} - \min\ell_{rdm})$ with $\nu = 2\min(\gamma_i, \zeta_{ij})\cdot(60) "
    r"> 0$, hence $\ell_{rdm}(t) - \min \le e^{-\nu t}(\ell_{rdm}(0) - \min)$.",
)
def lemma_28_pl(bench: Bench) -> Finding:
    pairs, decay, positive = [], [], []
    for problem in random_problems(bench, 14):
        nu = problem.pl_constant
        positive.append((nu, problem.mean_square.max()))  # a rate scales like Λ²
        excess = np.array([problem.excess(u, U) for u, U in problem.states])
        decay += list(zip(excess, np.exp(-nu * problem.times) * excess[0], strict=True))
        for value, (u, U) in zip(excess, problem.states, strict=True):
            if value > 1e-9 * excess[0]:  # below, both sides are rounding
                du, dU = problem.gradient(u, U)
                pairs.append((nu * value, du**2 + np.sum(dU**2)))
    evidence = [inequality(pairs), inequality(decay), positivity(positive, strict=True, tolerance=1e-20)]
    return Finding(
        f"The PL inequality holds at all {len(pairs)} points (‖∇ℓ‖² at least {1 / (1 - evidence[0].margin):.3g} times "
        "the bound), and so does the exponential bound.",
        "ODE (gradient flow at 24 times per problem), enumeration of Λ_τ",
        evidence,
    )


@SECTION.claim(
    "lemma-28-limit",
    "Lemma 28, (63)-(65) (arXiv Lemma C.8)",
    r"$u_{ij} \to 0$ for $i \ne j$, $u_{ii} \to (\xi_i/\gamma_i)(\sum\xi^2/\gamma^2)^{-1/4}$, $u \to "
    r"(\sum\xi^2/\gamma^2)^{1/4}$.",
)
def lemma_28_limit(bench: Bench) -> Finding:
    pairs = []
    for problem in random_problems(bench, 16):
        fourth = np.sum(problem.target**2) ** 0.25
        u, U = problem.states[-1]
        pairs += [(u, fourth), (U, np.diag(problem.target / fourth))]
    evidence = agreement(pairs, tolerance=1e-8)
    return Finding(
        f"The limits are reached to {evidence.deviation:.1e}.",
        "ODE (gradient flow followed for 60 of its slowest relaxation times)",
        [evidence],
    )
