"""What counts as prompts, and as a distribution of them."""

import numpy as np
import pytest

from incontext.foundations import InvalidInputError
from incontext.predictors import LeastSquares
from incontext.prompts import Gaussian, Linear, PromptDistribution, Prompts

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
    ],
)
def test_what_is_no_distribution_is_refused(covariates, tasks, why):
    with pytest.raises(InvalidInputError, match=why):
        PromptDistribution(covariates, tasks)
