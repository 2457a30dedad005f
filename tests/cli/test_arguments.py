"""Whole numbers on the command line."""

import pytest


@pytest.mark.parametrize("text", ["8", "8.0", "8e0", "0.8e1"])
def test_a_whole_number_may_be_written_in_any_way(iclab, text):
    arguments = ("flow", "--covariance", "identity:d=2", "--json", "--n-train")
    assert iclab(*arguments, text) == iclab(*arguments, "8")


@pytest.mark.parametrize("text", ["2.5", "2.0001", "eight", "nan", "inf", "1e400", ""])
@pytest.mark.parametrize("command", [("flow", "--covariance", "identity:d=2"), ("evaluate", "zero")])
def test_no_other_number_is_rounded_to_one(iclab, command, text):
    code, out, err = iclab(*command, "--n-train", text)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "whole number" in err
