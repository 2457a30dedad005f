"""Errors with high probability over a new covariance (§4.3): of the layer of Theorem 8 exactly, of GPT-2 by prompt.

Λ = diag(λ) with λ_i ~ Exponential(1) for every prompt, in training and at test, w ~ N(0, I), no noise. Given Λ the
layer's error is exact. Given a whole prompt, the error over new queries is exact for linear learners, and a mean over
queries for GPT-2. All errors are divided by d.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from pydantic import Field
from scipy.special import bdtrik

from iclab.foundations import Draws, Vector, clopper_pearson_interval
from iclab.models import load
from iclab.predictors import LeastSquares, Ridge
from iclab.prompts import Linear, PromptDistribution, RandomDiagonal
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.studies.trainings import Trained, shipped
from iclab.theory import optimal_learner, risk_concentration, risk_distribution

TITLE = "Errors with high probability (§4.3)"
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
LAYER, LEAST_SQUARES, RIDGE = "linear layer", "least squares", "ridge"
# A level that the error is compared with, over its mean.
NEAR_MEAN = 1.5
# Shipped models trained on these covariances, in 20 dimensions.
DIMENSION, N_TRAIN = 20, 40


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    dimensions : tuple of int
        d of the layers.
    ratios : tuple of float
        N/d and M/d; infinitely many examples are among them anyway.
    n : int
        Drawn covariances.
    models : tuple of str
        Shipped models.
    lengths : tuple of int
        Examples in their prompts, at least 1.
    n_prompts, n_queries : int
        Prompts, and queries of each.
    seed : int
        Of all draws.
    """

    dimensions: tuple[int, ...] = (2, 5, 10, 20, 50, 100, 200)
    ratios: tuple[float, ...] = (2.0, 8.0)
    n: Annotated[int, Field(ge=2)] = 4000
    models: tuple[str, ...] = ("gpt2-d20-random-exponential", "gpt2-columns-d20-random-exponential")
    lengths: tuple[int, ...] = (20, 40)
    n_prompts: Annotated[int, Field(ge=20)] = 100
    n_queries: Annotated[int, Field(ge=2)] = 64
    seed: Annotated[int, Field(ge=0)] = 0


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Draw covariances, and ask models.

    Returns
    -------
    dict of DataFrame
        ``layer``: d, N_over_d, M_over_d, mean and deviation (exact), q5, …, q95 with q5_low, q5_high, … (95 %
        intervals), above (share of covariances with more than 1.5 times the mean) with above_low, above_high,
        cantelli (the largest share that the two moments allow), worst (q95 over the mean) with worst_low, worst_high;
        ``prompts``: predictor, M, prompt, trace (tr Λ/d), error; ``predictors``: predictor, M, mean, q5 … q95 with
        intervals, n; ``pairs``: predictor, M, n, better (prompts on which it errs less than the layer).
    """
    ratios = (*settings.ratios, math.inf)
    units = [
        Unit(
            layer_errors,
            {"dimension": d, "n_ratio": n_ratio, "m_ratio": m_ratio, "n": settings.n, "seed": settings.seed},
            f"layer d = {d}, N/d = {n_ratio:g}, M/d = {m_ratio:g}",
        )
        for d in settings.dimensions
        for n_ratio in ratios
        for m_ratio in ratios
    ]
    layer = lab.rows(units, "layers")
    sample = {"n_prompts": settings.n_prompts, "seed": settings.seed}
    known = {model.path.name: model for model in shipped()}
    asked = [Unit(linear_errors, {"m": m, **sample}, f"linear learners, M = {m}") for m in settings.lengths]
    asked += [
        Unit(
            model_errors,
            {"model": known[name], "name": name, "m": m, "n_queries": settings.n_queries, **sample},
            f"{name}, M = {m}",
        )
        for name in settings.models
        for m in settings.lengths
    ]
    prompts = lab.rows(asked, "prompts")
    return {"layer": layer, "prompts": prompts, "predictors": by_predictor(prompts), "pairs": pairs(prompts)}


def layer_errors(dimension: int, n_ratio: float, m_ratio: float, n: int, seed: int) -> pd.DataFrame:
    """The error of the layer of Theorem 8 over new covariances: exact moments and drawn quantiles."""
    law = RandomDiagonal.exponential(dimension)
    n_train, n_test = (round(r * dimension) if math.isfinite(r) else math.inf for r in (n_ratio, m_ratio))
    exact = risk_concentration(law, n_train, n_test)
    drawn = risk_distribution(law, n_train, n_test, levels=LEVELS, n=n, seed=seed, purpose="evaluation")
    row: dict[str, Any] = {"d": dimension, "N_over_d": n_ratio, "M_over_d": m_ratio}
    row |= {"mean": exact.mean / dimension, "deviation": exact.standard_deviation / dimension}
    row |= _quantiles(drawn.quantiles / dimension, drawn.lower / dimension, drawn.upper / dimension)
    count = round(drawn.exceedance(NEAR_MEAN * exact.mean) * n)
    low, high = clopper_pearson_interval(count, n)
    row |= {"above": count / n, "above_low": float(low), "above_high": float(high)}
    row |= {"cantelli": exact.exceedance_bound(NEAR_MEAN * exact.mean), "n": n}
    for end in ("", "_low", "_high"):
        row[f"worst{end}"] = row[f"q95{end}"] / row["mean"]
    return pd.DataFrame([row])


def _quantiles(values: Vector, low: Vector, high: Vector) -> dict[str, float]:
    """Columns of quantiles and their intervals."""
    row: dict[str, float] = {}
    for level, value, below, above in zip(LEVELS, values, low, high, strict=True):
        name = f"q{round(100 * level)}"
        row |= {name: float(value), f"{name}_low": float(below), f"{name}_high": float(above)}
    return row


def drawn_prompts(
    m: int, n_prompts: int, seed: int
) -> tuple[Any, Float64[np.ndarray, "B d"], Float64[np.ndarray, "B d"]]:
    """Prompts of m examples and a query, their variances λ, and their weights w."""
    law = RandomDiagonal.exponential(DIMENSION)
    # Enough points to solve for w, which the prompts do not tell; of them the first m + 1 are used.
    prompts = PromptDistribution(law, Linear()).sample(n_prompts, max(m + 1, 2 * DIMENSION), seed=seed)
    weights = np.stack([np.linalg.lstsq(x, y)[0] for x, y in zip(prompts.xs, prompts.ys, strict=True)])
    return prompts, law.variances(Draws(seed, "evaluation", count=n_prompts)), weights


def linear_errors(m: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Exact errors over new queries, given prompts: the layer, least squares and ridge."""
    prompts, variances, weights = drawn_prompts(m, n_prompts, seed)
    K = optimal_learner(RandomDiagonal.exponential(DIMENSION), N_TRAIN)
    average = np.einsum("bnd,bn->bd", prompts.xs[:, :m], prompts.ys[:, :m]) / m
    found = {LAYER: average @ K}
    found |= {name: one.weights(prompts)[:, m] for name, one in ((LEAST_SQUARES, LeastSquares()), (RIDGE, Ridge(1.0)))}
    rows = [
        _rows(name, m, variances, np.sum(variances * (estimate - weights) ** 2, axis=1) / DIMENSION)
        for name, estimate in found.items()
    ]
    return pd.concat(rows, ignore_index=True)


def model_errors(model: Trained, name: str, m: int, n_queries: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Mean squared errors of a transformer over queries of each prompt's own distribution."""
    prompts, variances, weights = drawn_prompts(m, n_prompts, seed)
    transformer = load(model.path)
    normals = Draws(seed, "verification", count=n_prompts).normals("query", n_queries, DIMENSION)
    errors = np.empty(n_prompts)
    for i, (x, y, w) in enumerate(zip(prompts.xs[:, :m], prompts.ys[:, :m], weights, strict=True)):
        queries = normals[i] * np.sqrt(variances[i])
        said = transformer.answer(x[None], y[None], queries)[0]
        errors[i] = np.mean((said - queries @ w) ** 2) / DIMENSION
    return _rows(name, m, variances, errors)


def _rows(name: str, m: int, variances: Float64[np.ndarray, "B d"], errors: Vector) -> pd.DataFrame:
    columns = {"prompt": np.arange(len(errors)), "trace": variances.mean(axis=1), "error": errors}
    return pd.DataFrame({"predictor": name, "M": m, **columns})


def by_predictor(prompts: pd.DataFrame) -> pd.DataFrame:
    """Quantiles over prompts, with intervals from order statistics at binomial quantiles."""
    rows: list[dict[str, Any]] = []
    for (name, m), one in prompts.groupby(["predictor", "M"], sort=False):
        errors = np.sort(one["error"].to_numpy(float))
        n, levels = len(errors), np.array(LEVELS)
        padded = np.concatenate([[0.0], errors, [math.inf]])
        low = padded[np.ceil(bdtrik(0.025, n, levels)).astype(int)]
        high = padded[np.ceil(bdtrik(0.975, n, levels)).astype(int) + 1]
        row = {"predictor": name, "M": m, "mean": errors.mean(), "n": n}
        rows.append(row | _quantiles(np.quantile(errors, levels), low, high))
    return pd.DataFrame(rows)


def pairs(prompts: pd.DataFrame) -> pd.DataFrame:
    """Prompts on which a predictor errs less than the layer."""
    table = prompts.pivot_table(index=["M", "prompt"], columns="predictor", values="error")
    rows: list[dict[str, Any]] = []
    for name in table.columns.drop(LAYER):
        for m, better in (table[name] < table[LAYER]).groupby(level="M"):
            low, high = clopper_pearson_interval(int(better.sum()), len(better))
            row = {"predictor": name, "M": m, "n": len(better), "better": float(better.mean())}
            rows.append(row | {"better_low": float(low), "better_high": float(high)})
    return pd.DataFrame(rows)
