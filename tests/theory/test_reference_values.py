"""Numbers worked out independently of this package, to all their printed digits."""

import math

import numpy as np
import pytest

from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory import (
    LSAParameters,
    certificate,
    corollary6_bound,
    expected_risk,
    flow_coefficients,
    gamma,
    minimizer,
    minimum_loss,
    noisy_linear_law,
    population_gradient,
    population_loss,
    quadratic_law,
    shift_risk,
    theorem5_risk,
)

COVARIANCE = np.array([[1, 0.3, 0.1], [0.3, 0.7, -0.2], [0.1, -0.2, 0.5]])
LAW = Gaussian(COVARIANCE)
N = 6
THETA = np.array([[2.0, 1, 0], [1, 2, 1], [0, 1, 2]])
SIGMA = 0.3
A, SCALAR_U, B = (0.2, -0.5, 0.3), 0.7, (0.4, 0.1, -0.6)
BLOCK_U = np.array([[0.5, -0.2, 0.1], [0.3, 0.8, -0.4], [-0.1, 0.2, 0.6]])
W, V = np.array([1, -1, 0.5]), np.array([0.3, 0.2, -0.4])


def printed(value: float, text: str) -> None:
    """The value rounds to the printed digits (one unit in the last place of slack for the printed rounding)."""
    digits = len(text.split(".")[1])
    assert abs(value - float(text)) <= 0.5001 * 10.0**-digits, (value, text)


def test_losses_and_gradient_of_problem_a():
    full = LSAParameters.from_blocks(A, SCALAR_U, BLOCK_U, B)
    restricted = LSAParameters.from_blocks(np.zeros(3), SCALAR_U, BLOCK_U, np.zeros(3))
    printed(population_loss(full, LAW, N), "1.32851971667")
    printed(population_loss(restricted, LAW, N), "0.544722083333")
    printed(population_gradient(full, LAW, N).blocks[1], "1.67428666667")


def test_certificate_of_problem_a():
    constants = certificate(LAW, N, THETA, SIGMA)
    half_trace = np.trace(COVARIANCE) / 2
    printed(constants.threshold, "0.81220252011")
    printed(constants.initial_loss - half_trace, "-0.098085825")
    printed(constants.minimum_loss - half_trace, "-0.678267197413")
    printed(minimum_loss(LAW, N) - half_trace, "-0.678267197413")
    printed(constants.u_lower_bound, "0.191526295798")
    printed(constants.pl_constant, "0.00192618712")
    printed(constants.asymptotic_rate, "0.294172928")
    printed(constants.limit, "1.32167033471")
    printed(minimizer(LAW, N).blocks[1], "1.32167033471")


@pytest.mark.parametrize(
    ("law", "value"),
    [
        (noisy_linear_law(COVARIANCE, W), "0.513130508162"),
        (noisy_linear_law(COVARIANCE, W, 0.3), "0.850021251888"),
        (quadratic_law(COVARIANCE, W, V, 0.5), "0.552022836188"),
    ],
)
def test_theorem_5_of_problem_a(law, value):
    printed(theorem5_risk(COVARIANCE, N, 8, *law), value)


def test_corollary_6_of_problem_a():
    printed(expected_risk(LAW, N, 8), "0.7177230566")
    printed(corollary6_bound(COVARIANCE, N, 8), "3.8228")


def test_shift_of_problem_a():
    learner = np.linalg.inv(gamma(COVARIANCE, N))
    moment = np.eye(3) + 0.3
    printed(shift_risk(learner, np.diag([0.5, 1, 2]), np.diag([2, 1, 0.5]), 7, moment, 0.2), "6.45578598501")


def test_random_covariances():
    law = RandomDiagonal.exponential(3)
    coefficients = flow_coefficients(law, 10)
    np.testing.assert_allclose(coefficients.decay, 2.7 + 4.9 * np.eye(3), rtol=1e-14)
    np.testing.assert_allclose(coefficients.drive, 2, rtol=1e-14)
    constants = certificate(law, 10, THETA, 0.1)
    printed(constants.threshold, "0.266826582")
    printed(constants.limit, "0.675131723516")


def test_figure_1_error_at_finite_length():
    printed(expected_risk(RandomDiagonal.exponential(20), 40, 40) / 20, "0.44827586")


@pytest.mark.parametrize(
    ("test_law", "random_trained", "identity_trained"),
    [
        (RandomDiagonal.exponential(7, 1.0), 1 / 3, 3),
        (RandomDiagonal.exponential(7, 4.0), 76 / 3, 324),
        (RandomDiagonal.exponential(7, 9.0), 387, 4059),
        (Gaussian.isotropic(7), 4 / 9, 0),
    ],
)
def test_the_limit_lines_of_figure_1(test_law, random_trained, identity_trained):
    limits = (math.inf, math.inf, test_law)
    assert expected_risk(RandomDiagonal.exponential(7), *limits) / 7 == pytest.approx(random_trained, rel=1e-13)
    assert expected_risk(Gaussian.isotropic(7), *limits) / 7 == pytest.approx(identity_trained, rel=1e-13, abs=1e-28)


@pytest.mark.parametrize("c", [1.0, 4.0, 9.0])
def test_errors_at_finite_length_under_exponential_covariances(c):
    d, n_train, n_test = 11, 23, 37
    law = RandomDiagonal.exponential(d, c)
    for trained, k in (
        (RandomDiagonal.exponential(d), 1 / (3 + (d + 5) / n_train)),
        (Gaussian.isotropic(d), 1 / (1 + (d + 1) / n_train)),
    ):
        exact = c**3 * k**2 * (6 + (2 * d + 10) / n_test) - 4 * c**2 * k + c
        assert expected_risk(trained, n_train, n_test, law) / d == pytest.approx(exact, rel=1e-13)
        on_identity = k**2 * (1 + (d + 1) / n_test) - 2 * k + 1
        assert expected_risk(trained, n_train, n_test, Gaussian.isotropic(d)) / d == pytest.approx(
            on_identity, rel=1e-13
        )
