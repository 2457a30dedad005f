"""Laws of inputs as configuration: one record per ``kind``."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from iclab.foundations import InvalidInputError
from iclab.prompts.covariates import Gaussian, RandomDiagonal
from iclab.prompts.laws import Law, build_law
from iclab.prompts.other_covariates import Affine, Autoregressive, StudentT, Uniform
from iclab.prompts.random_covariances import CovarianceMixture, RandomRotation, Wishart
from iclab.prompts.reading import STRICT, Dimension, NonNegative, Numbers, Positive, Rows


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GaussianSpecification:
    """Gaussian inputs: by dimension (and variance), by spectrum, or by the whole matrix.

    Attributes
    ----------
    dimension : int, optional
        d, with Λ = variance · I.
    variance : float
        Used with ``dimension``.
    spectrum : list of float, optional
        Eigenvalues of a diagonal Λ.
    matrix : list of list of float, optional
        Λ itself.
    """

    kind: Literal["gaussian"] = "gaussian"
    dimension: Dimension | None = None
    variance: NonNegative = 1.0
    spectrum: tuple[NonNegative, ...] | None = None
    matrix: Rows | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("dimension", "spectrum", "matrix") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidInputError(
                "gaussian covariates must be given by exactly one of dimension, spectrum and matrix; "
                f"{' and '.join(given) if given else 'none'} was given."
            )

    def build(self) -> Gaussian:
        """The covariates."""
        if self.matrix is not None:
            return Gaussian(np.array(self.matrix))
        if self.dimension is not None:
            return Gaussian.isotropic(self.dimension, self.variance)
        return Gaussian(np.diag(self.spectrum or ()))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RandomDiagonalSpecification:
    """Gaussian inputs with a diagonal covariance drawn per prompt.

    Attributes
    ----------
    dimension : int, optional
        d, with one ``law`` for every coordinate.
    law : mapping
        Law of each λ_i, for example ``{name: expon, scale: 1}``.
    laws : list of mapping, optional
        One law per coordinate, instead of ``dimension`` and ``law``.
    scale : float
        Factor of the covariance.
    """

    kind: Literal["random_diagonal"] = "random_diagonal"
    dimension: Dimension | None = None
    law: Law = Field(default_factory=lambda: {"name": "expon", "scale": 1.0})
    laws: tuple[Law, ...] | None = None
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        if (self.dimension is None) == (self.laws is None):
            raise InvalidInputError(
                "random_diagonal covariates must be given by either dimension (with one law for all coordinates) "
                "or laws (one per coordinate)."
            )

    def build(self) -> RandomDiagonal:
        """The covariates."""
        if self.dimension is not None:
            return RandomDiagonal((build_law(self.law),) * self.dimension, self.scale)
        return RandomDiagonal([build_law(law) for law in self.laws or ()], self.scale)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RandomRotationSpecification:
    """Gaussian inputs with covariance U diag(spectrum) U', U drawn per prompt."""

    kind: Literal["random_rotation"] = "random_rotation"
    spectrum: Numbers

    def build(self) -> RandomRotation:
        """The covariates."""
        return RandomRotation(self.spectrum)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CovarianceMixtureSpecification:
    """Gaussian inputs with one of several covariance ``matrices`` per prompt."""

    kind: Literal["covariance_mixture"] = "covariance_mixture"
    matrices: tuple[Rows, ...]
    probabilities: Numbers | None = None

    def build(self) -> CovarianceMixture:
        """The covariates."""
        return CovarianceMixture(self.matrices, self.probabilities)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WishartSpecification:
    """Gaussian inputs with a Wishart covariance of mean I per prompt."""

    kind: Literal["wishart"] = "wishart"
    dimension: Dimension
    degrees: Annotated[int, Field(ge=1)]

    def build(self) -> Wishart:
        """The covariates."""
        return Wishart(np.eye(self.dimension), self.degrees)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StudentTSpecification:
    """Multivariate Student t inputs with scale matrix I."""

    kind: Literal["student_t"] = "student_t"
    dimension: Dimension
    degrees: Positive

    def build(self) -> StudentT:
        """The covariates."""
        return StudentT(np.eye(self.dimension), self.degrees)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class UniformSpecification:
    """Inputs uniform on [−half_width, half_width]^d."""

    kind: Literal["uniform"] = "uniform"
    dimension: Dimension
    half_width: Positive = 3**0.5

    def build(self) -> Uniform:
        """The covariates."""
        return Uniform(self.dimension, self.half_width)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AutoregressiveSpecification:
    """Gaussian inputs N(0, I) with correlation ``coefficient`` between consecutive ones."""

    kind: Literal["autoregressive"] = "autoregressive"
    dimension: Dimension
    coefficient: float

    def build(self) -> Autoregressive:
        """The covariates."""
        return Autoregressive(np.eye(self.dimension), self.coefficient)


PlainCovariatesSpecification: TypeAlias = (
    GaussianSpecification
    | RandomDiagonalSpecification
    | RandomRotationSpecification
    | CovarianceMixtureSpecification
    | WishartSpecification
    | StudentTSpecification
    | UniformSpecification
    | AutoregressiveSpecification
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AffineSpecification:
    """Inputs ``scale`` · x + ``bias``, x of the law ``covariates``.

    Attributes
    ----------
    covariates : specification
        Law of x, of any other kind.
    scale : float
        Multiplies x (not its covariance); not 0.
    bias : float or list of float
        Added to every coordinate, or one number per coordinate.
    """

    kind: Literal["affine"] = "affine"
    covariates: Annotated[PlainCovariatesSpecification, Field(discriminator="kind")]
    scale: float = 1.0
    bias: float | Numbers = 0.0

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> Affine:
        """The covariates."""
        return Affine(self.covariates.build(), self.scale, self.bias)


CovariatesSpecification: TypeAlias = Annotated[
    PlainCovariatesSpecification | AffineSpecification, Field(discriminator="kind")
]
