"""Linear functions whose weights have structure: signs, low rank, a known centre (Panwar et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from iclab.foundations import Draws, InvalidInputError, Matrix, Vector, check_integer, check_real, check_vector
from iclab.prompts.input_mixtures import random_factors
from iclab.prompts.tasks import Functions, Weights, linear_functions

# Largest dimension whose sign vectors are listed.
_MOST = 14


@dataclass(frozen=True)
class SignVectors:
    """h(x) = w'x, w uniform on {−1, 1}^d."""

    def weights(self, draws: Draws, dimension: int) -> Weights:
        """The weight vectors w of the addressed prompts, shape (B, d)."""
        return np.where(draws.uniforms("task", dimension) < 0.5, -1.0, 1.0)

    def weight_moment(self, dimension: int) -> Matrix:
        """E ww' = I, shape (d, d)."""
        return np.eye(dimension)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr Λ for x ~ N(0, Λ), shape (d, d)."""
        return float(np.trace(covariance))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = w'x for the addressed prompts."""
        return linear_functions(self.weights(draws, dimension))

    def pool(self, dimension: int) -> Weights:
        """All 2^d weight vectors.

        Raises
        ------
        InvalidInputError
            If the dimension is above 14.
        """
        if dimension > _MOST:
            raise InvalidInputError(
                f"the dimension must be at most {_MOST} for all sign vectors to be listed; {dimension} was given."
            )
        return np.array(list(product((-1.0, 1.0), repeat=dimension)))


@dataclass(frozen=True)
class RandomScaleLinear:
    """h(x) = c·w'x, w ~ N(0, I), log c uniform on ±log ``largest``, both drawn per prompt.

    The law of c·w is the same in all directions, so that without label noise minimum-norm least squares is the
    posterior mean as it is for c = 1.

    Parameters
    ----------
    largest : float
        Largest factor, above 1; the smallest is its reciprocal.

    Raises
    ------
    InvalidInputError
        If the factor is not above 1.
    """

    largest: float = 3.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "largest", check_real(self.largest, "largest", above=1.0))

    def weights(self, draws: Draws, dimension: int) -> Weights:
        """The weight vectors c·w of the addressed prompts, shape (B, d)."""
        factors = random_factors(self.largest, draws.at(channel=1).uniforms("task", 1))
        return factors * draws.normals("task", dimension)

    def weight_moment(self, dimension: int) -> Matrix:
        """E c²·I, shape (d, d): the mean of L^(4u − 2) over u ~ U(0, 1) is (L² − L⁻²)/(4 log L)."""
        return (self.largest**2 - self.largest**-2) / (4 * np.log(self.largest)) * np.eye(dimension)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr(Λ E ww') for x ~ N(0, Λ)."""
        return float(np.sum(covariance * self.weight_moment(covariance.shape[0])))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = c·w'x for the addressed prompts."""
        return linear_functions(self.weights(draws, dimension))


@dataclass(frozen=True)
class LowRank:
    """h(x) = ⟨UV', X⟩/√rank, x the entries of an n × m matrix X row by row, U and V with entries N(0, 1).

    No posterior is known in closed form; ridge with the noise's variance is the best predictor linear in the labels, as
    all weights have variance 1 and are uncorrelated.

    Parameters
    ----------
    rows, columns : int
        n and m; inputs have dimension nm.
    rank : int
        Number of columns of U and V.

    Raises
    ------
    InvalidInputError
        If a number is below 1, or the inputs have another dimension.
    """

    rows: int
    columns: int
    rank: int = 1

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "rank"):
            object.__setattr__(self, name, check_integer(getattr(self, name), name, minimum=1))

    def weights(self, draws: Draws, dimension: int) -> Weights:
        """The weight vectors UV'/√rank of the addressed prompts, shape (B, nm)."""
        self._check(dimension)
        left = draws.normals("task", self.rows, self.rank)
        right = draws.at(channel=1).normals("task", self.columns, self.rank)
        products = np.einsum("bir,bjr->bij", left, right, optimize=False) / np.sqrt(self.rank)
        return products.reshape(draws.count, dimension)

    def weight_moment(self, dimension: int) -> Matrix:
        """E ww' = I, shape (d, d)."""
        self._check(dimension)
        return np.eye(dimension)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr Λ for x ~ N(0, Λ), shape (d, d)."""
        return float(np.trace(covariance))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = w'x for the addressed prompts."""
        return linear_functions(self.weights(draws, dimension))

    def _check(self, dimension: int) -> None:
        if dimension != self.rows * self.columns:
            raise InvalidInputError(
                f"inputs must have dimension rows · columns = {self.rows * self.columns}; they have {dimension}."
            )


@dataclass(frozen=True, eq=False)
class CentredLinear:
    """h(x) = w'x, w ~ N(centre, I); mixtures of them are the Gaussian mixtures of weights of Panwar et al. (2024).

    Parameters
    ----------
    centre : array_like, shape (d,)
        E w.

    Raises
    ------
    InvalidInputError
        If the centre is no finite vector, or of another dimension than the inputs.
    """

    centre: Vector

    def __init__(self, centre: ArrayLike) -> None:
        object.__setattr__(self, "centre", check_vector(centre, "centre"))

    def weights(self, draws: Draws, dimension: int) -> Weights:
        """The weight vectors w of the addressed prompts, shape (B, d)."""
        if len(self.centre) != dimension:
            raise InvalidInputError(
                f"centre must have the dimension {dimension} of the inputs; it has {len(self.centre)}."
            )
        return self.centre + draws.normals("task", dimension)

    def weight_moment(self, dimension: int) -> Matrix:
        """E ww' = I + centre centre', shape (d, d)."""
        return np.eye(dimension) + np.outer(self.centre, self.centre)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr Λ + centre'Λ centre for x ~ N(0, Λ), shape (d, d)."""
        return float(np.trace(covariance) + self.centre @ covariance @ self.centre)

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = w'x for the addressed prompts."""
        return linear_functions(self.weights(draws, dimension))
