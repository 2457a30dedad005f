"""What every fit of this study sees: contexts of N examples with several queries each, the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts, RandomDiagonal

IDENTITY, ANISOTROPIC, RANDOM = "Λ = I", "Λ of condition 10", "Λ = diag Exp(1)"
LAWS = (IDENTITY, ANISOTROPIC, RANDOM)
PLAIN, TRACE, COORDINATES = "none", "tr Λ̂", "every Λ̂_ii"
_CONDITION = 10.0


@dataclass(frozen=True, eq=False)
class Contexts:
    """B contexts of N examples, each asked K queries that no other token attends to.

    Attributes
    ----------
    xs, ys : ndarray, shapes (B, N, d) and (B, N)
        Examples.
    queries, targets : ndarray, shapes (B, K, d) and (B, K)
        Queries and the noise-free values there.
    """

    xs: Float64[np.ndarray, "B N d"]
    ys: Float64[np.ndarray, "B N"]
    queries: Float64[np.ndarray, "B K d"]
    targets: Float64[np.ndarray, "B K"]

    def __len__(self) -> int:
        return len(self.xs)

    @classmethod
    def of(cls, prompts: Prompts, n_train: int) -> Contexts:
        """The first N examples of each prompt; the positions after them are the queries."""
        return cls(
            prompts.xs[:, :n_train], prompts.ys[:, :n_train], prompts.queries[:, n_train:], prompts.targets[:, n_train:]
        )

    def first(self, count: int) -> Contexts:
        """The first ``count`` contexts."""
        return Contexts(self.xs[:count], self.ys[:count], self.queries[:count], self.targets[:count])

    def normalised(self, kind: str) -> Contexts:
        """Inputs divided by √(tr Λ̂/d), or each coordinate by √Λ̂_ii: what a layer can do to its context first."""
        if kind == PLAIN:
            return self
        variances = np.mean(self.xs**2, axis=1, keepdims=True)  # (B, 1, d)
        if kind == TRACE:
            variances = variances.mean(axis=2, keepdims=True)
        roots = np.sqrt(variances)
        return replace(self, xs=self.xs / roots, queries=self.queries / roots)


def covariates(law: str, dimension: int, scale: float = 1.0) -> Gaussian | RandomDiagonal:
    """A law of inputs with tr Λ = d, or E tr Λ = d, times ``scale``."""
    if law == RANDOM:
        return RandomDiagonal.exponential(dimension, scale)
    spectrum = np.ones(dimension)
    if law == ANISOTROPIC:
        spectrum = _CONDITION ** -np.linspace(0, 1, dimension)
    return Gaussian(np.diag(scale * spectrum * dimension / spectrum.sum()))


def shifts(law: str, dimension: int, scales: tuple[float, ...]) -> Mapping[str, Gaussian | RandomDiagonal]:
    """Laws of inputs to test a model of ``law`` on: its own, scaled ones, and other spectra of the same trace."""
    found: dict[str, Gaussian | RandomDiagonal] = {f"c = {c:g}": covariates(law, dimension, c) for c in scales}
    for other in LAWS:
        if other != law:
            found[other] = covariates(other, dimension)
    if law != RANDOM:
        # The spectrum of the anisotropic law in the reverse order of its coordinates.
        spectrum = np.diag(covariates(ANISOTROPIC, dimension).covariance)[::-1]  # type: ignore[union-attr]
        if law == ANISOTROPIC:
            found["spectrum reversed"] = Gaussian(np.diag(spectrum))
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
