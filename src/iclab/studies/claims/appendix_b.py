# ruff: noqa: D103 (what a check is about stands in its claim)
"""Appendix B: the decomposition behind Theorem 5."""

from __future__ import annotations

import numpy as np

from iclab.prompts import Gaussian
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.claim import Finding, Section
from iclab.studies.claims.cubature import GeneralPrompts
from iclab.studies.claims.evidence import agreement
from iclab.theory import minimizer

SECTION = Section("Appendix B: proof of Theorem 5")


@SECTION.claim(
    "appendix-b-decomposition",
    "Appendix B, (47)-(48)",
    r"With $a = \Lambda^{-1}E[yx]$ and $b = \Gamma^{-1}E[yx]$, $E(\hat y - y)^2 = \mathrm{I} + \mathrm{II} + "
    r"\mathrm{III}$, $\mathrm{II} = \frac1M\mathrm{tr}(\Sigma\Gamma^{-2}\Lambda)$, $\mathrm{III} = "
    r"a^\top\Lambda(\Gamma^{-1} - \Lambda^{-1})\Lambda(\Gamma^{-1} - \Lambda^{-1})\Lambda a$, and the cross terms IV, "
    r"V, VI vanish.",
)
def decomposition(bench: Bench) -> Finding:
    crosses, terms = [], []
    for k in range(bench.count(12)):
        d, m = ((2, 2), (2, 1), (3, 1))[k % 3]
        problem = bench.problem(d, condition=30.0)
        cov, gamma = problem.covariance, problem.gamma
        w, v, c = bench.vector(d), bench.vector(d), float(bench.rng.standard_normal())

        def label(xs: np.ndarray, w: np.ndarray = w, v: np.ndarray = v, c: float = c) -> np.ndarray:
            return xs @ w + c * (xs @ v) ** 3

        prompts = GeneralPrompts.build(cov, m, label)
        found = prompts.predictions(minimizer(Gaussian(cov), problem.n_train))
        on_queries = prompts.measure.sum(axis=(0, 1))
        moment = prompts.queries.T @ (on_queries * prompts.answers)
        a, b = np.linalg.solve(cov, moment), np.linalg.solve(gamma, moment)
        of_a, of_b = prompts.queries @ a, prompts.queries @ b
        size = prompts.risk(minimizer(Gaussian(cov), problem.n_train))
        for first, second in (
            (found - of_b, of_a - prompts.answers),
            (found - of_b, of_b - of_a),
            ((of_b - of_a)[None, None], of_a - prompts.answers),
        ):
            crosses.append((prompts.mean(first * second) / size, 0.0))
        xs, ys = prompts.xs[:, 0, 0, 0], prompts.ys[:, 0, 0, 0]
        on_contexts = prompts.measure.sum(axis=(1, 2))
        products = ys[:, None] * xs - moment
        sigma = np.einsum("c,ci,cj->ij", on_contexts, products, products)
        gap = np.linalg.inv(gamma) - np.linalg.inv(cov)
        square = np.linalg.inv(gamma @ gamma)
        terms += [
            (prompts.mean((found - of_b) ** 2), np.trace(sigma @ square @ cov) / m),
            (prompts.mean((of_b - of_a)[None, None] ** 2), a @ cov @ gap @ cov @ gap @ cov @ a),
        ]
    evidence = [agreement(crosses, scale=1.0), agreement(terms)]
    return Finding(
        f"Cross terms are below {evidence[0].deviation:.1e} of the risk; II and III agree to "
        f"{evidence[1].deviation:.1e}.",
        "Gaussian cubature through the forward pass, labels with a cubic part",
        evidence,
    )
