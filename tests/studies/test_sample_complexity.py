"""Sample complexity: excess falls with data, exponents are read correctly, exact errors have their closed forms."""

import numpy as np
import pandas as pd
import pytest

from iclab.studies.sample_complexity import lengths
from iclab.studies.sample_complexity.fits import measured_exponents
from iclab.studies.sample_complexity.prompts import FIXED, LINEAR, RANDOM, WHOLE, empirical
from iclab.studies.sample_complexity.questions import bound, nearest, power
from iclab.studies.sample_complexity.tasks import pooled_layer
from iclab.studies.study import Verdict

SIZES = {
    "dimension": 2,
    "n_train": 4,
    "layer_dimension": 2,
    "layer_n_train": 8,
    "prompts": (64, 256),
    "n_samples": 3,
    "batches": (8, 32),
    "rates": (0.02, 0.04),
    "noise_batches": (32, 128),
    "noise_rates": (0.1, 0.05),
    "tasks": (1, 16, None),
    "layer_tasks": (1, 8, 64, 512),
    "n_pools": 8,
    "n_grid": (2, 4, 8, 64),
    "m_grid": (2, 4, 8, 64),
    "measured": (4, 8, 16),
    "overrides": {"steps": 10, "batch_size": 8},
    "n_prompts": 200,
}


@pytest.fixture(scope="module")
def tables(measured):
    return measured("sample-complexity", **SIZES)


@pytest.mark.parametrize("kind", [LINEAR, WHOLE])
def test_excess_is_never_negative_and_shrinks(kind):
    table = empirical(FIXED, kind, 2, 20, (256, 2048), 4, 0)
    assert (table["excess"] >= 0).all()
    means = table.groupby("n_prompts")["excess"].mean()
    assert means[2048] < means[256] / 3


def test_layer_on_a_pool_is_best_there_and_worse_elsewhere():
    table = pooled_layer((1, 4, 64, 1024), 3, 12, 0.5, 6, 0)
    assert (table["pool"] <= table["infinite_pool"] * (1 + 1e-12)).all()
    assert (table["excess"] >= -1e-12).all()
    means = table.groupby("n_tasks")["excess"].mean()
    assert means.is_monotonic_decreasing
    assert means[1024] < means[64] / 6  # near K⁻¹


def test_lengths_in_closed_form():
    d, grid = 3, (3, 6, 24, 96)
    table = lengths.exact(d, grid, grid)
    own = table[table["condition"] == 1]
    for _, row in own.iterrows():
        k = 1 / (1 + (d + 1) / row["N"])
        assert row["error"] == pytest.approx(d * ((1 - k) ** 2 + k**2 * (d + 1) / row["M"]))
    slopes = lengths.slopes_of(table)
    above = slopes[slopes["what"] == "above"]["slope"].dropna()
    np.testing.assert_allclose(above, -1.0, atol=1e-9)
    assert table[table["inputs"] == RANDOM]["limit"].iloc[0] == pytest.approx(d / 3)


def test_the_best_training_length_is_the_test_length():
    table = lengths.best_lengths(3, (2, 5, 40, 400), (2, 5, 40))
    assert (table["best_N"] == table["M"]).all()
    assert (table["error_at_largest_N"] > table["error"]).all()


def test_corollary_6_speaks_of_fixed_covariances_only():
    table = lengths.exact(3, (3, 40), (3, 40))
    fixed = table["inputs"] == FIXED
    assert table["bound"].notna().equals(fixed)
    assert (table[fixed]["error"] <= table[fixed]["bound"]).all()
    own = table[(table["condition"] == 1) & (table["N"] == 40) & np.isinf(table["M"])]
    assert own["bound"].iloc[0] == pytest.approx(3 * 4**2 / 40**2)  # (1 + d)² tr Λ/N²


def test_leading_coefficients_of_the_lengths():
    table = lengths.coefficients(4)
    np.testing.assert_allclose(table["N2_floor"], table["sum_of_squares"], rtol=0.05)
    np.testing.assert_allclose(table["M_above_floor"], table["bound_M"], rtol=0.05)
    assert (table["bound_N2"] >= table["sum_of_squares"] * (1 - 1e-12)).all()
    tight = table.set_index("condition").loc[1.0]
    assert tight["bound_N2"] == pytest.approx(tight["sum_of_squares"])


def test_trained_layers_have_the_exact_errors():
    table = lengths.measured(2, (4, 12), 2_000, 0)
    assert table["trained_excess"].max() < 1e-10
    pairs = table.groupby(["N", "M"]).agg(mean=("mean", "mean"), error=("mean", "sem"), exact=("exact", "first"))
    assert ((pairs["mean"] - pairs["exact"]).abs() < 5 * pairs["error"]).all()


def test_transformers_are_held_against_the_bayes_predictors(tables):
    table = tables["transformers"]
    endless = table[table["n_tasks"].isna()]
    assert set(endless["tasks"]) == {"fresh"}
    assert "dMMSE" not in set(endless["predictor"])
    bayes = table[(table["predictor"] == "dMMSE") & (table["tasks"] == "pool") & (table["position"] > 0)]
    assert (bayes[bayes["n_tasks"] == 1]["error"] < 1e-20).all()  # one task is known
    others = table[(table["tasks"] == "pool") & (table["n_tasks"] == 16) & (table["position"] == 4)]
    errors = others.set_index("predictor")["error"]
    assert errors.idxmin() == "dMMSE"


def test_exponents_of_the_tables_are_those_of_power_laws(tables):
    """Excess 3/B times a sample's own factor, in each of the replicates."""
    table = pd.DataFrame(
        [
            (FIXED, LINEAR, size, sample, (1 + sample) * 3 / size, 0.01)
            for size in (64, 128, 256)
            for sample in range(4)
        ],
        columns=["inputs", "kind", "n_prompts", "sample", "excess", "relative"],
    )
    found = measured_exponents({**tables, "empirical": table}, 2)
    row = found[(found["quantity"] == "empirical minimiser")].iloc[0]
    np.testing.assert_allclose([row["value"], row["low"], row["high"]], -1, atol=1e-9)
    assert (row["fitted_from"], row["fitted_to"], row["n"]) == (64, 256, 4)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-1.1, -0.9, Verdict.CONFIRMED), (-2, -1.5, Verdict.REFUTED), (-9, 9, Verdict.UNDECIDED)],
)
def test_an_exponent_is_held_against_what_is_expected(tables, low, high, verdict):
    row = {
        "quantity": "layer on a pool",
        "inputs": None,
        "kind": None,
        "variable": "K",
        "expected": -1.0,
        "value": (low + high) / 2,
    }
    table = pd.DataFrame([{**row, "low": low, "high": high}])
    assert power({"exponents": table}, quantities=("layer on a pool",)).verdict is verdict


def test_the_bound_flips_where_an_error_exceeds_it(tables):
    assert bound(tables).verdict is Verdict.CONFIRMED
    table = tables["exact"].copy()
    table.loc[0, "error"] = 2 * table.loc[0, "bound"]
    answer = bound({**tables, "exact": table})
    assert (answer.verdict, answer.missed) == (Verdict.IN_PART, 1)
    assert answer.numbers["largest error / bound"] == pytest.approx(2)


def test_the_nearest_algorithm_is_counted_where_it_is_certain(tables):
    def asked(distance, share):
        table = tables["transformers"].copy()
        ridge = (table["predictor"] == "ridge") & (table["tasks"] == "fresh")
        table.loc[ridge, ["distance", "frequency"]] = distance, share
        others = (table["predictor"] != "GPT-2") & ~ridge & (table["tasks"] == "fresh")
        table.loc[others, ["distance", "frequency"]] = 1.0, 1.0
        return nearest({**tables, "transformers": table})

    assert asked(0.1, 1.0).verdict is Verdict.CONFIRMED
    assert asked(0.1, 0.9).verdict is Verdict.UNDECIDED
    assert asked(2.0, 1.0).verdict is Verdict.REFUTED
