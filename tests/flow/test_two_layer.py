"""Two layers: the forward pass of (3) twice, the gradient, invariants, and more learned than by one layer."""

import numpy as np
import pytest

from iclab.flow import TwoLayerRisk, TwoLayerWeights, two_layer_flow
from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.theory import LSAParameters, embed, lsa, minimizer, minimum_loss

DISTRIBUTION = PromptDistribution(Gaussian(np.diag([1.0, 0.5])), Linear())


def test_predictions_are_two_applications_of_the_layer():
    prompts = DISTRIBUTION.sample(7, 6, seed=0)
    weights = TwoLayerWeights.random(2, 0.7, 1)
    layers = [LSAParameters(pv, kq) for pv, kq in zip(weights.w_pv, weights.w_kq, strict=True)]
    embedding = embed(prompts.xs[:, :-1], prompts.ys[:, :-1], prompts.queries[:, -1])
    expected = lsa(lsa(embedding, layers[0]), layers[1])[:, -1, -1]
    assert TwoLayerRisk(prompts).predictions(weights) == pytest.approx(expected, rel=1e-12)


def test_gradient_is_the_derivative():
    risk = TwoLayerRisk(DISTRIBUTION.sample(20, 6, seed=0))
    vector = TwoLayerWeights.random(2, 0.7, 2).vector
    exact = risk.gradient(TwoLayerWeights.from_vector(vector)).vector
    step = 1e-5
    numeric = [
        (risk(TwoLayerWeights.from_vector(vector + step * e)) - risk(TwoLayerWeights.from_vector(vector - step * e)))
        / (2 * step)
        for e in np.eye(len(vector))
    ]
    assert exact == pytest.approx(numeric, rel=1e-5, abs=1e-8 * np.abs(exact).max())


def test_invariants_and_decreasing_loss():
    flow = two_layer_flow(TwoLayerWeights.random(2, 0.4, 3), DISTRIBUTION.sample(200, 11, seed=0), 10.0)
    times = np.linspace(0, 10, 8)
    balances = np.array([flow.balance(t) for t in times])
    assert np.abs(balances - balances[0]).max() < 1e-5
    assert (np.diff([flow.loss(t) for t in times]) < 0).all()


def test_second_layer_with_an_idle_first_is_the_one_layer_minimum():
    """With W_1 = 0 the second layer alone is (3): at Theorem 4's weights, its loss is the one-layer minimum."""
    parameters = minimizer(DISTRIBUTION.covariates, 10)
    zero = np.zeros((3, 3))
    weights = TwoLayerWeights([zero, parameters.w_pv], [zero, parameters.w_kq])
    found = TwoLayerRisk(DISTRIBUTION.sample(20_000, 11, seed=5)).estimate(weights, 5)
    assert abs(found.z_score(minimum_loss(DISTRIBUTION.covariates, 10))) < 4


def test_two_layers_learn_more_than_one():
    """From a start near the one-layer minimum, both layers beat it on prompts they were not fitted to."""
    parameters = minimizer(DISTRIBUTION.covariates, 10)
    noise = TwoLayerWeights.random(2, 0.3, 0)
    start = TwoLayerWeights(
        noise.w_pv + np.array([np.zeros((3, 3)), parameters.w_pv]),
        noise.w_kq + np.array([np.zeros((3, 3)), parameters.w_kq]),
    )
    flow = two_layer_flow(start, DISTRIBUTION.sample(500, 11, seed=0, stream="training"), 25.0, tolerance=1e-4)
    fresh = TwoLayerRisk(DISTRIBUTION.sample(20_000, 11, seed=1)).estimate(flow.weights(25.0), 1)
    assert fresh.z_score(minimum_loss(DISTRIBUTION.covariates, 10)) < -5


def test_bad_input():
    with pytest.raises(InvalidInputError, match="shape"):
        TwoLayerWeights(np.zeros((2, 3, 3)), np.zeros((2, 4, 4)))
    with pytest.raises(InvalidInputError, match="dimension"):
        two_layer_flow(TwoLayerWeights.random(3, 0.1, 0), DISTRIBUTION.sample(5, 4, seed=0), 1.0)
    with pytest.raises(InvalidInputError, match="example"):
        TwoLayerRisk(DISTRIBUTION.sample(5, 1, seed=0))
