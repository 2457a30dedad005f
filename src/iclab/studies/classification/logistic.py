"""Logistic regression in context: a transformer beside logistic regression and the Bayes predictor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from iclab.evaluation import compare, differences
from iclab.foundations import Draws
from iclab.models import load
from iclab.predictors import EnumerationBayes, LogisticRegression, Predictor, TrueLaw
from iclab.predictors.features import LinearMap
from iclab.prompts import Binary, Gaussian, Linear, PromptDistribution
from iclab.studies.rows import where
from iclab.studies.trainings import Trained

MODEL, TRUE, BAYES, MODE, SPREAD = "model", "true law", "Bayes", "logistic regression", "with its spread"
HALF = f"{BAYES}, half"
# Who stands beside the trained models.
BESIDE = (TRUE, BAYES, HALF, MODE, SPREAD)


def prompts_of(dimension: int, slope: float) -> dict[str, Any]:
    """The prompts of a training: P(class 1) = 1/(1 + exp(−slope·w'x)), w, x ~ N(0, I)."""
    tasks = {"kind": "binary", "tasks": {"kind": "linear"}, "link": "logistic", "slope": slope}
    return {"covariates": {"kind": "gaussian", "dimension": dimension}, "tasks": tasks}


def bayes_of(dimension: int, slope: float, size: int, seed: int) -> Predictor:
    """Bayes by importance sampling: the posterior over ``size`` draws of w from its prior."""
    weights = Draws(seed, count=size).at(channel=1 << 22).normals("task", dimension)
    law = Binary(Linear(), "logistic", slope=slope).law
    return EnumerationBayes(LinearMap(weights.T), np.full(size, -np.log(size)), law=law)


def logistic(
    models: dict[str, Trained], dimension: int, slope: float, n_train: int, n_draws: int, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Cross-entropies by position, of models by training seed and of what stands beside them; and paired gaps at N.

    Returns
    -------
    DataFrame
        Two tables told apart by ``table``: "logistic" with predictor, position, mean, stderr, n; "regression_gaps" with
        predictor, against, gap (of cross-entropies at N on the same prompts) with gap_low and gap_high. "Bayes" has
        ``n_draws`` draws of w, "Bayes, half" half as many: their gap tells what the sampling costs.
    """
    law = PromptDistribution(Gaussian.isotropic(dimension), Binary(Linear(), "logistic", slope=slope))
    # The mode of w ~ N(0, I) in inputs of that slope.
    beside: dict[str, Predictor] = {
        TRUE: TrueLaw(),
        BAYES: bayes_of(dimension, slope, n_draws, seed),
        HALF: bayes_of(dimension, slope, n_draws // 2, seed + 1),
        MODE: LogisticRegression(1 / slope**2, spread=False),
        SPREAD: LogisticRegression(1 / slope**2),
    }
    named = {f"{MODEL} {name}": load(model.path, device="auto") for name, model in models.items()} | beside
    curves = compare(named, {"": law}, n_train + 1, n_prompts=n_prompts, seed=seed).drop(columns="distribution")
    parts = [curves.assign(table="logistic")]
    for against in (BAYES, MODE):
        gaps = differences(named, {"": law}, n_train + 1, baseline=against, n_prompts=n_prompts, seed=seed)
        gaps = where(gaps, position=n_train).rename(columns={"mean": "gap", "lower": "gap_low", "upper": "gap_high"})
        columns = ["predictor", "gap", "gap_low", "gap_high"]
        parts.append(gaps[columns].assign(against=against, table="regression_gaps"))
    return pd.concat(parts, ignore_index=True)
