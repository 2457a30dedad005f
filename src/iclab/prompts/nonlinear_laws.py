"""Fixed nonlinear functions whose Theorem 5 quantities ``theory.quadratic_law`` and ``theory.cubic_law`` give."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from iclab.foundations import Draws, InvalidInputError, Matrix, Vector, check_covariance, check_real, check_vector
from iclab.prompts.tasks import Functions, along


@dataclass(frozen=True, eq=False)
class LinearPlusQuadratic:
    """h(x) = w'x + c((v'x)² − v'Λv): a fixed quadratic law, centred under x ~ N(0, Λ).

    Parameters
    ----------
    weight_vector, direction : array_like, shape (d,)
        w and v.
    coefficient : float
        c.
    covariance : array_like, shape (d, d)
        Λ, which centres the square.

    Raises
    ------
    InvalidInputError
        If shapes do not fit one another.
    """

    weight_vector: Vector
    direction: Vector
    coefficient: float
    covariance: Matrix

    def __init__(
        self, weight_vector: ArrayLike, direction: ArrayLike, coefficient: float, covariance: ArrayLike
    ) -> None:
        matrix = check_covariance(covariance)
        dimension = matrix.shape[0]
        object.__setattr__(self, "weight_vector", check_vector(weight_vector, "weight_vector", dimension))
        object.__setattr__(self, "direction", check_vector(direction, "direction", dimension))
        object.__setattr__(self, "coefficient", check_real(coefficient, "coefficient"))
        object.__setattr__(self, "covariance", matrix)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² for x ~ N(0, Λ'), shape (d, d): w'Λ'w + c²(3q'² − 2q'q + q²), q' = v'Λ'v."""
        q = float(self.direction @ self.covariance @ self.direction)
        other = float(self.direction @ covariance @ self.direction)
        linear = float(self.weight_vector @ covariance @ self.weight_vector)
        return linear + self.coefficient**2 * (3 * other**2 - 2 * other * q + q**2)

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The same function for every addressed prompt."""
        _check(self.direction, dimension)
        q = float(self.direction @ self.covariance @ self.direction)
        linear, square = along(self.weight_vector), along(self.direction)
        return lambda xs: linear(xs) + self.coefficient * (square(xs) ** 2 - q)


@dataclass(frozen=True, eq=False)
class Cubic:
    """h(x) = c(v'x)³: a fixed cubic law.

    Parameters
    ----------
    direction : array_like, shape (d,)
        v.
    coefficient : float
        c.

    Raises
    ------
    InvalidInputError
        If the direction is not a finite vector.
    """

    direction: Vector
    coefficient: float

    def __init__(self, direction: ArrayLike, coefficient: float) -> None:
        object.__setattr__(self, "direction", check_vector(direction, "direction"))
        object.__setattr__(self, "coefficient", check_real(coefficient, "coefficient"))

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = 15c²q³ for x ~ N(0, Λ), q = v'Λv."""
        return 15 * self.coefficient**2 * float(self.direction @ covariance @ self.direction) ** 3

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The same function for every addressed prompt."""
        _check(self.direction, dimension)
        linear = along(self.direction)
        return lambda xs: self.coefficient * linear(xs) ** 3


def _check(direction: Vector, dimension: int) -> None:
    if len(direction) != dimension:
        raise InvalidInputError(
            f"direction must have the dimension {dimension} of the inputs; it has {len(direction)}."
        )
