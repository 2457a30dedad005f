"""The study of tolerance: closed forms agree, known learners get the verdicts of theory, units are reused."""

import numpy as np
import pandas as pd
import pytest

from iclab.prompts import Gaussian, Linear, PromptDistribution, shift
from iclab.report.figures import tolerance as drawn
from iclab.studies import tolerance, tolerance_words
from iclab.studies.store import Store
from iclab.studies.tolerance_problems import best_predictor, exact_error, kind_of

SIZES = {
    "dimension": 3,
    "n_train": (12,),
    "max_context": 12,
    "preset": "tiny",
    "overrides": {},
    "n_prompts": 600,
    "train_missing": False,
    "seed": 1,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tolerance")

    def run():
        return tolerance.run(store=Store(folder / "units"), runs=folder / "runs", progress=lambda *_: None, **SIZES)

    return folder, run, run()


def _cell(record, predictor, name):
    cells = record.tables["cells"].set_index(["predictor", "shift"])
    return cells.loc[(predictor, name)]


def test_the_layer_is_where_its_closed_forms_are(study):
    known = study[2].tables["cells"].query("group == 'LSA' and z == z")
    assert len(known) >= 30
    assert known["z"].abs().max() < 5


def test_the_layer_answers_homogeneously_and_never_along_an_orthogonal_query(study):
    for family in ("fixed", "random"):
        name = f"LSA, {family} law"
        for scaled in ("scale-y=3", "scale-y=0.5", "scale-query=2"):
            # Linear in the labels and in the query, as the zero estimator's error is.
            same = _cell(study[2], name, {"fixed": "standard", "random": "random-covariance"}[family])
            assert _cell(study[2], name, scaled)["relative"] == pytest.approx(same["relative"], rel=1e-9)
        assert _cell(study[2], name, "orthogonal_train_test")["relative"] == pytest.approx(1, rel=1e-9)


def test_verdicts_are_those_of_theory(study):
    record = study[2]
    for name in ("scale-x=3", "scale-x=1/3", "random-covariance+covariance=9", "skewed"):
        assert _cell(record, "LSA, fixed law", name)["verdict"] == "does not"
        assert _cell(record, "least squares", name)["verdict"] == "tolerates"  # exact from d examples on
    for name in ("scale-y=3", "scale-query=2"):
        assert _cell(record, "LSA, fixed law", name)["verdict"] == "tolerates"
    assert _cell(record, "LSA, fixed law", "standard")["verdict"] == "own law"
    assert _cell(record, "LSA, random law", "random-covariance")["verdict"] == "own law"


def test_verdicts_follow_from_the_intervals_and_counts_from_the_verdicts(study):
    cells, counts = study[2].tables["cells"], study[2].tables["counts"]
    judged = cells[cells["verdict"] != "own law"]
    assert ((judged["low"] <= judged["growth"] + 1e-12) & (judged["growth"] <= judged["high"] + 1e-12)).mean() > 0.95
    assert (judged["high"] <= 0.1).equals(judged["verdict"] == "tolerates")
    assert (judged["low"] > 0.1).equals(judged["verdict"] == "does not")
    # Random inputs times 2 and 3 are laws that have a row of their own, and noisyLR is noise=1 in other units.
    again = (judged["family"] == "random") & judged["shift"].isin(["scale-x=2", "scale-x=3"])
    once = judged[~again & (judged["shift"] != "noisyLR")]
    assert counts["shifts"].sum() == len(once) < len(judged)
    assert counts["tolerates"].sum() == (once["verdict"] == "tolerates").sum()


def test_no_predictor_beats_the_best_one_by_more_than_chance(study):
    linear = study[2].tables["cells"].query("kind != 'task'")
    excess = linear["relative"] - linear["best"]
    assert (
        excess.min() > -0.02
    )  # Bayes: what lies below is Monte Carlo of least squares and its like on the same prompts


def test_predictors_of_one_law_differ_in_colour_or_marker(study):
    figure = drawn.draw(study[2].__class__(**vars(study[2]) | {"tables": _crowd(study[2])}))[1].figure
    looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in figure.legends[0].get_lines()]
    assert len(set(looks)) == len(looks) > 20


def _crowd(record):
    """The tables with nine models of either law."""
    cells = [record.tables["cells"]]
    for family in ("fixed", "random"):
        layer = cells[0][cells[0]["predictor"] == f"LSA, {family} law"]
        cells += [layer.assign(predictor=f"{family}cov_N{i}", group="transformer") for i in range(9)]
    return {**record.tables, "cells": pd.concat(cells, ignore_index=True)}


@pytest.mark.parametrize(
    ("name", "penalty"), [("noisyLR", 1.0), ("noise=0.5", 0.25), ("noise=1+scale-y=2", 1.0), ("scale-y=2", 0.0)]
)
def test_the_best_predictor_has_the_penalty_of_bayes(name, penalty):
    base = PromptDistribution(Gaussian.isotropic(3), Linear())
    best = best_predictor(shift(name), base)
    assert getattr(best, "penalty", 0.0) == pytest.approx(penalty)


def test_kinds_are_what_a_shift_changes():
    kinds = {"task-quadratic": "task", "noise=1": "labels", "scale-y=2": "labels", "scale-query=2": "query"}
    kinds |= {"scale-x=2": "inputs", "random-covariance": "inputs", "random_quadrants": "inputs"}
    assert {name: kind_of(shift(name)) for name in kinds} == kinds


def test_exact_errors_are_unknown_where_no_formula_is_at_hand():
    for family in ("fixed", "random"):
        assert np.isnan(exact_error(family, "random_quadrants", 3, 12, 12))
        assert np.isnan(exact_error(family, "task-quadratic", 3, 12, 12))


def test_every_predictor_is_judged_on_shifts_of_the_law_it_was_made_for(study):
    for family, own in (("fixed", "standard"), ("random", "random-covariance")):
        name = f"LSA, {family} law"
        unshifted = _cell(study[2], name, own)
        assert (unshifted["verdict"], unshifted["growth"]) == ("own law", 0)
        # What only multiplies labels or the query loses nothing, for either law.
        for shifted in ("scale-y=3", "scale-y=1/3", "scale-query=2"):
            cell = _cell(study[2], name, shifted)
            assert cell["relative"] == pytest.approx(unshifted["relative"], rel=1e-9)
            assert cell["verdict"] == "tolerates"
    assert _cell(study[2], "LSA, random law", "standard")["base"] == "a law itself"
    assert _cell(study[2], "LSA, random law", "scale-x=2")["base"] == "random covariances"
    assert _cell(study[2], "LSA, fixed law", "scale-x=2")["base"] == "N(0, I)"
    # Inputs of random covariance times 2 are those of covariance 4·diag(λ): the same law, drawn alike.
    twice, four = (_cell(study[2], "LSA, random law", each) for each in ("scale-x=2", "random-covariance+covariance=4"))
    assert twice["error"] == pytest.approx(four["error"], rel=1e-9)
    assert twice["exact"] == pytest.approx(four["exact"], rel=1e-12)


def test_the_overview_counts_what_the_cells_say(study):
    tables = study[2].tables
    counts = tables["counts"].groupby("predictor")[["tolerates", "shifts"]].sum()
    for _, row in tables["overview"].iterrows():
        parts = [str(row[column]).partition(",")[0].split(" of ") for column in tables["overview"].columns[4:8]]
        assert [sum(int(pair[i]) for pair in parts) for i in (0, 1)] == counts.loc[row["predictor"]].to_list()


def test_label_noise_in_other_units_is_the_same_shift_to_whoever_is_linear_in_labels(study):
    for name in ("least squares", "ridge", "3-NN", "LSA, fixed law", "LSA, random law"):
        one, other = (_cell(study[2], name, shifted)["growth"] for shifted in ("noisyLR", "noise=1"))
        assert one == pytest.approx(other, abs=1e-12)


def test_groups_tell_apart_what_the_layer_tolerates_and_what_it_cannot_fail(study):
    row = study[2].tables["groups"].set_index(["who", "made for"]).loc[("the layer (LSA)", "N(0, I)")]
    assert {"scale-x=3", "skewed"} <= set(row["unlike least squares, tolerated by none"].split(", "))
    text = " ".join(study[2].facts["sentences"])
    # Labels times four factors, queries times one, and orthogonal queries.
    assert (
        f"of tasks, labels and queries it tolerates {row['tasks, labels, queries']}; 6 of them could not fail" in text
    )


def _with_models(record, growths, ratio=1.0):
    """The cells with transformers of the fixed law whose growth is as given wherever that of the layer is known."""
    cells = record.tables["cells"]
    added = []
    for i, given in enumerate(growths):
        rows = cells[cells["predictor"] == "LSA, fixed law"].assign(
            predictor=f"model {i}", group="transformer", reads="somehow", unshifted=0.01, ratio=ratio
        )
        growth = rows["shift"].map(given).fillna(0.0)
        verdict = growth.gt(0.1).map({True: "does not", False: "tolerates"})
        added.append(rows.assign(growth=growth, verdict=rows["verdict"].where(rows["verdict"] == "own law", verdict)))
    return pd.concat([cells, *added])


def _told(cells):
    tables = {"cells": cells, "groups": tolerance_words.groups(cells)}
    told = {"dimension": 3, "n_test": 12, "n_prompts": 600}
    return tables, tolerance_words.sentences(tables, told, []), tolerance_words.summary(tables, told)


def test_models_differ_from_the_layer_where_all_of_them_do(study):
    cells = _with_models(study[2], [{"scale-x=3": 1.0}, {"scale-x=3": 1.0, "skewed": 1.0}], ratio=50.0)
    tables, said, summary = _told(cells)
    row = tables["groups"].set_index("who").loc["transformers, somehow"]
    cured = row["unlike the layer, tolerated by all"].split(", ")
    assert "scale-x=2" in cured
    assert not {"scale-x=3", "skewed"} & set(cured)
    assert row["unlike least squares, tolerated by none"] == "scale-x=3"  # one of the two tolerates skewed
    assert (row["models"], row["other inputs"]) == (2, "17 of 20")
    assert any("for 1 of 1 kind " in line for line in said)
    layers = cells[(cells["group"] == "LSA") & (cells["verdict"] == "tolerates")]
    held = tolerance_words.counted(layers).groupby("family").size()
    assert summary[0].startswith(
        f"At d = 3, trained on N(0, I) the linear layer tolerates {held['fixed']} of 21 shifts, transformers 19–20 (2 "
        f"models); on random covariances {held['random']} of 19 shifts: "
    )
    assert len(summary[0].split()) <= 45
    assert summary[1].startswith("Of 39 shifts tolerated by transformers, counted by model, 39 raise the error more")


def test_models_that_tolerate_all_do_not_leave_least_squares(study):
    assert not any("not least squares" in line for line in _told(_with_models(study[2], [{}]))[1])


def test_every_shift_is_defined(study):
    table = study[2].tables["shifts"].set_index("shift")
    assert set(table.index) == set(study[2].tables["cells"]["shift"])
    assert table["definition"].str.len().min() > 10
    assert table.loc["standard", "definition"] == "Inputs with covariance I."


def test_without_a_model_the_page_says_so(study):
    text = " ".join(study[2].facts["sentences"])
    assert "No trained model of dimension 3 is at hand" in text
    assert "no transformer that learned" in study[2].facts["summary"][0]


def test_a_second_run_reads_every_unit(study):
    folder, run, record = study
    units = {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()}
    again = run()
    assert {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()} == units
    assert again.facts == record.facts


def test_the_map_shows_every_cell(study):
    first, _ = drawn.draw(study[2])
    shown = [text.get_text() for text in first.figure.axes[0].texts]
    cells = study[2].tables["cells"]
    assert sum(text == "own" for text in shown) == (cells["verdict"] == "own law").sum()
    assert sum(text.endswith("?") for text in shown) == (cells["verdict"] == "undecided").sum()
    assert len(shown) == len(cells) + cells["kind"].nunique()
