"""Speed of sampling. Run with ``pytest -n 0 benchmarks``."""

import pytest

from iclab.prompts import (
    DecisionTree,
    Gaussian,
    Linear,
    PromptDistribution,
    RandomDiagonal,
    ReluNetwork,
    shift,
)

BASE = PromptDistribution(Gaussian.isotropic(20), Linear())
DISTRIBUTIONS = {
    "linear": BASE,
    "random_diagonal": PromptDistribution(RandomDiagonal.exponential(20), Linear()),
    "half_subspace": shift("half_subspace").apply(BASE),
    "random_quadrants": shift("random_quadrants").apply(BASE),
    "tree": PromptDistribution(Gaussian.isotropic(20), DecisionTree(4)),
    "relu": PromptDistribution(Gaussian.isotropic(20), ReluNetwork(100)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sampling(benchmark, name):
    # The bar: at least 30 million normal numbers a second at 1280 × 101 × 20.
    prompts = benchmark.pedantic(
        DISTRIBUTIONS[name].sample, args=(1280, 101), kwargs={"seed": 0}, rounds=5, warmup_rounds=1
    )
    benchmark.extra_info["million_numbers_per_second"] = round(prompts.xs.size / benchmark.stats["min"] / 1e6, 1)
