"""Finished units are read again, everything else is computed."""

import pandas as pd
import pytest

from iclab.studies.record import StudyRecord
from iclab.studies.store import Store


def _counting(calls):
    def compute():
        calls.append(1)
        return pd.DataFrame({"x": [1.0, 0.1 + 0.2], "n": pd.array([1, None], dtype="Int64")})

    return compute


def test_a_unit_is_computed_once_per_configuration(tmp_path):
    calls = []
    store = Store(tmp_path)
    first = store.table("unit", {"seed": 0}, _counting(calls))
    again = Store(tmp_path).table("unit", {"seed": 0}, _counting(calls))
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert len(calls) == 1
    store.table("unit", {"seed": 1}, _counting(calls))
    assert len(calls) == 2


@pytest.mark.parametrize("keep", [0, 100])
def test_a_torn_unit_is_computed_again(tmp_path, keep):
    calls = []
    store = Store(tmp_path)
    whole = store.table("unit", {}, _counting(calls))
    path = store.path("unit", {})
    path.write_bytes(path.read_bytes()[:keep])
    pd.testing.assert_frame_equal(store.table("unit", {}, _counting(calls)), whole, check_exact=True)
    assert len(calls) == 2


def test_a_unit_that_fails_leaves_nothing(tmp_path):
    store = Store(tmp_path / "units")

    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.table("unit", {}, fail)
    assert not list((tmp_path / "units").iterdir())


def test_a_record_leaves_no_table_of_an_earlier_one(tmp_path):
    table = pd.DataFrame({"x": [1.0]})
    StudyRecord("study", "A study", {"kept": table, "gone": table}).save(tmp_path)
    (tmp_path / "study" / "mine.csv").write_text("x\n")
    StudyRecord("study", "A study", {"kept": table}).save(tmp_path)
    names = {path.name for path in (tmp_path / "study").iterdir()}
    assert names == {"record.json", "kept.parquet", "kept.csv", "mine.csv"}


def test_a_record_survives_the_disk(tmp_path):
    table = _counting([])()
    record = StudyRecord("study", "A study", {"table": table}, {"seed": 0, "sentences": ["One."]})
    record.save(tmp_path)
    loaded = StudyRecord.load(tmp_path / "study")
    assert loaded.facts == record.facts
    pd.testing.assert_frame_equal(loaded.tables["table"], table, check_exact=True)
    assert (tmp_path / "study" / "table.csv").exists()
