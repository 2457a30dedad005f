"""The study of finite data: minimisers that minimise, exponents that are covered, lengths in closed form."""

import numpy as np
import pandas as pd
import pytest

from iclab.flow import empirical_gradient
from iclab.foundations import InvalidInputError, plus_minus
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
from iclab.report.figures import finite_data as figure
from iclab.studies.exponents import exponents, local_slopes
from iclab.studies.finite_data import FiniteDataSettings, run
from iclab.studies.finite_exponents import by_start, measured_exponents, of_layers, small_sizes
from iclab.studies.finite_lengths import (
    best_lengths,
    bounded,
    coefficients_of,
    exact_part,
    measured_part,
    slopes_of,
)
from iclab.studies.finite_prompts import (
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
from iclab.studies.finite_tasks import pooled_layer
from iclab.studies.finite_words import sentences, summary
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store
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
    "workers": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("finite_data")


@pytest.fixture(scope="module")
def record(folder):
    return run(store=Store(folder / "units"), runs=folder / "runs", progress=lambda *_: None, **SIZES)


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
    for one, power in zip(found, (1.5, -1.0), strict=True):
        np.testing.assert_allclose([one.value, one.low, one.high], power, atol=1e-12)
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


@pytest.mark.parametrize("law", [FIXED, RANDOM])
def test_leading_coefficient_in_one_dimension(law):
    """d = 1: ½E[r²Z²]/EZ², r = (kλ̂ − 1)wx and Z = λ̂wx, so that with λ it is ½·3·3·E[λ(kλ̂ − 1)²λ̂²λ]/E[λλ̂²]."""
    n = 30
    found = leading_coefficient(law, 1, n, 5)
    rng = np.random.default_rng(1)
    scale = np.ones(400_000) if law == FIXED else rng.exponential(size=400_000)
    sample = scale * rng.chisquare(n, size=400_000) / n
    covariates = Gaussian.isotropic(1) if law == FIXED else None
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
    own = exact[exact["law"] == "Λ = I"]
    for _, row in own.iterrows():
        k = 1 / (1 + (d + 1) / row["N"])
        assert row["error"] == pytest.approx(d * ((1 - k) ** 2 + k**2 * (d + 1) / row["M"]))
    slopes = slopes_of(exact)
    above = slopes[slopes["what"] == "above the floor in M"]["slope"].dropna()
    np.testing.assert_allclose(above, -1.0, atol=1e-9)
    assert exact[exact["law"] == "Exp(1)"]["limit"].iloc[0] == pytest.approx(d / 3)


def test_the_best_training_length_is_the_test_length():
    table = best_lengths(3, (2, 5, 40, 400), (2, 5, 40))
    assert (table["best_N"] == table["M"]).all()
    assert (table["error_at_largest_N"] > table["error"]).all()


def test_corollary_6_speaks_of_fixed_covariances_only():
    table = bounded(exact_part(3, (3, 40), (3, 40)), 3)
    fixed = table["law"] != "Exp(1)"
    assert table["bound"].notna().equals(fixed)
    assert (table[fixed]["error"] <= table[fixed]["bound"]).all()
    own = table[(table["law"] == "Λ = I") & (table["N"] == 40) & np.isinf(table["M"])]
    assert own["bound"].iloc[0] == pytest.approx(3 * 4**2 / 40**2)  # (1 + d)² tr Λ/N²


def test_leading_coefficients_of_the_lengths():
    table = coefficients_of(4)
    np.testing.assert_allclose(table["N2_floor"], table["sum_of_squares"], rtol=0.05)
    np.testing.assert_allclose(table["M_above_floor"], table["bound_M"], rtol=0.05)
    assert (table["bound_N2"] >= table["sum_of_squares"] * (1 - 1e-12)).all()
    tight = table.set_index("law").loc["Λ = I"]
    assert tight["bound_N2"] == pytest.approx(tight["sum_of_squares"])


def test_trained_layers_have_the_exact_errors():
    table = measured_part(2, (4, 12), 2_000, 0)
    assert table["trained_excess"].max() < 1e-10
    pairs = table.groupby(["N", "M"]).agg(mean=("mean", "mean"), error=("mean", "sem"), exact=("exact", "first"))
    assert ((pairs["mean"] - pairs["exact"]).abs() < 5 * pairs["error"]).all()


def test_transformers_are_held_against_the_bayes_predictors(record):
    table = record.tables["transformers"]
    endless = table[table["n_tasks"].isna()]
    assert set(endless["tasks"]) == {"fresh"}
    assert "dMMSE" not in set(endless["predictor"])
    bayes = table[(table["predictor"] == "dMMSE") & (table["tasks"] == "pool") & (table["position"] > 0)]
    assert (bayes[bayes["n_tasks"] == 1]["error"] < 1e-20).all()  # one task is known
    others = table[(table["tasks"] == "pool") & (table["n_tasks"] == 16) & (table["position"] == 4)]
    errors = others.set_index("predictor")["error"]
    assert errors.idxmin() == "dMMSE"


def test_exponents_are_recorded_with_their_intervals(record):
    found = record.tables["exponents"]
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()
    assert {"SGD's squared distance to the flow: in the batch size", "trained layer, N = M: in M"} <= set(found["what"])


def words(record, **tables):
    settings = FiniteDataSettings(**SIZES)
    changed = {**record.tables, **tables}
    return summary(changed, settings), " ".join(sentences(changed, settings))


def test_the_bound_is_confirmed_by_its_own_numbers(record):
    exact = record.tables["exact"]
    cells = int(exact["bound"].notna().sum())
    [line, best, *_], text = words(record)
    assert line.startswith("Confirmed: ")
    assert f"on {cells} of {cells} " in line
    assert best.startswith("Found: ")  # N = M is best by construction: nothing to confirm
    pairs = len(record.tables["best_lengths"])
    assert f"checked on {pairs} of {pairs} pairs" in text
    broken = exact.assign(bound=exact["bound"].where(exact.index != 0, 0.0))
    [line, *_], text = words(record, exact=broken)
    assert line.startswith("Refuted: ")
    assert f"on {cells - 1} of {cells} " in text


def test_exponents_say_whether_theirs_is_what_is_expected(record):
    exponents = record.tables["exponents"].set_index("what")
    for low, high, verb in ((-1.1, -0.9, "contains"), (-0.95, -0.85, "excludes")):
        exponents.loc[of_layers(FIXED), ["value", "low", "high"]] = (-0.92, low, high)
        lines, text = words(record, exponents=exponents.reset_index())
        said = f"B^−0.92 (95 % interval {low:.2f} to {high:.2f}, which {verb} −1)".replace("-", "−")
        assert said in " ".join(lines)
        assert said in text
    lines, text = words(record, exponents=exponents.drop(of_layers(FIXED)).reset_index())
    assert "as a power of B that could not be fitted" in text
    assert "Theorem 4's loss" not in " ".join(lines)


def powers(record, power, seen=(64, 128, 256, 512, 1024), spread=0.1):
    """Tables in which the excess on Exp(1) is B^power over five sizes, 0.2 of the gain between the first two."""
    rng = np.random.default_rng(0)
    rows = [
        (RANDOM, LINEAR, size, sample, 100 * value, 0.15 * value * seen[1] ** -power)
        for sample in range(20)
        for size in seen
        for value in [size**power * rng.lognormal(-(spread**2) / 2, spread)]
    ]
    other = record.tables["empirical"]
    own = pd.DataFrame(rows, columns=["law", "kind", "n_prompts", "sample", "excess", "relative"])
    empirical = pd.concat([other[other["law"] == FIXED], own])
    tables = {**record.tables, "empirical": empirical}
    exponents = measured_exponents(tables, FiniteDataSettings(**SIZES))
    return empirical, exponents, own


def test_the_rule_of_the_fit_and_other_starts_are_said(record):
    empirical, exponents, own = powers(record, -0.8)
    assert small_sizes(own) == [128, 256, 512, 1024]
    found = by_start(own)
    assert list(found) == [64, 128]  # at least four sizes
    assert abs(found[64].value + 0.8) < 0.05
    leading = record.tables["leading"].assign(value=100.0)
    _, text = words(record, empirical=empirical, exponents=exponents, leading=leading)
    assert "which excludes −1) over B = 128 to 1,024 (from 64 on: −0.8" in text
    # The excess rises against its leading term from the first B that is fitted on, by 8^0.2.
    over = text[text.index("Exp(1) (d = ") :].partition(" the excess is ")[2]
    ends = (own[own["n_prompts"] == size]["excess"] * size / 100 for size in (128, 1024))
    first, last = (plus_minus(end.mean(), end.sem()) for end in ends)
    assert over.startswith(f"{first} at B = 128 (median ")
    assert f" and {last} at B = 1,024 (median " in over
    assert "1/B is not seen over these B" in over
    _, steep, _ = powers(record, -1.0)
    assert "1/B is not seen" not in words(record, empirical=empirical, exponents=steep)[1]


def test_an_excess_larger_than_that_of_predicting_zero_is_said_with_its_error(record):
    empirical, exponents, _ = powers(record, -0.8)
    assert "Tails are heavy" not in words(record, empirical=empirical, exponents=exponents)[1].partition("Exp(1) (d")[2]
    few = empirical["n_prompts"].eq(64) & empirical["law"].eq(RANDOM)
    larger = empirical.assign(relative=empirical["relative"].where(~few, 4 * empirical["relative"]))
    mean = plus_minus(larger[few]["relative"].mean(), larger[few]["relative"].sem())
    _, text = words(record, empirical=larger, exponents=exponents)
    assert f"the mean excess is {mean} times that of predicting zero at B = 64." in text


def test_the_finding_names_the_restriction_and_gives_both_minimisers(record):
    exponents = record.tables["exponents"].set_index("what")
    for kind, value in ((LINEAR, -0.95), (WHOLE, -0.89)):
        exponents.loc[of_layers(FIXED, kind)] = [value, value - 0.1, value + 0.1, 8, -1.0, ""]
    line = next(one for one in words(record, exponents=exponents.reset_index())[0] if "w21^PV = w21^KQ = 0" in one)
    assert (
        "(Λ = I) as B^−0.95 (95 % interval −1.05 to −0.85, which contains −1), over all parameters as B^−0.89" in line
    )


@pytest.mark.parametrize(("low", "high", "follows"), [(0.9, 1.1, True), (1.7, 1.9, False)])
def test_the_noise_of_sgd_is_held_against_small_noise(record, low, high, follows):
    exponents = record.tables["exponents"].copy()
    for row in exponents.index[exponents["what"].str.startswith(("SGD's", "excess at which"))]:
        exponents.loc[row, ["low", "high"]] = sorted(exponents.loc[row, "expected"] * end for end in (low, high))
    rows = [
        (size, rate, sample, value, value)
        for size, rate, values in ((32, 0.05, (1.0, 1.0)), (32, 0.1, (1.0, 1.0)), (128, 0.1, (1.0, 3.0)))
        for sample, value in enumerate(values)
    ]
    runs = pd.DataFrame(rows, columns=record.tables["noise"].columns)
    _, text = words(record, exponents=exponents, noise=runs)
    said = text[text.index("SGD with fresh prompts") : text.index("The linear layer trained")]
    assert said.count("standard error is up to 50% of it") == (2 if follows else 0)
    assert said.count("not these powers") == (0 if follows else 2)


def test_the_best_of_sgd_is_said_with_its_error_and_its_place_in_the_grid(record):
    empirical, exponents, _ = powers(record, -1.0)

    def said(best, means, high=-0.5):
        rows = [
            (RANDOM, 8, rate, "average", size, sample, mean * (1 + 0.1 * sample) * (1 if rate == best else 2), 0.01)
            for rate in (0.1, 0.2, 0.3)
            for size, mean in zip((512, 1024), means, strict=True)
            for sample in (-1, 0, 1)
        ]
        one_pass = pd.DataFrame(rows, columns=record.tables["one_pass"].columns)
        what = f"one pass of SGD, best choice, {RANDOM}: in B"
        fitted = exponents[exponents["what"] != what]
        fitted.loc[len(exponents)] = [what, -1.0, -1.2, high, 8, np.nan, ""]
        _, text = words(record, empirical=empirical, exponents=fitted, one_pass=one_pass)
        return text

    text = said(0.1, (1.0, 2.0))
    assert "η = 0.1, the smallest tried: others may be better)" in text
    assert "its mean excess rises from 1 at B = 512 to 2" in text
    assert "±" in text.partition("in hindsight, has ")[2].partition(" times the excess")[0]
    assert "steeper than 1/B" not in text
    text = said(0.2, (2.0, 1.0), high=-1.1)
    assert "η = 0.2)" in text
    assert "rises from" not in text
    assert "steeper than 1/B: not explained here" in text


def near(record, names, errors, shares=(1.0, 1.0)):
    """The transformers' table with ``names`` the nearest at K = 1, 16 and GPT-2 at ``errors`` times ridge's."""
    table = record.tables["transformers"].copy()
    for k, name, error, share in zip((1, 16), names, errors, shares, strict=True):
        rows = (table["n_tasks"] == k) & (table["position"] == 4)
        fresh = rows & (table["tasks"] == "fresh")
        ridge = table[fresh & (table["predictor"] == "ridge")]["error"].iloc[0]
        table.loc[fresh, ["distance", "frequency"]] = (1.0, 0.0)
        table.loc[fresh & (table["predictor"] == name), ["distance", "frequency"]] = (0.1, share)
        table.loc[fresh & (table["predictor"] == "GPT-2"), ["error", "stderr"]] = (error * ridge, 0.01 * ridge)
        pool = rows & (table["tasks"] == "pool") & (table["predictor"] == "GPT-2")
        table.loc[pool, ["error", "stderr"]] = (1.5 * ridge, 0.01 * ridge)
    return table


def test_nearest_to_ridge_is_said_with_where_not_and_the_error(record):
    lines, text = words(record, transformers=near(record, ("dMMSE", "ridge"), (4.0, 1.5)))
    assert "at K = 16, with 1.5 times its error, but not at 1 (" in lines[-1]
    assert "1 training per K" in lines[-1]
    assert "lower, by over 1.96 standard errors, at K = 1: there it knows its pool; not at 16." in text
    for names, shares in ((("dMMSE", "LSA"), (1.0, 1.0)), (("ridge", "ridge"), (0.9, 0.9))):
        lines, text = words(record, transformers=near(record, names, (1.5, 1.5), shares))
        assert "at no K tried (1, 16) (" in lines[-1]
        assert "At no K is it ridge" in text
        assert "it knows its pool" not in text
    lines, text = words(record, transformers=near(record, ("ridge", "ridge"), (1.5, 2.0)))
    assert "at K = 1, 16, with 1.5 to 2 times its error (" in lines[-1]


def test_goes_on_where_it_was_and_draws_what_it_saved(folder, record, tmp_path):
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()}
    again = run(store=Store(folder / "units"), runs=folder / "runs", progress=lambda *_: None, **SIZES)
    assert {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()} == stamps
    assert again.facts == record.facts
    record.save(tmp_path)
    drawings = figure.draw(StudyRecord.load(tmp_path / "finite_data"))
    assert [drawing.name for drawing in drawings] == ["finite-data-prompts", "finite-data-tasks", "finite-data-lengths"]


def test_prompts_of_smaller_samples_begin_larger_ones():
    small, large = prompts(5), prompts(9)
    assert isinstance(large, Prompts)
    np.testing.assert_array_equal(large.xs[:5], small.xs)
