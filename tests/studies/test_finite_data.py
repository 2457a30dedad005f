"""Finite data: minimisers are minima, exponents are read correctly, exact errors have their closed forms."""

import numpy as np
import pandas as pd
import pytest

from iclab.flow import empirical_gradient
from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies import REGISTRY
from iclab.studies.exponents import exponents, local_slopes
from iclab.studies.finite_data.fits import measured_exponents
from iclab.studies.finite_data.lengths import (
    best_lengths,
    bounded,
    coefficients_of,
    exact_part,
    measured_part,
    slopes_of,
)
from iclab.studies.finite_data.prompts import (
    FIXED,
    LINEAR,
    RANDOM,
    WHOLE,
    empirical_minimizer,
    empirical_minimizer_of_all,
    empirical_part,
    empirical_risk,
    leading_coefficient,
)
from iclab.studies.finite_data.questions import QUESTIONS, bound, nearest, power
from iclab.studies.finite_data.tasks import pooled_layer
from iclab.studies.lab import Lab
from iclab.studies.runner import run_study
from iclab.studies.study import Verdict
from iclab.theory import LSAParameters, minimizer, optimal_learner

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
def tables(tmp_path_factory):
    [study] = [study for study in REGISTRY if study.name == "finite-data"]
    return run_study(study, Lab(tmp_path_factory.mktemp("finite"), lambda *_: None), "laptop", SIZES).tables


def prompts(count, dimension=3, n_train=10, seed=0):
    return PromptDistribution(Gaussian.isotropic(dimension), Linear()).sample(count, n_train + 1, seed=seed)


def layer(K):
    d = K.shape[0]
    return LSAParameters.from_blocks(np.zeros(d), 1.0, K.T, np.zeros(d))


def test_exponents_of_exact_power_laws():
    a, b = np.meshgrid([1.0, 2.0, 5.0], [3.0, 4.0])
    keys = np.column_stack([a.ravel(), b.ravel()])
    samples = np.outer([1.0, 2.0, 3.0], keys[:, 0] ** 1.5 / keys[:, 1])
    found = exponents(keys, samples)
    for one, exact in zip(found, (1.5, -1.0), strict=True):
        np.testing.assert_allclose([one.value, one.low, one.high], exact, atol=1e-12)
    np.testing.assert_allclose(local_slopes([1, 2, 8], [3.0, 0.75, 3 / 64])[1:], -2.0)
    with pytest.raises(InvalidInputError, match="replicates"):
        exponents([1.0, 2.0], np.ones((1, 2)))


def test_intervals_cover_the_exponent():
    rng = np.random.default_rng(0)
    x = np.array([1.0, 2.0, 4.0, 8.0])
    covered = 0
    for _ in range(200):
        [found] = exponents(x, x**-1.0 * rng.gamma(2.0, size=(12, 4)))
        covered += found.low <= -1 <= found.high
    assert 180 <= covered <= 200  # 95 % of 200, and slack


def test_empirical_minimizer_is_stationary_and_global():
    sample = prompts(60)
    K = empirical_minimizer(sample)
    _, _, U, _ = LSAParameters.from_vector(empirical_gradient(layer(K), sample)).blocks
    np.testing.assert_allclose(U, 0, atol=1e-12)
    other = optimal_learner(Gaussian.isotropic(3), 10)
    assert empirical_risk(layer(K), sample) < empirical_risk(layer(other), sample)


def test_few_prompts_are_interpolated():
    sample = prompts(8)  # fewer than d² = 9
    assert empirical_risk(layer(empirical_minimizer(sample)), sample) == pytest.approx(0, abs=1e-20)


def test_all_parameters_fit_at_least_as_well():
    sample = prompts(400)
    start = minimizer(Gaussian.isotropic(3), 10)
    found = empirical_minimizer_of_all(sample, start)
    assert np.abs(empirical_gradient(found, sample)).max() < 1e-5
    assert empirical_risk(found, sample) < empirical_risk(layer(empirical_minimizer(sample)), sample)


@pytest.mark.parametrize("kind", [LINEAR, WHOLE])
def test_excess_is_never_negative_and_shrinks(kind):
    table = empirical_part(FIXED, kind, 2, 20, (256, 2048), 4, 0)
    assert (table["excess"] >= 0).all()
    means = table.groupby("n_prompts")["excess"].mean()
    assert means[2048] < means[256] / 3


@pytest.mark.parametrize("inputs", [FIXED, RANDOM])
def test_leading_coefficient_in_one_dimension(inputs):
    """d = 1: ½E[r²Z²]/EZ², r = (kλ̂ − 1)wx and Z = λ̂wx, so that with λ it is ½·3·3·E[λ(kλ̂ − 1)²λ̂²λ]/E[λλ̂²]."""
    n = 30
    found = leading_coefficient(inputs, 1, n, 5)
    rng = np.random.default_rng(1)
    scale = np.ones(400_000) if inputs == FIXED else rng.exponential(size=400_000)
    sample = scale * rng.chisquare(n, size=400_000) / n
    covariates = Gaussian.isotropic(1) if inputs == FIXED else None
    k = (scale * sample).mean() / (scale * sample**2).mean()
    if covariates is not None:
        assert k == pytest.approx(optimal_learner(covariates, n)[0, 0], rel=0.01)
    expected = 4.5 * (scale**2 * (k * sample - 1) ** 2 * sample**2).mean() / (scale * sample**2).mean()
    assert abs(found.value - expected) < 5 * found.standard_error


def test_layer_on_a_pool_is_best_there_and_worse_elsewhere():
    table = pooled_layer((1, 4, 64, 1024), 3, 12, 0.5, 6, 0)
    assert (table["pool"] <= table["infinite_pool"] * (1 + 1e-12)).all()
    assert (table["excess"] >= -1e-12).all()
    means = table.groupby("n_tasks")["excess"].mean()
    assert means.is_monotonic_decreasing
    assert means[1024] < means[64] / 6  # near K⁻¹


def test_lengths_in_closed_form():
    d, grid = 3, (3, 6, 24, 96)
    exact = exact_part(d, grid, grid)
    own = exact[exact["condition"] == 1]
    for _, row in own.iterrows():
        k = 1 / (1 + (d + 1) / row["N"])
        assert row["error"] == pytest.approx(d * ((1 - k) ** 2 + k**2 * (d + 1) / row["M"]))
    slopes = slopes_of(exact)
    above = slopes[slopes["what"] == "above"]["slope"].dropna()
    np.testing.assert_allclose(above, -1.0, atol=1e-9)
    assert exact[exact["inputs"] == RANDOM]["limit"].iloc[0] == pytest.approx(d / 3)


def test_the_best_training_length_is_the_test_length():
    table = best_lengths(3, (2, 5, 40, 400), (2, 5, 40))
    assert (table["best_N"] == table["M"]).all()
    assert (table["error_at_largest_N"] > table["error"]).all()


def test_corollary_6_speaks_of_fixed_covariances_only():
    table = bounded(exact_part(3, (3, 40), (3, 40)), 3)
    fixed = table["inputs"] == FIXED
    assert table["bound"].notna().equals(fixed)
    assert (table[fixed]["error"] <= table[fixed]["bound"]).all()
    own = table[(table["condition"] == 1) & (table["N"] == 40) & np.isinf(table["M"])]
    assert own["bound"].iloc[0] == pytest.approx(3 * 4**2 / 40**2)  # (1 + d)² tr Λ/N²


def test_leading_coefficients_of_the_lengths():
    table = coefficients_of(4)
    np.testing.assert_allclose(table["N2_floor"], table["sum_of_squares"], rtol=0.05)
    np.testing.assert_allclose(table["M_above_floor"], table["bound_M"], rtol=0.05)
    assert (table["bound_N2"] >= table["sum_of_squares"] * (1 - 1e-12)).all()
    tight = table.set_index("condition").loc[1.0]
    assert tight["bound_N2"] == pytest.approx(tight["sum_of_squares"])


def test_trained_layers_have_the_exact_errors():
    table = measured_part(2, (4, 12), 2_000, 0)
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
    empirical = pd.DataFrame(
        [
            (FIXED, LINEAR, size, sample, (1 + sample) * 3 / size, 0.01)
            for size in (64, 128, 256)
            for sample in range(4)
        ],
        columns=["inputs", "kind", "n_prompts", "sample", "excess", "relative"],
    )
    found = measured_exponents({**tables, "empirical": empirical}, 2)
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
    assert power("layer on a pool")({"exponents": table}).verdict is verdict


def test_the_bound_flips_where_an_error_exceeds_it(tables):
    assert bound(tables).verdict is Verdict.CONFIRMED
    exact = tables["exact"].copy()
    exact.loc[0, "error"] = 2 * exact.loc[0, "bound"]
    answer = bound({**tables, "exact": exact})
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


def test_every_question_is_answered(tables):
    assert all(question.ask(tables).verdict in Verdict for question in QUESTIONS)


def test_prompts_of_smaller_samples_begin_larger_ones():
    small, large = prompts(5), prompts(9)
    np.testing.assert_array_equal(large.xs[:5], small.xs)
