"""Crossings, ranks and ratios are read correctly off curves whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from iclab.foundations import InvalidInputError
from iclab.studies.leaderboard.measure import Settings, comparable, crossings, last_errors, ratios, summarise
from iclab.studies.leaderboard.questions import QUESTIONS
from iclab.studies.leaderboard.recipes import RECIPES, configuration, scaled_garg
from iclab.studies.study import Verdict, ask
from iclab.training import preset

LADDERS = {"fast": (100, 200), "columns": (100, 200), "garg": (1000,)}


def curve(recipe, length, seed, rate, every=0.02):
    """Held-out errors e^(−rate·step) every 2 % of a run."""
    steps = np.arange(1, round(1 / every) + 1) * round(every * length)
    columns = {"step": steps, "sequences": 64 * steps, "cpu_seconds": 0.5 * steps, "error": np.exp(-rate * steps)}
    return pd.DataFrame({**columns, "stderr": 0.01, "n": 10, "recipe": recipe, "length": length, "seed": seed})


def tables_of(*curves, seeds=(0, 1, 2), ladders=LADDERS):
    together = pd.concat(curves, ignore_index=True)
    settings = Settings(5, ladders, training_seeds=seeds)
    board = crossings(together, settings)
    runs = together.groupby(["recipe", "length", "seed"], sort=False, as_index=False).last()
    return {
        "board": board,
        "ranking": summarise(crossings(together, settings, comparable(ladders))),
        "summary": summarise(board),
        "ratios": ratios(board),
        "ends": last_errors(runs, len(seeds)),
    }


@pytest.fixture
def tables():
    """Ours and columns fall at 0.03 per step (seed 2 never), in longer runs at 0.05; Garg's at 0.0025, to 0.08."""
    rates = {0: 0.03, 1: 0.03, 2: 1e-6}
    ours = [curve(name, 100, seed, rate) for name in ("fast", "columns") for seed, rate in rates.items()]
    ours += [curve(name, 200, seed, 5 / 3 * rate) for name in ("fast", "columns") for seed, rate in rates.items()]
    return tables_of(*ours, *(curve("garg", 1000, seed, 0.0025) for seed in rates))


def test_the_first_crossing_of_the_best_run_counts(tables):
    """ln 10 / 0.05 = 46.05, seen at the next multiple of 4; the slower run would say 78."""
    board = tables["board"].set_index(["recipe", "threshold", "seed"])
    for threshold in (0.1, 0.02, 0.005):
        exact = -np.log(threshold) / 0.05
        row = board.loc[("fast", threshold, 0)]
        assert 0 <= row["steps"] - exact < 4
        assert (row["length"], row["sequences"], row["cpu_seconds"]) == (200, 64 * row["steps"], row["steps"] / 2)
        assert row["error"] <= threshold
    assert board.loc[("garg", 0.1, 0), "steps"] == 940  # 921.03 at multiples of 20


def test_what_is_not_reached_is_censored_and_kept(tables):
    board, summary = tables["board"], tables["summary"].set_index(["recipe", "threshold"])
    assert len(board) == 3 * 3 * 3
    lost = board[(board["recipe"] == "fast") & (board["seed"] == 2)]
    assert not lost["reached"].any()
    assert lost["steps"].isna().all()
    assert (lost["within"] == 200).all()
    row = summary.loc[("fast", 0.1)]
    assert (row["reached"], row["seeds"], row["median_steps"], row["most_steps"]) == (2, 3, 48, np.inf)
    assert summary.loc[("garg", 0.005), "median_steps"] == np.inf
    assert summary.loc[("garg", 0.005), "within"] == 1000


def test_ratios_say_what_censoring_leaves_of_them(tables):
    found = tables["ratios"].set_index(["threshold", "seed"])
    assert tuple(found.loc[(0.1, 0), ["ratio", "relation"]]) == (940 / 48, "=")
    assert tuple(found.loc[(0.1, 2), ["ratio", "relation"]]) == (940 / 200, "≤")
    assert tuple(found.loc[(0.02, 0), ["ratio", "relation"]]) == (1000 / 80, "≥")
    assert found.loc[(0.02, 2), "relation"] == "unknown"
    assert np.isnan(found.loc[(0.02, 2), "ratio"])


def test_only_recipes_tried_to_the_same_length_are_ranked():
    shorter = {
        "fast": (100, 200),
        "tiny": (100, 200),
        "adam": (100,),
        "labels": (100,),
        "softmax": (50,),
        "garg": (200,),
    }
    assert comparable(shorter) == dict.fromkeys(("fast", "tiny", "adam", "labels"), (100,))
    ladders = {"fast": (100, 200), "tiny": (100, 200), "garg": (200,)}
    assert comparable(ladders) == dict.fromkeys(("fast", "tiny"), (100, 200))


def asked(other, fast=(0.03, 0.03, 0.03), garg=0.0025):
    """Answers where ours, from which ``columns`` does not differ, and another recipe fall at those rates, by seed."""
    ladders = {"fast": (100,), "columns": (100,), "adam": (100,), "garg": (1000,)}
    curves = [curve("adam", 100, seed, rate) for seed, rate in enumerate(other)]
    curves += [curve(name, 100, seed, rate) for name in ("fast", "columns") for seed, rate in enumerate(fast)]
    curves += [curve("garg", 1000, seed, garg) for seed in range(len(fast))]
    tables = tables_of(*curves, seeds=tuple(range(len(fast))), ladders=ladders)
    return tables, ask(QUESTIONS, tables)


def test_a_slower_recipe_confirms_and_a_faster_one_refutes():
    """After 100 steps the errors are e^-3, and e^-2 or e^-4."""
    tables, answers = asked((0.02, 0.02, 0.02))
    assert dict(zip(tables["ends"]["recipe"], tables["ends"]["ratio"], strict=True)) == pytest.approx(
        {"adam": np.e, "fast": 1.0}
    )
    assert answers["lower"].verdict is Verdict.CONFIRMED
    assert (answers["first"].met, answers["first"].missed) == (1, 0)  # 0.1; neither reaches the others
    tables, answers = asked((0.04, 0.04, 0.04))
    assert tables["ends"].set_index("recipe").loc["adam", "ratio"] == pytest.approx(1 / np.e)
    assert answers["lower"].verdict is Verdict.REFUTED
    assert (answers["first"].met, answers["first"].missed) == (0, 2)


def test_overlapping_ranges_and_single_seeds_tell_nothing_apart():
    """Crossings of 0.1 at 58 to 78 steps and at 66 to 96."""
    answers = asked((0.024, 0.03, 0.035), fast=(0.03, 0.035, 0.04))[1]
    assert (answers["first"].met, answers["first"].missed) == (0, 0)
    assert asked((0.04,), fast=(0.03,))[1]["first"].verdict is Verdict.UNDECIDED


def test_bounds_decide_where_they_can(tables):
    """19.6 times in two seeds and under 4.7 in one; then over 12.5 times in two, unknown in one; then over 9.3."""
    ratios = tables["ratios"].set_index("threshold")
    met = [ask(QUESTIONS, tables | {"ratios": ratios.loc[[t]]})["tenfold"] for t in (0.1, 0.02, 0.005)]
    assert [(answer.met, answer.missed, answer.undecided) for answer in met] == [(2, 1, 0), (2, 0, 1), (0, 0, 3)]


def test_a_run_that_stopped_at_the_last_threshold_has_no_last_error():
    ladders = {"fast": (100,), "columns": (100,), "garg": (1000,)}
    stopped = curve("fast", 100, 0, 0.06).head(45)
    curves = (curve("columns", 100, 0, 0.03), stopped, curve("garg", 1000, 0, 0.0025))
    assert tables_of(*curves, seeds=(0,), ladders=ladders)["ends"].empty


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_a_training_on_the_same_model_and_prompts(recipe):
    ours, config = (configuration(name, 5, 2000, 1, 64) for name in ("fast", recipe))
    same = config.model.width, config.model.layers, config.model.heads, config.n_train, config.batch_size
    assert same == (64, 3, 2, 10, ours.batch_size)
    assert config.prompts == ours.prompts
    assert (config.seed, config.precision, config.evaluation_interval, config.log_interval) == (1, "float32", 40, 40)
    assert config.curriculum.at(1999, 5, 11) == (5, 11)
    assert (config == ours) == (recipe == "fast")


def test_gargs_curriculum_keeps_its_shares():
    """At d = 20, N = 40 and all 500 001 steps it starts at 5 and 11 and ends at step 30 000, as published."""
    published = preset("garg-linear", dimension=20, n_train=40).curriculum
    mine = scaled_garg(20, 500_001)
    assert (mine["dimensions"]["start"], mine["points"]["start"]) == (5, 11)
    assert (published.dimensions.start, published.points.start) == (5, 11)
    config = configuration("garg", 20, 500_001, 0, 8)
    assert abs(config.curriculum.last_change - published.last_change) < 30
    at_half = [c.at(15_000, 20, 41) for c in (published, config.curriculum)]
    assert abs(at_half[0].dimensions - at_half[1].dimensions) <= 1
    assert abs(at_half[0].points - at_half[1].points) <= 2
    small = configuration("garg", 5, 2000, 0, 8).curriculum
    assert small.at(0, 5, 11) == (1, 3)
    assert 0.05 * 2000 < small.last_change <= 0.06 * 2000


def test_settings_refuse_what_cannot_be_ranked():
    with pytest.raises(InvalidInputError, match="Did you mean 'fast'"):
        Settings(5, {"fasst": (10,), "columns": (10,), "garg": (10,)})
    with pytest.raises(InvalidInputError, match="'garg' is missing"):
        Settings(5, {"fast": (10,), "columns": (10,)})
    with pytest.raises(InvalidInputError, match="ascend"):
        Settings(5, {"fast": (20, 10), "columns": (10,), "garg": (10,)})
