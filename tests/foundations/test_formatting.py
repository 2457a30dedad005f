"""Numbers as they are written: value and error to the same place, and never further from the truth than rounding."""

import re

import numpy as np
import pytest

from iclab.foundations import InvalidInputError, format_number, plus_minus


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (12.34, 9.94, "12.3 ± 9.9"),
        (12.34, 9.96, "12 ± 10"),  # rounding adds a digit, so a place is lost in both
        (0.0123, 0.00996, "0.012 ± 0.010"),
        (0.5, 0.0, "0.5"),
        (-0.5, float("nan"), "−0.5"),
        (float("nan"), 0.1, "–"),
        (float("-inf"), 0.1, "−∞"),
        (0.5, float("inf"), "0.5 ± ∞"),
        (-0.34567, 0.0123, "−0.346 ± 0.012"),
        (-0.0004, 0.12, "0.00 ± 0.12"),
        (0.0, 2e-27, "(0.0 ± 2.0)e−27"),
        (9.6999e-11, 9.6988e-11, "(9.7 ± 9.7)e−11"),
        (2.97e17, 3.04e17, "(3.0 ± 3.0)e+17"),
        (999_999.6, 1.0, "999999.6 ± 1.0"),
        (999_999.96, 1.0, "(1.0000000 ± 0.0000010)e+06"),
        (1 / 3, 1e-17, "0.333333333333 ± 1.0e−17"),
    ],
)
def test_values_are_written_to_the_place_of_their_errors_second_digit(value, error, shown):
    assert plus_minus(value, error) == shown


def test_what_is_written_is_what_was_measured():
    """Both numbers end at one place, half of which bounds what rounding took; the error shows two digits."""
    rng = np.random.default_rng(0)
    for _ in range(3_000):
        error = float(rng.uniform(1, 10) * 10.0 ** rng.integers(-30, 30))
        value = float(error * rng.normal() * 10.0 ** rng.integers(-3, 7))
        text = plus_minus(value, error).replace("−", "-")
        bracket = re.fullmatch(r"\((.+)\)(e.+)", text)
        body, power = bracket.groups() if bracket else (text, "")
        shown, around = body.split(" ± ")
        assert len(shown.partition(".")[2]) == len(around.partition(".")[2])
        digits = around.replace(".", "").lstrip("0")
        assert len(digits) == 2 or (len(digits) > 2 and set(digits[2:]) == {"0"})
        place = 10.0 ** (int(f"{error:.1e}".partition("e")[2]) - 1)
        assert abs(float(shown + power) - value) <= 0.5 * place * (1 + 1e-6)
        assert abs(float(around + power) - error) <= 0.5 * place * (1 + 1e-6)


def test_errors_are_not_negative():
    with pytest.raises(InvalidInputError, match="at least 0"):
        plus_minus(1.0, -0.1)


def test_numbers_alone_have_four_digits():
    assert [format_number(x) for x in (0.00012345, -2.5, 1e-12, 123456.0)] == [
        "0.0001234",
        "−2.5",
        "1e−12",
        "1.235e+05",
    ]
