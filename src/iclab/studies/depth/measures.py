"""Errors of all models and references on common fresh prompts, paired comparisons, and the nearest algorithms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.evaluation import nearest_algorithm
from iclab.foundations import PromptLabels
from iclab.predictors import Predictor
from iclab.prompts import Linear, PromptDistribution, Prompts, RandomDiagonal
from iclab.studies.depth.contexts import Contexts, covariates, draw, shifts
from iclab.studies.depth.models import Model
from iclab.studies.depth.moments import MomentRisk, Weights
from iclab.studies.depth.references import Reference, candidates
from iclab.studies.depth.spectral import SpectralRisk
from iclab.studies.intervals import wilson

_Errors = Float64[np.ndarray, " n"]
# Part of the prompts whose share in the mean error tells how heavy the tail is.
_WORST = 1e-3
# A polynomial of degree hundreds leaves the range of floating point: predictions and errors are cut here.
CUT = 1e50
BATCHES = 50


def errors_on(contexts: Contexts, fitted: Mapping[Model, Weights], found: Sequence[Reference]) -> dict[str, _Errors]:
    """Squared errors (ŷ − y)² by name, on the same contexts."""
    spectral, merged = SpectralRisk(contexts), MomentRisk(contexts)
    errors: dict[str, _Errors] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for reference in found:
            errors[reference.name] = 2 * reference.errors(spectral, merged)
        for model, weights in fitted.items():
            errors[model.name] = 2 * model.risk(contexts).each(weights)
    return {name: np.minimum(np.nan_to_num(own, nan=CUT, posinf=CUT), CUT) for name, own in errors.items()}


def measure(
    law: str,
    fitted: Mapping[Model, Weights],
    found: Sequence[Reference],
    pairs: Sequence[tuple[str, str]],
    *,
    dimension: int,
    n_train: int,
    scales: Sequence[float],
    n_test: int,
    seed: int,
) -> pd.DataFrame:
    """Two tables in one, told apart by the column ``table``.

    Errors: law, test (law of the test prompts), name, error (over E tr Λ of the test law), stderr, median, worst
    (share of the mean that the worst 0.1 % of prompts carry), n. Pairs: law, first, second, difference (mean error of
    the first less the second's), stderr, low, high (95 %), better (share of prompts on which the first has the smaller
    error), better_low, better_high, n.
    """
    rows, compared = [], []
    for test, inputs in shifts(law, dimension, tuple(scales)).items():
        trace = float(np.sum(inputs.moments(1)) if isinstance(inputs, RandomDiagonal) else np.trace(inputs.covariance))
        contexts = draw(inputs, n_train, n_test, 1, seed=seed)
        errors = {name: values / trace for name, values in errors_on(contexts, fitted, found).items()}
        for name, values in errors.items():
            rows.append({"law": law, "test": test, "name": name, **_summary(values)})
        if test == "c = 1":
            compared = [_compare(law, first, second, errors[first], errors[second]) for first, second in pairs]
    return pd.concat([pd.DataFrame(rows).assign(table="errors"), pd.DataFrame(compared).assign(table="pairs")])


def _summary(values: _Errors) -> dict[str, float]:
    total, worst = values.sum(), max(1, round(_WORST * len(values)))
    return {
        "error": float(values.mean()),
        "stderr": float(values.std(ddof=1) / np.sqrt(len(values))),
        "median": float(np.median(values)),
        "worst": float(np.sort(values)[-worst:].sum() / total) if total > 0 else np.nan,
        "n": len(values),
    }


def _compare(law: str, first: str, second: str, a: _Errors, b: _Errors) -> dict[str, object]:
    difference = a - b
    mean, stderr = float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(a)))
    better = int(np.sum(difference < 0))
    low, high = wilson(better, len(a))
    return {
        "law": law,
        "first": first,
        "second": second,
        "difference": mean,
        "stderr": stderr,
        "low": mean - 1.96 * stderr,
        "high": mean + 1.96 * stderr,
        "better": better / len(a),
        "better_low": low,
        "better_high": high,
        "n": len(a),
    }


def nearest(
    model: Model,
    weights: Weights,
    found: Sequence[Reference],
    *,
    dimension: int,
    n_train: int,
    n_prompts: int,
    seed: int,
) -> pd.DataFrame:
    """Distances to every candidate by position, and the nearest: tables ``distances`` and ``verdicts`` in one."""
    distribution = PromptDistribution(covariates(model.law, dimension), Linear())
    result = nearest_algorithm(
        _cut(model.predictor(weights)),
        {name: _cut(candidate) for name, candidate in candidates(found).items()},
        {model.law: distribution},
        n_train + 1,
        n_prompts=n_prompts,
        seed=seed,
    )
    frames = {"distances": result.distances, "verdicts": result.verdicts}
    tables = [frame[frame["position"] > 0].assign(table=name) for name, frame in frames.items()]
    return pd.concat(tables, ignore_index=True).assign(model=model.name).rename(columns={"distribution": "law"})


def _cut(predictor: Predictor) -> Predictor:
    """The same predictor, kept in the range of floating point."""

    def kept(prompts: Prompts) -> PromptLabels:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.clip(np.nan_to_num(predictor(prompts), nan=CUT), -CUT, CUT)

    return kept


def stationarity(model: Model, weights: Weights, contexts: Contexts) -> pd.DataFrame:
    """Derivatives of the risk by every entry of all merged weights at a fit, on its contexts in batches.

    Those that the form leaves free vanish; those that the form fixes vanish in the mean where a symmetry says so.

    Returns
    -------
    DataFrame
        Law, model, layer, matrix, row, column, slope (derivative of log risk), stderr, z, n.
    """
    size, batches = len(contexts) // BATCHES, []
    for start in range(0, size * BATCHES, size):
        some = slice(start, start + size)
        part = Contexts(contexts.xs[some], contexts.ys[some], contexts.queries[some], contexts.targets[some])
        batches.append(model.risk(part)(weights))
    risk = np.mean([loss for loss, _ in batches])
    slopes = np.array([gradient for _, gradient in batches]) / risk
    mean, stderr = slopes.mean(axis=0), slopes.std(axis=0, ddof=1) / np.sqrt(BATCHES)
    layer, matrix, row, column = (axis.ravel() for axis in np.indices(mean.shape))
    return pd.DataFrame(
        {
            "law": model.law,
            "model": model.name,
            "layer": layer + 1,
            "matrix": np.where(matrix == 0, "W^PV", "W^KQ"),
            "row": row + 1,
            "column": column + 1,
            "slope": mean.ravel(),
            "stderr": stderr.ravel(),
            "z": np.divide(mean, stderr, out=np.zeros_like(mean), where=stderr > 0).ravel(),
            "n": size * BATCHES,
        }
    )
