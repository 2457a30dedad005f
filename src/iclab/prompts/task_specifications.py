"""Laws of functions as configuration: one record per ``kind``."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from iclab.prompts.nonlinear_laws import Cubic, LinearPlusQuadratic
from iclab.prompts.nonlinear_tasks import (
    DecisionTree,
    LinearClassification,
    Quadratic,
    ReluNetwork,
    Scaled,
    TaskMixture,
)
from iclab.prompts.own_tasks import OwnTasksSpecification
from iclab.prompts.reading import STRICT, Dimension, Numbers, Rows
from iclab.prompts.tasks import FinitePool, FixedLinear, Linear, SparseLinear


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LinearSpecification:
    """Linear tasks w ~ N(0, W), W = ``weight_covariance`` or the identity."""

    kind: Literal["linear"] = "linear"
    weight_covariance: Rows | None = None

    def build(self) -> Linear:
        """The tasks."""
        return Linear(self.weight_covariance)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SparseLinearSpecification:
    """Linear tasks with ``nonzeros`` random nonzero weights."""

    kind: Literal["sparse_linear"] = "sparse_linear"
    nonzeros: Annotated[int, Field(ge=1)] = 3

    def build(self) -> SparseLinear:
        """The tasks."""
        return SparseLinear(self.nonzeros)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FinitePoolSpecification:
    """Linear tasks from a pool of ``n_tasks`` weight vectors, themselves drawn from N(0, I) with ``seed``."""

    kind: Literal["finite_pool"] = "finite_pool"
    n_tasks: Annotated[int, Field(ge=1)]
    dimension: Dimension
    seed: Annotated[int, Field(ge=0)] = 0

    def build(self) -> FinitePool:
        """The tasks."""
        return FinitePool.gaussian(self.n_tasks, self.dimension, seed=self.seed)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class QuadraticSpecification:
    """Tasks Σ w_i x_i²/√3."""

    kind: Literal["quadratic"] = "quadratic"

    def build(self) -> Quadratic:
        """The tasks."""
        return Quadratic()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReluNetworkSpecification:
    """Random two-layer networks of width ``hidden``."""

    kind: Literal["relu_network"] = "relu_network"
    hidden: Annotated[int, Field(ge=1)] = 100

    def build(self) -> ReluNetwork:
        """The tasks."""
        return ReluNetwork(self.hidden)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DecisionTreeSpecification:
    """Random decision trees of a ``depth``."""

    kind: Literal["decision_tree"] = "decision_tree"
    depth: Annotated[int, Field(ge=0, le=20)] = 4

    def build(self) -> DecisionTree:
        """The tasks."""
        return DecisionTree(self.depth)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LinearClassificationSpecification:
    """Tasks sign(w'x)."""

    kind: Literal["linear_classification"] = "linear_classification"

    def build(self) -> LinearClassification:
        """The tasks."""
        return LinearClassification()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FixedLinearSpecification:
    """The one linear task w'x, w = ``weight_vector``."""

    kind: Literal["fixed_linear"] = "fixed_linear"
    weight_vector: Numbers

    def build(self) -> FixedLinear:
        """The tasks."""
        return FixedLinear(self.weight_vector)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LinearPlusQuadraticSpecification:
    """The one task w'x + c((v'x)² − v'Λv).

    Attributes
    ----------
    weight_vector, direction : list of float
        w and v.
    coefficient : float
        c.
    covariance : list of list of float
        Λ, which centres the square.
    """

    kind: Literal["linear_plus_quadratic"] = "linear_plus_quadratic"
    weight_vector: Numbers
    direction: Numbers
    coefficient: float
    covariance: Rows

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> LinearPlusQuadratic:
        """The tasks."""
        return LinearPlusQuadratic(self.weight_vector, self.direction, self.coefficient, self.covariance)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CubicSpecification:
    """The one task c(v'x)³, v = ``direction`` and c = ``coefficient``."""

    kind: Literal["cubic"] = "cubic"
    direction: Numbers
    coefficient: float

    def build(self) -> Cubic:
        """The tasks."""
        return Cubic(self.direction, self.coefficient)


PlainTasksSpecification: TypeAlias = (
    LinearSpecification
    | FixedLinearSpecification
    | SparseLinearSpecification
    | FinitePoolSpecification
    | LinearPlusQuadraticSpecification
    | CubicSpecification
    | QuadraticSpecification
    | ReluNetworkSpecification
    | DecisionTreeSpecification
    | LinearClassificationSpecification
    | OwnTasksSpecification
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScaledSpecification:
    """Labels and targets of ``tasks`` times ``factor``."""

    kind: Literal["scaled"] = "scaled"
    tasks: Annotated[PlainTasksSpecification, Field(discriminator="kind")]
    factor: float

    def build(self) -> Scaled:
        """The tasks."""
        return Scaled(self.tasks.build(), self.factor)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TaskMixtureSpecification:
    """One of several laws of tasks per prompt.

    Attributes
    ----------
    members : list of specification
        The laws, of any kind but mixtures: a mixture of mixtures is a mixture.
    probabilities : list of float, optional
        Of the members; uniform when omitted.
    """

    kind: Literal["task_mixture"] = "task_mixture"
    members: tuple[Annotated[PlainTasksSpecification | ScaledSpecification, Field(discriminator="kind")], ...]
    probabilities: Numbers | None = None

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> TaskMixture:
        """The tasks."""
        return TaskMixture([member.build() for member in self.members], self.probabilities)


TasksSpecification: TypeAlias = Annotated[
    PlainTasksSpecification | ScaledSpecification | TaskMixtureSpecification, Field(discriminator="kind")
]
