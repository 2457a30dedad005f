"""Bad input is refused in one sentence; good input comes back in canonical form."""

import numpy as np
import pytest

from iclab.foundations import (
    InvalidInputError,
    check_array,
    check_choice,
    check_covariance,
    check_integer,
    check_real,
    check_reals,
)


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3), np.array(3)])
def test_whole_numbers_are_integers(value):
    number = check_integer(value, "n_train", minimum=1)
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize("value", [2.5, "3", None, True, float("nan"), float("inf"), 0, -1, 1 + 0j])
def test_other_values_are_no_counts(value):
    with pytest.raises(InvalidInputError, match="n_train must be"):
        check_integer(value, "n_train", minimum=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None, 0.0, -1.0])
def test_reals_respect_their_bound(value):
    with pytest.raises(InvalidInputError, match="scale must be"):
        check_real(value, "scale", above=0.0)


def test_a_covariance_comes_back_symmetric():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(5, 3))
    covariance = check_covariance(factor @ factor.T)  # singular: rank 3
    np.testing.assert_array_equal(covariance, covariance.T)


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        ([[1.0, 0.0]], "square"),
        ([[1.0, 0.5], [0.0, 1.0]], "symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "semi-definite; its smallest eigenvalue is -1"),
        ([[np.nan]], "finite"),
        ([1.0, 2.0], "shape"),
        ("identity", "array of real numbers"),
        (np.eye(2) * 1j, "complex"),
        ([[1.0, 0.0], [0.0]], "array of real numbers"),
        (np.zeros((0, 0)), "dimension at least 1"),
        ([[1.0, 0.0], [0.0, -1e-6]], "semi-definite"),
    ],
)
def test_what_is_no_covariance_is_refused(matrix, why):
    with pytest.raises(InvalidInputError, match=why) as caught:
        check_covariance(matrix)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [[1, 2], (1.0, 2.0), np.array([1, 2], np.int8), np.array([1.0, 9, 2.0, 9], np.float32)[::2]]
)
def test_any_real_numbers_come_back_in_float64(value):
    array = check_reals(value, "xs")
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [1.0, 2.0])


def test_a_wrong_shape_is_named():
    with pytest.raises(InvalidInputError, match=r"shape \(any, 3\); an array of shape \(2, 2\)"):
        check_array(np.zeros((2, 2)), "xs", (None, 3))


def test_the_closest_choice_is_named():
    with pytest.raises(InvalidInputError, match="Did you mean 'laptop'"):
        check_choice("labtop", "profile", ["smoke", "laptop", "paper"])
