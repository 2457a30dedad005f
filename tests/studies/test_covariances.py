"""The study of varying covariances: exact values at known points, invariances, and questions that numbers flip."""

import numpy as np
import pandas as pd
import pytest

from iclab.studies.covariances.eigenvalues import FAMILIES, Eigenvalues
from iclab.studies.covariances.layer import (
    COMMON,
    COORDINATES,
    GPT2,
    IDENTITY,
    INDEPENDENT,
    LSA,
    NONE,
    OWN,
    RETRAINED,
    TRACE,
    layer_errors,
)
from iclab.studies.covariances.questions import agreement, gains, lower, spread
from iclab.studies.study import Verdict

SIZES = {
    "dimension": 2,
    "n_train": 4,
    "cv2": (0.0, 0.3, 1.0),
    "laws": (("gamma", 0.0), ("gamma", 1.0)),
    "lengths": (2, 4),
    "overrides": {"steps": 12, "batch_size": 8},
    "n_prompts": 60,
    "training_seeds": (0,),
}


@pytest.fixture(scope="module")
def tables(measured):
    return measured("covariances", **SIZES)


def error(table, n, trained, scaling):
    rows = table[(table["n"] == n) & (table["trained"] == trained) & (table["scaling"] == scaling)]
    return float(rows["error"].iloc[0])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("v", [0.1, 0.3])
def test_moments_are_those_of_the_distribution(family, v):
    one = Eigenvalues(family, v)
    [frozen] = set(one.covariates(1).laws)
    np.testing.assert_allclose(one.moments, [frozen.moment(k) for k in (1, 2, 3)], rtol=1e-9)
    assert one.known
    assert not Eigenvalues("Pareto", 0.4).known


def test_exponential_and_identity_reference_values():
    """Exp(1), d = 20, N = M = 40: .44827586; limits 1/3, and 3 if trained on Λ = I."""
    table = layer_errors(Eigenvalues("gamma", 1.0), INDEPENDENT, 20, [40, np.inf])
    assert error(table, 40, OWN, NONE) == pytest.approx(0.44827586, abs=1e-8)
    assert error(table, np.inf, OWN, NONE) == pytest.approx(1 / 3)
    assert error(table, np.inf, IDENTITY, NONE) == pytest.approx(3)


@pytest.mark.parametrize(
    ("family", "v", "limit"),
    [("gamma", 4.0, 4 / 9), ("lognormal", 4.0, 4 / 5), ("inverse gamma", 0.75, 0.75), ("Pareto", 0.125, 1 / 4)],
)
def test_limits_in_closed_form(family, v, limit):
    one = Eigenvalues(family, v)
    assert error(layer_errors(one, INDEPENDENT, 3, [np.inf]), np.inf, OWN, NONE) == pytest.approx(limit, rel=1e-6)
    assert one.biased_cv2 / (1 + one.biased_cv2) == pytest.approx(limit, rel=1e-9)


def test_training_on_scaled_prompts_is_best_and_knows_no_common_factor():
    found = {}
    for v in (0.5, 4.0):
        for coupling in (INDEPENDENT, COMMON):
            table = layer_errors(Eigenvalues("lognormal", v), coupling, 3, [9])
            found[v, coupling] = error(table, 9, RETRAINED, TRACE)
            for trained in (OWN, IDENTITY):
                assert error(table, 9, RETRAINED, TRACE) <= error(table, 9, trained, TRACE)
            if coupling == INDEPENDENT:
                assert error(table, 9, RETRAINED, COORDINATES) == pytest.approx(2 / 9)
    assert found[0.5, COMMON] == pytest.approx(found[4.0, COMMON])
    assert found[0.5, INDEPENDENT] != pytest.approx(found[4.0, INDEPENDENT], rel=1e-3)


def test_scaled_models_do_not_see_the_scale_of_the_covariance(tables):
    own = tables["means"].query("inputs == 'own'")
    index = ["family", "cv2", "position"]
    for predictor, scalings in ((GPT2, (TRACE, COORDINATES)), (LSA, (TRACE,))):
        for scaling in scalings:
            rows = own[(own["predictor"] == predictor) & (own["scaling"] == scaling)]
            by_scale = rows.pivot_table(index=index, columns="scale", values="error")
            np.testing.assert_allclose(by_scale[9.0], by_scale[1.0], rtol=1e-4)
    plain = own[(own["predictor"] == LSA) & (own["scaling"] == NONE)]
    by_scale = plain.pivot_table(index=index, columns="scale", values="error")
    assert (by_scale[9.0] > by_scale[1.0]).all()


def test_gains_are_differences_on_the_same_prompts(tables):
    models = tables["models"]
    keys = ["family", "cv2", "inputs", "scale", "position"]
    rows = models[models["predictor"] == GPT2]
    plain = rows[rows["scaling"] == NONE].set_index(keys)["error"].rename("plain")
    rows = rows.join(plain, on=keys)
    np.testing.assert_allclose(rows["gain"], rows["plain"] - rows["error"], atol=1e-12)
    squares = models.query("predictor == 'least squares'")
    assert (squares["error"] < 1e-20).all()  # M ≥ d, no noise


def judged(tables, errors, stderr=0.001):
    """The tables with GPT-2's errors on prompts like those of training set: cv² → one per training seed."""
    models = tables["models"]
    own = (models["predictor"] == GPT2) & (models["inputs"] == "own") & (models["scale"] == 1)
    own &= (models["scaling"] == NONE) & (models["position"] == 4)
    parts = [models[models["training_seed"].isna()]]
    for cv2, values in errors.items():
        for seed, value in enumerate(values):
            part = models[(models["cv2"] == cv2) & models["training_seed"].notna()].assign(training_seed=seed)
            part.loc[own, ["error", "stderr"]] = (value, stderr)
            parts.append(part)
    return {**tables, "models": pd.concat(parts, ignore_index=True).astype({"training_seed": "Int64"})}


@pytest.mark.parametrize(
    ("errors", "verdict", "met"),
    [
        ({0.0: (0.02, 0.03), 1.0: (0.04, 0.05)}, Verdict.CONFIRMED, 4),
        ({0.0: (0.02, 0.03), 1.0: (0.04, 0.9)}, Verdict.IN_PART, 3),
        ({0.0: (0.05, 0.09), 1.0: (0.9, 0.9)}, Verdict.IN_PART, 2),
        ({0.0: (0.7,), 1.0: (0.9,)}, Verdict.UNDECIDED, 0),  # nothing was learned
    ],
)
def test_gpt2_against_the_layer_is_counted_by_training(tables, errors, verdict, met):
    answer = lower(judged(tables, errors))
    assert (answer.verdict, answer.met) == (verdict, met)
    assert answer.numbers["learned"] == sum(value <= 0.1 for value in errors[1.0])


def test_a_trend_must_hold_in_every_seed_and_beyond_the_errors(tables):
    def asked(first, last, stderr=0.001):
        return spread(judged(tables, {0.0: first, 1.0: last}, stderr)).verdict

    assert asked((0.02, 0.04), (0.04, 0.06)) is Verdict.CONFIRMED
    assert asked((0.04, 0.05), (0.02, 0.03)) is Verdict.REFUTED
    assert asked((0.02, 0.05), (0.04, 0.03)) is Verdict.IN_PART
    assert asked((0.02, 0.03), (0.04, 0.05), stderr=0.01) is Verdict.UNDECIDED


def test_gains_count_every_seed_by_its_own_error(tables):
    """One seed with a large gain and a large error, another with a small gain and a small error: both are better."""
    models = tables["models"]
    rows = models[(models["predictor"] == GPT2) & (models["position"] == 4)]
    pairs = len(rows[rows["scaling"] == TRACE])

    def asked(first, second):
        frames = [
            rows.assign(training_seed=0, gain=first, gain_stderr=0.3),
            rows.assign(training_seed=1, gain=second, gain_stderr=0.03),
        ]
        answer = gains({**tables, "models": pd.concat(frames)}, scaling=TRACE)
        return answer.met, answer.missed

    assert asked(1.0, 0.1) == (pairs, 0)
    assert asked(1.0, -0.1) == (0, 0)
    assert asked(-1.0, -0.1) == (0, pairs)


def test_a_measured_error_far_from_the_exact_one_is_found(tables):
    assert agreement(tables).verdict is Verdict.CONFIRMED
    classical = tables["classical"].copy()
    scored = classical.index[np.isfinite(classical["exact"])]
    exact = classical.loc[scored[-1], "exact"]
    classical.loc[scored[-1], ["mean", "stderr"]] = exact * 0.8, exact * 0.04
    answer = agreement({**tables, "classical": classical})
    assert answer.missed == 1
    assert answer.numbers["farthest, in standard errors"] == pytest.approx(-5)
