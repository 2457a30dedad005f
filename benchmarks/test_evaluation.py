"""Cost of the whole Garg suite for the fast predictors, and of one long stream. Run with ``pytest -n 0 benchmarks``."""

import pytest

from iclab.evaluation import Suite, error_curve
from iclab.predictors import FAST, LeastSquares, predictor
from iclab.prompts import Gaussian, Linear, PromptDistribution


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_garg_suite(benchmark, n_jobs):
    # The bar: fifteen evaluations, 1280 prompts, 41 positions, seven predictors under 30 seconds on two cores.
    suite = Suite.named("garg", 20)
    fast = {name: predictor(name, 20, 40) for name in FAST}
    table = benchmark.pedantic(
        suite.run, args=(fast, 41), kwargs={"n_prompts": 1280, "seed": 0, "n_jobs": n_jobs}, rounds=1
    )
    assert table["distribution"].nunique() == 15


def test_hundred_thousand_prompts(benchmark):
    base = PromptDistribution(Gaussian.isotropic(5), Linear(), 0.5)
    curve = benchmark.pedantic(
        error_curve, args=(LeastSquares(), base, 11), kwargs={"n_prompts": 100_000, "seed": 0}, rounds=1
    )
    assert curve.n_prompts == 100_000
