"""Laws of functions as configuration; ``docs/configuration.md`` says what the fields mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field

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
from iclab.prompts.reading import Count, Dimension, Numbers, Rows
from iclab.prompts.tasks import FinitePool, FixedLinear, Linear, SparseLinear

TASKS = records(
    "TASKS",
    __name__,
    {
        "linear": row(Linear, weight_covariance=(Rows | None, None)),
        "fixed_linear": row(FixedLinear, weight_vector=Numbers),
        "sparse_linear": row(SparseLinear, nonzeros=(Count, 3)),
        "finite_pool": row(
            FinitePool.gaussian, n_tasks=Count, dimension=Dimension, seed=(Annotated[int, Field(ge=0)], 0)
        ),
        "linear_plus_quadratic": row(
            LinearPlusQuadratic, weight_vector=Numbers, direction=Numbers, coefficient=float, covariance=Rows
        ),
        "cubic": row(Cubic, direction=Numbers, coefficient=float),
        "quadratic": row(Quadratic),
        "relu_network": row(ReluNetwork, hidden=(Count, 100)),
        "decision_tree": row(DecisionTree, depth=(Annotated[int, Field(ge=0, le=20)], 4)),
        "linear_classification": row(LinearClassification),
    },
)
_PLAIN = (*vars(TASKS).values(), OwnTasksSpecification)
ScaledSpecification = record(
    "ScaledSpecification", __name__, "scaled", row(Scaled, tasks=one_of(*_PLAIN), factor=float)
)
# Of any kind but mixtures: a mixture of mixtures is a mixture.
TaskMixtureSpecification = record(
    "TaskMixtureSpecification",
    __name__,
    "task_mixture",
    row(TaskMixture, members=tuple[one_of(*_PLAIN, ScaledSpecification), ...], probabilities=(Numbers | None, None)),
)

if TYPE_CHECKING:
    TasksSpecification: TypeAlias = Record
else:
    TasksSpecification = one_of(*_PLAIN, ScaledSpecification, TaskMixtureSpecification)
