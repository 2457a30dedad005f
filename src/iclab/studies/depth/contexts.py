"""What every fit of this study sees: contexts of N examples with several queries each, the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from iclab.flow.deep import Contexts
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal

# Λ = I; diagonal Λ of condition 10, entries in equal ratios; Λ = diag(λ), λ_i ~ Exponential(1) per prompt.
IDENTITY, ANISOTROPIC, RANDOM = "identity", "condition 10", "exponential"
EVERY = (IDENTITY, ANISOTROPIC, RANDOM)
# How inputs are normalised by their context.
PLAIN, TRACE, COORDINATES = "none", "trace", "coordinates"
# Inputs at test that are those of training, but for the scale; and the spectrum of condition 10 in reverse order.
OWN, REVERSED = "own", "reversed"
_CONDITION = 10.0


def normalised(contexts: Contexts, kind: str) -> Contexts:
    """Inputs divided by √(tr Λ̂/d), or each coordinate by √Λ̂_ii: what a layer can do to its context first."""
    if kind == PLAIN:
        return contexts
    variances = np.mean(contexts.xs**2, axis=1, keepdims=True)  # (B, 1, d)
    if kind == TRACE:
        variances = variances.mean(axis=2, keepdims=True)
    roots = np.sqrt(variances)
    return replace(contexts, xs=contexts.xs / roots, queries=contexts.queries / roots)


def covariates(inputs: str, dimension: int, scale: float = 1.0) -> Gaussian | RandomDiagonal:
    """The distribution of x, with tr Λ = d, or E tr Λ = d, times ``scale``."""
    if inputs == RANDOM:
        return RandomDiagonal.exponential(dimension, scale)
    spectrum = np.ones(dimension)
    if inputs == ANISOTROPIC:
        spectrum = _CONDITION ** -np.linspace(0, 1, dimension)
    return Gaussian(np.diag(scale * spectrum * dimension / spectrum.sum()))


class Test(NamedTuple):
    """Inputs that models are tested on: those of training times c, or others of the same trace."""

    test: str
    c: float


HOME = Test(OWN, 1.0)


def tests(inputs: str, dimension: int, scales: Sequence[float]) -> dict[Test, Gaussian | RandomDiagonal]:
    """What a model trained on some inputs is tested on."""
    found: dict[Test, Gaussian | RandomDiagonal] = {Test(OWN, c): covariates(inputs, dimension, c) for c in scales}
    found |= {Test(other, 1.0): covariates(other, dimension) for other in EVERY if other != inputs}
    if inputs == ANISOTROPIC:
        spectrum = np.diag(covariates(ANISOTROPIC, dimension).covariance)[::-1]  # type: ignore[union-attr]
        found[Test(REVERSED, 1.0)] = Gaussian(np.diag(spectrum))
    return found


def draw(
    inputs: Gaussian | RandomDiagonal,
    n_train: int,
    n_prompts: int,
    n_queries: int,
    *,
    seed: int,
    stream: str = "evaluation",
    noise: float = 0.0,
) -> Contexts:
    """Contexts of linear tasks w ~ N(0, I)."""
    distribution = PromptDistribution(inputs, Linear(), noise)
    return Contexts.of(distribution.sample(n_prompts, n_train + n_queries, seed=seed, stream=stream), n_train)


@dataclass(frozen=True)
class Sample:
    """Which contexts learners are fitted on."""

    inputs: str
    dimension: int
    n_train: int
    n_queries: int
    n_prompts: int
    seed: int


@lru_cache(maxsize=4)
def training(sample: Sample, noise: float = 0.0) -> Contexts:
    """The contexts of a sample."""
    law, sizes = covariates(sample.inputs, sample.dimension), (sample.n_train, sample.n_prompts, sample.n_queries)
    return draw(law, *sizes, seed=sample.seed, stream="training", noise=noise)
