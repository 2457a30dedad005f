"""The study's sentences must be true of its tables, and its tables of the theory."""

import numpy as np
import pytest

from iclab.studies.gradient_flow import FIXED, RANDOM, _conclusions, _sentences, problem, run
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store
from iclab.theory import minimum_loss


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    calls = []
    store = Store(tmp_path_factory.mktemp("units"))
    result = run(store=store, progress=lambda *call: calls.append(call), dimension=3, n_train=7, n_times=40)
    assert calls[-1] == ("done", 2, 2)
    again = run(store=store, progress=lambda *_: None, dimension=3, n_train=7, n_times=40)
    for name, table in result.tables.items():
        assert table.equals(again.tables[name])
    return result


def test_bounds_rates_and_limits(record):
    for case in (FIXED, RANDOM):
        facts = record.facts["conclusions"][case]
        assert facts["bound_holds"]
        assert facts["times_within_bound"] == facts["positive_times"] == 39
        assert facts["smallest_pl_ratio"] >= 1
        assert facts["smallest_u"] >= facts["u_lower_bound"] > 0
        assert abs(facts["rate_error"]) < 1e-2
        assert facts["limit_distance"] < 1e-12
        assert facts["balance_drift"] < 1e-12


def test_times_beyond_the_bound_are_counted(record):
    tables = {**record.tables, "trajectory": record.tables["trajectory"].copy()}
    path = tables["trajectory"]
    last = path[(path["case"] == FIXED) & (path["quantity"] == "excess")].sort_values("t").index[-1]
    path.loc[last, "value"] = 1e3
    found = _conclusions(FIXED, tables)
    assert not found["bound_holds"]
    assert "holds at 38 of 39 positive times" in _sentences(FIXED, found)[1]


def test_loss_is_monotone_and_above_the_minimum(record):
    for case in (FIXED, RANDOM):
        covariates, _ = problem(case, record.facts["settings"])
        table = record.tables["trajectory"].query("case == @case and quantity == 'loss'").sort_values("t")
        assert (np.diff(table["value"]) <= 1e-15).all()
        assert table["value"].iloc[-1] == pytest.approx(minimum_loss(covariates, 7), rel=1e-10)


def test_off_diagonal_entries_only_decay(record):
    table = record.tables["trajectory"].query("quantity == 'U' and row != col")
    assert table.groupby(["case", "row", "col"]).ngroups == 2 * 6
    for _, entry in table.groupby(["case", "row", "col"]):
        size = entry.sort_values("t")["value"].abs().to_numpy()
        assert (np.diff(size) <= 1e-15).all()


def test_saved_and_loaded(record, tmp_path):
    record.save(tmp_path)
    loaded = StudyRecord.load(tmp_path / record.name)
    assert loaded.facts == record.facts
    assert set(loaded.tables) == {"trajectory", "limits", "certificates"}
