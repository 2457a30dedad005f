"""A law of functions or inputs of your own in a configuration, named as ``module:object``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Any, Literal, Self

import numpy as np
from pydantic import ValidationInfo, model_validator
from pydantic.dataclasses import dataclass

from iclab.foundations import Draws, InvalidInputError, Matrix, PromptInputs, PromptLabels, check_integer, check_kind
from iclab.foundations.own_code import CodeNotAllowedError, defined_at, import_object, own_errors
from iclab.prompts.labels import Labels, labels_of
from iclab.prompts.reading import STRICT, code_allowed, note_consent
from iclab.prompts.tasks import Functions


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OwnTasksSpecification:
    """Tasks or covariates of your own, made by an importable class or function.

    What it makes has ``draw`` and ``mean_square`` (see ``Tasks``), or ``dimension`` and ``sample``. The configuration
    holds the name, not the code: keep the module with the run. It is looked for where Python finds modules, and in the
    current folder. Reading a configuration imports nothing: the code runs only if that was allowed (docs/security.md).

    Attributes
    ----------
    object : str
        ``module:object``.
    arguments : mapping
        Keyword arguments that it is called with.
    """

    kind: Literal["own"] = "own"
    object: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @model_validator(mode="after")
    def _note_consent(self, info: ValidationInfo) -> Self:
        note_consent(self, self.object, info)
        return self

    def build(self) -> Any:
        """The tasks or covariates.

        Raises
        ------
        InvalidInputError
            If running the code was not allowed, there is no such object, or it does not take the arguments.
        """
        if not code_allowed(self):
            raise CodeNotAllowedError(self.object)
        make = import_object(self.object)
        with own_errors(self.object, "must be callable with the arguments given"):
            made: Any = make(**self.arguments)
        if hasattr(made, "draw") and hasattr(made, "mean_square"):
            return OwnTasks(self.object, made)
        if hasattr(made, "sample") and hasattr(made, "dimension"):
            return OwnCovariates(self.object, made)
        return made  # whoever uses it says what it lacks


@plain_dataclass(frozen=True)
class OwnTasks:
    """A user's law of tasks, whose errors are told in one sentence that says where.

    Attributes
    ----------
    name : str
        ``module:object``.
    tasks : Tasks
        What it made.
    """

    name: str
    tasks: Any

    @property
    def labels(self) -> Labels:
        """What the labels are: real numbers unless the tasks say otherwise."""
        return labels_of(self.tasks)

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        with own_errors(self.name, "must draw functions"):
            function = self.tasks.draw(draws, dimension)

        def labels(xs: PromptInputs) -> PromptLabels:
            with own_errors(self.name, "must map inputs to labels"):
                returned = function(xs)
            shape = (*xs.shape[:2], *self.labels.answer_shape)
            return _reals(returned, shape, f"{self.name} must label every input with", defined_at(function))

        return labels

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² for x ~ N(0, Λ)."""
        with own_errors(self.name, "must give the mean square of its functions"):
            return float(self.tasks.mean_square(covariance))


@plain_dataclass(frozen=True)
class OwnCovariates:
    """A user's law of inputs, whose errors are told in one sentence that says where.

    Attributes
    ----------
    name : str
        ``module:object``.
    covariates : Covariates
        What it made.
    """

    name: str
    covariates: Any

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return check_integer(self.covariates.dimension, f"the dimension of {self.name}", minimum=1)

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        with own_errors(self.name, "must draw inputs"):
            returned = self.covariates.sample(draws, n_points)
        shape = (draws.count, n_points, self.dimension)
        return _reals(returned, shape, f"{self.name} must return for every coordinate", defined_at(self.covariates))


def _reals(returned: Any, shape: tuple[int, ...], must: str, place: str) -> Any:
    values = check_kind(returned.detach() if hasattr(returned, "detach") else returned, must.partition(" must")[0])
    if values.shape != shape or values.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"{must} one real number, shape {shape}; shape {values.shape} of {values.dtype} was returned{place}."
        )
    return np.asarray(values, dtype=np.float64)
