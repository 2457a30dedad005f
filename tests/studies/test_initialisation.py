"""The open questions' study: counts that add up, intervals, and findings that must hold."""

import numpy as np
import pytest

from incontext.studies.initialisation import FIXED, run, wilson
from incontext.studies.store import Store


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


def test_threshold_is_not_needed(record):
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


def test_sentences_carry_the_counts(record):
    assert len(record.facts["sentences"]) == 11
    assert "0 of 12 starts fail" in record.facts["sentences"][0]


@pytest.mark.parametrize(("failures", "n"), [(0, 10), (3, 10), (10, 10)])
def test_wilson_solves_its_equation(failures, n):
    """Both ends p satisfy |failures/n − p| = 1.96 √(p(1 − p)/n)."""
    for p in wilson(failures, n):
        assert abs(failures / n - p) == pytest.approx(1.959963984540054 * np.sqrt(p * (1 - p) / n), abs=1e-12)
