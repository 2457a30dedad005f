"""The laws that models are trained and tested on in Figure 1 and in what follows it, and errors on common prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.foundations import Draws
from iclab.predictors import Predictor
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal

FAMILIES = ("fixed", "random")
# Name of the law of x in training presets, and the panel that has it.
COVARIATES = {"fixed": "identity", "random": "exponential"}
OWN = {"fixed": "identity", "random": "1·Exp(1)"}
# Prompts judged at a time.
CHUNK = 500
# The laws of x that are trained and tested on; theory knows both.
Law: TypeAlias = Gaussian | RandomDiagonal
# The squared errors of one predictor on one panel: prompts × positions, divided by d.
Errors: TypeAlias = Float64[np.ndarray, "B P"]


def training_covariates(family: str, dimension: int) -> Law:
    """Law of x that a family is trained on: Λ = I, or Λ = diag(λ) with λ_i ~ Exponential(1) per prompt."""
    return Gaussian.isotropic(dimension) if family == "fixed" else RandomDiagonal.exponential(dimension)


def panel_laws(dimension: int, scales: Sequence[float]) -> dict[str, tuple[float, Law]]:
    """The panels: name to (zero-estimator error per dimension, law of x); the identity, then c·Exp(1)."""
    laws: dict[str, tuple[float, Law]] = {"identity": (1.0, Gaussian.isotropic(dimension))}
    for scale in scales:
        laws[f"{scale:g}·Exp(1)"] = (scale, RandomDiagonal.exponential(dimension, scale))
    return laws


def squared_errors(predictor: Predictor, law: Law, n_points: int, *, n_prompts: int, seed: int) -> pd.DataFrame:
    """Squared errors / d of every prompt (rows) at every position (columns), in chunks that bound memory."""
    distribution = PromptDistribution(law, Linear())
    blocks: list[Errors] = []
    for start in range(0, n_prompts, CHUNK):
        count = min(CHUNK, n_prompts - start)
        prompts = distribution.sample(count, n_points, seed=seed, start=start)
        blocks.append((predictor(prompts) - prompts.targets) ** 2 / law.dimension)
    errors = np.concatenate(blocks)
    return pd.DataFrame(errors, columns=[str(i) for i in range(errors.shape[1])])


def resampling(count: int, resamples: int, seed: int) -> Float64[np.ndarray, "R B"]:
    """Weights of prompts: first all equal, then bootstrap resamples; the same ones serve every predictor."""
    resampled = Draws(seed).shared("bootstrap").multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.vstack([np.ones(count), resampled]) / count
