"""Distributions of one eigenvalue λ with mean 1, by family and squared coefficient of variation cv² = Var λ/(E λ)²."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from iclab.foundations import check_choice, check_real
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.prompts.specification import build_law


class _Family(NamedTuple):
    """From cv² to {name, parameters} of scipy.stats and to E λ³, and the cv² from which on that is infinite."""

    law: Callable[[float], dict[str, Any]]
    third: Callable[[float], float]
    end: float = math.inf


def _pareto(v: float) -> float:
    return 1 + math.sqrt(1 + 1 / v)


_FAMILIES = {
    "gamma": _Family(lambda v: {"name": "gamma", "a": 1 / v, "scale": v}, lambda v: (1 + v) * (1 + 2 * v)),
    "lognormal": _Family(
        lambda v: {"name": "lognorm", "s": math.sqrt(math.log1p(v)), "scale": 1 / math.sqrt(1 + v)},
        lambda v: (1 + v) ** 3,
    ),
    "inverse gamma": _Family(
        lambda v: {"name": "invgamma", "a": 2 + 1 / v, "scale": 1 + 1 / v}, lambda v: (1 + v) ** 2 / (1 - v), 1.0
    ),
    "Pareto": _Family(
        lambda v: {"name": "pareto", "b": _pareto(v), "scale": (_pareto(v) - 1) / _pareto(v)},
        lambda v: (_pareto(v) - 1) ** 3 / (_pareto(v) ** 2 * (_pareto(v) - 3)),
        1 / 3,
    ),
}
FAMILIES = tuple(_FAMILIES)


@dataclass(frozen=True)
class Eigenvalues:
    """λ_i of one family, independent, with mean 1 and squared coefficient of variation ``cv2``.

    Parameters
    ----------
    family : {"gamma", "lognormal", "inverse gamma", "Pareto"}
        Gamma with cv² = 1 is Exponential(1); the tails are heavier from the left to the right.
    cv2 : float
        cv² ≥ 0; 0 is the point mass at 1, whatever the family.
    """

    family: str
    cv2: float

    def __post_init__(self) -> None:
        check_choice(self.family, "family", _FAMILIES)
        object.__setattr__(self, "cv2", check_real(self.cv2, "cv2", minimum=0.0))

    def __str__(self) -> str:
        return f"{self.family} {self.cv2:g}"

    @property
    def known(self) -> bool:
        """Whether E λ³ is finite, so that Theorem 8 speaks of it."""
        return self.cv2 < _FAMILIES[self.family].end

    @property
    def parameters(self) -> dict[str, Any]:
        """As a distribution of scipy.stats, its name and parameters; the point mass is none."""
        return _FAMILIES[self.family].law(self.cv2)

    def covariates(self, dimension: int, scale: float = 1.0) -> Gaussian | RandomDiagonal:
        """Inputs with covariance scale · diag(λ_1, …, λ_d) drawn per prompt."""
        if self.cv2 == 0:
            return Gaussian.isotropic(dimension, scale)
        return RandomDiagonal((build_law(self.parameters),) * dimension, scale)

    def specification(self, dimension: int) -> dict[str, Any]:
        """The same for the configuration of a training."""
        if self.cv2 == 0:
            return {"kind": "gaussian", "dimension": dimension}
        return {"kind": "random_diagonal", "dimension": dimension, "law": self.parameters}

    @property
    def moments(self) -> tuple[float, float, float]:
        """E λ, E λ² and E λ³ in closed form; infinite where they do not exist."""
        third = _FAMILIES[self.family].third(self.cv2) if self.cv2 and self.known else math.inf
        return 1.0, 1 + self.cv2, third if self.cv2 else 1.0

    @property
    def biased_cv2(self) -> float:
        """cv² of λ under its distribution weighted by λ, E λ³ E λ/(E λ²)² − 1: what the layer's limit depends on."""
        first, second, third = self.moments
        return third * first / second**2 - 1
