"""Curricula as data: what a training step sees changes with the step.

Garg et al. (2022) train on few dimensions and few points first. Coordinates beyond the current dimension are
zero before the prompt is labelled, so the labels depend on the visible coordinates only. Any other number of the
prompts, of the optimiser, or the batch size can move in the same way, by its dotted name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass as plain
from dataclasses import field
from typing import NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from iclab.foundations import Draws, PromptInputs
from iclab.prompts import Covariates

# What a step may see changed: the rest of a configuration is one thing for the whole run.
FIELDS = ("prompts", "optimizer", "batch_size", "model.loops")


# Most changes of a ramp.
_INCREMENTS = 10**9


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Ramp:
    """A number that moves from ``start`` to ``end`` by ``increment`` every ``every`` steps, from ``begin`` on.

    Whole numbers stay whole.
    """

    start: int | float
    end: int | float
    increment: int | float = Field(default=1, gt=0)
    every: int = Field(default=100, ge=1, le=10**12)
    begin: int = Field(default=0, ge=0, le=10**12)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if not abs(float(self.end) - float(self.start)) <= _INCREMENTS * float(self.increment):
            raise ValueError(f"a ramp must end after at most {_INCREMENTS} increments")
        return self

    def at(self, step: int) -> int | float:
        """The value at a step."""
        moved = self.increment * (max(0, step - self.begin) // self.every)
        if moved >= abs(self.end - self.start):
            return self.end
        return self.start + moved if self.end > self.start else self.start - moved

    @property
    def last_change(self) -> int:
        """The step from which on the value is ``end``."""
        changes = math.ceil(abs(self.end - self.start) / self.increment)
        # Rounding may leave the last increment a hair short, or one too many.
        while changes and self.increment * (changes - 1) >= abs(self.end - self.start):
            changes -= 1
        while self.increment * changes < abs(self.end - self.start):
            changes += 1
        return self.begin + changes * self.every if changes else 0

    @property
    def counts(self) -> bool:
        """Whether it is a number of things that grows: whole, and from at least 1 up."""
        whole = all(float(value).is_integer() for value in (self.start, self.end, self.increment))
        return whole and 1 <= self.start <= self.end


class Stage(NamedTuple):
    """What a step sees: visible dimensions and points per prompt."""

    dimensions: int
    points: int


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Curriculum:
    """What changes with the step; None means everything from the start.

    Attributes
    ----------
    dimensions, points : Ramp
        Visible dimensions, and points per prompt; both grow.
    examples_per_dimension : int
        While not all dimensions are seen, prompts hold at most this many examples per visible dimension.
    fields : mapping of str to Ramp
        Any other number that a step sees, by its dotted name in the configuration: of the prompts
        (``prompts.noise``, ``prompts.covariates.variance``), of the optimiser (``optimizer.learning_rate``, its peak,
        which the schedule multiplies; ``optimizer.momentum``, …), ``batch_size``, or ``model.loops``. Targets follow
        the prompts of the step. Held-out prompts are those of the configuration itself.
    """

    dimensions: Ramp | None = None
    points: Ramp | None = None
    examples_per_dimension: int | None = Field(default=None, ge=1)
    fields: Mapping[str, Ramp] = field(default_factory=dict)

    @model_validator(mode="after")
    def _reasonable(self) -> Self:
        for name, ramp in (("dimensions", self.dimensions), ("points", self.points)):
            if ramp is not None and not ramp.counts:
                raise ValueError(
                    f"{name} must grow in whole numbers from at least 1, its end at least start; {ramp} was given"
                )
        for name in self.fields:
            if name.split(".")[0] not in FIELDS and name not in FIELDS:
                raise ValueError(f"a ramp must be of a field of {', '.join(FIELDS)}; {name!r} was given")
        return self

    def at(self, step: int, dimension: int, n_points: int) -> Stage:
        """The stage of a step of a training on ``dimension`` dimensions and ``n_points`` points."""
        dimensions = dimension if self.dimensions is None else min(dimension, int(self.dimensions.at(step)))
        points = n_points if self.points is None else min(n_points, int(self.points.at(step)))
        if self.examples_per_dimension is not None and dimensions < dimension:
            points = min(points, self.examples_per_dimension * dimensions + 1)
        return Stage(dimensions, points)

    @property
    def last_change(self) -> int:
        """The step from which on nothing changes any more."""
        ramps = [ramp for ramp in (self.dimensions, self.points, *self.fields.values()) if ramp is not None]
        return max((ramp.last_change for ramp in ramps), default=0)


@plain(frozen=True, eq=False)
class Truncated:
    """Covariates of which only the first ``visible`` coordinates are seen; the others are 0."""

    covariates: Covariates
    visible: int

    @property
    def dimension(self) -> int:
        """Length d of an input, hidden coordinates included."""
        return self.covariates.dimension

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        xs = self.covariates.sample(draws, n_points)
        xs[..., self.visible :] = 0
        return xs
