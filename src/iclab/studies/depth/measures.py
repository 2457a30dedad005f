"""Errors of all models and classical learners on common fresh prompts, in pairs, and the nearest algorithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.evaluation import nearest_algorithm
from iclab.flow.deep import Contexts, MomentRisk, SpectralRisk, Weights
from iclab.foundations import PromptLabels, normal_quantile, standard_error, wilson_interval
from iclab.predictors import Predictor
from iclab.prompts import Linear, PromptDistribution, Prompts, RandomDiagonal
from iclab.studies.depth.comparisons import CUT, comparisons
from iclab.studies.depth.contexts import HOME, Sample, covariates, draw, tests, training
from iclab.studies.depth.models import Learner, Model
from iclab.studies.depth.references import Reference, classical
from iclab.studies.store import several

_Errors = Float64[np.ndarray, " n"]
# Part of the prompts whose share in the mean error tells how heavy the tail is.
_WORST = 1e-3
BATCHES = 50


def errors_on(
    contexts: Contexts, fitted: Sequence[tuple[Model, Weights]], found: Sequence[Reference]
) -> dict[Learner, _Errors]:
    """Squared errors (ŷ − y)² on the same contexts."""
    spectral, merged = SpectralRisk(contexts), MomentRisk(contexts)
    errors: dict[Learner, _Errors] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for reference in found:
            errors[reference.learner] = 2 * reference.errors(spectral, merged)
        for model, weights in fitted:
            errors[model.learner] = 2 * model.risk(contexts).each(weights)
    return {name: np.minimum(np.nan_to_num(own, nan=CUT, posinf=CUT), CUT) for name, own in errors.items()}


def measured(
    sample: Sample,
    fitted: Sequence[tuple[Model, Weights]],
    depths: tuple[int, ...],
    form_depths: tuple[int, ...],
    scales: Sequence[float],
    n_test: int,
) -> pd.DataFrame:
    """Errors under every test, and differences on prompts like those of training.

    Returns
    -------
    DataFrame
        Two in one. ``errors``: inputs, test, c, learner, form, tied, layers, error (over E tr Λ of the test), stderr,
        median, worst (share of the mean that the worst 0.1 % of prompts carry), n. ``pairs``: inputs, against, learner,
        form, tied, layers (of the first), difference (mean error of the first less the second's), stderr, low, high
        (95 %), better (share of prompts on which the first has the smaller error), better_low, better_high, n.
    """
    inputs, found = sample.inputs, classical(sample, depths)
    rows: list[dict[str, Any]] = []
    compared: list[dict[str, Any]] = []
    for test, law in tests(inputs, sample.dimension, scales).items():
        trace = float(np.sum(law.moments(1)) if isinstance(law, RandomDiagonal) else np.trace(law.covariance))
        contexts = draw(law, sample.n_train, n_test, 1, seed=sample.seed)
        errors = {name: values / trace for name, values in errors_on(contexts, fitted, found).items()}
        for learner, values in errors.items():
            rows.append({"inputs": inputs, **test._asdict(), **learner._asdict(), **_summary(values)})
        if test == HOME:
            compared = [
                {"inputs": inputs, "against": against, **first._asdict(), **_difference(errors[first], errors[second])}
                for against, first, second in comparisons(depths, form_depths)
            ]
    return several({"errors": pd.DataFrame(rows), "pairs": pd.DataFrame(compared)})


def _summary(values: _Errors) -> dict[str, float]:
    total, worst = values.sum(), max(1, round(_WORST * len(values)))
    return {
        "error": float(values.mean()),
        "stderr": float(standard_error(values)),
        "median": float(np.median(values)),
        "worst": float(np.sort(values)[-worst:].sum() / total) if total > 0 else np.nan,
        "n": len(values),
    }


def _difference(a: _Errors, b: _Errors) -> dict[str, float]:
    difference = a - b
    mean, stderr = float(difference.mean()), float(standard_error(difference))
    better, reach = int(np.sum(difference < 0)), normal_quantile() * stderr
    low, high = (float(end) for end in wilson_interval(better, len(a)))
    ends = {"low": mean - reach, "high": mean + reach, "better": better / len(a)}
    return {"difference": mean, "stderr": stderr, **ends, "better_low": low, "better_high": high, "n": len(a)}


def nearest(model: Model, weights: Weights, sample: Sample, depths: tuple[int, ...], n: int) -> pd.DataFrame:
    """The nearest classical learner by position, and the distances to every one, in two tables."""
    named = {f"{each.learner.learner} {each.learner.layers}": each for each in classical(sample, depths)}
    candidates = {name: _cut(each.predictor) for name, each in named.items() if each.predictor is not None}
    distribution = PromptDistribution(covariates(model.inputs, sample.dimension), Linear())
    result = nearest_algorithm(
        _cut(model.predictor(weights)),
        candidates,
        {"own": distribution},
        sample.n_train + 1,
        n_prompts=n,
        seed=sample.seed,
    )
    own = {"inputs": model.inputs, **model.learner._asdict()}

    def typed(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """Names of learners as their families and steps, behind the model's own columns."""
        table = frame[frame["position"] > 0].drop(columns=["distribution", "ties"], errors="ignore")
        for column in columns:
            keys = [named[name].learner if name in named else Learner(str(name)) for name in table[column]]
            table[column] = [key.learner for key in keys]
            table[f"{column}_steps"] = [key.layers for key in keys]
        return pd.concat([pd.DataFrame(own, index=table.index), table], axis=1).reset_index(drop=True)

    verdicts, distances = typed(result.verdicts, "nearest", "closest"), typed(result.distances, "candidate")
    return several({"nearest": verdicts, "distances": distances})


def _cut(predictor: Predictor) -> Predictor:
    """The same predictor, kept in the range of floating point."""

    def kept(prompts: Prompts) -> PromptLabels:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.clip(np.nan_to_num(predictor(prompts), nan=CUT), -CUT, CUT)

    return kept


def stationarity(model: Model, weights: Weights, sample: Sample) -> pd.DataFrame:
    """Derivatives of the risk by every entry of all merged weights at a fit, on its contexts in batches.

    Those that the form leaves free vanish; those that the form fixes vanish in the mean where a symmetry says so.

    Returns
    -------
    DataFrame
        Inputs, layers, layer, matrix, row, column, slope (derivative of log risk), stderr, z, n.
    """
    contexts, batches = training(sample), []
    size = len(contexts) // BATCHES
    for start in range(0, size * BATCHES, size):
        some = slice(start, start + size)
        part = Contexts(contexts.xs[some], contexts.ys[some], contexts.queries[some], contexts.targets[some])
        batches.append(model.risk(part)(weights))
    risk = np.mean([loss for loss, _ in batches])
    slopes = np.array([gradient for _, gradient in batches]) / risk
    mean, stderr = slopes.mean(axis=0), standard_error(slopes)
    layer, matrix, row, column = (axis.ravel() for axis in np.indices(mean.shape))
    return pd.DataFrame(
        {
            "inputs": model.inputs,
            "layers": model.layers,
            "layer": layer + 1,
            "matrix": np.where(matrix == 0, "W^PV", "W^KQ"),
            "row": row + 1,
            "column": column + 1,
            "slope": mean.ravel(),
            "stderr": np.ravel(stderr),
            "z": np.divide(mean, stderr, out=np.zeros_like(mean), where=stderr > 0).ravel(),
            "n": size * BATCHES,
        }
    )
