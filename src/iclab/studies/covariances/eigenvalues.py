"""Distributions of one eigenvalue λ with mean 1, by family and squared coefficient of variation cv² = Var λ/(E λ)²."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from iclab.foundations import InvalidInputError, check_choice, check_real
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.prompts.specification import build_law

# From cv² to {name, parameters} of scipy.stats, and the cv² from which on E λ³ is infinite.
_Parameters: TypeAlias = Callable[[float], dict[str, str | float]]


def _gamma(v: float) -> dict[str, str | float]:
    return {"name": "gamma", "a": 1 / v, "scale": v}


def _lognormal(v: float) -> dict[str, str | float]:
    return {"name": "lognorm", "s": math.sqrt(math.log1p(v)), "scale": 1 / math.sqrt(1 + v)}


def _inverse_gamma(v: float) -> dict[str, str | float]:
    shape = 2 + 1 / v
    return {"name": "invgamma", "a": shape, "scale": shape - 1}


def _pareto(v: float) -> dict[str, str | float]:
    shape = 1 + math.sqrt(1 + 1 / v)
    return {"name": "pareto", "b": shape, "scale": (shape - 1) / shape}


_FAMILIES: dict[str, tuple[_Parameters, float]] = {
    "gamma": (_gamma, math.inf),
    "lognormal": (_lognormal, math.inf),
    "inverse gamma": (_inverse_gamma, 1.0),
    "Pareto": (_pareto, 1 / 3),
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
        return self.cv2 < _FAMILIES[self.family][1]

    @property
    def parameters(self) -> dict[str, str | float]:
        """As a distribution of scipy.stats: its name and parameters.

        Raises
        ------
        InvalidInputError
            For the point mass, which is none.
        """
        if self.cv2 == 0:
            raise InvalidInputError(
                "cv2 must be greater than 0 for a distribution of scipy.stats; 0 is the point mass at 1."
            )
        return _FAMILIES[self.family][0](self.cv2)

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
        v = self.cv2
        third = {
            "gamma": (1 + v) * (1 + 2 * v),
            "lognormal": (1 + v) ** 3,
            "inverse gamma": (1 + v) ** 2 / (1 - v) if v < 1 else math.inf,
            "Pareto": _pareto_third(v) if v < 1 / 3 else math.inf,
        }[self.family]
        return 1.0, 1 + v, third

    @property
    def biased_cv2(self) -> float:
        """cv² of λ under its distribution weighted by λ, E λ³ E λ/(E λ²)² − 1: what the layer's limit depends on."""
        first, second, third = self.moments
        return third * first / second**2 - 1


def _pareto_third(v: float) -> float:
    if v == 0:
        return 1.0
    b = 1 + math.sqrt(1 + 1 / v)
    return (b - 1) ** 3 / (b**2 * (b - 3))
