"""Answers follow from counted cases; records come back as they were, or not at all."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iclab.foundations import InvalidInputError
from iclab.studies.study import Answer, Number, Question, Record, Verdict, ask, cases, verdict_of

counts = st.integers(0, 3)


@given(counts, counts, counts)
def test_a_verdict_says_all_some_or_none(met, missed, undecided):
    verdict = verdict_of(met, missed, undecided)
    assert (verdict is Verdict.CONFIRMED) == (met > 0 and missed == undecided == 0)
    assert (verdict is Verdict.REFUTED) == (met == 0 and missed > 0)
    assert (verdict is Verdict.UNDECIDED) == (met == missed == 0)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 2)), min_size=1, max_size=6), st.floats(-5, 5), st.booleans())
def test_a_case_counts_when_its_interval_lies_on_one_side(rows, line, above):
    table = pd.DataFrame([{"x": m, "x_low": m - r, "x_high": m + r} for m, r in rows])
    answer = cases(table, "x", line, above=above)
    sides = [np.sign(m - line) if abs(m - line) > r else 0 for m, r in rows]
    expected = [sum(side == s for side in sides) for s in ((1, -1, 0) if above else (-1, 1, 0))]
    assert [answer.met, answer.missed] == pytest.approx(
        expected[:2], abs=sum(abs(abs(m - line) - r) < 1e-12 for m, r in rows)
    )
    assert answer.total == len(rows)


def test_without_cases_nothing_is_decided():
    assert cases(pd.DataFrame({"x": [], "x_low": [], "x_high": []}), "x", 0.0).verdict is Verdict.UNDECIDED


def test_a_threshold_is_a_number():
    with pytest.raises(InvalidInputError, match="threshold line of the question sign"):
        Question(
            "sign", "It is positive.", "Above the line.", lambda t: Answer(Verdict.MEASURED), thresholds={"line": "0"}
        )


def _record(table):
    question = Question("sign", "It is positive.", "Interval above 0.", lambda t: cases(t["a"], "x", 0.0))
    return Record("name", "Title", {"n": 1}, {"a": table}, ask((question,), {"a": table}), "code"), (question,)


def test_a_record_comes_back_and_its_questions_are_asked_anew(tmp_path):
    table = pd.DataFrame({"x": [1.0, 0.1 + 0.2], "x_low": [0.5, 0.1], "x_high": [2.0, 1.0]})
    record, questions = _record(table)
    record.save(tmp_path)
    again = Record.load(tmp_path, "code", questions)
    assert again == Record(record.name, record.title, record.settings, again.tables, record.answers, "code")
    pd.testing.assert_frame_equal(again.tables["a"], table, check_exact=True)
    other = Question("sign", "It is negative.", "Interval below 0.", lambda t: cases(t["a"], "x", 0.0, above=False))
    assert Record.load(tmp_path, "code", (other,)).answers["sign"].verdict is Verdict.REFUTED


def test_a_record_of_other_code_or_form_or_without_a_table_is_none(tmp_path):
    record, questions = _record(pd.DataFrame({"x": [1.0], "x_low": [0.5], "x_high": [2.0]}))
    record.save(tmp_path)
    assert Record.load(tmp_path, "other code", questions) is None
    content = json.loads((tmp_path / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(content | {"schema": 0}))
    assert Record.load(tmp_path, "code", questions) is None
    record.save(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"torn")
    assert Record.load(tmp_path, "code", questions) is None
    assert Record.load(tmp_path / "nowhere", "code", questions) is None


def test_tables_of_an_earlier_record_go(tmp_path):
    table = pd.DataFrame({"x": [1.0], "x_low": [0.5], "x_high": [2.0]})
    record, _ = _record(table)
    Record(record.name, record.title, {}, {"a": table, "old": table}, {}).save(tmp_path)
    record.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet", "record.json"]


def test_numbers_that_are_none_are_null_in_json():
    answer = Answer(Verdict.MEASURED, numbers={"plain": 1.5, "open": math.inf, "bar": Number(2.0, stderr=0.1)})
    written = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
    assert written["numbers"]["plain"] == {"value": 1.5, "low": None, "high": None, "stderr": None}
    assert written["numbers"]["open"]["value"] is None
    assert written["numbers"]["bar"]["stderr"] == 0.1


@pytest.mark.parametrize("name", ["tables", "columns"])
def test_a_question_about_what_was_not_measured_is_refused(name):
    wrong = (lambda t: cases(t["b"], "x", 0.0)) if name == "tables" else (lambda t: cases(t["a"], "y", 0.0))
    with pytest.raises(InvalidInputError, match=r"the question q must ask for .* the tables are a \(x\)"):
        ask((Question("q", "", "", wrong),), {"a": pd.DataFrame({"x": [1.0]})})
