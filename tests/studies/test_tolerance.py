"""The study of tolerance: closed forms agree, known learners get the verdicts of theory, units are reused."""

import numpy as np
import pandas as pd
import pytest

from iclab.prompts import Gaussian, Linear, PromptDistribution, shift
from iclab.studies.study import Record, Verdict, ask, plain
from iclab.studies.tolerance import figures
from iclab.studies.tolerance.measure import Settings
from iclab.studies.tolerance.problems import best_predictor, exact_error, kind_of
from iclab.studies.tolerance.questions import LEARNED, QUESTIONS, TOLERANCE, as_predicted
from iclab.studies.tolerance.views import counts, differences, overview

SETTINGS = Settings(dimension=3, n_train=(12,), max_context=12, n_prompts=600, train_missing=False, seed=1)


@pytest.fixture(scope="module")
def tables(measured):
    return measured("tolerance", **vars(SETTINGS))


@pytest.fixture
def cell(tables):
    cells = tables["cells"].set_index(["predictor", "shift"])
    return lambda predictor, name: cells.loc[(predictor, name)]


def test_the_layer_is_where_its_closed_forms_are(tables):
    known = tables["cells"].query("group == 'linear layer' and z == z")
    assert len(known) >= 30
    assert known["z"].abs().max() < 5


@pytest.mark.parametrize(("family", "unshifted"), [("fixed", "standard"), ("random", "random-covariance")])
def test_the_layer_answers_homogeneously_and_never_along_an_orthogonal_query(cell, family, unshifted):
    name = f"linear layer, {family} Λ"
    same = cell(name, unshifted)
    assert (same["verdict"], same["growth"], same["counted"]) == ("unshifted", 0, False)
    for scaled in ("scale-y=3", "scale-y=0.5", "scale-query=2"):
        # Linear in the labels and in the query, as the zero predictor's error is.
        assert cell(name, scaled)["relative"] == pytest.approx(same["relative"], rel=1e-9)
        assert cell(name, scaled)["verdict"] == "tolerated"
    assert cell(name, "orthogonal_train_test")["relative"] == pytest.approx(1, rel=1e-9)


def test_verdicts_are_those_of_theory(cell):
    for name in ("scale-x=3", "scale-x=1/3", "random-covariance+covariance=9", "skewed"):
        assert cell("linear layer, fixed Λ", name)["verdict"] == "not tolerated"
        assert cell("least squares", name)["verdict"] == "tolerated"  # exact from d examples on


def test_verdicts_follow_from_the_intervals_and_counts_from_the_verdicts(tables):
    cells = tables["cells"]
    judged = cells[cells["verdict"] != "unshifted"]
    inside = (judged["growth_low"] <= judged["growth"] + 1e-12) & (judged["growth"] <= judged["growth_high"] + 1e-12)
    assert inside.mean() > 0.95
    assert (judged["growth_high"] <= TOLERANCE).equals(judged["verdict"] == "tolerated")
    assert (judged["growth_low"] > TOLERANCE).equals(judged["verdict"] == "not tolerated")
    # Random inputs times 2 and 3 are distributions that have a row of their own, and noisyLR is noise=1 in other units.
    again = (judged["family"] == "random") & judged["shift"].isin(["scale-x=2", "scale-x=3"])
    once = judged[~again & (judged["shift"] != "noisyLR")]
    assert len(once) < len(judged)
    by_predictor = tables["counts"].groupby("predictor", sort=False)[["tolerated", "shifts"]].sum()
    assert by_predictor["shifts"].equals(once.groupby("predictor", sort=False).size().rename("shifts"))
    seen = tables["overview"].set_index("predictor")
    for key in ("tolerated", "shifts"):
        assert (seen[f"other_{key}"] + seen[f"inputs_{key}"]).equals(by_predictor[key])
    worst = once[once["verdict"] == "not tolerated"].groupby("predictor")["growth"].max()
    assert seen["growth"].dropna().to_dict() == worst.to_dict()


def test_no_predictor_beats_the_best_one_by_more_than_chance(tables):
    linear = tables["cells"].query("kind != 'task'")
    # Bayes: what lies below is Monte Carlo of least squares and its like on the same prompts.
    assert (linear["relative"] - linear["best"]).min() > -0.02


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


def test_shifts_that_are_one_under_two_names_give_one_answer(cell):
    # Inputs of random covariance times 2 are those of covariance 4·diag(λ), drawn alike.
    twice, four = (cell("linear layer, random Λ", name) for name in ("scale-x=2", "random-covariance+covariance=4"))
    assert twice["error"] == pytest.approx(four["error"], rel=1e-9)
    assert twice["exact"] == pytest.approx(four["exact"], rel=1e-12)
    assert (twice["itself"], four["itself"]) == (False, True)
    # Label noise in other units is the same shift to whoever is linear in labels.
    for name in ("least squares", "ridge", "3-NN", "linear layer, fixed Λ", "linear layer, random Λ"):
        assert cell(name, "noisyLR")["growth"] == pytest.approx(cell(name, "noise=1")["growth"], abs=1e-12)


def _with_models(tables, *growths, unshifted=0.01, ratio=1.0):
    """Tables with transformers of the fixed covariance whose growth is as given, otherwise 0."""
    cells = tables["cells"]
    added = []
    for i, given in enumerate(growths):
        rows = cells[cells["predictor"] == "linear layer, fixed Λ"].assign(
            predictor=f"model {i}", group="transformer", embedding="interleaved", attention="softmax"
        )
        growth = rows["shift"].map(given).fillna(0.0)
        verdict = growth.gt(TOLERANCE).map({True: "not tolerated", False: "tolerated"})
        verdict = rows["verdict"].where(rows["verdict"] == "unshifted", verdict)
        learned = unshifted <= LEARNED
        added.append(rows.assign(growth=growth, verdict=verdict, ratio=ratio, learned=learned, unshifted=unshifted))
    cells = pd.concat([cells, *added], ignore_index=True)
    views = {"counts": counts(cells), "overview": overview(cells), "differences": differences(cells)}
    return {**tables, "cells": cells, **views}


def test_models_differ_from_the_layer_where_all_of_them_do(tables):
    changed = _with_models(tables, {"scale-x=3": 1.0}, {"scale-x=3": 1.0, "skewed": 1.0}, ratio=50.0)
    shifts = changed["differences"].groupby("unlike")["shift"].agg(set)
    assert "scale-x=2" in shifts["linear layer"]
    assert not {"scale-x=3", "skewed"} & shifts["linear layer"]
    assert shifts["least squares"] == {"scale-x=3"}  # one of the two tolerates skewed
    answers = ask(QUESTIONS, changed)
    assert (answers["unlike_layer"].verdict, answers["unlike_least_squares"].met) == (Verdict.CONFIRMED, 1)
    assert answers["cost"].numbers == {"tolerated": 39, "above_10_fold": 39, "above_100_fold": 0}
    told = answers["transformers_fixed"]
    assert (told.met, told.missed, told.numbers["fewest"], told.numbers["most"]) == (39, 3, 19, 20)
    # Those that have not learned are not counted.
    idle = ask(QUESTIONS, _with_models(tables, {}, unshifted=0.6))
    assert idle["transformers_fixed"].total == idle["cost"].numbers["tolerated"] == 0


def test_a_copy_of_the_layer_does_what_is_predicted_of_it(tables):
    cells = tables["cells"]
    copy = cells[cells["predictor"] == "linear layer, fixed Λ"].assign(predictor="copy", group="transformer")
    met = {}
    for name, rows in (("copy", copy), ("tolerant", copy.assign(verdict="tolerated"))):
        answer = as_predicted({**tables, "cells": pd.concat([cells, rows], ignore_index=True)}, "fixed")
        met[name] = (answer.met, answer.missed)
    layer = copy[copy["counted"]]["verdict"].value_counts()
    assert met["copy"] == (layer["tolerated"] + layer["not tolerated"], 0)
    assert met["tolerant"] == (layer["tolerated"], layer["not tolerated"])


def test_each_question_flips_when_its_numbers_cross_the_line(tables):
    answers = ask(QUESTIONS, tables)
    cells, layer = tables["cells"], tables["cells"]["predictor"] == "linear layer, fixed Λ"
    # Labels times four factors, queries times one, and orthogonal queries.
    assert answers["layer_others"].numbers["cannot_fail"] == 6
    for verdict, others, inputs in (
        ("tolerated", Verdict.CONFIRMED, Verdict.REFUTED),
        ("not tolerated", Verdict.REFUTED, Verdict.CONFIRMED),
        ("undecided", Verdict.UNDECIDED, Verdict.UNDECIDED),
    ):
        moved = ask(QUESTIONS, {**tables, "cells": cells.assign(verdict=cells["verdict"].mask(layer, verdict))})
        assert (moved["layer_others"].verdict, moved["layer_inputs"].verdict) == (others, inputs)
    for distance, verdict in ((3.9, Verdict.CONFIRMED), (-4.1, Verdict.REFUTED)):
        moved = ask(QUESTIONS, {**tables, "cells": cells.assign(z=cells["z"].where(cells["z"].isna(), distance))})
        assert moved["closed_form"].verdict is verdict
    # Models that tolerate everything do not leave least squares, and models like the layer not the layer.
    everything = ask(QUESTIONS, _with_models(tables, {}))
    assert everything["unlike_least_squares"].verdict is Verdict.REFUTED
    failing = dict.fromkeys(cells["shift"].unique(), 1.0)
    assert ask(QUESTIONS, _with_models(tables, failing))["unlike_layer"].verdict is Verdict.REFUTED


def test_every_shift_is_defined(tables):
    table = tables["shifts"].set_index("shift")
    assert set(table.index) == set(tables["cells"]["shift"])
    assert table["definition"].str.len().min() > 10
    assert table.loc["standard", "definition"] == "Inputs with covariance I."


def test_the_map_shows_every_cell(tables):
    changed = _with_models(tables, *[{}] * 9)
    record = Record("tolerance", "", plain(vars(SETTINGS)), changed, {})
    ax = figures.growth(record).axes[0]
    marks = [text.get_text() for text in ax.texts]
    verdicts = changed["cells"]["verdict"].value_counts()
    assert (marks.count("•"), marks.count("?")) == (verdicts["unshifted"], verdicts["undecided"])
    assert len(marks) == len(changed["cells"]) + changed["cells"]["kind"].nunique()
    legend = figures.strength(record).legends[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in legend}) == len(legend) == 6
