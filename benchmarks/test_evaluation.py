"""Cost of the whole Garg suite for the fast predictors, and of one long stream. Run with ``pytest -n 0 benchmarks``."""

import time

import pytest
import torch
from hugging_face import seconds_of

from iclab.evaluation import Suite, error_curve
from iclab.models import load
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


@pytest.mark.parametrize("name", ["mesa-columns-d20-identity", "linear-columns-d20-identity", "gpt2-d20-identity"])
def test_garg_suite_of_a_shipped_model(name):
    """Within 60 seconds of two cores: fifteen evaluations, 1280 prompts, 41 positions, up to six layers."""
    model, suite = load(name), Suite.named("garg", 20)
    seconds = seconds_of(lambda: suite.run({"model": model}, 41, n_prompts=1280, seed=0))
    print(f"{name}: {seconds:.0f} CPU seconds")
    assert seconds < 120


def test_hundred_thousand_prompts(benchmark):
    base = PromptDistribution(Gaussian.isotropic(5), Linear(), 0.5)
    curve = benchmark.pedantic(
        error_curve, args=(LeastSquares(), base, 11), kwargs={"n_prompts": 100_000, "seed": 0}, rounds=1
    )
    assert curve.n_prompts == 100_000


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["mesa-columns-d20-identity", "linear-columns-d20-identity"])
def test_a_gpu_does_not_wait_for_prompts(name):
    """Prompts are drawn ahead: an evaluation takes at most a fifth longer than the model on prompts at hand."""
    model, law = load(name).to("cuda"), PromptDistribution(Gaussian.isotropic(20), Linear())
    at_hand = [law.sample(512, 41, seed=0, start=512 * i) for i in range(40)]

    def seconds(call):
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        return time.perf_counter() - began

    def alone():
        for prompts in at_hand:
            model(prompts)

    def streamed():
        error_curve(model, law, 41, n_prompts=512 * len(at_hand), seed=0)

    alone()  # kernels are loaded
    alone_seconds, streamed_seconds = (min(seconds(call) for _ in range(3)) for call in (alone, streamed))
    print(f"{name}: {alone_seconds:.2f} s on prompts at hand, {streamed_seconds:.2f} s drawn ahead")
    assert streamed_seconds < 1.2 * alone_seconds
