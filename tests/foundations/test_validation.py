"""Bad input is refused in one sentence; good input comes back in canonical form."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

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


class Tensor:
    """A tensor with a gradient, as NumPy sees one."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return np.zeros(2)


NO_NUMBERS = {
    "dates": (np.array(["2001-01-01"], "M8[D]"), "dates"),
    "dates of Python": ([datetime.date(2001, 1, 1)], "dates"),
    "dates of pandas": (pd.to_datetime(pd.Series(["2001-01-01"])), "dates"),
    "dates beside numbers": (pd.DataFrame({"a": [1.0], "b": pd.to_datetime(["2001-01-01"])}), "dates"),
    "durations": (np.array([3], "m8[D]"), "durations"),
    "durations of Python": ([datetime.timedelta(days=1), 2.0], "durations"),
    "a mask": (np.ma.array([1.0, 2.0], mask=[1, 0]), "no masked entries; 1 are"),
    "a list of masks": ([np.ma.array([1.0, 2.0], mask=[1, 1])], "no masked entries; 2 are"),
    "words": (["1", "2"], "words"),
    "bytes": (np.array([b"1"]), "words"),
    "words among objects": (np.array([1, "2"], object), "words"),
    "words of pandas": (pd.Series(["1", "2"], dtype="category"), "words"),
    "nothing": ([None, 2], "a NoneType was given"),
    "gaps": (pd.Series([1, None], dtype="Int64").astype(object), "a NAType was given"),
    "records": (np.zeros(2, dtype=[("a", float)]), "records"),
    "complex": ([1 + 0j], "complex"),
    "complex among objects": (np.array([1 + 0j], object), "a complex was given"),
    "a long number": ([10**400], "double precision"),
    "a tensor with a gradient": (Tensor(), "detach"),
    "a mapping": ({"a": 1}, "a dict was given"),
    "a generator": ((i for i in range(3)), "a generator was given"),
    "sparse": (scipy.sparse.eye(2), "was given"),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_numpy_takes_for_numbers_is_refused_where_it_is_none(kind):
    value, why = NO_NUMBERS[kind]
    with pytest.raises(InvalidInputError, match=why):
        check_reals(value, "xs")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.ma.array([1.0, 2.0], mask=[0, 0]), [1, 2]),
        ([Decimal("1.5"), Fraction(1, 2)], [1.5, 0.5]),
        (np.array([1, 2.5], object), [1, 2.5]),
        (pd.Series([1, 2], dtype="Int64"), [1, 2]),
        (np.array([np.nan, np.inf]), [np.nan, np.inf]),
        (np.array([True, False]), [1, 0]),
        (range(3), [0, 1, 2]),
        (np.arange(2, dtype=">i4"), [0, 1]),
    ],
)
def test_numbers_of_every_kind_are_read(value, expected):
    np.testing.assert_array_equal(check_reals(value, "xs"), expected)


def test_a_masked_number_and_one_beyond_double_precision_are_none():
    for check in (check_real, check_integer):
        for masked in (np.ma.masked, np.ma.array(1.0, mask=True)):
            with pytest.raises(InvalidInputError, match="number"):
                check(masked, "x")
        assert check(np.ma.array(2.0), "x") == 2
    with pytest.raises(InvalidInputError, match="double precision"):
        check_real(10**400, "x")


def test_a_wrong_shape_is_named():
    with pytest.raises(InvalidInputError, match=r"shape \(any, 3\); an array of shape \(2, 2\)"):
        check_array(np.zeros((2, 2)), "xs", (None, 3))


def test_the_closest_choice_is_named():
    with pytest.raises(InvalidInputError, match="Did you mean 'laptop'"):
        check_choice("labtop", "profile", ["smoke", "laptop", "paper"])
