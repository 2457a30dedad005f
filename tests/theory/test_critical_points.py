"""Minima that are not global: where they are, what they cost, and for which prompt lengths they exist."""

import math

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.prompts import CovarianceMixture, Gaussian, RandomDiagonal
from iclab.theory import (
    LSAParameters,
    RealLength,
    classify,
    cubature_loss,
    descend,
    flow_coefficients,
    gamma,
    minimizer,
    minimum_loss,
    mixed_limit,
    mixed_point,
    population_loss,
    random_descents,
    random_theta,
    rank_one_limit,
    rank_one_point,
)


@pytest.mark.parametrize(
    ("dimension", "longest"), [(2, 4), (3, 3), (4, 2), (7, 2), (14, 2), (15, 1)], ids=lambda value: str(value)
)
def test_rank_one_minima_of_isotropic_inputs(dimension, longest):
    law = Gaussian.isotropic(dimension)
    for n in (1, longest):
        point = rank_one_point(law, n)
        assert point.kind == "local minimum"
        g = 1 + (dimension + 1) / n
        assert point.excess == pytest.approx((dimension - 1) / (2 * g), rel=1e-12)
        assert point.symmetries == dimension  # scaling, and the d − 1 directions in which e can turn
    assert rank_one_point(law, longest + 1).kind == "saddle"


def test_rank_one_minima_of_unequal_variances():
    covariance = np.diag([1.0, 0.1])
    g = np.diagonal(gamma(covariance, 150))
    point = rank_one_point(Gaussian(covariance), 150, direction=0)
    assert point.kind == "local minimum"
    assert point.excess == pytest.approx(0.1**2 / (2 * g[1]), rel=1e-10)
    assert rank_one_point(Gaussian(covariance), 150, direction=1).kind == "saddle"
    assert 200 < rank_one_limit(Gaussian(covariance), 0) < 205
    assert rank_one_limit(Gaussian(covariance), 1) == 0


def test_the_real_forward_pass_confirms_a_local_minimum():
    covariance, n = np.eye(2), 2
    point = rank_one_point(Gaussian(covariance), n)
    value = cubature_loss(point.parameters, covariance, n)
    assert value == pytest.approx(point.loss, rel=1e-13)
    assert value > population_loss(minimizer(Gaussian(covariance), n), Gaussian(covariance), n) + 0.19
    rng = np.random.default_rng(0)
    for _ in range(30):
        near = LSAParameters.from_vector(point.parameters.vector + 0.03 * rng.normal(size=9))
        assert cubature_loss(near, covariance, n) >= value * (1 - 1e-13)


@pytest.mark.parametrize(("dimension", "n"), [(2, 5), (2, 20), (3, 18), (4, 80), (5, 80), (8, 231), (12, 545)])
def test_mixed_minima_of_isotropic_inputs(dimension, n):
    point = mixed_point(Gaussian.isotropic(dimension), n)
    assert point.kind == "local minimum"
    assert point.gradient_norm < 1e-13
    assert point.eigenvalues[0] > -1e-13 * point.eigenvalues[-1]
    assert point.curvature > 1e-6
    assert point.symmetries == dimension


def test_the_excess_of_mixed_minima_tends_to_its_asymptote():
    for d in (2, 3, 5):
        ratios = []
        for n in (10**4, 10**6):
            point = mixed_point(Gaussian.isotropic(d), n)
            ratios.append(point.relative_excess / (2 * math.sqrt(2 * (d - 1) / (d * n))))
        assert abs(ratios[1] - 1) < 0.1 * abs(ratios[0] - 1) + 1e-3
        assert ratios[1] == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize(
    ("dimension", "low", "high"), [(3, 17.4, 17.5), pytest.param(5, 79, 80, marks=pytest.mark.slow)]
)
def test_where_mixed_minima_begin(dimension, low, high):
    law = Gaussian.isotropic(dimension)
    assert low < mixed_limit(law) < high
    assert mixed_point(law, math.floor(low)) is None
    assert mixed_point(law, math.floor(low) + 1) is not None


def test_in_two_dimensions_one_family_begins_where_the_other_ends():
    law = Gaussian.isotropic(2)
    limit = rank_one_limit(law)
    assert limit == pytest.approx(mixed_limit(law), rel=1e-5)
    assert round(limit, 4) == 4.2778
    assert rank_one_limit(Gaussian.isotropic(1)) == math.inf  # in d = 1 it is global for every N


def test_random_covariances_have_both_families():
    law = RandomDiagonal.exponential(2)
    point = mixed_point(law, 40)
    assert point.kind == "local minimum"
    assert point.symmetries == 1  # coordinates are alike in law, but no rotation keeps them so
    # Along an axis the other family is a saddle: as ζ < γ, turning e_1 to (1, 1)/√2 lowers the loss.
    axis = rank_one_point(law, 2)
    assert axis.gradient_norm < 1e-14
    assert axis.kind == "saddle"
    coefficients = flow_coefficients(law, 2)
    size = coefficients.drive[0] / coefficients.decay[0].mean()
    diagonal = np.full(2, math.sqrt(size / 2))
    turned = LSAParameters.from_blocks(diagonal, 0.0, np.zeros((2, 2)), diagonal)
    assert population_loss(turned, law, 2) < axis.loss
    assert classify(turned, law, 2).gradient_norm < 1e-14


def test_the_same_point_in_rotated_coordinates():
    spectrum = np.array([0.3, 0.6, 1.0])
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    straight = rank_one_point(Gaussian(np.diag(spectrum)), 3, direction=2)
    turned = rank_one_point(Gaussian(Q @ np.diag(spectrum) @ Q.T), 3, direction=2)
    assert turned.loss == pytest.approx(straight.loss, rel=1e-12)
    np.testing.assert_allclose(turned.eigenvalues, straight.eigenvalues, rtol=0, atol=1e-12)
    assert turned.kind == straight.kind


@pytest.mark.parametrize(("dimension", "n"), [(2, 20), pytest.param(3, 40, marks=pytest.mark.slow)])
def test_random_starts_end_at_known_points(dimension, n):
    law = Gaussian.isotropic(dimension)
    known = {"local minimum": mixed_point(law, n).loss, "global minimum": minimum_loss(law, n)}
    ends = random_descents(law, n, 8, seed=1)
    assert {end.kind for end in ends} == set(known)
    for end in ends:
        assert end.loss == pytest.approx(known[end.kind], rel=1e-9)
    (again,) = random_descents(law, n, 1, seed=1)
    assert again.loss == ends[0].loss


def test_starts_of_assumption_3_end_at_the_global_minimum():
    rng = np.random.default_rng(2)
    law, n = Gaussian.isotropic(2), 20
    for seed in range(5):
        noise = 0.02 * rng.normal(size=2)
        start = LSAParameters.from_blocks(noise, 0.3, 0.3 * random_theta(2, seed), -noise)
        assert descend(start, law, n).kind == "global minimum"


def test_one_direction_alone_has_no_mixed_points():
    for law in (Gaussian.isotropic(1), Gaussian(np.diag([1.0, 0.0]))):
        assert mixed_point(law, 50) is None
        assert mixed_limit(law) == math.inf


def test_kinds():
    law = Gaussian([[1.0, 0.2], [0.2, 0.5]])
    zero = LSAParameters.from_vector(np.zeros(9))
    assert classify(zero, law, 6).kind == "saddle"
    assert classify(minimizer(law, 6), law, 6).kind == "global minimum"
    assert classify(LSAParameters.from_vector(np.ones(9)), law, 6).kind == "not critical"
    assert rank_one_point(Gaussian.isotropic(1), 3).kind == "global minimum"


@pytest.mark.parametrize(
    "call",
    [
        lambda: rank_one_point(Gaussian.isotropic(2), 4, direction=2),
        lambda: mixed_point(Gaussian.isotropic(2), 4, direction=-1),
        lambda: random_descents(Gaussian.isotropic(2), 4, 0, seed=1),
        lambda: RealLength(0.0),
        lambda: rank_one_point(Gaussian(np.diag([1.0, 0.0])), 4, direction=1),
        lambda: mixed_point(Gaussian.isotropic(2), math.inf),
        lambda: mixed_limit(Gaussian.isotropic(2), direction=5),
        lambda: rank_one_point(CovarianceMixture([np.eye(2), [[1, 0.5], [0.5, 2]], np.diag([1, 3])]), 4),
        lambda: classify(LSAParameters.from_vector(np.ones(9)), Gaussian.isotropic(3), 6),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises(InvalidInputError, match=r"^[^\n]+\.$"):
        call()
