"""Learners that read each example once, against their closed forms and their recursions."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.predictors import DeltaRule, ForgettingAverage, Kaczmarz, RecursiveLeastSquares, Ridge
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts

D, P, N_PROMPTS = 5, 24, 20_000
GAMMA = 0.9


def line_of_average(k):
    c = (1 - GAMMA) * GAMMA ** np.arange(k)
    first, second = c.sum(), (c**2).sum()
    return 1 - 2 * first + first**2 + (D + 1) * second


LINES = {
    "kaczmarz": (Kaczmarz(), lambda k: (1 - 1 / D) ** k),
    "kaczmarz-half": (Kaczmarz(0.5), lambda k: (1 - 0.75 / D) ** k),
    "delta": (DeltaRule(1 / (D + 2)), lambda k: (1 - 1 / (D + 2)) ** k),
    "delta-slow": (DeltaRule(0.05), lambda k: (1 - 0.1 + 0.0025 * (D + 2)) ** k),
    "average": (ForgettingAverage(GAMMA), line_of_average),
    "least-squares": (RecursiveLeastSquares(0.0), lambda k: max(0, 1 - k / D)),
    "least-squares-forgetting": (RecursiveLeastSquares(0.0, 0.8), lambda k: max(0, 1 - k / D)),
}


@pytest.fixture(scope="module")
def prompts():
    return PromptDistribution(Gaussian.isotropic(D), Linear()).sample(N_PROMPTS, P, seed=0)


@pytest.mark.parametrize("name", LINES)
def test_errors_follow_their_closed_form(name, prompts):
    predictor, line = LINES[name]
    errors = (predictor(prompts) - prompts.targets) ** 2 / D
    expected = np.array([line(k) for k in range(P)])
    stderr = errors.std(axis=0, ddof=1) / np.sqrt(N_PROMPTS)
    assert (np.abs(errors.mean(axis=0) - expected) <= 5 * stderr + 1e-12).all()


def test_recursive_least_squares_is_its_recursion(prompts):
    penalty, gamma = 0.7, 0.85
    found = RecursiveLeastSquares(penalty, gamma).weights(prompts)[3]
    p, w = np.eye(D) / penalty, np.zeros(D)
    for i in range(P):
        np.testing.assert_allclose(found[i], w, rtol=1e-9, atol=1e-12)
        x, y = prompts.xs[3, i], prompts.ys[3, i] + 0.0
        p = (p - np.outer(p @ x, p @ x) / (gamma + x @ p @ x)) / gamma
        w = w + p @ x * (y - x @ w)


def test_without_forgetting_it_is_ridge(prompts):
    np.testing.assert_array_equal(RecursiveLeastSquares(0.3)(prompts), Ridge(0.3)(prompts))


def test_kaczmarz_does_not_ask_for_the_unit_of_inputs(prompts):
    scaled = Prompts(prompts.xs * 1e200, prompts.ys, prompts.xs * 1e200, prompts.targets)
    np.testing.assert_allclose(Kaczmarz()(scaled), Kaczmarz()(prompts), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DeltaRule(0.0),
        lambda: Kaczmarz(2.0),
        lambda: ForgettingAverage(1.0),
        lambda: RecursiveLeastSquares(-1.0),
        lambda: RecursiveLeastSquares(1.0, 1.5),
    ],
)
def test_rates_out_of_range_are_refused(make):
    with pytest.raises(InvalidInputError):
        make()


def test_forgetting_beyond_the_range_of_numbers_is_refused(prompts):
    with pytest.raises(InvalidInputError):
        RecursiveLeastSquares(1.0, 1e-20)(prompts)
