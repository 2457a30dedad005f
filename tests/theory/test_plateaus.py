"""Plateau levels: published digits, the minimum loss as the last, the best learner on some directions, and laws."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from iclab.foundations import InvalidInputError
from iclab.prompts import CovarianceMixture, Gaussian, RandomDiagonal, Wishart
from iclab.theory import learner_loss, minimum_loss, plateau_losses, random_theta

SPECTRUM = np.array([0.4, 0.3, 0.2, 0.1])


def test_published_digits_in_any_basis():
    turn = np.linalg.eigh(random_theta(4, 3))[1]
    levels = plateau_losses(turn @ np.diag(SPECTRUM) @ turn.T, 31)
    assert levels.round(4) == pytest.approx([1, 0.6406, 0.3774, 0.2098, 0.1360])


@pytest.mark.parametrize("n_train", [1, 7, math.inf])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_first_and_last_level(n_train, noise):
    levels = plateau_losses(np.diag(SPECTRUM), n_train, noise)
    assert levels[0] == pytest.approx(1)
    exact = 2 * minimum_loss(Gaussian(np.diag(SPECTRUM)), n_train, noise_variance=noise)
    assert levels[-1] == pytest.approx(exact, rel=1e-12, abs=1e-15)
    assert np.all(np.diff(levels) < 0)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_levels_are_the_least_losses_on_the_leading_directions(noise):
    """Level m is the best loss of learners that see the m leading coordinates only: found by descent."""
    law, n = Gaussian(np.diag(SPECTRUM)), 5
    for m, level in enumerate(plateau_losses(law, n, noise)[1:], start=1):

        def loss(entries, m=m):
            K = np.zeros((4, 4))
            K[:m, :m] = entries.reshape(m, m)
            return 2 * learner_loss(K, law, n, noise)

        assert minimize(loss, np.zeros(m * m), tol=1e-12).fun == pytest.approx(level, rel=1e-7)


def test_random_covariances():
    """Theorem 8's moments of Exponential(1), by hand: ξ = 2, γ = 6(1 + 1/N) + (6 + 2(d − 1))/N."""
    d, n = 3, 10
    levels = plateau_losses(RandomDiagonal([stats.expon()] * d), n)
    gamma = 6 * (1 + 1 / n) + (6 + 2 * (d - 1)) / n
    assert levels == pytest.approx(d - np.arange(d + 1) * 4 / gamma, rel=1e-12)
    law = CovarianceMixture([np.diag([1.0, 2.0]), np.diag([3.0, 0.1])])
    assert plateau_losses(law, n)[-1] == pytest.approx(2 * minimum_loss(law, n), rel=1e-12)


def test_the_order_is_that_of_growth():
    """A rare large variance grows first, E λ² = 10 against 1, though the steady one gains more."""
    law = CovarianceMixture([np.diag([1.0, 0.0]), np.diag([1.0, 10.0])], [0.9, 0.1])
    falls = -np.diff(plateau_losses(law, math.inf))
    assert falls == pytest.approx([10**2 / 100, 1], rel=1e-12)
    steady = CovarianceMixture([np.diag([2.0, 0.0]), np.diag([2.0, 10.0])], [0.9, 0.1])
    assert -np.diff(plateau_losses(steady, math.inf)) == pytest.approx([1, 2], rel=1e-12)


def test_directions_without_variance_add_levels_without_a_fall():
    assert plateau_losses(np.diag([1.0, 0.0]), math.inf) == pytest.approx([1, 0, 0], abs=1e-15)


def test_bad_input():
    with pytest.raises(InvalidInputError, match="positive semi-definite"):
        plateau_losses(np.diag([1.0, -1.0]), 5)
    with pytest.raises(InvalidInputError, match="noise_variance must be at least 0"):
        plateau_losses(np.eye(2), 5, -1)
    with pytest.raises(InvalidInputError, match="n_train"):
        plateau_losses(np.eye(2), 0)
    with pytest.raises(InvalidInputError, match="commute"):
        plateau_losses(Wishart(np.diag([1.0, 2.0]), 5), 5)
