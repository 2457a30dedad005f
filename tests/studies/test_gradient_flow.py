"""The study of gradient flow: its tables hold what theory says, and its questions notice when they do not."""

import numpy as np
import pytest

from iclab.studies.gradient_flow.measure import FIXED, RANDOM, Settings, problem
from iclab.studies.gradient_flow.questions import QUESTIONS
from iclab.studies.study import Verdict, ask
from iclab.theory import minimum_loss

SETTINGS = Settings(dimension=3, n_train=7, n_times=40)


@pytest.fixture(scope="module")
def tables(measured):
    return measured("gradient-flow", **vars(SETTINGS))


def test_everything_holds_on_a_problem_of_each_kind(tables):
    answers = ask(QUESTIONS, tables)
    assert {answer.verdict for answer in answers.values()} == {Verdict.CONFIRMED}
    assert answers["bound"].met == 2 * (SETTINGS.n_times - 1)


def test_loss_is_monotone_and_ends_at_the_minimum(tables):
    for case in (FIXED, RANDOM):
        covariates, _ = problem(case, SETTINGS.dimension, SETTINGS.exponent, SETTINGS.seed)
        table = tables["trajectory"].query("case == @case and quantity == 'loss'").sort_values("t")
        assert (np.diff(table["value"]) <= 1e-15).all()
        assert table["value"].iloc[-1] == pytest.approx(minimum_loss(covariates, SETTINGS.n_train), rel=1e-10)


def test_off_diagonal_entries_only_decay(tables):
    table = tables["trajectory"].query("quantity == 'U' and row != col")
    assert table.groupby(["case", "row", "col"]).ngroups == 2 * 6
    for _, entry in table.groupby(["case", "row", "col"]):
        size = entry.sort_values("t")["value"].abs().to_numpy()
        assert (np.diff(size) <= 1e-15).all()
