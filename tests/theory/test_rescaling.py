"""Exact errors of the layer on scaled prompts: closed forms, Monte Carlo through the predictor, symmetries."""

import math

import numpy as np
import pytest
from scipy import stats

from iclab.foundations import InvalidInputError
from iclab.predictors import Rescaled, TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal
from iclab.theory import LSAParameters, coordinate_scaling, trace_scaling


def heavy(dimension):
    return RandomDiagonal((stats.lognorm(s=1.2),) * dimension)


@pytest.mark.parametrize("m", [1, 2, 7, 100, math.inf])
@pytest.mark.parametrize("d", [2, 5])
def test_isotropic_closed_form(d, m):
    """For Λ = λI the trace and Λ̂/trΛ̂ are independent, so that moments of the ratio are ratios of moments."""
    inverse = 0.0 if math.isinf(m) else 1 / m
    risk = trace_scaling(Gaussian.isotropic(d, 3.0), m)
    square = 3 * d * (1 + (d + 1) * inverse) / (1 + 2 * inverse / d)
    np.testing.assert_allclose([risk.constant, risk.cross, risk.square], [3 * d, 3 * d, square], rtol=1e-10)


@pytest.mark.parametrize("shape", [0.25, 1.0, 6.0])
@pytest.mark.parametrize("d", [2, 5])
def test_gamma_limit_closed_form(d, shape):
    """M = ∞: λ/trΛ is Dirichlet, independent of trΛ."""
    risk = trace_scaling(RandomDiagonal((stats.gamma(shape, scale=1 / shape),) * d), math.inf)
    cross = d**2 * (shape + 1) / (d * shape + 1)
    square = d**3 * (shape + 1) * (shape + 2) / ((d * shape + 1) * (d * shape + 2))
    np.testing.assert_allclose([risk.constant, risk.cross, risk.square], [d, cross, square], rtol=1e-10)


@pytest.mark.parametrize("m", [1, 4, math.inf])
def test_in_one_dimension_scaling_leaves_nothing_to_learn(m):
    for scaling in (trace_scaling, coordinate_scaling):
        risk = scaling(heavy(1), m)
        assert risk.best == pytest.approx(1, rel=1e-9)
        assert risk.minimum == pytest.approx(0, abs=1e-9 * risk.constant)


@pytest.mark.parametrize(("scaling", "exact"), [("inputs", trace_scaling), ("coordinates", coordinate_scaling)])
def test_monte_carlo_through_the_predictor(scaling, exact):
    laws = RandomDiagonal((stats.expon(), stats.gamma(0.5, scale=3.0), stats.uniform(0.5, 1.0)), scale=2.0)
    k, m, d = 0.6, 6, 3
    layer = TrainedLSA(LSAParameters.from_blocks(np.zeros(d), 1.0, k * np.eye(d), np.zeros(d)))
    prompts = PromptDistribution(laws, Linear()).sample(60_000, m + 1, seed=3)
    errors = (Rescaled(layer, scaling).at(prompts, m) - prompts.targets[:, m]) ** 2
    assert abs(errors.mean() - exact(laws, m)(k)) < 4 * errors.std() / np.sqrt(len(errors))


def test_best_coefficient_is_the_minimum():
    risk = trace_scaling(heavy(3), 5)
    assert risk(risk.best) == pytest.approx(risk.minimum)
    assert min(risk(risk.best - 0.01), risk(risk.best + 0.01)) > risk.minimum


def test_units_of_the_covariance_only_multiply_the_error():
    one, other = (RandomDiagonal((stats.expon(),) * 3, scale) for scale in (1.0, 9.0))
    for scaling in (trace_scaling, coordinate_scaling):
        assert scaling(other, 8)(0.7) == pytest.approx(9 * scaling(one, 8)(0.7))


def test_coordinates_make_every_diagonal_law_the_same():
    d, m = 4, 12
    for law in (Gaussian.isotropic(d), RandomDiagonal.exponential(d), Gaussian(np.diag([1.0, 2.0, 0.5, 0.5]))):
        assert coordinate_scaling(law, m).minimum == pytest.approx(d * (d - 1) / (m + d - 3))
    assert coordinate_scaling(heavy(2), 2)(0.5) == math.inf  # E 1/χ²_2


def test_refuses_a_covariance_that_is_not_diagonal():
    with pytest.raises(InvalidInputError, match="diagonal"):
        trace_scaling(Gaussian([[1, 0.5], [0.5, 1]]), 5)
