"""Laws of inputs beyond independent Gaussians: heavy tails, uniform, autoregressive, scaled and shifted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from iclab.foundations import (
    Draws,
    InvalidInputError,
    Matrix,
    PromptInputs,
    Vector,
    check_covariance,
    check_integer,
    check_real,
    check_vector,
)
from iclab.prompts.covariates import Covariates, Gaussian, check_covariates
from iclab.prompts.linear_algebra import symmetric_root


@dataclass(frozen=True, eq=False)
class StudentT:
    """Multivariate Student t inputs: x = Λ^½ z √(degrees/χ²), one χ² per input.

    Parameters
    ----------
    scale_matrix : array_like, shape (d, d)
        Λ; the covariance is Λ·degrees/(degrees − 2) for degrees above 2, and infinite otherwise.
    degrees : float
        Degrees of freedom, positive; 1 is the Cauchy law.

    Raises
    ------
    InvalidInputError
        If Λ is no covariance or the degrees are not positive.
    """

    scale_matrix: Matrix
    degrees: float

    def __init__(self, scale_matrix: ArrayLike, degrees: float) -> None:
        object.__setattr__(self, "scale_matrix", check_covariance(scale_matrix, "scale_matrix"))
        object.__setattr__(self, "degrees", check_real(degrees, "degrees", above=0.0))

    @classmethod
    def isotropic(cls, dimension: int, degrees: float) -> StudentT:
        """A scale matrix of I."""
        return cls(np.eye(check_integer(dimension, "dimension", minimum=1)), degrees)

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.scale_matrix.shape[0]

    @cached_property
    def _gaussian(self) -> Gaussian:
        return Gaussian(self.scale_matrix)

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        xs = self._gaussian.sample(draws, n_points)
        for row, generator in zip(xs, draws.generators("covariance"), strict=True):
            row *= np.sqrt(self.degrees / generator.chisquare(self.degrees, n_points))[:, None]
        return xs


@dataclass(frozen=True)
class Uniform:
    """Inputs with independent coordinates, uniform on [−half_width, half_width].

    Parameters
    ----------
    dimension : int
        Length d of an input.
    half_width : float
        Positive; the default √3 gives variance 1.

    Raises
    ------
    InvalidInputError
        If the dimension is below 1 or the half width is not positive.
    """

    dimension: int
    half_width: float = 3**0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", check_integer(self.dimension, "dimension", minimum=1))
        object.__setattr__(self, "half_width", check_real(self.half_width, "half_width", above=0.0))

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        return self.half_width * (2 * draws.uniforms("x", n_points, self.dimension) - 1)


@dataclass(frozen=True, eq=False)
class Autoregressive:
    """Dependent inputs: x_i = coefficient · x_{i−1} + √(1 − coefficient²) ξ_i, each of law N(0, Λ).

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ, the covariance of every x_i.
    coefficient : float
        Correlation of consecutive inputs, strictly between −1 and 1.

    Raises
    ------
    InvalidInputError
        If Λ is no covariance or the coefficient is out of range.
    """

    covariance: Matrix
    coefficient: float

    def __init__(self, covariance: ArrayLike, coefficient: float) -> None:
        object.__setattr__(self, "covariance", check_covariance(covariance))
        number = check_real(coefficient, "coefficient")
        if abs(number) >= 1:
            raise InvalidInputError(
                f"coefficient must lie strictly between −1 and 1 for a stationary law; {number} was given."
            )
        object.__setattr__(self, "coefficient", number)

    @classmethod
    def isotropic(cls, dimension: int, coefficient: float) -> Autoregressive:
        """Λ = I."""
        return cls(np.eye(check_integer(dimension, "dimension", minimum=1)), coefficient)

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.covariance.shape[0]

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        from scipy.signal import lfilter  # half a second to import, for this law alone

        z = draws.normals("x", n_points, self.dimension)
        z[:, 1:] *= np.sqrt(1 - self.coefficient**2)
        filtered = np.asarray(lfilter([1.0], [1.0, -self.coefficient], z, axis=1))
        return np.einsum("bpj,ij->bpi", filtered, symmetric_root(self.covariance), optimize=False)


@dataclass(frozen=True, eq=False)
class Affine:
    """Inputs scale · x + bias, x of another law.

    Parameters
    ----------
    covariates : Covariates
        Law of x.
    scale : float
        Multiplies x (not its covariance); not 0.
    bias : array_like, shape (d,), or float
        Added to every input; a number is added to every coordinate.

    Raises
    ------
    InvalidInputError
        If the scale is 0 or the bias has another dimension.
    """

    covariates: Covariates
    scale: float
    bias: Vector

    def __init__(self, covariates: Covariates, scale: float = 1.0, bias: ArrayLike | float = 0.0) -> None:
        number = check_real(scale, "scale")
        if number == 0:
            raise InvalidInputError("scale must not be 0: every input would be the bias.")
        check_covariates(covariates)
        shift = np.full(covariates.dimension, bias) if np.ndim(bias) == 0 else bias
        object.__setattr__(self, "covariates", covariates)
        object.__setattr__(self, "scale", number)
        object.__setattr__(self, "bias", check_vector(shift, "bias", covariates.dimension))

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.covariates.dimension

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        return self.scale * self.covariates.sample(draws, n_points) + self.bias
