"""The open questions' study: counts that add up, limits that descent obeys, and questions that follow the tables."""

import numpy as np
import pytest

from iclab.studies.initialisation import descent
from iclab.studies.initialisation import measure as study
from iclab.studies.initialisation.measure import MOVED, Problem, Settings, measure
from iclab.studies.initialisation.questions import QUESTIONS
from iclab.studies.initialisation.two_layer import counts_of
from iclab.studies.lab import Lab
from iclab.studies.study import Verdict, ask

SCALED = {0.0: (Problem("fixed", 5, 20, 10.0), Problem("random", 5, 20, 1.0)), MOVED: (Problem("fixed", 2, 20, 1.0),)}
RATIOS, BATCHES = (0.5, 2.0), (2, 8, 32)
SPANS = {"fixed": {"span": 30.0, "sgd_span": 1.0}, "random": {"span": 15.0, "sgd_span": 0.25}}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Fewer problems and sizes of σ, smaller batches, shorter runs; those of the study are run in its contract."""
    settings = Settings(
        n_starts=6,
        n_seeds=2,
        n_prompts=200,
        two_layer_scales=(0.1,),
        problems=(Problem("fixed", 2, 20, 1.0),),
        sizes=(0.1, 0.3, 3.0),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(study, "RATIO_PROBLEMS", SCALED)
        patched.setattr(study, "RATIOS", RATIOS)
        patched.setattr(descent, "BATCHES", BATCHES)
        for covariances, spans in SPANS.items():
            patched.setitem(descent.DESCENTS, covariances, descent.DESCENTS[covariances]._replace(**spans))
        return measure(settings, Lab(tmp_path_factory.mktemp("lab"), lambda *_: None))


@pytest.fixture
def asked(tables):
    return lambda **changed: ask(QUESTIONS, {**tables, **changed})


def test_counts_add_up_and_lie_in_their_intervals(tables):
    ends = tables["ends"]
    kinds = ["global minimum", "local minimum", "saddle", "unfinished"]
    assert (ends[kinds].sum(axis=1) == ends["n"]).all()
    assert (ends["failures"] == ends["local minimum"] + ends["saddle"]).all()
    for counts in (ends, tables["two_layer"]):
        assert (counts["low"] <= counts["rate"]).all()
        assert (counts["rate"] <= counts["high"]).all()


def test_small_perturbations_learn_and_large_ones_can_fail(tables, asked):
    ends = tables["ends"].set_index("size")
    assert ends.loc[[0.1, 0.3], "failures"].sum() == 0
    assert ends.loc[3.0, "failures"] > 0
    failed = ends[ends["failures"] > 0]
    assert (failed["failed_error"] > failed["best_error"]).all()
    assert asked()["ends"].verdict is Verdict.IN_PART
    few = tables["ends"][tables["ends"]["size"] < 1]
    assert asked(ends=few)["ends"].verdict is Verdict.CONFIRMED


def test_starts_of_assumption_3_above_the_threshold_learn(tables, asked):
    scales = tables["scales"]
    assert asked()["threshold"].verdict is Verdict.CONFIRMED
    assert scales.loc[scales["size"] == 0, "time_to_99"].gt(0).all()
    assert set(scales["covariances"]) == {"fixed", "random"}


def test_only_starts_above_the_threshold_count(tables, asked):
    scales = tables["scales"].copy()
    scales.loc[scales["ratio"] <= 1, "failures"] = 5
    exact, moved = (scales["size"] == 0) & (scales["ratio"] > 1), (scales["size"] > 0) & (scales["ratio"] > 1)
    scales.loc[scales.index[exact][0], "failures"] = 2
    scales.loc[moved, "failures"] = 1
    answer = asked(scales=scales)["threshold"]
    assert (answer.missed, answer.total) == (2, scales[exact]["n"].sum())
    assert answer.numbers["share of failures if moved by 0.3σ"] == moved.sum() / scales[moved]["n"].sum()


def test_descent_obeys_its_limits(tables):
    rates = tables["rates"]
    assert (rates[rates["rate"] < rates["limit_all"]]["excess"] < 1e-6).all()
    exact = rates[(rates["perturbation"] == 0) & (rates["rate"] < rates["limit_u_U"])]
    assert (exact["excess"] < 1e-6).all()
    # Whoever settles in spite of noise does so where its step is stable.
    settled = rates[(rates["perturbation"] > 0) & (rates["excess"] < 1e-6)]
    assert (settled["limit_at_end"] > settled["rate"]).all()


@pytest.mark.parametrize(
    ("excess", "diverged", "met", "lost"), [(np.inf, True, 2, 2), (0.06, False, 2, 0), (1e-9, False, 0, 0)]
)
def test_runs_above_both_limits(tables, asked, excess, diverged, met, lost):
    rates = tables["rates"].copy()
    above = (rates["perturbation"] == 0) & (rates["rate"] > rates["limit_u_U"])
    rates.loc[above, "excess"], rates.loc[above, "diverged"] = excess, diverged
    answer = asked(rates=rates)["beyond"]
    assert (answer.met, answer.total, answer.numbers["diverged"]) == (met, 2, lost)


def test_noise_shrinks_with_larger_batches(tables):
    gaps = tables["sgd"].pivot_table(index=["covariances", "rate"], columns="batch_size", values="gap")
    few, _, many = BATCHES
    assert (gaps[many] < gaps[few])["fixed"].all()
    # Random covariances make single prompts large: two runs tell only at the smallest rate.
    smallest = gaps.loc["random"].iloc[0]
    assert smallest[many] < smallest[few]


@pytest.mark.parametrize(
    ("rate", "batch", "verdicts"),
    [
        (0.5, -0.5, (Verdict.CONFIRMED, Verdict.CONFIRMED)),
        (1.0, -0.5, (Verdict.REFUTED, Verdict.CONFIRMED)),
        (0.5, 0.0, (Verdict.UNDECIDED, Verdict.UNDECIDED)),
    ],
)
def test_powers_of_the_gap_are_fitted_apart(tables, asked, rate, batch, verdicts):
    sgd = tables["sgd"]
    # Noise that is orthogonal to both predictors in every kind of covariances, so that fits are exact but not certain.
    noise = np.tile(np.outer([1, -2, 1], [1, -2, 1]).ravel(), 2)
    gap = sgd["rate"] ** rate * sgd["batch_size"] ** batch * np.exp(0.01 * noise)
    answers = asked(sgd=sgd.assign(gap=gap, diverged=0))
    assert (answers["rate_power"].verdict, answers["batch_power"].verdict) == verdicts
    lost = sgd.assign(gap=np.where(sgd["rate"] == sgd["rate"].max(), 1.0, np.inf))
    assert asked(sgd=lost)["rate_power"].verdict is Verdict.UNDECIDED


def test_two_layers_learn_more_than_one(tables):
    counts, runs = tables["two_layer"], tables["two_layer_runs"]
    assert (counts["as_two_steps"] <= counts["beats_one_layer"]).all()
    assert counts["beats_one_layer"].sum() >= len(runs) / 2
    assert counts["largest_correction"].max() < 0.05
    loss = tables["two_layer_references"].set_index(["predictor", "steps"])["loss"]
    assert loss["two layers", 0] < loss["one layer", 0]
    # More steps of descent, with their best rates, are never worse; one step is the one-layer minimum.
    assert loss["descent", 1] == pytest.approx(loss["one layer", 0], rel=0.05)
    assert loss["descent", 1] > loss["descent", 2] > loss["descent", 3]


def test_two_layers_that_still_move_reach_nothing(tables, asked):
    runs = tables["two_layer_runs"].copy()
    lowest = runs["loss"].idxmin()
    runs.loc[lowest, ["as_two_steps", "beats_one_layer"]] = 1
    still = counts_of(runs)
    moving = counts_of(runs.assign(moving=runs.index == lowest))
    for column, name in (("as_two_steps", "two_steps"), ("beats_one_layer", "one_layer")):
        assert moving[column].sum() == still[column].sum() - 1
        assert asked(two_layer=moving)[name].undecided == 1
    assert moving["lowest_loss"].min() > still["lowest_loss"].min()
