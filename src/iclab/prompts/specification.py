"""Prompt distributions as configuration: plain data in, checked, ``build()`` out.

A specification is a frozen record with a ``kind`` that names what it builds, for example in YAML

    covariates: {kind: gaussian, dimension: 20}
    tasks: {kind: linear}
    noise: 0.5

``validated(PromptSpecification, data)`` turns such data into a specification or says in one sentence what is
wrong and which key or value is the closest known one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from iclab.foundations.own_code import CodeNotAllowedError
from iclab.prompts.covariate_specifications import CovariatesSpecification
from iclab.prompts.distribution import Outliers, PromptDistribution
from iclab.prompts.laws import build_law
from iclab.prompts.reading import STRICT, NonNegative, plain, validated
from iclab.prompts.shift_table import shift as find_shift
from iclab.prompts.task_specifications import TASKS, TasksSpecification


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OutliersSpecification:
    """Labels, or ``whole`` prompts, that with a ``probability`` get noise of standard deviation ``scale`` on top."""

    probability: Annotated[float, Field(ge=0, le=1)]
    scale: NonNegative
    whole: bool = False

    def build(self) -> Outliers:
        """The outliers."""
        return Outliers(self.probability, self.scale, self.whole)


@dataclass(frozen=True, kw_only=True, config=STRICT)
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
    tasks: TasksSpecification = Field(default_factory=TASKS.linear)
    noise: NonNegative = 0.0
    outliers: OutliersSpecification | None = None
    shift: str = "standard"

    def __post_init__(self) -> None:
        # One point says whether covariates, tasks and shift go together.
        with suppress(CodeNotAllowedError):  # what nobody allowed to run is not tried
            self.build().sample(1, 1, seed=0)

    def build(self) -> PromptDistribution:
        """The distribution."""
        outliers = None if self.outliers is None else self.outliers.build()
        plain = PromptDistribution(self.covariates.build(), self.tasks.build(), self.noise, outliers)
        return find_shift(self.shift).apply(plain)


__all__ = [
    "CovariatesSpecification",
    "PromptSpecification",
    "TasksSpecification",
    "build_law",
    "plain",
    "validated",
]
