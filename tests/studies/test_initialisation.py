"""The open questions' study: counts that add up, intervals, and findings that must hold."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from iclab.foundations import InvalidInputError
from iclab.report.figures import initialisation as figure
from iclab.studies.exponents import regressed
from iclab.studies.initialisation import FIXED, run
from iclab.studies.initialisation_words import sentences
from iclab.studies.intervals import wilson
from iclab.studies.store import Store
from iclab.studies.two_layer import two_layer_sentences, two_layer_tables


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return run(
        store=Store(tmp_path_factory.mktemp("units")),
        progress=lambda *_: None,
        n_starts=6,
        n_seeds=2,
        n_prompts=200,
        two_layer_scales=(0.1,),
        problems=((FIXED, 2, 20, 1.0),),
        sizes=(0.1, 0.3, 3.0),
    )


def test_counts_add_up_and_lie_in_their_intervals(record):
    ends = record.tables["ends"]
    kinds = ["global minimum", "local minimum", "saddle", "unfinished"]
    assert (ends[kinds].sum(axis=1) == ends["n"]).all()
    assert (ends["failures"] == ends["local minimum"] + ends["saddle"]).all()
    assert (ends["low"] <= ends["rate"]).all()
    assert (ends["rate"] <= ends["high"]).all()


def test_small_perturbations_learn_and_large_ones_can_fail(record):
    ends = record.tables["ends"].set_index("size")
    assert ends.loc[[0.1, 0.3], "failures"].sum() == 0
    assert ends.loc[3.0, "failures"] > 0
    failed = ends[ends["failures"] > 0]
    assert (failed["failed_error"] > failed["best_error"]).all()


def test_starts_of_assumption_3_above_the_threshold_learn(record):
    scales = record.tables["scales"]
    assert scales["ratio"].max() > 1
    assert scales.loc[scales["size"] == 0, "failures"].sum() == 0
    assert scales.loc[scales["size"] == 0, "time_to_99"].gt(0).all()
    assert set(scales["law"]) == {"fixed covariance", "random covariances"}


def test_descent_obeys_its_limits(record):
    rates = record.tables["rates"]
    below = rates["rate"] < rates["limit_all"]
    assert (rates[below]["excess"] < 1e-6).all()
    exact = rates[(rates["start"] == "Assumption 3") & (rates["rate"] < rates["limit_u_U"])]
    assert (exact["excess"] < 1e-6).all()
    # Whoever settles in spite of noise does so where its step is stable.
    settled = rates[(rates["start"] != "Assumption 3") & (rates["excess"] < 1e-6)]
    assert (settled["limit_at_end"] > settled["rate"]).all()


def test_noise_shrinks_with_larger_batches(record):
    gaps = record.tables["sgd"].pivot_table(index=["law", "rate"], columns="batch_size", values="gap")
    assert (gaps[128] < gaps[8])["fixed covariance"].all()
    # Random covariances make single prompts large: two runs tell only at the smallest rate.
    smallest = gaps.loc["random covariances"].iloc[0]
    assert smallest[128] < smallest[8]


def test_two_layers_learn_more_than_one(record):
    counts, runs = record.tables["two_layer"], record.tables["two_layer_runs"]
    assert (counts["as_two_steps"] <= counts["beats_one_layer"]).all()
    assert (counts["low"] <= counts["rate"]).all()
    assert (counts["rate"] <= counts["high"]).all()
    assert counts["beats_one_layer"].sum() >= len(runs) / 2
    assert counts["largest_correction"].max() < 0.05
    loss = record.tables["two_layer_references"].set_index("name")["loss"]
    assert loss["two layers, best end"] < loss["one layer, its minimum"]
    # More steps of descent, with their best rates, are never worse; one step is the one-layer minimum.
    assert loss["1 step of descent"] == pytest.approx(loss["one layer, its minimum"], rel=0.05)
    assert loss["1 step of descent"] > loss["2 steps of descent"] > loss["3 steps of descent"]


def test_two_layers_that_still_move_count_as_neither(record):
    names = ("runs", "plateaus", "paths", "references")
    tables = {name: record.tables[f"two_layer_{name}"].copy() for name in names}
    lowest = tables["runs"]["loss"].idxmin()
    tables["runs"].loc[lowest, ["as_two_steps", "beats_one_layer"]] = 1

    def found(speed):
        tables["runs"].loc[lowest, "speed"] = speed
        return two_layer_tables(pd.concat([table.assign(table=name) for name, table in tables.items()]))

    still, moving = found(0.0), found(1.0)
    assert still["two_layer"]["moving"].sum() == 0
    assert moving["two_layer"]["moving"].sum() == 1
    for count in ("as_two_steps", "beats_one_layer"):
        assert moving["two_layer"][count].sum() == still["two_layer"][count].sum() - 1
    assert moving["two_layer"]["lowest_loss"].min() > still["two_layer"]["lowest_loss"].min()
    # The lowest end is no reference while it moves.
    assert set(still["two_layer_references"]["name"]) - set(moving["two_layer_references"]["name"]) == {
        "two layers, best end"
    }
    assert "Counted as neither: 1, still falling" in two_layer_sentences(moving)[0]
    assert "Counted as neither" not in two_layer_sentences(still)[0]


def test_sentences_carry_the_counts(record):
    assert len(record.facts["sentences"]) == 11
    assert "Of 6 starts" in record.facts["sentences"][0]
    assert "from 0 at 0.1σ, 0 at 0.3σ, " in record.facts["sentences"][0]


def said(record, **tables):
    descents = dict.fromkeys(("fixed covariance", "random covariances"), (5, 20))
    return sentences({**record.tables, **tables}, descents)


def test_starts_above_the_threshold_are_counted_alike_in_text_and_figure(record):
    scales = record.tables["scales"].copy()
    scales.loc[scales["ratio"] <= 1, "failures"] = 5  # not of these
    exact, moved = (scales["size"] == 0) & (scales["ratio"] > 1), (scales["size"] > 0) & (scales["ratio"] > 1)
    scales.loc[scales.index[exact][0], "failures"] = 2
    scales.loc[moved, "failures"] = 1
    n, k, m = int(scales[exact]["n"].sum()), int(scales[moved]["n"].sum()), int(moved.sum())
    text = " ".join(said(record, scales=scales))
    assert f"2 of {n} starts of Assumption 3 fail;" in text  # and no reason is given why none could
    assert f"{m} of {k} do" in text
    ax = Figure().subplots()
    figure._scales(ax, scales)
    assert ax.get_title() == f"above 1: 2 of {n} fail, moved: {m} of {k}"


def test_all_sizes_with_the_most_failures_are_named(record):
    ends = record.tables["ends"].assign(failures=[0, 4, 4], rate=[0, 4 / 6, 4 / 6], failed_error=[np.nan, 0.3, 0.4])
    assert "4 of 6 starts with noise of 0.3σ or 3σ (fixed covariance, d = 2" in said(record, ends=ends)[1]
    assert "median error per dimension is 0.3 and 0.4, where" in said(record, ends=ends)[1]
    more = pd.concat([ends, ends[2:].assign(n_train=80)])
    assert "condition 1; as many on 1 other problem)" in said(record, ends=more)[1]
    none = ends.assign(failures=0, rate=0.0, failed_error=np.nan)
    assert said(record, ends=none)[1] == "With noise of up to 3σ no start fails."


def test_powers_of_the_gap_are_fitted_apart(record):
    sgd = record.tables["sgd"]
    rng = np.random.default_rng(0)

    def text(eta, batch):
        gap = sgd["rate"] ** eta * sgd["batch_size"] ** batch * rng.lognormal(0, 0.01, size=len(sgd))
        return said(record, sgd=sgd.assign(gap=gap, diverged=0))[-1]

    for eta, batch, verbs in ((0.5, -0.5, ("contains", "contains")), (1.0, -0.5, ("excludes", "contains"))):
        found = text(eta, batch)
        assert f"{verbs[0]} 0.5)" in found
        assert f"{verbs[1]} −0.5)" in found
    noisy = text(0.5, 0.0)
    assert "too noisy to tell how it goes with either" in noisy
    assert "it goes as" not in noisy
    lost = sgd.assign(gap=np.where(sgd["rate"] == sgd["rate"].max(), 1.0, np.inf))
    assert "it goes as" not in said(record, sgd=lost)[-1]


def test_intervals_of_a_regression_cover_the_powers():
    rng = np.random.default_rng(0)
    x = np.array([[a, b] for a in (1.0, 2.0, 4.0) for b in (1.0, 3.0, 9.0)])
    covered = np.zeros(2)
    for _ in range(300):
        found = regressed(x, x[:, 0] * x[:, 1] ** -0.5 * rng.lognormal(0, 0.3, size=9))
        covered += [one.low <= power <= one.high for one, power in zip(found, (1.0, -0.5), strict=True)]
    assert (np.abs(covered - 285) < 16).all()  # 95 % of 300, and four standard errors
    with pytest.raises(InvalidInputError, match="at least 4 values"):
        regressed(x[:3], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("start", ["diverges", "stays", "converges"])
def test_runs_above_both_limits_are_told_apart(record, start):
    rates = record.tables["rates"].copy()
    above = (rates["start"] == "Assumption 3") & (rates["rate"] > rates["limit_u_U"])
    excess = {"diverges": np.inf, "stays": 0.06, "converges": 1e-9}[start]
    rates.loc[above, ["excess", "diverged"]] = (excess, start == "diverges")
    text = next(line for line in said(record, rates=rates) if line.startswith("Descent"))
    converged, diverged = int(start == "converges"), int(start == "diverges")
    assert f"above both, {converged} of 1 converge and {diverged} diverge" in text
    assert ("1 staying at 0.06 of the gain" in text) is (start == "stays")


@pytest.mark.parametrize(("failures", "n"), [(0, 10), (3, 10), (10, 10)])
def test_wilson_solves_its_equation(failures, n):
    """Both ends p satisfy |failures/n − p| = 1.96 √(p(1 − p)/n)."""
    for p in wilson(failures, n):
        assert abs(failures / n - p) == pytest.approx(1.959963984540054 * np.sqrt(p * (1 - p) / n), abs=1e-12)
