"""What counts as prompts, and as a distribution of them."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.predictors import LeastSquares
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts

DISTRIBUTION = PromptDistribution(Gaussian(np.eye(2)), Linear())


def test_lists_and_other_numbers_become_float64():
    given = DISTRIBUTION.sample(3, 5, seed=0)
    xs, ys = given.xs.tolist(), given.ys.tolist()
    np.testing.assert_array_equal(LeastSquares()(Prompts(xs, ys, xs, ys)), LeastSquares()(given))
    halves = Prompts(*(array.astype(np.float32) for array in (given.xs, given.ys, given.xs, given.ys)))
    assert {halves.xs.dtype, halves.ys.dtype, halves.queries.dtype, halves.targets.dtype} == {np.dtype(np.float64)}


def test_unshifted_queries_remain_the_inputs_themselves():
    xs, ys = [[[1.0], [2.0]]], [[1.0, 2.0]]
    assert not Prompts(xs, ys, xs, ys).shifted_queries
    assert Prompts(xs, ys, [[[1.0], [2.0]]], ys).shifted_queries
    assert not DISTRIBUTION.sample(2, 3, seed=0).shifted_queries


def test_sums_that_overflow_are_no_infinity():
    xs, ys = np.full((1, 3, 2), 1e308), np.ones((1, 3))
    assert Prompts(xs, ys, xs, ys).xs.max() == 1e308


@pytest.mark.parametrize(
    ("xs", "ys", "why"),
    [
        (np.full((1, 3, 2), np.nan), np.ones((1, 3)), "xs must be finite"),
        (np.ones((1, 3, 2)), np.full((1, 3), -np.inf), "ys must be finite"),
        (np.ones((1, 3, 2)) * 1j, np.ones((1, 3)), "xs must be an array of real numbers"),
        (np.ones((1, 3, 2)), np.ones((1, 2)), r"xs and queries of shape \(B, P, d\)"),
        (np.ones((1, 3, 0)), np.ones((1, 3)), "at least one position and one dimension"),
        (np.ones((1, 0, 2)), np.ones((1, 0)), "at least one position and one dimension"),
    ],
)
def test_what_is_no_prompt_is_refused(xs, ys, why):
    with pytest.raises(InvalidInputError, match=why):
        Prompts(xs, ys, xs, ys)


@pytest.mark.parametrize(
    ("covariates", "tasks", "why"),
    [
        (np.eye(2), Linear(), "covariates must have dimension and sample"),
        (Gaussian([[1.0]]), 3, "tasks must have draw"),
        (Gaussian, Linear(), r"not its class; make one with Gaussian\("),
        (Gaussian([[1.0]]), Linear, r"not its class; make one with Linear\("),
    ],
)
def test_what_is_no_distribution_is_refused(covariates, tasks, why):
    with pytest.raises(InvalidInputError, match=why):
        PromptDistribution(covariates, tasks)


class Careless:
    """A law that forgets how many prompts were asked for, or one axis of their labels."""

    dimension = 2

    def sample(self, draws, n_points):
        return np.ones((draws.count // 2, n_points, 2))

    def draw(self, draws, dimension):
        return lambda xs: xs[..., :1]

    def mean_square(self, covariance):
        return 1.0


@pytest.mark.parametrize(
    ("distribution", "why"),
    [
        (PromptDistribution(Careless(), Linear()), r"shape \(4, 3, 2\); shape \(2, 3, 2\) was drawn"),
        (PromptDistribution(Gaussian(np.eye(2)), Careless(), 0.5), r"shape \(4, 3\); shape \(4, 3, 1\) was drawn"),
    ],
)
def test_a_law_that_draws_another_shape_is_refused(distribution, why):
    with pytest.raises(InvalidInputError, match=why):
        distribution.sample(4, 3, seed=0)


def test_a_changed_label_leaves_the_truth():
    prompts, untouched = (DISTRIBUTION.sample(2, 3, seed=0) for _ in range(2))
    prompts.ys[:] = 0.0
    np.testing.assert_array_equal(prompts.targets, untouched.targets)
