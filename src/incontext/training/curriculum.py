"""Curricula as data: what a training step sees grows with the step.

Garg et al. (2022) train on few dimensions and few points first. Coordinates beyond the current dimension are
zero before the prompt is labelled, so the labels depend on the visible coordinates only.
"""

from __future__ import annotations

from dataclasses import dataclass as plain
from typing import NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from incontext.foundations import Draws, PromptInputs
from incontext.prompts import Covariates


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Ramp:
    """A whole number that grows from ``start`` to ``end`` by ``increment`` every ``every`` steps, from ``begin`` on."""

    start: int = Field(ge=1)
    end: int = Field(ge=1)
    increment: int = Field(default=1, ge=1)
    every: int = Field(default=100, ge=1)
    begin: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"end must be at least start; {self.end} and {self.start} were given")
        return self

    def at(self, step: int) -> int:
        """The value at a step."""
        return min(self.end, self.start + self.increment * (max(0, step - self.begin) // self.every))

    @property
    def last_change(self) -> int:
        """The step from which on the value is ``end``."""
        changes = -(-(self.end - self.start) // self.increment)
        return self.begin + changes * self.every if changes else 0


class Stage(NamedTuple):
    """What a step sees: visible dimensions and points per prompt."""

    dimensions: int
    points: int


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Curriculum:
    """What grows with the step; None means everything from the start.

    Attributes
    ----------
    dimensions, points : Ramp
        Visible dimensions, and points per prompt.
    examples_per_dimension : int
        While not all dimensions are seen, prompts hold at most this many examples per visible dimension.
    """

    dimensions: Ramp | None = None
    points: Ramp | None = None
    examples_per_dimension: int | None = Field(default=None, ge=1)

    def at(self, step: int, dimension: int, n_points: int) -> Stage:
        """The stage of a step of a training on ``dimension`` dimensions and ``n_points`` points."""
        dimensions = dimension if self.dimensions is None else min(dimension, self.dimensions.at(step))
        points = n_points if self.points is None else min(n_points, self.points.at(step))
        if self.examples_per_dimension is not None and dimensions < dimension:
            points = min(points, self.examples_per_dimension * dimensions + 1)
        return Stage(dimensions, points)

    @property
    def last_change(self) -> int:
        """The step from which on nothing changes any more."""
        return max(0 if ramp is None else ramp.last_change for ramp in (self.dimensions, self.points))


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
