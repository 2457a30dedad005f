"""Laws of functions as configuration; ``docs/configuration.md`` says what the fields mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from iclab.prompts.boolean_functions import Conjunction, Disjunction, Majority, Parity, SparseParity
from iclab.prompts.classification import Binary
from iclab.prompts.feature_functions import FourierSums, Monomials
from iclab.prompts.kinds import Record, one_of, record, records, row
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
from iclab.prompts.reading import Count, Dimension, Numbers, Positive, Rows
from iclab.prompts.recall import Lookup
from iclab.prompts.structured_linear import CentredLinear, LowRank, RandomScaleLinear, SignVectors
from iclab.prompts.tasks import FinitePool, FixedLinear, Linear, SparseLinear
from iclab.prompts.vector_functions import VectorLinear

_Share = Annotated[float, Field(ge=0, le=1)]
# Every task of a pool is drawn when it is read: 2 µs each.
_Pool = Annotated[int, Field(ge=1, le=2**20)]
_AboveOne = Annotated[float, Field(gt=1)]

TASKS = records(
    "TASKS",
    __name__,
    {
        "linear": row(Linear, weight_covariance=(Rows | None, None)),
        "fixed_linear": row(FixedLinear, weight_vector=Numbers),
        "sparse_linear": row(SparseLinear, nonzeros=(Count, 3)),
        "finite_pool": row(
            FinitePool.gaussian, n_tasks=_Pool, dimension=Dimension, seed=(Annotated[int, Field(ge=0)], 0)
        ),
        "linear_plus_quadratic": row(
            LinearPlusQuadratic, weight_vector=Numbers, direction=Numbers, coefficient=float, covariance=Rows
        ),
        "cubic": row(Cubic, direction=Numbers, coefficient=float),
        "quadratic": row(Quadratic),
        "relu_network": row(ReluNetwork, hidden=(Count, 100)),
        "decision_tree": row(DecisionTree, depth=(Annotated[int, Field(ge=0, le=20)], 4)),
        "linear_classification": row(LinearClassification),
        "conjunction": row(Conjunction, probability=(_Share, 0.1)),
        "disjunction": row(Disjunction, probability=(_Share, 0.1)),
        "majority": row(Majority, size=(Count, 3)),
        "parity": row(Parity),
        "sparse_parity": row(SparseParity, size=(Count, 2)),
        "lookup": row(Lookup, n_classes=Annotated[int, Field(ge=2)]),
        "sign_vectors": row(SignVectors),
        "random_scale_linear": row(RandomScaleLinear, largest=(_AboveOne, 3.0)),
        "low_rank": row(LowRank, rows=Count, columns=Count, rank=(Count, 1)),
        "centred_linear": row(CentredLinear, centre=Numbers),
        "fourier_sums": row(FourierSums, frequencies=(Annotated[int, Field(ge=0)], 10), half_width=(Positive, 5.0)),
        "monomials": row(Monomials, terms=(Count | None, None)),
        "vector_linear": row(VectorLinear, outputs=Count),
    },
)
_PLAIN = (*vars(TASKS).values(), OwnTasksSpecification)
ScaledSpecification = record(
    "ScaledSpecification", __name__, "scaled", row(Scaled, tasks=one_of(*_PLAIN), factor=float)
)
BinarySpecification = record(
    "BinarySpecification",
    __name__,
    "binary",
    row(
        Binary,
        tasks=one_of(*_PLAIN),
        link=(Literal["sign", "logistic"], "sign"),
        flips=(Annotated[float, Field(ge=0, le=0.5)], 0.0),
        slope=(float, 1.0),
    ),
)
# Of any kind but mixtures: a mixture of mixtures is a mixture.
TaskMixtureSpecification = record(
    "TaskMixtureSpecification",
    __name__,
    "task_mixture",
    row(
        TaskMixture,
        members=tuple[one_of(*_PLAIN, ScaledSpecification, BinarySpecification), ...],
        probabilities=(Numbers | None, None),
    ),
)

if TYPE_CHECKING:
    TasksSpecification: TypeAlias = Record
else:
    TasksSpecification = one_of(*_PLAIN, ScaledSpecification, BinarySpecification, TaskMixtureSpecification)
