"""The population loss with label noise and any prior of w: against prompts, its own values, and its minimiser."""

import math

import numpy as np
import pytest
from scipy.stats import expon

from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal, RandomRotation
from iclab.theory import (
    AllPositions,
    LSAParameters,
    PopulationLoss,
    flow_coefficients,
    learner_loss,
    minimizer,
    minimum_loss,
    population_gradient,
    population_loss,
    predict,
)

W = np.array([[1.5, 0.4, 0.0], [0.4, 0.6, -0.3], [0.0, -0.3, 1.0]])
LAWS = {
    "fixed": Gaussian(np.array([[1.0, 0.3, 0.1], [0.3, 0.7, 0.2], [0.1, 0.2, 0.4]])),
    "random": RandomDiagonal([expon(), expon(scale=0.5), expon(scale=2.0)]),
    "rotated": RandomRotation([1.0, 0.5, 0.2]),
}


def layer(rng, scale=0.4):
    return LSAParameters(scale * rng.standard_normal((4, 4)), scale * rng.standard_normal((4, 4)))


@pytest.mark.parametrize("law", LAWS)
def test_it_is_the_mean_over_prompts(law):
    """All parameters, within 4 standard errors of 40 000 prompts drawn by the library's own laws."""
    theta, covariates, n, noise = layer(np.random.default_rng(1)), LAWS[law], 6, 0.8
    prompts = PromptDistribution(covariates, Linear(W), noise).sample(40_000, n + 1, seed=2)
    predicted = predict(theta, prompts.xs[:, :n], prompts.ys[:, :n], prompts.xs[:, n])
    half = (predicted - prompts.targets[:, n]) ** 2 / 2
    exact = population_loss(theta, covariates, n, noise**2, W)
    assert abs(half.mean() - exact) < 4 * half.std() / math.sqrt(len(half))


@pytest.mark.parametrize("law", LAWS)
def test_its_gradient_is_that_of_its_values(law):
    rng = np.random.default_rng(3)
    loss = PopulationLoss(LAWS[law], AllPositions(5), 0.3, W)
    theta, direction = layer(rng).vector, rng.standard_normal(16)
    values = [float(loss.values(theta + h * direction)) for h in (-2e-3, -1e-3, 1e-3, 2e-3)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-3
    assert slope == pytest.approx(float(loss.gradients(theta) @ direction), rel=1e-9)


@pytest.mark.parametrize("law", LAWS)
def test_at_a_and_b_zero_it_is_that_of_the_learner_and_least_at_the_minimiser(law):
    rng = np.random.default_rng(4)
    a, u, U, b = layer(rng).blocks
    theta = LSAParameters.from_blocks(0 * a, u, U, 0 * b)
    problem = (LAWS[law], 7, 0.5, W)
    assert population_loss(theta, *problem) == pytest.approx(learner_loss(theta.learner, *problem), rel=1e-12)
    best = minimizer(*problem)
    assert population_loss(best, *problem) == pytest.approx(minimum_loss(*problem), rel=1e-12)
    assert np.abs(population_gradient(best, *problem).vector).max() < 1e-12


def test_the_identity_without_noise_is_the_papers_loss():
    theta = layer(np.random.default_rng(5))
    for covariates in LAWS.values():
        assert population_loss(theta, covariates, 9, 0.0, np.eye(3)) == pytest.approx(
            population_loss(theta, covariates, 9), rel=1e-13
        )


def test_modes_are_those_of_the_loss_where_the_prior_commutes():
    """Λ = λI lets W choose the basis; a diagonal W commutes with diagonal covariances."""
    rng = np.random.default_rng(6)
    cases = [(Gaussian.isotropic(3, 0.7), W), (LAWS["random"], np.diag([0.5, 1.0, 2.0])), (LAWS["random"], None)]
    for covariates, prior in cases:
        a, u, U, b = layer(rng).blocks
        theta = LSAParameters.from_blocks(0 * a, u, U, 0 * b)
        modes = flow_coefficients(covariates, 4, 0.6, prior)
        loss = PopulationLoss(covariates, 4, 0.6, prior)
        assert modes.loss(u, modes.to_eigenbasis(U)) == pytest.approx(float(loss.values(theta.vector)), rel=1e-12)
        u_slope, U_slope = modes.gradient(u, modes.to_eigenbasis(U))
        slope = LSAParameters.from_blocks(0 * a, u_slope, modes.from_eigenbasis(U_slope), 0 * b)
        np.testing.assert_allclose(slope.vector, loss.gradients(theta.vector), atol=1e-13)
    assert not PopulationLoss(LAWS["fixed"], 4, 0.0, W).modal
