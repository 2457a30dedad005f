"""The depth study: fits against known optima, exact limits, verdicts that turn."""

import numpy as np
import pandas as pd
import pytest

from iclab.flow.deep import FULL, GD_PLUS, INVARIANT, Contexts, MomentRisk, SpectralRisk, TokenRisk, form
from iclab.predictors import GradientDescentPlusPlus, LeastSquares, Newton, Ridge
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.depth.comparisons import BETTER, CUT, UNDECIDED, WORSE, verdict
from iclab.studies.depth.contexts import (
    ANISOTROPIC,
    COORDINATES,
    EVERY,
    IDENTITY,
    RANDOM,
    TRACE,
    covariates,
    draw,
    normalised,
)
from iclab.studies.depth.limit import descent_limit, limit_table, trace_limit
from iclab.studies.depth.models import LINEAR, DeepLinear, DeepSoftmax, Model
from iclab.studies.depth.questions import compared, fourfold, lessens, remedy
from iclab.studies.depth.references import ONE_LAYER, references
from iclab.studies.study import Verdict
from iclab.theory import minimum_loss

D, N = 3, 8
CONTEXTS = draw(covariates(RANDOM, D), N, 40, 3, seed=1, stream="training")
WEIGHTS = np.random.default_rng(0).normal(0, 0.2, (3, 2, D + 1, D + 1))


def test_positions_see_their_own_prefix():
    prompts = PromptDistribution(Gaussian.isotropic(D), Linear()).sample(5, N + 1, seed=4)
    for predictor, risk in ((DeepLinear(WEIGHTS), MomentRisk), (DeepSoftmax(WEIGHTS), TokenRisk)):
        found = predictor(prompts)
        assert (found[:, 0] == 0).all()
        for i in (2, N):
            short = PromptDistribution(Gaussian.isotropic(D), Linear()).sample(5, i + 1, seed=4)
            np.testing.assert_allclose(found[:, i], risk(Contexts.of(short, i)).predictions(WEIGHTS)[:, 0], rtol=1e-9)


def test_tied_scalars_are_the_predictor_of_gd_plus_plus():
    prompts = PromptDistribution(Gaussian.isotropic(D), Linear()).sample(5, N + 1, seed=5)
    beta, rate = -0.3, 0.4
    layers = form(GD_PLUS, D, diagonal=False).weights(np.array([beta, rate]), 4)
    expected = GradientDescentPlusPlus(4, rate, -beta * rate)(prompts)
    np.testing.assert_allclose(DeepLinear(layers)(prompts), expected, rtol=1e-9, atol=1e-12)


def test_references_are_the_predictors():
    prompts = PromptDistribution(covariates(ANISOTROPIC, D), Linear()).sample(6, N + 1, seed=6)
    contexts = Contexts.of(prompts, N)
    train = draw(covariates(ANISOTROPIC, D), N, 100, 2, seed=6, stream="training")
    spectral, merged = SpectralRisk(contexts), MomentRisk(contexts)
    found = [reference for reference in references(ANISOTROPIC, train, (1, 2), 0) if reference.predictor]
    assert {type(reference.predictor) for reference in found} >= {GradientDescentPlusPlus, LeastSquares, Newton, Ridge}
    for reference in found:
        errors = (reference.predictor(prompts)[:, -1] - prompts.targets[:, -1]) ** 2 / 2
        np.testing.assert_allclose(reference.errors(spectral, merged), errors, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("inputs", EVERY)
def test_one_layer_finds_the_theorems_minimum(inputs):
    contexts = draw(covariates(inputs, D), N, 4_000, 8, seed=7, stream="training")
    model = Model(inputs, LINEAR, GD_PLUS, False, 1)
    runs = model.fit(contexts, {}, 5, 0)
    best = runs[runs["polished"]].sort_values("loss").iloc[0]
    exact = minimum_loss(covariates(inputs, D), N)
    # An optimum on a sample lies below the population's, by no more than its noise.
    assert abs(best["loss"] - exact) < 4 * best["stderr"]
    assert best["slope"] < 1e-3


def test_more_freedom_is_never_worse_on_the_contexts_fitted():
    contexts = draw(covariates(IDENTITY, D), N, 200, 4, seed=9, stream="training")
    known = {}
    losses = {}
    for model in (
        Model(IDENTITY, LINEAR, GD_PLUS, False, 1),
        Model(IDENTITY, LINEAR, GD_PLUS, True, 2),
        Model(IDENTITY, LINEAR, GD_PLUS, False, 2),
        Model(IDENTITY, LINEAR, INVARIANT, False, 2),
        Model(IDENTITY, LINEAR, FULL, False, 2),
    ):
        runs = model.fit(contexts, known, 6, 0)
        best = runs[runs["polished"]].sort_values("loss").iloc[0]
        known[model], losses[model] = model.weights(np.asarray(best["theta"]), D), best["loss"]
    values = list(losses.values())
    assert values == sorted(values, reverse=True)
    assert values[1] < 0.6 * values[0]


def test_long_contexts_have_laguerre_optima():
    table = limit_table((1, 2, 3), 8, 0)
    known = table.dropna(subset="exact")
    np.testing.assert_allclose(known["error"], known["exact"], rtol=1e-6)
    assert descent_limit(1) == pytest.approx(1 / 3)
    best = table[table["form"] == GD_PLUS].groupby("layers")["error"].min()
    assert (best[[2, 3]] < [descent_limit(2), descent_limit(3)]).all()


def test_trace_normalisation_has_its_closed_form():
    d, n = 4, 400_000
    lam = np.random.default_rng(10).exponential(size=(n, d))
    share = d * lam / lam.sum(axis=1, keepdims=True)
    k = np.mean(lam * share) / np.mean(lam * share**2)
    samples = np.mean(lam * (1 - k * share) ** 2, axis=1)
    assert abs(samples.mean() - trace_limit(d)) < 4 * samples.std() / np.sqrt(n)
    assert k == pytest.approx((d + 2) / (3 * d), rel=0.01)


def test_normalised_contexts_forget_their_units():
    for kind, units in ((TRACE, 3.0), (COORDINATES, np.array([0.1, 2.0, 7.0]))):
        scaled = Contexts(CONTEXTS.xs * units, CONTEXTS.ys, CONTEXTS.queries * units, CONTEXTS.targets)
        one, other = normalised(CONTEXTS, kind), normalised(scaled, kind)
        np.testing.assert_allclose(one.xs, other.xs)
        np.testing.assert_allclose(one.queries, other.queries)


SIZES = {
    "dimension": D,
    "n_train": N,
    "depths": (1, 2),
    "form_depths": (1, 2),
    "laws": (IDENTITY, RANDOM),
    "n_starts": 5,
    "n_prompts": 100,
    "n_softmax_prompts": 50,
    "n_queries": 2,
    "n_test": 200,
    "n_nearest": 20,
}


@pytest.fixture(scope="module")
def tables(measured):
    return measured("depth", **SIZES)


def test_tables_add_up(tables):
    models, errors, pairs = (tables[name] for name in ("models", "errors", "compared"))
    assert (models["near"] <= models["polished"]).all()
    assert (models["polished"] <= models["n_starts"]).all()
    home = errors[(errors["test"] == "own") & (errors["c"] == 1)]
    one = home[home["learner"] == ONE_LAYER].set_index("inputs")
    exact = 2 * minimum_loss(covariates(IDENTITY, D), N) / D
    assert abs(one.loc[IDENTITY, "error"] - exact) < 4 * one.loc[IDENTITY, "stderr"]
    key = ["inputs", "learner", "form", "tied", "layers"]
    against = pairs[pairs["against"] == "exact layer"].join(home.set_index(key)["error"], on=key)
    expected = against["error"] - against["inputs"].map(one["error"])
    np.testing.assert_allclose(against["difference"], expected, rtol=1e-6)
    assert (pairs["low"] <= pairs["high"]).all()


def test_least_squares_is_exact_and_normalised_layers_ignore_the_scale(tables):
    errors, remedies = tables["errors"], tables["remedies"]
    assert errors.loc[errors["learner"] == "least squares", "error"].max() < 1e-10
    scaled = remedies[remedies["remedy"] == TRACE].groupby(["inputs", "noise", "layers"])["error"]
    assert (scaled.max() / scaled.min() - 1).max() < 1e-9


def test_slopes_vanish_where_the_form_is_free(tables):
    slopes = tables["stationarity"]
    inside = slopes[(slopes["row"] == slopes["column"]) & (slopes["row"] <= D)]
    free = inside.groupby(["inputs", "layers", "layer", "matrix"])["slope"].sum()
    assert free.abs().max() < 1e-3


def test_every_comparison_says_at_least_what_its_interval_says(tables):
    rows = tables["compared"]
    expected = np.select([rows["high"] < 0, rows["low"] > 0], [BETTER, WORSE], UNDECIDED)
    # Prompts are so few and errors so even here that no single error decides anything.
    assert (rows["says"] == expected).all()


def test_a_mean_that_rare_prompts_make_passes_for_no_smaller_one():
    even = pd.Series({"error": 1.0, "stderr": 0.01, "n": 1000})
    heavy = pd.Series({"error": 1e6, "stderr": 1e6, "n": 1000})  # one prompt carries it
    assert verdict(heavy, even, -1e6, 3e6, 1.0) == WORSE  # its largest error alone decides
    cut = pd.Series({"error": CUT / 1000, "stderr": CUT / 1000, "n": 1000})
    assert verdict(cut, even, -CUT, CUT, 1.0) == WORSE
    assert verdict(cut, cut, -CUT, CUT, 1.0) == UNDECIDED


def test_answers_turn_with_their_numbers(tables):
    turned = tables["compared"].replace({"says": {BETTER: WORSE, WORSE: BETTER}})
    for against in ("depth before", "tied", "exact layer"):
        before, after = (compared(t, against=against) for t in (tables, {**tables, "compared": turned}))
        assert (before.met, before.missed, before.undecided) == (after.missed, after.met, after.undecided)
    assert lessens(tables).verdict is Verdict.CONFIRMED
    limit = tables["limit"].assign(error=1 / tables["limit"]["error"])
    assert lessens({**tables, "limit": limit}).verdict is Verdict.REFUTED
    remedies = tables["remedies"].assign(says=WORSE)
    assert remedy({**tables, "remedies": remedies}, name=TRACE).verdict is Verdict.REFUTED
    errors = tables["errors"].copy()
    four = (errors["c"] == 4) & (errors["learner"] == LINEAR)
    errors.loc[four, ["error", "stderr"]] = np.column_stack(
        [10.0 ** -errors.loc[four, "layers"], np.full(four.sum(), 1e-6)]
    )
    assert fourfold({**tables, "errors": errors}).verdict is Verdict.CONFIRMED
