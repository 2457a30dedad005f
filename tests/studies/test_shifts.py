"""The study of shifts: exact and Monte Carlo errors agree, and what it concludes follows from its table."""

import numpy as np
import pandas as pd
import pytest

from iclab.studies import shifts
from iclab.studies.record import StudyRecord
from iclab.studies.shifts import run
from iclab.studies.store import Store


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
    # Noiseless least squares, and errors that scale with others, are no further comparisons.
    assert 30 <= result.facts["comparisons"] < len(result.tables["errors"]) / 2
    assert result.facts["within_4"] == result.facts["comparisons"]
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


def table(errors):
    """errors: (shift, parameter) → errors of LSA and least squares at M = N = 10, exact, zero estimator's 1."""
    rows = [
        (shift, parameter, 10, name, error, error, 0.01, 100, 0.0, 1.0, 0.0)
        for (shift, parameter), pair in {("none", 0.0): (0.2, 0.0), **errors}.items()
        for name, error in zip(("LSA", "least squares"), pair, strict=True)
    ]
    columns = ["shift", "parameter", "M", "predictor", "exact", "mean", "stderr", "n", "z", "zero", "best"]
    return pd.DataFrame(rows, columns=columns)


def test_tolerance_is_growth_and_sizes_are_compared_beside_it():
    noise, inputs = "label noise, standard deviation", "inputs scaled by"
    found = shifts._conclusions(
        table({(noise, 1.0): (0.21, 0.05), (noise, 2.0): (0.24, 0.2), (inputs, 3.0): (9, 0)}), 10, 3
    )
    assert found["tolerated"]["LSA"] == {noise: True, inputs: False}
    assert not found["tolerated"]["least squares"][noise]  # grows by 0.2, and is smaller all the same
    [line] = found["summary"]
    assert line.startswith("Confirmed: ")
    assert "1 of 1 shifts of tasks and queries (" in line
    assert ") and 0 of 1 of inputs." in line
    assert "label noise is tolerated up to a standard deviation of 3.16" in line
    assert "no worse when stronger" not in line  # noise is worse, and inputs do not count
    assert "in 3 of 3 pairs" in " ".join(found["sentences"])
    # Growth 0.04 at 2 passes 0.1 at 2√2.5; 0.2 does at 2√0.5.
    assert "it passes 0.1 at 3.16 (LSA), 1.41 (least squares)" in " ".join(found["sentences"])
    found = shifts._conclusions(table({(noise, 2.0): (0.4, np.inf), (inputs, 3.0): (9, 0)}), 10, 3)
    [line] = found["summary"]
    assert line.startswith("In part: ")
    assert "0 of 1 shifts of tasks" in line
    text = " ".join(found["sentences"])
    assert "in 1 of 2 pairs of a shift and M (not: label noise 2 at M = 10)" in text
    assert "it passes 0.1 at 1.41 (LSA)." in text
    found = shifts._conclusions(table({(noise, 2.0): (0.4, 0.1), (inputs, 3.0): (0.2, 0)}), 10, 3)
    assert found["summary"][0].startswith("Refuted: ")


def test_what_is_no_worse_when_stronger_is_counted_if_tolerated():
    task, query = "cubic task, coefficient", "query scaled by"
    found = shifts._conclusions(
        table({(task, 0.5): (0.25, 0), (task, 1.0): (0.25, 0), (query, 2.0): (0.9, 0), (query, 3.0): (0.8, 0)}), 10, 3
    )
    assert "1 of 2 shifts of tasks and queries (1 is no worse when stronger)" in found["summary"][0]
    assert "does not rise with the strength of cubic task, query scaled." in " ".join(found["sentences"])
    found = shifts._conclusions(table({(task, 0.5): (0.25, 0), (task, 1.0): (0.26, 0)}), 10, 3)
    assert "stronger" not in found["summary"][0]
    assert "does not rise" not in " ".join(found["sentences"])


def test_a_comparison_counts_once_and_a_certain_one_not_at_all():
    errors = table({("label noise, standard deviation", 2.0): (0.3, 0.1), ("query scaled by", 2.0): (0.2, 0.0)})
    errors["z"] = [1.0, 0.0, -2.0, 0.5, 1.0, 0.0]  # the scaled query's score repeats the unshifted one's
    found = shifts._conclusions(errors, 10, 3)
    assert found["comparisons"] == 3
    assert found["largest_z"] == 2


def test_narrow_wins_are_counted():
    errors = table({("cubic task, coefficient", 1.0): (0.21, 0.2), ("quadratic task, coefficient", 1.0): (0.3, 0.2)})
    errors.loc[errors["predictor"] == "least squares", "exact"] = np.nan
    text = " ".join(shifts._conclusions(errors, 10, 3)["sentences"])
    assert "in 2 of 2 pairs of a shift and M (in 1 by less than 2 unpaired standard errors)." in text


def test_saves_loads_and_goes_on(record, tmp_path):
    folder, result = record
    result.save(tmp_path)
    again = StudyRecord.load(tmp_path / "shifts")
    assert again.facts == result.facts
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    repeated = run(store=Store(folder), progress=lambda *_: None, dimension=3, n_train=10, n_prompts=3000, seed=5)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    assert repeated.facts == result.facts
