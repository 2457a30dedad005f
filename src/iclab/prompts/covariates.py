"""Laws of the inputs x within a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    Draws,
    InvalidInputError,
    Matrices,
    Matrix,
    PromptInputs,
    check_covariance,
    check_integer,
    check_matrix,
    check_members,
    check_real,
    check_vector,
)
from iclab.prompts.linear_algebra import symmetric_root
from iclab.prompts.moments import law_moment


@runtime_checkable
class Covariates(Protocol):
    """A law of inputs: within a prompt, x_1, …, x_P drawn from the randomness that ``draws`` addresses."""

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        ...

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d); more points extend the same prompt."""
        ...


def check_covariates(law: Covariates) -> Covariates:
    """Return a law of inputs, or raise if it is none."""
    return check_members(law, "covariates", ("dimension", "sample"))


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Inputs x ~ N(0, Λ), the same Λ in every prompt (§3.3 of the paper).

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ, symmetric positive semi-definite.

    Raises
    ------
    InvalidInputError
        If Λ is not symmetric positive semi-definite.

    Examples
    --------
    >>> from iclab.prompts import Gaussian
    >>> Gaussian([[1.0, 0.5], [0.5, 2.0]]).dimension
    2
    >>> Gaussian.from_spectrum([4.0, 1.0]).covariance
    array([[4., 0.],
           [0., 1.]])
    """

    covariance: Matrix

    def __init__(self, covariance: ArrayLike) -> None:
        object.__setattr__(self, "covariance", check_covariance(covariance))
        self.covariance.setflags(write=False)

    @classmethod
    def isotropic(cls, dimension: int, variance: float = 1.0) -> Gaussian:
        """Λ = variance · I."""
        size = check_integer(dimension, "dimension", minimum=1)
        return cls(check_real(variance, "variance", minimum=0.0) * np.eye(size))

    @classmethod
    def from_spectrum(cls, spectrum: ArrayLike, rotation: ArrayLike | None = None) -> Gaussian:
        """Λ = R diag(spectrum) R', R = ``rotation`` with orthonormal columns (the identity when omitted).

        Zeros in the spectrum make the law low rank.
        """
        values = check_vector(spectrum, "spectrum")
        if rotation is None:
            return cls(np.diag(values))
        columns = check_matrix(rotation, "rotation", len(values))
        defect = np.abs(columns.T @ columns - np.eye(len(values))).max()
        if defect > 1e-8:
            raise InvalidInputError(
                f"rotation must have orthonormal columns; R'R differs from the identity by {defect:.3g}."
            )
        return cls((columns * values) @ columns.T)

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.covariance.shape[0]

    @cached_property
    def _root(self) -> Matrix:
        return symmetric_root(self.covariance)

    @cached_property
    def _is_diagonal(self) -> bool:
        return np.count_nonzero(self.covariance - np.diag(np.diagonal(self.covariance))) == 0

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        z = draws.normals("x", n_points, self.dimension)
        if self._is_diagonal:
            scale = np.sqrt(np.diagonal(self.covariance))
            if np.any(scale != 1):
                z *= scale
            return z
        # einsum, not matmul: BLAS may round a row differently in blocks of another size.
        return np.einsum("bpj,ij->bpi", z, self._root, optimize=False)


@dataclass(frozen=True, eq=False)
class RandomDiagonal:
    """Inputs x ~ N(0, Λ_τ), Λ_τ = scale · diag(λ_1, …, λ_d) drawn anew in every prompt (§4.3 of the paper).

    Parameters
    ----------
    laws : sequence of frozen scipy.stats distributions
        Law of λ_i for each of the d coordinates, positive almost surely; independent of one another.
    scale : float
        The factor c of Figure 1. It multiplies the covariance, not x.

    Raises
    ------
    InvalidInputError
        If there is no law, a law has mass below 0, or the scale is not positive.

    Examples
    --------
    >>> from scipy.stats import expon
    >>> from iclab.prompts import Linear, PromptDistribution, RandomDiagonal
    >>> law = RandomDiagonal([expon(), expon(), expon()], scale=4)
    >>> PromptDistribution(law, Linear()).sample(2, 5, seed=0).xs.shape
    (2, 5, 3)
    """

    laws: tuple[Any, ...]
    scale: float = 1.0
    _distinct: tuple[Any, ...] = field(init=False, repr=False)

    def __init__(self, laws: Sequence[Any], scale: float = 1.0) -> None:
        laws = tuple(laws)
        if not laws:
            raise InvalidInputError("laws must hold one distribution per coordinate; none was given.")
        for i, law in enumerate(laws):
            if not callable(getattr(law, "ppf", None)) or not callable(getattr(law, "moment", None)):
                raise InvalidInputError(
                    f"laws[{i}] must be a frozen scipy.stats distribution such as expon(); {law!r} was given."
                )
            if law.support()[0] < 0:
                raise InvalidInputError(
                    f"laws[{i}] must be positive, as a variance is; its support starts at {law.support()[0]}."
                )
        object.__setattr__(self, "laws", laws)
        object.__setattr__(self, "scale", check_real(scale, "scale", above=0.0))
        object.__setattr__(self, "_distinct", tuple({id(law): law for law in laws}.values()))

    @classmethod
    def exponential(cls, dimension: int, scale: float = 1.0) -> RandomDiagonal:
        """λ_i ~ Exponential(1), independent: the random covariances of Figure 1."""
        from scipy.stats import expon

        return cls((expon(),) * check_integer(dimension, "dimension", minimum=1), scale)

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return len(self.laws)

    def moments(self, order: int) -> Float64[np.ndarray, " d"]:
        """E (scale · λ_i)^order for each coordinate, shape (d,); infinite where the law has none."""
        of_law = {id(law): law_moment(law, order) for law in self._distinct}
        return np.array([of_law[id(law)] for law in self.laws]) * self.scale**order

    def variances(self, draws: Draws) -> Float64[np.ndarray, "B d"]:
        """The diagonals of Λ_τ of the addressed prompts, shape (B, d)."""
        uniforms = draws.uniforms("covariance", self.dimension)
        values = np.empty_like(uniforms)
        for law in self._distinct:
            columns = [i for i, other in enumerate(self.laws) if other is law]
            values[:, columns] = law.ppf(uniforms[:, columns])
        return self.scale * values

    def covariances(self, draws: Draws) -> Matrices:
        """Λ_τ of the addressed prompts, shape (B, d, d)."""
        return self.variances(draws)[..., None] * np.eye(self.dimension)

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        z = draws.normals("x", n_points, self.dimension)
        z *= np.sqrt(self.variances(draws))[:, None, :]
        return z
