"""The study of varying covariances: exact values at known points, invariances, and a run that goes on."""

import numpy as np
import pandas as pd
import pytest

from iclab.report.figures import covariances as figure
from iclab.studies.covariance_laws import FAMILIES, EigenvalueLaw
from iclab.studies.covariance_layer import (
    COMMON,
    COORDINATES,
    IDENTITY,
    INDEPENDENT,
    NONE,
    OWN,
    RETRAINED,
    TRACE,
    layer_errors,
)
from iclab.studies.covariance_words import _steps, sentences, summary
from iclab.studies.covariances import run
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store

SIZES = {
    "dimension": 2,
    "n_train": 4,
    "cv2": (0.0, 0.3, 1.0),
    "laws": (("gamma", 0.0), ("gamma", 1.0)),
    "lengths": (2, 4),
    "overrides": {"steps": 12, "batch_size": 8},
    "n_prompts": 60,
    "training_seeds": (0,),
    "workers": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("covariances")


@pytest.fixture(scope="module")
def record(folder):
    return run(store=Store(folder / "units"), runs=folder / "runs", progress=lambda *_: None, **SIZES)


def error(table, n, trained, scaling):
    return float(
        table[(table["n"] == n) & (table["trained"] == trained) & (table["scaling"] == scaling)]["error"].iloc[0]
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("v", [0.1, 0.3])
def test_moments_are_those_of_the_law(family, v):
    law = EigenvalueLaw(family, v)
    [frozen] = set(law.covariates(1).laws)
    np.testing.assert_allclose(law.moments, [frozen.moment(k) for k in (1, 2, 3)], rtol=1e-9)
    assert law.known
    assert not EigenvalueLaw("Pareto", 0.4).known


def test_exponential_and_identity_reference_values():
    """Exp(1), d = 20, N = M = 40: .44827586; limits 1/3, and 3 if trained on Λ = I."""
    table = layer_errors(EigenvalueLaw("gamma", 1.0), INDEPENDENT, 20, [40, np.inf])
    assert error(table, 40, OWN, NONE) == pytest.approx(0.44827586, abs=1e-8)
    assert error(table, np.inf, OWN, NONE) == pytest.approx(1 / 3)
    assert error(table, np.inf, IDENTITY, NONE) == pytest.approx(3)


@pytest.mark.parametrize(
    ("family", "v", "limit"),
    [("gamma", 4.0, 4 / 9), ("lognormal", 4.0, 4 / 5), ("inverse gamma", 0.75, 0.75), ("Pareto", 0.125, 1 / 4)],
)
def test_limits_in_closed_form(family, v, limit):
    law = EigenvalueLaw(family, v)
    table = layer_errors(law, INDEPENDENT, 3, [np.inf])
    assert error(table, np.inf, OWN, NONE) == pytest.approx(limit, rel=1e-6)
    assert law.biased_cv2 / (1 + law.biased_cv2) == pytest.approx(limit, rel=1e-9)


def test_training_on_scaled_prompts_is_best_and_knows_no_common_factor():
    found = {}
    for v in (0.5, 4.0):
        for coupling in (INDEPENDENT, COMMON):
            table = layer_errors(EigenvalueLaw("lognormal", v), coupling, 3, [9])
            found[v, coupling] = error(table, 9, RETRAINED, TRACE)
            for trained in (OWN, IDENTITY):
                assert error(table, 9, RETRAINED, TRACE) <= error(table, 9, trained, TRACE)
            if coupling == INDEPENDENT:
                assert error(table, 9, RETRAINED, COORDINATES) == pytest.approx(2 / 9)
    assert found[0.5, COMMON] == pytest.approx(found[4.0, COMMON])
    assert found[0.5, INDEPENDENT] != pytest.approx(found[4.0, INDEPENDENT], rel=1e-3)


def test_scaled_models_do_not_see_the_scale_of_the_covariance(record):
    means = record.tables["means"]
    for predictor, scalings in (("GPT-2", (TRACE, COORDINATES)), ("LSA", (TRACE,))):
        own = means[means["test"].str.startswith("own law") & (means["predictor"] == predictor)]
        for scaling in scalings:
            rows = own[own["scaling"] == scaling].pivot_table(
                index=["law", "position"], columns="scale", values="error"
            )
            np.testing.assert_allclose(rows[9.0], rows[1.0], rtol=1e-4)
    plain = means[(means["predictor"] == "LSA") & (means["scaling"] == NONE)]
    rows = plain[plain["test"] != "Λ = I"].pivot_table(index=["law", "position"], columns="scale", values="error")
    assert (rows[9.0] > rows[1.0]).all()


def test_gains_are_differences_on_the_same_prompts(record):
    models = record.tables["models"]
    models = models[models["predictor"] == "GPT-2"]
    plain = models[models["scaling"] == NONE].set_index(["law", "test", "position"])["error"]
    for _, row in models.iterrows():
        assert row["gain"] == pytest.approx(plain[row["law"], row["test"], row["position"]] - row["error"], abs=1e-12)
    squares = record.tables["models"].query("predictor == 'least squares'")
    assert (squares["error"] < 1e-20).all()  # M ≥ d, no noise


def test_classical_errors_agree_with_exact_ones(record):
    classical = record.tables["classical"]
    scored = classical[np.isfinite(classical["exact"])]
    assert ((scored["mean"] - scored["exact"]).abs() < 5 * scored["stderr"]).all()
    assert set(classical[classical["noise"] > 0]["predictor"]) == {"LSA", "ridge = Bayes"}


def judged(record, errors, stderr=0.001):
    """Summary and text with GPT-2's errors on its own law set: law → one per training seed."""
    models = record.tables["models"]
    own = (models["predictor"] == "GPT-2") & (models["test"] == "own law, c = 1") & (models["scaling"] == NONE)
    parts = [models[models["training_seed"].isna()]]
    for law, values in errors.items():
        rows = models[(models["law"] == law) & models["training_seed"].notna()]
        for seed, value in enumerate(values):
            part = rows.assign(training_seed=seed)
            part.loc[own & (part["position"] == 4), ["error", "stderr"]] = (value, stderr)
            parts.append(part)
    models = pd.concat(parts, ignore_index=True).astype({"training_seed": "Int64"})
    tables = {**record.tables, "models": models}
    return summary(tables, record.facts)[1], " ".join(sentences(tables, record.facts))


@pytest.mark.parametrize(
    ("errors", "verdict", "count"),
    [
        ({"point mass": (0.02, 0.03), "Exp(1)": (0.04, 0.05)}, "Confirmed", "in 4 of 4 trainings"),
        ({"point mass": (0.02, 0.03), "Exp(1)": (0.04, 0.9)}, "In part", "in 3 of 4 trainings"),
        ({"point mass": (0.7,), "Exp(1)": (0.9,)}, "Undecided", "in 0 of 2 trainings"),
    ],
)
def test_gpt2_against_the_layer_is_counted_by_training(record, errors, verdict, count):
    line, _ = judged(record, errors)
    assert line.startswith(f"{verdict}: ")
    assert count in line


def test_runs_that_did_not_learn_are_marked_and_left_out_of_the_range(record):
    line, text = judged(record, {"point mass": (0.02, 0.03), "Exp(1)": (0.04, 0.3)})
    assert "Exp(1): 0.04 to 0.3 (LSA" in text
    assert "; seed 1 did not learn)" in text
    assert "1 of 2 learned (at most 0.1 of the zero estimator's error), at 0.04;" in line
    line, _ = judged(record, {"point mass": (0.2,), "Exp(1)": (0.3,)})
    assert "0 of 1 learned (at most 0.1 of the zero estimator's error); the layer" in line


def test_a_trend_must_hold_in_every_seed_and_beyond_the_errors(record):
    def said(*errors, stderr=0.001):
        return judged(record, dict(zip(("point mass", "Exp(1)"), errors, strict=True)), stderr)[1]

    assert "From point mass to Exp(1) it grows by a factor of 1.5 to 2 in each of 2 seeds" in said(
        (0.02, 0.04), (0.04, 0.06)
    )
    assert "it falls by a factor of 0.5 to 0.6 in each of 2 seeds" in said((0.04, 0.05), (0.02, 0.03))
    for text in (said((0.02, 0.05), (0.04, 0.03)), said((0.02, 0.03), (0.04, 0.05), stderr=0.01)):
        assert "it changes by a factor of " in text


def test_ends_can_differ_where_neighbours_stay_undecided():
    def said(*errors):
        rows = [(f"law {i}", seed, error, 0.002) for i, pair in enumerate(errors) for seed, error in enumerate(pair)]
        return _steps(pd.DataFrame(rows, columns=["law", "training_seed", "error", "stderr"]))

    text = said((0.02, 0.02), (0.1, 0.02), (0.04, 0.04))
    assert "From law 0 to law 2 it grows by a factor of 2 in each of 2 seeds" in text
    assert "it grows so at 0 and falls so at 0 of 2 steps, the others undecided." in text
    assert "it grows so at 2 and falls so at 0 of 2 steps." in said((0.02, 0.02), (0.03, 0.03), (0.04, 0.04))
    assert "changes by a factor of 1, undecided" in said((0.02, 0.02), (0.1, 0.02), (0.02, 0.02))


def test_gains_count_every_seed_by_its_own_error(record):
    """One seed with a large gain and a large error, another with a small gain and a small error: both are better."""
    models = record.tables["models"]
    rows = models[(models["predictor"] == "GPT-2") & (models["position"] == 4)]
    pairs = len(rows[rows["scaling"] == TRACE])
    frames = [
        rows.assign(training_seed=0, gain=1.0, gain_stderr=0.3),
        rows.assign(training_seed=1, gain=0.1, gain_stderr=0.03),
    ]

    def said():
        tables = {**record.tables, "models": pd.concat([models[models["training_seed"].isna()], *frames])}
        return sentences(tables, record.facts)[-1]

    assert f"inputs and labels: {pairs} better and 0 worse of {pairs}" in said()
    frames[1] = frames[1].assign(gain=-0.1)
    assert f"inputs and labels: 0 better and 0 worse of {pairs}" in said()
    frames[0] = frames[0].assign(gain=-1.0)
    assert f"inputs and labels: 0 better and {pairs} worse of {pairs}" in said()


def test_the_farthest_of_the_measured_errors_is_named(record):
    classical = record.tables["classical"].copy()
    scored = classical.index[np.isfinite(classical["exact"])]
    classical.loc[scored, "mean"] = classical.loc[scored, "exact"]
    text = " ".join(sentences({**record.tables, "classical": classical}, record.facts))
    assert f"at most 0.00 standard errors in {len(scored)} comparisons" in text
    assert "beyond 1.96" not in text
    classical.loc[scored[-1], ["mean", "stderr"]] = classical.loc[scored[-1], "exact"] * np.array([0.8, 0.05])
    text = " ".join(sentences({**record.tables, "classical": classical}, record.facts))
    assert f"at most 4.00 standard errors in {len(scored)} comparisons (Exp(1), M = 4: −20%)" in text
    assert "1 lie beyond 1.96, 1 of them too low: tails are heavy" in text


def test_the_word_of_two_meanings_is_one(record):
    """c is the scale of the covariances; the coefficient of variation of the weighted law has its own name."""
    said = " ".join([*record.facts["summary"], *record.facts["sentences"]])
    assert "c²/(1" not in said.replace("cv_λ²/(1", "")
    assert "of the zero estimator's error" in record.facts["summary"][0].replace("\n", " ")


def test_goes_on_where_it_was_and_draws_what_it_saved(folder, record, tmp_path):
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()}
    again = run(store=Store(folder / "units"), runs=folder / "runs", progress=lambda *_: None, **SIZES)
    assert {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()} == stamps
    assert again.facts == record.facts
    assert "finite third moment" in record.facts["refusal"]
    record.save(tmp_path)
    drawings = figure.draw(StudyRecord.load(tmp_path / "covariances"))
    assert [drawing.name for drawing in drawings] == ["covariances-layer", "covariances-gpt2"]
