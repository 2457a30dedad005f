"""The study of shifts: exact and Monte Carlo errors agree, and its questions follow from its tables."""

import numpy as np
import pandas as pd
import pytest

from iclab.studies.shifts.measure import CHANGED, growth_of
from iclab.studies.shifts.questions import QUESTIONS, TOLERANCE
from iclab.studies.study import Verdict, ask


@pytest.fixture(scope="module")
def tables(measured):
    return measured("shifts", dimension=3, n_train=10, n_prompts=3000, seed=5)


def test_exact_and_monte_carlo_agree(tables):
    answer = ask(QUESTIONS, tables)["agreement"]
    # Noiseless least squares, and errors that scale with others, are no further comparisons.
    assert 30 <= answer.total < len(tables["errors"]) / 2
    assert answer.met == answer.total


def test_layer_is_invariant_to_query_scale_relative_to_zero(tables):
    # The learner is linear in the query: scaling it scales both errors alike.
    errors = tables["errors"].query("predictor == 'LSA'")
    relative = errors.assign(x=errors["exact"] / errors["zero"]).set_index(["shift", "parameter", "M"])["x"]
    for m in (5, 10, 20):
        for c in (1 / 3, 2.0):
            np.testing.assert_allclose(relative["query scale", c, m], relative["none", 0.0, m], rtol=1e-12)


def test_least_squares_does_not_see_the_scale_of_inputs(tables):
    growth = tables["growth"].query("predictor == 'least squares'").set_index("shift")["growth"]
    np.testing.assert_allclose(growth[["query scale", "query subspace", "input scale", "input spectrum"]], 0)


def tables_of(errors):
    """Tables of errors at M = N = 10: (shift, parameter) → exact errors of LSA and least squares; zero's is 1."""
    rows = [
        (shift, CHANGED[shift], parameter, 10, name, error, error, 0.01, 100, 0.0, 1.0, 0.0)
        for (shift, parameter), pair in {("none", 0.0): (0.2, 0.0), **errors}.items()
        for name, error in zip(("LSA", "least squares"), pair, strict=True)
    ]
    names = ["shift", "changed", "parameter", "M", "predictor", "exact", "mean", "stderr", "n", "z", "zero", "best"]
    table = pd.DataFrame(rows, columns=names)
    return {"errors": table, "growth": growth_of(table, 10)}


def answers(errors):
    return ask(QUESTIONS, tables_of(errors))


def test_tolerance_is_growth():
    noise, inputs = ("label noise", 2.0), ("input scale", 3.0)
    found = answers({("label noise", 1.0): (0.21, 0.05), noise: (0.24, 0.2), inputs: (9, 0)})
    assert found["as_stated"].verdict is Verdict.CONFIRMED
    # Growth 0.04 at 2 passes 0.1 at 2√2.5; 0.2 does at 2√0.5.
    numbers = found["tasks"].numbers
    np.testing.assert_allclose(
        [numbers["largest noise, LSA"], numbers["largest noise, least squares"]], [2 * 2.5**0.5, 2 * 0.5**0.5]
    )
    found = answers({noise: (0.4, np.inf), inputs: (9, 0)})
    assert (found["as_stated"].verdict, found["tasks"].verdict) == (Verdict.IN_PART, Verdict.REFUTED)
    assert "largest noise, least squares" not in found["tasks"].numbers
    assert (found["least_squares"].met, found["least_squares"].missed) == (1, 1)
    found = answers({noise: (0.4, 0.1), inputs: (0.2, 0)})
    assert (found["as_stated"].verdict, found["inputs"].verdict) == (Verdict.REFUTED, Verdict.REFUTED)


@pytest.mark.parametrize(("growth", "verdict"), [(0.9, Verdict.CONFIRMED), (1.1, Verdict.REFUTED)])
def test_queries_flip_at_the_line(growth, verdict):
    found = answers({("query scale", 2.0): (0.2 + growth * TOLERANCE, 0)})
    assert found["queries"].verdict is verdict


def test_what_is_no_worse_when_stronger_is_counted():
    pairs = {("cubic task", 0.5): (0.25, 0), ("cubic task", 1.0): (0.25, 0)}
    assert answers(pairs)["strength"].verdict is Verdict.CONFIRMED
    assert answers({**pairs, ("cubic task", 1.0): (0.26, 0)})["strength"].verdict is Verdict.REFUTED


def test_measured_errors_differ_by_more_than_their_noise():
    tables = tables_of({("cubic task", 1.0): (0.21, 0.2), ("quadratic task", 1.0): (0.3, 0.2)})
    errors = tables["errors"]
    errors.loc[errors["predictor"] == "least squares", "exact"] = np.nan
    answer = ask(QUESTIONS, tables)["least_squares"]
    assert (answer.met, answer.missed, answer.undecided) == (1, 0, 1)


def test_a_comparison_counts_once_and_a_certain_one_not_at_all():
    rows = [("query scale", 1.0, 0.3), ("query scale", 1.0, 0.1), ("label noise", -5.0, 0.2), ("none", 0.5, 0.0)]
    table = pd.DataFrame(rows, columns=["shift", "z", "exact"])
    [question] = [question for question in QUESTIONS if question.name == "agreement"]
    answer = question.ask({"errors": table})
    assert (answer.met, answer.missed, answer.numbers["largest"]) == (1, 1, 5)
