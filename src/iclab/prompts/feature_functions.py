"""Functions that are linear in features of their inputs: Fourier sums and monomials (Panwar et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float64

from iclab.foundations import Draws, InvalidInputError, Matrix, PromptInputs, check_integer, check_real
from iclab.prompts.tasks import Functions, SparseLinear, linear_functions

Features = Float64[np.ndarray, "B P F"]


@dataclass(frozen=True)
class FourierSums:
    """h(x) = Σ_i f_i(x_i), f(x) = (a_0 + Σ_{n ≤ N} a_n cos(nπx/L) + b_n sin(nπx/L))/√(N + 1), all a and b ~ N(0, 1).

    Every f has variance 1 at every x. The setting of Panwar et al. is d = 1, N = 10 and x uniform on [−L, L], L = 5.

    Parameters
    ----------
    frequencies : int
        N, at least 0.
    half_width : float
        L, positive.

    Raises
    ------
    InvalidInputError
        If a number is out of range.
    """

    frequencies: int = 10
    half_width: float = 5.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "frequencies", check_integer(self.frequencies, "frequencies", minimum=0))
        object.__setattr__(self, "half_width", check_real(self.half_width, "half_width", above=0.0))

    def features(self, xs: PromptInputs) -> Features:
        """φ(x) with h(x) = w'φ(x), w ~ N(0, I); shape (B, P, d(2N + 1))."""
        angles = xs[..., None] * (np.arange(1, self.frequencies + 1) * np.pi / self.half_width)
        parts = (np.ones((*xs.shape, 1)), np.cos(angles), np.sin(angles))
        return np.concatenate(parts, axis=-1).reshape(*xs.shape[:2], -1) / np.sqrt(self.frequencies + 1)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = d, whatever Λ, shape (d, d)."""
        return float(len(covariance))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        linear = linear_functions(draws.normals("task", dimension * (2 * self.frequencies + 1)))
        return lambda xs: linear(self.features(xs))


@dataclass(frozen=True)
class Monomials:
    """h(x) = Σ_{i ≤ j} w_ij x_i x_j/√s over s monomials of degree 2, w ~ N(0, 1).

    Parameters
    ----------
    terms : int, optional
        s, of d(d + 1)/2 monomials chosen at random per prompt; all when omitted. Panwar et al. take d.

    Raises
    ------
    InvalidInputError
        If s is below 1, or above the number of monomials.
    """

    terms: int | None = None

    def __post_init__(self) -> None:
        if self.terms is not None:
            object.__setattr__(self, "terms", check_integer(self.terms, "terms", minimum=1))

    def count(self, dimension: int) -> int:
        """Number s of monomials of a function."""
        every = dimension * (dimension + 1) // 2
        if self.terms is not None and self.terms > every:
            raise InvalidInputError(
                f"terms must be at most the {every} monomials of dimension {dimension}; {self.terms} was given."
            )
        return self.terms or every

    def features(self, xs: PromptInputs) -> Features:
        """φ(x) with h(x) = w'φ(x), w ~ N(0, I) on s of its entries; shape (B, P, d(d + 1)/2)."""
        first, second = _pairs(xs.shape[2])
        return xs[..., first] * xs[..., second] / np.sqrt(self.count(xs.shape[2]))

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)², the mean over i ≤ j of Λ_iiΛ_jj + 2Λ_ij², for x ~ N(0, Λ), shape (d, d)."""
        first, second = _pairs(len(covariance))
        variances = np.diagonal(covariance)
        return float(np.mean(variances[first] * variances[second] + 2 * covariance[first, second] ** 2))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        every = dimension * (dimension + 1) // 2
        linear = linear_functions(SparseLinear(self.count(dimension)).weights(draws, every))
        return lambda xs: linear(self.features(xs))


def _pairs(dimension: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(list(combinations_with_replacement(range(dimension), 2)))
    return pairs[:, 0], pairs[:, 1]
