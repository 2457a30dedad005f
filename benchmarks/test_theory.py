"""How fast the closed forms are, and how much faster than what they replace, in the same run."""

import time
import timeit

import numpy as np
import pytest

from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory import (
    LSAParameters,
    PopulationLoss,
    certificate,
    cubature_loss,
    expected_risk,
    flow_coefficients,
    minimizer,
    mixed_point,
    population_loss,
    predict,
    random_theta,
)


def spectrum(d: int) -> np.ndarray:
    return np.geomspace(1.0, 0.01, d)


@pytest.mark.parametrize("d", [5, 20, 100])
def test_gradient_on_all_parameters(benchmark, d):
    loss = PopulationLoss(Gaussian(np.diag(spectrum(d))), 40)
    t = np.random.default_rng(0).normal(size=(d + 1) ** 2) / d
    benchmark(loss.gradients, t)


def test_gradient_under_random_covariances(benchmark):
    loss = PopulationLoss(RandomDiagonal.exponential(20), 40)
    t = np.random.default_rng(0).normal(size=441) / 20
    benchmark(loss.gradients, t)


def test_hessian(benchmark):
    law = Gaussian.isotropic(10)
    loss, point = PopulationLoss(law, 40), minimizer(law, 40)
    benchmark(loss.hessian, point)


@pytest.mark.parametrize("d", [20, 300])
def test_minimizer_and_risk(benchmark, d):
    law = RandomDiagonal.exponential(d)
    benchmark(lambda: (minimizer(law, 40), expected_risk(law, 40, 80)))


def test_certificate_of_theorem_8(benchmark):
    law, theta = RandomDiagonal.exponential(20), random_theta(20, 0)
    benchmark(certificate, law, 40, theta, 0.01)


def test_flow_coefficients_of_a_large_spectrum(benchmark):
    law = Gaussian(np.diag(spectrum(2000)))
    benchmark(flow_coefficients, law, 4000)


def test_local_minimum(benchmark):
    benchmark(mixed_point, Gaussian.isotropic(5), 100)


def test_predictions_of_many_prompts(benchmark):
    rng = np.random.default_rng(0)
    layer = minimizer(Gaussian.isotropic(20), 40)
    xs, ys, queries = rng.normal(size=(1000, 40, 20)), rng.normal(size=(1000, 40)), rng.normal(size=(1000, 20))
    benchmark(predict, layer, xs, ys, queries)


def test_the_closed_form_against_cubature(benchmark):
    """The ratio is printed with the benchmark; it is at least 50 at d = 3, N = 2."""
    covariance = np.diag(spectrum(3))
    rng = np.random.default_rng(0)
    layer = LSAParameters(rng.normal(size=(4, 4)), rng.normal(size=(4, 4)))
    law = Gaussian(covariance)
    value = benchmark(population_loss, layer, law, 2)
    # Timed here as well, so that the ratio does not need the plugin (--benchmark-disable).
    ours = min(timeit.repeat(lambda: population_loss(layer, law, 2), number=20, repeat=5)) / 20
    start = time.perf_counter()
    reference = cubature_loss(layer, covariance, 2)
    ratio = (time.perf_counter() - start) / ours
    benchmark.extra_info["times faster than cubature"] = round(ratio)
    assert value == pytest.approx(reference, rel=1e-12)
    assert ratio > 50
