"""Predictors asked in other units: invariances that hold exactly."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.predictors import LeastSquares, Rescaled, Ridge, TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts, RandomDiagonal, shift
from iclab.theory import minimizer

D = 3
DISTRIBUTION = PromptDistribution(RandomDiagonal.exponential(D), Linear(), 0.2)


def in_units(prompts, inputs, labels):
    xs = prompts.xs * inputs
    queries = prompts.queries * inputs if prompts.shifted_queries else xs
    return Prompts(xs, prompts.ys * labels, queries, prompts.targets * labels)


@pytest.fixture(params=["standard", "scale-query=2"])
def prompts(request):
    return shift(request.param).apply(DISTRIBUTION).sample(20, 9, seed=2)


def squashing(prompts):
    """A predictor that is homogeneous in nothing."""
    return np.tanh(Ridge(0.5)(prompts) + np.tanh(prompts.queries.sum(axis=-1)) * (np.arange(prompts.n_points) > 0))


@pytest.mark.parametrize("c", [0.01, 3.0])
def test_inputs_and_labels_together_are_homogeneous(prompts, c):
    for scaling in ("inputs and labels", "coordinates"):
        scaled = Rescaled(squashing, scaling)
        np.testing.assert_allclose(scaled(in_units(prompts, c, c)), c * scaled(prompts), rtol=1e-9, atol=1e-12)
    assert np.abs(squashing(in_units(prompts, c, c)) - c * squashing(prompts)).max() > 0.01


def test_inputs_alone_do_not_see_their_unit(prompts):
    scaled = Rescaled(squashing, "inputs")
    np.testing.assert_allclose(scaled(in_units(prompts, 7.0, 1.0)), scaled(prompts), rtol=1e-9)


def test_coordinates_do_not_see_the_unit_of_any(prompts):
    # Ridge is homogeneous in the labels, so that their common scale has no effect.
    scaled = Rescaled(Ridge(0.5), "coordinates")
    np.testing.assert_allclose(scaled(in_units(prompts, np.array([0.1, 1.0, 20.0]), 1.0)), scaled(prompts), rtol=1e-8)


@pytest.mark.parametrize("scaling", ["inputs", "inputs and labels", "coordinates"])
def test_least_squares_stays_what_it_is(prompts, scaling):
    plain, scaled = LeastSquares()(prompts), Rescaled(LeastSquares(), scaling)(prompts)
    first = D if scaling == "coordinates" else 0  # the minimum norm depends on the units of the coordinates
    np.testing.assert_allclose(scaled[:, first:], plain[:, first:], rtol=1e-7, atol=1e-9)


def test_linear_attention_is_divided_by_the_mean_square(prompts):
    layer = TrainedLSA(minimizer(Gaussian.isotropic(D), 8))
    variance, position = 2.5, 6
    square = np.mean(prompts.xs[:, :position] ** 2, axis=(1, 2)) / variance
    expected = layer(prompts)[:, position] / square
    for scaling in ("inputs", "inputs and labels"):
        np.testing.assert_allclose(Rescaled(layer, scaling, variance)(prompts)[:, position], expected, rtol=1e-10)


def test_leaves_prompts_alone_that_are_in_their_units():
    signs = np.sign(np.random.default_rng(0).normal(size=(4, 7, D)))
    given = Prompts(signs, signs[..., 0], signs, signs[..., 0])
    for scaling in ("inputs", "inputs and labels", "coordinates"):
        np.testing.assert_allclose(Rescaled(squashing, scaling)(given), squashing(given), rtol=1e-12)


def test_a_context_of_zeros_shows_no_scale():
    zeros = np.zeros((2, 4, D))
    assert (Rescaled(LeastSquares())(Prompts(zeros, zeros[..., 0], zeros, zeros[..., 0])) == 0).all()


def test_refuses_an_unknown_scaling():
    with pytest.raises(InvalidInputError, match="coordinates"):
        Rescaled(LeastSquares(), "coordinate")
