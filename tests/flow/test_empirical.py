"""Minimisers of the empirical risk are minima, and their excess has its leading coefficient."""

import numpy as np
import pytest

from iclab.flow import empirical_gradient, empirical_minimizer, empirical_minimizer_of_all, excess_coefficient
from iclab.predictors import TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal
from iclab.theory import LSAParameters, minimizer, optimal_learner


def prompts(count, dimension=3, n_train=10, seed=0):
    return PromptDistribution(Gaussian.isotropic(dimension), Linear()).sample(count, n_train + 1, seed=seed)


def layer(K):
    d = K.shape[0]
    return LSAParameters.from_blocks(np.zeros(d), 1.0, K.T, np.zeros(d))


def empirical_risk(parameters, sample):
    return np.mean((TrainedLSA(parameters)(sample)[:, -1] - sample.targets[:, -1]) ** 2) / 2


def test_empirical_minimizer_is_stationary_and_global():
    sample = prompts(60)
    K = empirical_minimizer(sample)
    _, _, U, _ = LSAParameters.from_vector(empirical_gradient(layer(K), sample)).blocks
    np.testing.assert_allclose(U, 0, atol=1e-12)
    other = optimal_learner(Gaussian.isotropic(3), 10)
    assert empirical_risk(layer(K), sample) < empirical_risk(layer(other), sample)


def test_few_prompts_are_interpolated():
    sample = prompts(8)  # fewer than d² = 9
    assert empirical_risk(layer(empirical_minimizer(sample)), sample) == pytest.approx(0, abs=1e-20)


def test_all_parameters_fit_at_least_as_well():
    sample = prompts(400)
    start = minimizer(Gaussian.isotropic(3), 10)
    found = empirical_minimizer_of_all(sample, start)
    assert np.abs(empirical_gradient(found, sample)).max() < 1e-5
    assert empirical_risk(found, sample) < empirical_risk(layer(empirical_minimizer(sample)), sample)


@pytest.mark.parametrize("inputs", ["fixed", "random"])
def test_leading_coefficient_in_one_dimension(inputs):
    """d = 1: ½E[r²Z²]/EZ², r = (kλ̂ − 1)wx and Z = λ̂wx, so that with λ it is ½·3·3·E[λ(kλ̂ − 1)²λ̂²λ]/E[λλ̂²]."""
    n = 30
    law = Gaussian.isotropic(1) if inputs == "fixed" else RandomDiagonal.exponential(1)
    found = excess_coefficient(law, 1, n, 5)
    rng = np.random.default_rng(1)
    scale = np.ones(400_000) if inputs == "fixed" else rng.exponential(size=400_000)
    sample = scale * rng.chisquare(n, size=400_000) / n
    k = (scale * sample).mean() / (scale * sample**2).mean()
    assert k == pytest.approx(optimal_learner(law, n)[0, 0], rel=0.02)
    expected = 4.5 * (scale**2 * (k * sample - 1) ** 2 * sample**2).mean() / (scale * sample**2).mean()
    assert abs(found.value - expected) < 5 * found.standard_error
