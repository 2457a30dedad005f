"""The study of errors with high probability: exact errors against asked queries, and the layer's limit by hand."""

import math

import numpy as np
import pytest

from iclab.foundations import Draws
from iclab.predictors import Ridge
from iclab.prompts import Prompts, RandomDiagonal
from iclab.studies.in_probability.measure import (
    DIMENSION,
    RIDGE,
    by_predictor,
    drawn_prompts,
    layer_errors,
    linear_errors,
    pairs,
)


def test_unlimited_layers_by_hand():
    """Σ λ_i (1 − λ_i/3)²/d over the same covariances."""
    [row] = layer_errors(3, math.inf, math.inf, 400, 2).to_dict("records")
    spectra = RandomDiagonal.exponential(3).variances(Draws(2, "evaluation", count=400))
    by_hand = np.mean(spectra * (1 - spectra / 3) ** 2, axis=1)
    assert row["mean"] == pytest.approx(1 / 3)
    assert row["q50"] == pytest.approx(np.median(by_hand))
    assert row["above"] == pytest.approx(np.mean(by_hand > 0.5))


def test_exact_errors_are_means_over_queries():
    prompts, variances, _ = drawn_prompts(10, 20, 0)
    rows = linear_errors(10, 20, 0)
    exact = rows[rows["predictor"] == RIDGE]["error"].to_numpy()[0]
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((4000, DIMENSION)) * np.sqrt(variances[0])
    weights = np.linalg.lstsq(prompts.xs[0], prompts.ys[0])[0]
    xs = np.concatenate([np.broadcast_to(prompts.xs[0, :10], (4000, 10, DIMENSION)), queries[:, None]], axis=1)
    ys = np.concatenate([np.broadcast_to(prompts.ys[0, :10], (4000, 10)), np.zeros((4000, 1))], axis=1)
    errors = (Ridge(1.0)(Prompts(xs, ys, xs, ys))[:, 10] - queries @ weights) ** 2 / DIMENSION
    assert errors.mean() == pytest.approx(exact, abs=4 * errors.std() / math.sqrt(4000))


def test_quantiles_lie_in_their_intervals_and_pairs_compare_the_same_prompts():
    rows = linear_errors(8, 60, 1)
    for row in by_predictor(rows).to_dict("records"):
        for level in (5, 50, 95):
            assert row[f"q{level}_low"] <= row[f"q{level}"] <= row[f"q{level}_high"]
    table = rows.pivot_table(index="prompt", columns="predictor", values="error")
    for row in pairs(rows).to_dict("records"):
        assert row["better"] == pytest.approx(np.mean(table[row["predictor"]] < table["linear layer"]))
