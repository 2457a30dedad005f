# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Appendix B: the decomposition behind Theorem 5."""

from __future__ import annotations

import numpy as np

from iclab.studies.claims.bench import Bench
from iclab.studies.claims.claim import Items, check
from iclab.studies.claims.cubature import GeneralPrompts
from iclab.studies.claims.evidence import equal


@check("appendix-b-decomposition", cross=equal("quadrature", scale=1.0), terms=equal("quadrature"))
def decomposition(bench: Bench) -> Items:
    for problem, m in bench.tiny(12):
        d, cov, gamma = problem.dimension, problem.covariance, problem.gamma
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
