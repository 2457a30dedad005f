# ruff: noqa: D103 (checks use their functions at once; what they are about stands in their claims)
"""Section 6 and Appendix E: least squares on other inputs; how the training of GPT-2 differs from that of the layer."""

from __future__ import annotations

import numpy as np

from iclab.predictors import LeastSquares
from iclab.prompts import Prompts
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.claim import Items, check
from iclab.studies.claims.evidence import at_most, equal, positive
from iclab.studies.claims.preliminaries import interleaved, separate_tokens
from iclab.theory import AllPositions, PopulationLoss, minimizer


@check("section-6-least-squares", prediction=equal("forward pass", tolerance=1e-7, scale=1e-2))
def least_squares_everywhere(bench: Bench) -> Items:
    for problem in bench.problems(20, dimensions=(2, 5)):
        d, shape = problem.dimension, (1, problem.dimension + 12, problem.dimension)
        sphere = bench.rng.standard_normal(shape)
        for xs in (
            bench.rng.uniform(-1, 1, shape),
            bench.rng.exponential(size=shape),
            bench.rng.standard_t(2, shape),
            sphere / np.linalg.norm(sphere, axis=-1, keepdims=True),
            bench.rng.standard_normal(shape) * np.sqrt(bench.rng.exponential(size=(1, 1, d))),
        ):
            ys = xs @ bench.vector(d)
            yield "prediction", LeastSquares()(Prompts(xs, ys, xs, ys))[:, d + 4 :], ys[:, d + 4 :]


@check("appendix-e-embedding", even=equal("forward pass", scale=1e-3), loss=at_most("quadrature"))
def separate_columns(bench: Bench) -> Items:
    yield from separate_tokens(bench, interleaved)


@check("appendix-e-objective", mean=equal(), differs=positive(tolerance=1e-6), one=equal())
def average_over_positions(bench: Bench) -> Items:
    for problem in bench.problems(20, dimensions=(2, 4), condition=30.0):
        n, theta = max(2, min(problem.n_train, 30)), bench.parameters(problem.dimension)
        averaged = np.mean([PopulationLoss(problem.law, i)(theta) for i in range(1, n + 1)])
        yield "mean", PopulationLoss(problem.law, AllPositions(n))(theta), averaged
        all_positions, last = (minimizer(problem.law, length).learner for length in (AllPositions(n), n))
        yield "differs", np.linalg.norm(all_positions - last), np.linalg.norm(last)
        yield "one", minimizer(problem.law, AllPositions(1)).learner, minimizer(problem.law, 1).learner
