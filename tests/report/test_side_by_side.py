"""The paper's observations beside what records of Figure 1 show: verdicts follow from the checks of each record."""

import numpy as np
import pandas as pd
import pytest

from iclab.report.side_by_side import side_by_side
from iclab.report.words import words_of
from iclab.studies.observation_checks import weigh
from iclab.studies.observations import OBSERVATIONS
from iclab.studies.record import StudyRecord

ZERO = {"identity": 1.0, "1·Exp(1)": 1.0, "4·Exp(1)": 4.0, "9·Exp(1)": 9.0}


def _record(
    name, dimension, lengths, *, wanted=None, seeds=(0,), learned=True, reads="reading tokens in turn", level=0.9
):
    """A record whose fixed-covariance models err by ``level`` on every random law, those of random ones hardly."""
    rng = np.random.default_rng(dimension)
    errors = {
        (family, n, panel): rng.exponential(size=(1, 400, 13))
        * (0.01 if family == "random" or zero == 1 else level * zero)
        for family in ("fixed", "random")
        for n in lengths
        for panel, zero in ZERO.items()
    }
    observations = weigh(errors if learned else {}, ZERO, lengths, 0)
    models = pd.DataFrame(
        [{"model": f"{family}cov_N{n}", "learned": learned} for family in ("fixed", "random") for n in lengths]
    )
    models = models.assign(own_law="", steps=1, error_at_2d=0.0, stderr_at_2d=0.0, error_at_N=0.0, stderr_at_N=0.0)
    facts = {
        "settings": {"dimension": dimension, "n_train": list(wanted or lengths), "training_seeds": list(seeds)},
        "learned": "said so",
        "reads": reads,
        "normaliser": "d",
        "sentences": [],
        "deviations": [],
    }
    return StudyRecord(
        name, name, {"models": models.assign(largest_ratio_to_lsa=0.0), "observations": observations}, facts
    )


@pytest.fixture(scope="module")
def records():
    return [
        _record("figure1", 5, (6, 8)),
        StudyRecord("claims", "No observation", {}),
        _record("figure1_d20", 20, (8,), wanted=(6, 8)),
        _record("figure1_seeds", 5, (6,), seeds=(0, 1, 2), learned=False),
        _record("figure1_d20_columns", 20, (8,), reads="reading columns (x, y)"),
    ]


def test_every_record_with_observations_has_a_column_and_every_observation_a_row(records):
    table = side_by_side(records)
    assert [column.record for column in table.columns] == [
        "figure1",
        "figure1_d20",
        "figure1_seeds",
        "figure1_d20_columns",
    ]
    assert [column.heading for column in table.columns] == [
        "d = 5, one training seed",
        "d = 20, one training seed",
        "d = 5, 3 training seeds",
        "d = 20, one training seed, reading columns (x, y)",
    ]
    assert table.columns[1].models == "2 of 2 transformers learned, 2 more are not at hand"
    assert [observation for observation, _ in table.rows] == list(OBSERVATIONS)
    assert all(len(cells) == 4 for _, cells in table.rows)


def test_verdicts_and_counts_are_those_of_the_checks(records):
    weighing = [record for record in records if "observations" in record.tables]
    for observation, cells in side_by_side(records).rows:
        for record, cell in zip(weighing, cells, strict=True):
            own = record.tables["observations"].query(
                "observation == @observation.title and criterion == @observation.criterion"
            )
            meets, misses = (int((own["outcome"] == outcome).sum()) for outcome in ("meets", "misses"))
            expected = {0: "does not appear" if misses else "undecided", len(own): "appears"}
            verdict = expected.get(meets, "appears in part") if len(own) else "no model"
            assert cell.verdict == verdict
            left = len(own) - meets - misses
            rest = f", {misses} missed" * (misses > 0) + f", {left} undecided" * (left > 0)
            told, _, beside = cell.counted.partition(" (")
            assert told == (f"{meets} of {len(own)}{rest}" if len(own) else "")
            assert beside.startswith(observation.beside.said if observation.beside and len(own) else "")
            assert cell.misses == misses
            listed = {entry["observation"]: entry["verdict"] for entry in words_of(record).observations}
            assert listed[observation.title] == verdict


def test_one_training_length_cannot_show_that_longer_ones_help(records):
    cells = {observation.title: [cell.verdict for cell in cells] for observation, cells in side_by_side(records).rows}
    assert cells["Larger training contexts help"][1:] == ["no model"] * 3
    fails = cells["Models trained on the fixed covariance fail at c > 1"]
    assert fails == ["appears", "appears", "no model", "appears"]


def test_the_conclusion_counts_what_appears_wherever_models_read_as_the_papers(records):
    table = side_by_side(records)
    everywhere = [all(cell.verdict in ("appears", "no model") for cell in cells[:3]) for _, cells in table.rows]
    assert f"Of the paper's {len(everywhere)} observations" in table.conclusion
    assert f" {sum(everywhere)} appear in every check of 3 records" in table.conclusion
    assert "columns (x, y), which the paper's do not, are left out" in table.details
    for (observation, _), whole in zip(table.rows, everywhere, strict=True):
        assert (observation.title[1:] in table.conclusion + table.details) is not whole
    assert table.verdicts == {cell.verdict for _, cells in table.rows for cell in cells[:3]} - {"no model"}
    assert side_by_side([records[1]]) is None
    assert "nothing can be said" in side_by_side([records[3]]).conclusion
    assert "left out" not in side_by_side([records[4]]).details


def test_what_is_missed_is_told_record_by_record():
    """Fixed-covariance models at 90 % of the zero estimator's error at d = 20, at 5 % at d = 5."""
    records = [_record("figure1", 5, (6, 8), level=0.05), _record("figure1_d20", 20, (6, 8))]
    told = side_by_side(records)
    assert "fail at c > 1 (0 of 4 at d = 5, 4 of 4 at d = 20)" in told.conclusion
    assert told.details.endswith(" Learned at d = 5 and d = 20: said so.")
    records[1].facts["learned"] = "it does"
    assert side_by_side(records).details.endswith(" Learned at d = 5: said so. Learned at d = 20: it does.")


def test_a_record_that_another_contains_is_not_counted(records):
    one, three = _record("figure1", 5, (6, 8), level=0.05), _record("figure1_seeds", 5, (6, 8), seeds=(0, 1, 2))
    table, alone = side_by_side([one, three]), side_by_side([three])
    assert (table.conclusion, table.verdicts) == (alone.conclusion, alone.verdicts)
    assert "“d = 5, one training seed” is contained in “d = 5, 3 training seeds”" in table.details
    assert "contained" not in side_by_side([one, records[2], records[3]]).details


def test_models_that_read_otherwise_neither_confirm_nor_refute_the_paper(records):
    kinds = {record.name: words_of(record).findings[0].kind for record in records if record.name != "claims"}
    assert kinds == {
        "figure1": "in part",
        "figure1_d20": "in part",
        "figure1_seeds": "undecided",
        "figure1_d20_columns": "found",
    }
    assert "which the paper's models do not" in words_of(records[4]).findings[0].text


def test_a_verdict_that_hangs_on_our_line_is_told_with_the_other_line():
    """Fixed-covariance models at 15 % of the zero estimator's error: above one line, below the other."""
    record = _record("figure1", 5, (6, 8), level=0.15)
    first, second = words_of(record).findings
    assert "2 do not appear by our criteria" in first.text
    assert "fail at c > 1 in 0 of 4 (at a line of 10%: 4 of 4)" in second.text
    assert len(first.text.split()) <= 40


def test_what_a_study_notes_on_an_observation_stands_with_it():
    record = _record("figure1", 5, (6, 8))
    record.facts["notes"] = {"Larger training contexts help": "N = 8 had half the steps."}
    told = {entry["observation"]: entry["sentence"] for entry in words_of(record).observations}
    noted = [title for title, sentence in told.items() if sentence.endswith("N = 8 had half the steps.")]
    assert noted == ["Larger training contexts help"]
