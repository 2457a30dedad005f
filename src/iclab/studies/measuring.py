"""Errors per prompt on common prompts, and the intervals that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.foundations import Draws
from iclab.predictors import Predictor
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal

# How the paper's GPT-2 reads its prompts, and its size (Appendix E).
TOKENS = "interleaved"
SIZE = {"width": 256, "layers": 12, "heads": 8}
# Covariances in training: the same for all prompts, or drawn for each. The paper's two families of models.
FAMILIES = ("fixed", "random")
# The name that training presets have for the inputs of a family.
COVARIATES = {"fixed": "identity", "random": "random-exponential"}
# Prompts judged at a time.
CHUNK = 500
# Ends of the central 95 %.
_ENDS = [0.025, 0.975]
# The distributions of x that are trained and tested on; theory knows both.
Covariates: TypeAlias = Gaussian | RandomDiagonal
# The squared errors of one predictor on one panel: prompts × positions, divided by d.
Errors: TypeAlias = Float64[np.ndarray, "B P"]
# Weights of prompts: the first row all equal, the others bootstrap resamples.
Weights: TypeAlias = Float64[np.ndarray, "R B"]


class Panel(NamedTuple):
    """Inputs that models are tested on, as in a panel of Figure 1.

    Attributes
    ----------
    inputs : str
        "identity" for Λ = c·I, "random-exponential" for Λ = c·diag(λ) with λ_i ~ Exponential(1) per prompt.
    c : float
        The factor; also the error of the zero estimator divided by d.
    """

    inputs: str
    c: float

    def covariates(self, dimension: int) -> Covariates:
        """The distribution of x."""
        if self.inputs == "identity":
            return Gaussian.isotropic(dimension, self.c)
        return RandomDiagonal.exponential(dimension, self.c)

    def __str__(self) -> str:
        return f"{self.inputs} {self.c:g}"


# What each family was trained on.
OWN = {family: Panel(inputs, 1.0) for family, inputs in COVARIATES.items()}


def panels(scales: Sequence[float]) -> list[Panel]:
    """The panels of Figure 1: the identity, then c·Exp(1) for each c."""
    return [Panel("identity", 1.0), *(Panel("random-exponential", float(c)) for c in scales)]


def squared_errors(
    predictor: Predictor, covariates: Covariates, n_points: int, *, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Squared errors / d of every prompt (rows) at every position (columns), in chunks that bound memory."""
    distribution = PromptDistribution(covariates, Linear())
    blocks: list[Errors] = []
    for start in range(0, n_prompts, CHUNK):
        prompts = distribution.sample(min(CHUNK, n_prompts - start), n_points, seed=seed, start=start)
        blocks.append((predictor(prompts) - prompts.targets) ** 2 / covariates.dimension)
    errors = np.concatenate(blocks)
    return pd.DataFrame(errors, columns=[str(i) for i in range(errors.shape[1])])


def curve(errors: Errors, **columns: Any) -> pd.DataFrame:
    """Tidy error curve of errors per prompt: the given columns, position, mean, stderr, n."""
    n, positions = errors.shape
    mean, stderr = errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(n)
    return pd.DataFrame({**columns, "position": np.arange(positions), "mean": mean, "stderr": stderr, "n": n})


def resampling(count: int, resamples: int, seed: int) -> Weights:
    """Weights of prompts: first all equal, then bootstrap resamples; the same ones serve every predictor."""
    resampled = Draws(seed).shared("bootstrap").multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.vstack([np.ones(count), resampled]) / count


def with_interval(key: str, values: Float64[np.ndarray, " R"]) -> dict[str, float]:
    """A statistic and its 95 % percentile interval, from the measured value followed by resamples.

    Resamples in which the statistic does not exist (NaN) are left out.
    """
    known = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(known, _ENDS) if len(known) else (np.nan, np.nan)
    return {key: float(values[0]), f"{key}_low": float(low), f"{key}_high": float(high)}


def statistics(values: Mapping[str, Float64[np.ndarray, " R"]]) -> dict[str, float]:
    """Several statistics with their intervals, as one row's columns."""
    row: dict[str, float] = {}
    for key, samples in values.items():
        row |= with_interval(key, samples)
    return row
