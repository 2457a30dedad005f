"""Mean and deviation over new covariances: by enumeration of two-point laws, against draws, by hand, and bounds."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, RandomDiagonal, Wishart
from iclab.theory import expected_risk, learner_risk, optimal_learner, risk_concentration, risk_distribution


@pytest.mark.parametrize("n_test", [1, 7, math.inf])
@pytest.mark.parametrize("noise", [0.0, 0.6])
def test_against_all_outcomes_of_two_point_laws(n_test, noise):
    """The error at every one of the 2^d covariances, by the risk of a fixed Λ."""
    shares, lows = (0.5, 0.2, 0.7), (1.0, 0.4, 2.0)
    law = RandomDiagonal([stats.bernoulli(p, loc=low) for p, low in zip(shares, lows, strict=True)], 1.5)
    K = optimal_learner(law, 5)
    risks, weights = [], []
    for outcome in itertools.product((0, 1), repeat=3):
        Lambda = np.diag([1.5 * (low + bit) for low, bit in zip(lows, outcome, strict=True)])
        risks.append(learner_risk(K, Gaussian(Lambda), n_test, noise))
        weights.append(np.prod([p if bit else 1 - p for p, bit in zip(shares, outcome, strict=True)]))
    mean = np.dot(weights, risks)
    exact = risk_concentration(law, 5, n_test, noise_variance=noise)
    assert exact.mean == pytest.approx(mean, rel=1e-12)
    assert exact.standard_deviation == pytest.approx(
        math.sqrt(np.dot(weights, (np.array(risks) - mean) ** 2)), rel=1e-9
    )


@pytest.mark.parametrize("n_test", [10, math.inf])
def test_against_drawn_covariances(n_test):
    law = RandomDiagonal([stats.expon(), stats.gamma(2.0), stats.uniform(0.5, 1.0)])
    exact = risk_concentration(law, 10, n_test)
    drawn = risk_distribution(law, 10, n_test, n=40_000, seed=1)
    assert exact.mean == pytest.approx(expected_risk(law, 10, n_test), rel=1e-12)
    squares = (drawn.risks - exact.mean) ** 2
    assert abs(squares.mean() - exact.standard_deviation**2) < 4 * squares.std() / math.sqrt(drawn.n)


def test_exponential_by_hand():
    """M = N = ∞: R = Σ λ(λ/3 − 1)², of mean 1/3 and E R₁² = Σ of E λ^k = k!: 720/81 − 4·120/27 + 6·24/9 − 4·6/3 + 2."""
    for d in (1, 4, 100):
        exact = risk_concentration(RandomDiagonal.exponential(d), math.inf, math.inf)
        assert exact.mean == pytest.approx(d / 3, rel=1e-13)
        variance = 720 / 81 - 4 * 120 / 27 + 6 * 24 / 9 - 4 * 6 / 3 + 2 - 1 / 9
        assert exact.standard_deviation == pytest.approx(math.sqrt(d * variance), rel=1e-10)


def test_bounds_hold_for_the_drawn_errors():
    law = RandomDiagonal.exponential(20)
    exact, drawn = risk_concentration(law, 40, 40), risk_distribution(law, 40, 40, n=20_000, seed=3)
    for probability in (0.5, 0.1, 0.01):
        level = exact.level_bound(probability)
        assert exact.exceedance_bound(level) == pytest.approx(probability)
        assert drawn.exceedance(level) < probability
    assert exact.exceedance_bound(exact.mean) == 1


def test_heavy_tails_have_a_mean_and_no_deviation():
    law = RandomDiagonal([stats.pareto(4.0)] * 3)
    exact = risk_concentration(law, 10, 10)
    assert exact.mean == pytest.approx(expected_risk(law, 10, 10), rel=1e-10)
    assert math.isinf(exact.standard_deviation)
    assert exact.exceedance_bound(1e6) == 1.0


def test_bad_input():
    law = RandomDiagonal.exponential(2)
    with pytest.raises(InvalidInputError, match="RandomDiagonal"):
        risk_concentration(Wishart(np.eye(2), 4), 5, 5)
    with pytest.raises(InvalidInputError, match="dimension 2"):
        risk_concentration(law, 5, 5, RandomDiagonal.exponential(3))
    with pytest.raises(InvalidInputError, match="diagonal minimiser"):
        risk_concentration(Gaussian([[1.0, 0.5], [0.5, 1.0]]), 5, 5, law)
    with pytest.raises(InvalidInputError, match="probability must be below 1"):
        risk_concentration(law, 5, 5).level_bound(1.0)
    with pytest.raises(InvalidInputError, match="finite third moment"):
        risk_concentration(law, 5, 5, RandomDiagonal([stats.pareto(2.5)] * 2))
