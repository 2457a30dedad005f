"""Prompt distributions as configuration: plain data in, checked, ``build()`` out.

A specification is a frozen record with a ``kind`` that names what it builds, for example in YAML

    covariates: {kind: gaussian, dimension: 20}
    tasks: {kind: linear}
    noise: 0.5

``validated(PromptSpecification, data)`` turns such data into a specification or says in one sentence what is
wrong and which key or value is the closest known one.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from incontext.foundations import InvalidInputError
from incontext.prompts.covariates import Covariates, Gaussian, RandomDiagonal
from incontext.prompts.distribution import Outliers, PromptDistribution
from incontext.prompts.laws import Law, build_law
from incontext.prompts.nonlinear_tasks import DecisionTree, LinearClassification, Quadratic, ReluNetwork
from incontext.prompts.other_covariates import Autoregressive, StudentT, Uniform
from incontext.prompts.random_covariances import CovarianceMixture, RandomRotation, Wishart
from incontext.prompts.reading import plain, validated
from incontext.prompts.shift_table import shift as find_shift
from incontext.prompts.tasks import FinitePool, Linear, SparseLinear, Tasks

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Dimension: TypeAlias = Annotated[int, Field(ge=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0)]
Numbers: TypeAlias = tuple[float, ...]
Rows: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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
    matrix: tuple[tuple[float, ...], ...] | None = None

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
        if self.spectrum is not None:
            return Gaussian(np.diag(self.spectrum))
        assert self.dimension is not None
        return Gaussian.isotropic(self.dimension, self.variance)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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
        if self.laws is not None:
            return RandomDiagonal([build_law(law) for law in self.laws], self.scale)
        assert self.dimension is not None
        return RandomDiagonal((build_law(self.law),) * self.dimension, self.scale)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RandomRotationSpecification:
    """Gaussian inputs with covariance U diag(spectrum) U', U drawn per prompt."""

    kind: Literal["random_rotation"] = "random_rotation"
    spectrum: Numbers

    def build(self) -> RandomRotation:
        """The covariates."""
        return RandomRotation(self.spectrum)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CovarianceMixtureSpecification:
    """Gaussian inputs with one of several covariance ``matrices`` per prompt."""

    kind: Literal["covariance_mixture"] = "covariance_mixture"
    matrices: tuple[Rows, ...]
    probabilities: Numbers | None = None

    def build(self) -> CovarianceMixture:
        """The covariates."""
        return CovarianceMixture(self.matrices, self.probabilities)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class WishartSpecification:
    """Gaussian inputs with a Wishart covariance of mean I per prompt."""

    kind: Literal["wishart"] = "wishart"
    dimension: Dimension
    degrees: Annotated[int, Field(ge=1)]

    def build(self) -> Wishart:
        """The covariates."""
        return Wishart(np.eye(self.dimension), self.degrees)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StudentTSpecification:
    """Multivariate Student t inputs with scale matrix I."""

    kind: Literal["student_t"] = "student_t"
    dimension: Dimension
    degrees: Positive

    def build(self) -> StudentT:
        """The covariates."""
        return StudentT(np.eye(self.dimension), self.degrees)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class UniformSpecification:
    """Inputs uniform on [−half_width, half_width]^d."""

    kind: Literal["uniform"] = "uniform"
    dimension: Dimension
    half_width: Positive = 3**0.5

    def build(self) -> Uniform:
        """The covariates."""
        return Uniform(self.dimension, self.half_width)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class AutoregressiveSpecification:
    """Gaussian inputs N(0, I) with correlation ``coefficient`` between consecutive ones."""

    kind: Literal["autoregressive"] = "autoregressive"
    dimension: Dimension
    coefficient: float

    def build(self) -> Autoregressive:
        """The covariates."""
        return Autoregressive(np.eye(self.dimension), self.coefficient)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LinearSpecification:
    """Linear tasks w ~ N(0, W), W = ``weight_covariance`` or the identity."""

    kind: Literal["linear"] = "linear"
    weight_covariance: Rows | None = None

    def build(self) -> Linear:
        """The tasks."""
        return Linear(self.weight_covariance)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SparseLinearSpecification:
    """Linear tasks with ``nonzeros`` random nonzero weights."""

    kind: Literal["sparse_linear"] = "sparse_linear"
    nonzeros: Annotated[int, Field(ge=1)] = 3

    def build(self) -> SparseLinear:
        """The tasks."""
        return SparseLinear(self.nonzeros)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class FinitePoolSpecification:
    """Linear tasks from a pool of ``n_tasks`` weight vectors, themselves drawn from N(0, I) with ``seed``."""

    kind: Literal["finite_pool"] = "finite_pool"
    n_tasks: Annotated[int, Field(ge=1)]
    dimension: Dimension
    seed: Annotated[int, Field(ge=0)] = 0

    def build(self) -> FinitePool:
        """The tasks."""
        return FinitePool.gaussian(self.n_tasks, self.dimension, seed=self.seed)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class QuadraticSpecification:
    """Tasks Σ w_i x_i²/√3."""

    kind: Literal["quadratic"] = "quadratic"

    def build(self) -> Quadratic:
        """The tasks."""
        return Quadratic()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ReluNetworkSpecification:
    """Random two-layer networks of width ``hidden``."""

    kind: Literal["relu_network"] = "relu_network"
    hidden: Annotated[int, Field(ge=1)] = 100

    def build(self) -> ReluNetwork:
        """The tasks."""
        return ReluNetwork(self.hidden)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DecisionTreeSpecification:
    """Random decision trees of a ``depth``."""

    kind: Literal["decision_tree"] = "decision_tree"
    depth: Annotated[int, Field(ge=0, le=20)] = 4

    def build(self) -> DecisionTree:
        """The tasks."""
        return DecisionTree(self.depth)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class LinearClassificationSpecification:
    """Tasks sign(w'x)."""

    kind: Literal["linear_classification"] = "linear_classification"

    def build(self) -> LinearClassification:
        """The tasks."""
        return LinearClassification()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class OutliersSpecification:
    """Labels that with a ``probability`` get noise of standard deviation ``scale`` on top."""

    probability: Annotated[float, Field(ge=0, le=1)]
    scale: NonNegative

    def build(self) -> Outliers:
        """The outliers."""
        return Outliers(self.probability, self.scale)


CovariatesSpecification: TypeAlias = Annotated[
    GaussianSpecification
    | RandomDiagonalSpecification
    | RandomRotationSpecification
    | CovarianceMixtureSpecification
    | WishartSpecification
    | StudentTSpecification
    | UniformSpecification
    | AutoregressiveSpecification,
    Field(discriminator="kind"),
]
TasksSpecification: TypeAlias = Annotated[
    LinearSpecification
    | SparseLinearSpecification
    | FinitePoolSpecification
    | QuadraticSpecification
    | ReluNetworkSpecification
    | DecisionTreeSpecification
    | LinearClassificationSpecification,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PromptSpecification:
    """A whole prompt distribution.

    Attributes
    ----------
    covariates, tasks : specification
        By their ``kind``.
    noise : float
        Standard deviation of the label noise.
    outliers : specification, optional
        Of the labels.
    shift : str
        Name of a shift to apply, or several joined by ``+``; "standard" for none.
    """

    covariates: CovariatesSpecification
    tasks: TasksSpecification = Field(default_factory=LinearSpecification)
    noise: NonNegative = 0.0
    outliers: OutliersSpecification | None = None
    shift: str = "standard"

    def __post_init__(self) -> None:
        find_shift(self.shift)

    def build(self) -> PromptDistribution:
        """The distribution."""
        covariates: Covariates = self.covariates.build()
        tasks: Tasks = self.tasks.build()
        outliers = None if self.outliers is None else self.outliers.build()
        return find_shift(self.shift).apply(PromptDistribution(covariates, tasks, self.noise, outliers))


__all__ = [
    "CovariatesSpecification",
    "PromptSpecification",
    "TasksSpecification",
    "build_law",
    "plain",
    "validated",
]
