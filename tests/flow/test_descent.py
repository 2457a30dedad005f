"""Discrete training: convergence to the flow in its order, stability limits, unbiased stochastic gradients."""

import math

import numpy as np
import pytest

from iclab.flow import (
    empirical_gradient,
    gradient_descent,
    gradient_flow,
    stability_limit,
    stochastic_gradient_descent,
)
from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal
from iclab.theory import LSAParameters, assumption3, minimizer, population_gradient, predict, random_theta

COVARIATES = Gaussian([[1.0, 0.3], [0.3, 0.6]])
START = LSAParameters.from_vector(assumption3(random_theta(2, 1), 0.4).vector + 0.02)


@pytest.mark.parametrize(("momentum", "rates"), [(0.0, (0.04, 0.02, 0.01)), (0.5, (0.02, 0.01, 0.005))])
def test_first_order_convergence_to_the_flow(momentum, rates):
    t = 4.0
    exact = gradient_flow(START, COVARIATES, 8, t).parameters(t).vector
    errors = []
    for rate in rates:
        steps = round(t * (1 - momentum) / rate)
        run = gradient_descent(START, COVARIATES, 8, rate, steps, momentum=momentum)
        assert run.times[-1] == pytest.approx(t)
        errors.append(np.linalg.norm(run.vectors[-1] - exact))
    slopes = np.diff(np.log(errors)) / np.diff(np.log(rates))
    assert slopes == pytest.approx(1, abs=0.1)


def test_gap_measures_the_distance_to_the_flow():
    run = gradient_descent(START, COVARIATES, 8, 0.01, 300, record_every=100)
    assert run.steps.tolist() == [0, 100, 200, 300]
    gap = run.gap(gradient_flow(START, COVARIATES, 8, 3.0))
    assert gap[0] == 0
    assert 0 < gap[-1] < 0.02


@pytest.mark.parametrize(("d", "n_train"), [(2, 5), (5, 20), (9, 13)])
def test_stability_limit_on_u_and_U_is_one_over_root_d(d, n_train):
    covariates = Gaussian.isotropic(d)
    limit = stability_limit(minimizer(covariates, n_train), covariates, n_train, only_a_b_zero=True)
    assert limit == pytest.approx(1 / math.sqrt(d), rel=1e-9)


@pytest.mark.parametrize(("d", "n_train", "printed", "digits"), [(5, 20, 0.0300, 5e-5), (20, 40, 1.48e-3, 5e-6)])
def test_stability_limit_on_all_parameters(d, n_train, printed, digits):
    covariates = Gaussian.isotropic(d)
    assert stability_limit(minimizer(covariates, n_train), covariates, n_train) == pytest.approx(printed, abs=digits)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_descent_is_stable_below_the_limit_and_not_above(momentum):
    """A tiny push from the minimum dies out at 0.95 of the limit and grows at 1.05 of it."""
    minimum = minimizer(COVARIATES, 8)
    limit = stability_limit(minimum, COVARIATES, 8, momentum=momentum)
    pushed = LSAParameters.from_vector(minimum.vector + 1e-6 * np.random.default_rng(0).standard_normal(9))
    below = gradient_descent(pushed, COVARIATES, 8, 0.95 * limit, 400, momentum=momentum)
    above = gradient_descent(pushed, COVARIATES, 8, 1.05 * limit, 60, momentum=momentum)
    assert below.excess[-1] < 1e-3 * below.excess[0]
    assert above.excess[-1] > 10 * above.excess[0]


def test_on_u_and_U_descent_keeps_a_and_b_at_zero_up_to_its_own_limit():
    """Between the two limits a start with a = b = 0 converges, and one with a push in a, b does not stay near."""
    covariates, n_train = Gaussian.isotropic(5), 20
    minimum = minimizer(covariates, n_train)
    exact = gradient_descent(assumption3(np.eye(5), 0.1), covariates, n_train, 0.2, 400)
    assert exact.excess[-1] < 1e-12
    assert exact.parameters().blocks[0].tolist() == [0] * 5
    pushed = LSAParameters.from_vector(minimum.vector + 1e-6)
    assert gradient_descent(pushed, covariates, n_train, 0.2, 100).diverged


def test_empirical_gradient_is_the_derivative_of_the_empirical_risk():
    prompts = PromptDistribution(RandomDiagonal.exponential(3), Linear()).sample(5, 8, seed=3)
    t = np.random.default_rng(0).standard_normal(16)

    def risk(t):
        parameters = LSAParameters.from_vector(t)
        fit = predict(parameters, prompts.xs[:, :-1], prompts.ys[:, :-1], prompts.queries[:, -1])
        return 0.5 * np.mean((fit - prompts.targets[:, -1]) ** 2)

    step = 1e-5
    numeric = [(risk(t + step * e) - risk(t - step * e)) / (2 * step) for e in np.eye(16)]
    exact = empirical_gradient(LSAParameters.from_vector(t), prompts)
    assert exact == pytest.approx(numeric, rel=1e-6, abs=1e-8 * np.abs(exact).max())


def test_empirical_gradient_is_unbiased():
    parameters = LSAParameters.from_vector(0.4 * np.random.default_rng(1).standard_normal(9))
    distribution = PromptDistribution(COVARIATES, Linear())
    batches = np.array(
        [empirical_gradient(parameters, distribution.sample(200, 7, seed=0, start=200 * i)) for i in range(100)]
    )
    exact = population_gradient(parameters, COVARIATES, 6).vector
    z = (batches.mean(0) - exact) / (batches.std(0, ddof=1) / 10)
    assert np.abs(z).max() < 4.5
    assert np.abs(exact).min() > 1e-3


def test_sgd_nears_the_flow_as_batches_grow():
    """The noise part of the gap falls as B^{-1/2}: sixteen times the batch, about a quarter of the gap."""
    t, rate = 3.0, 0.01
    flow = gradient_flow(START, COVARIATES, 8, t)
    descent = gradient_descent(START, COVARIATES, 8, rate, 300).vectors[-1]
    noise = []
    for size in (4, 64):
        ends = [
            stochastic_gradient_descent(START, COVARIATES, 8, rate, 300, batch_size=size, seed=seed).vectors[-1]
            for seed in range(8)
        ]
        noise.append(np.sqrt(np.mean([np.sum((end - descent) ** 2) for end in ends])))
    assert 2.4 < noise[0] / noise[1] < 6.5
    assert np.linalg.norm(descent - flow.parameters(t).vector) < noise[1]


def test_sgd_repeats_with_its_seed():
    one, two, other = (
        stochastic_gradient_descent(START, COVARIATES, 8, 0.05, 10, batch_size=4, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.vectors, two.vectors)
    assert not np.array_equal(one.vectors, other.vectors)


def test_divergence_is_reported():
    run = gradient_descent(START, COVARIATES, 8, 50.0, 100)
    assert run.diverged
    assert np.isfinite(run.excess).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rate": 0.0}, "rate"),
        ({"n_steps": -1}, "n_steps"),
        ({"momentum": 1.0}, "momentum"),
        ({"n_train": 0}, "n_train"),
    ],
)
def test_bad_input(change, word):
    arguments = {"n_train": 8, "rate": 0.1, "n_steps": 3} | change
    with pytest.raises(InvalidInputError, match=word):
        gradient_descent(START, COVARIATES, **arguments)
