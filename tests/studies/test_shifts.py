"""The study of shifts: exact and Monte Carlo errors agree, and what it concludes follows from its table."""

import numpy as np
import pytest

from incontext.studies.record import StudyRecord
from incontext.studies.shifts import run
from incontext.studies.store import Store


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    calls = []
    folder = tmp_path_factory.mktemp("store")
    result = run(
        store=Store(folder), progress=lambda *call: calls.append(call), dimension=3, n_train=10, n_prompts=3000, seed=5
    )
    assert calls[-1][1] == calls[-1][2]
    return folder, result


def test_exact_and_monte_carlo_agree(record):
    _, result = record
    assert result.facts["comparisons"] >= 80
    assert result.facts["largest_z"] < 5


def test_layer_is_invariant_to_query_scale_relative_to_zero(record):
    # The learner is linear in the query: scaling it scales both errors alike.
    errors = record[1].tables["errors"].query("predictor == 'LSA'")
    relative = errors.assign(relative=errors["exact"] / errors["zero"]).set_index(["shift", "parameter", "M"])[
        "relative"
    ]
    for m in (5, 10, 20):
        for c in (1 / 3, 2.0):
            np.testing.assert_allclose(relative["query scaled by", c, m], relative["none", 0.0, m], rtol=1e-12)


def test_conclusions_follow_from_the_table(record):
    tolerated = record[1].facts["tolerated"]["LSA"]
    assert tolerated["query scaled by"]
    assert not tolerated["inputs scaled by"]
    assert record[1].facts["tolerated"]["least squares"]["inputs scaled by"]


def test_saves_loads_and_goes_on(record, tmp_path):
    folder, result = record
    result.save(tmp_path)
    again = StudyRecord.load(tmp_path / "shifts")
    assert again.facts == result.facts
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    repeated = run(store=Store(folder), progress=lambda *_: None, dimension=3, n_train=10, n_prompts=3000, seed=5)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    assert repeated.facts == result.facts
