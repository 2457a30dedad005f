"""Associative recall: categories as inputs, each with a class of its own that the prompt shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iclab.foundations import Draws, Matrix, PromptInputs, check_integer
from iclab.prompts.labels import Labels, Law
from iclab.prompts.tasks import Functions


@dataclass(frozen=True)
class Categories:
    """Inputs that are one of ``count`` categories, equally likely, as indicator vectors.

    A linear map of an indicator is an embedding, so models and predictors read them as any other inputs.

    Parameters
    ----------
    count : int
        Number of categories, the dimension d of an input.

    Raises
    ------
    InvalidInputError
        If it is below 1.
    """

    count: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", check_integer(self.count, "count", minimum=1))

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.count

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        drawn = (draws.uniforms("x", n_points) * self.count).astype(np.int64)
        return np.eye(self.count)[drawn]


@dataclass(frozen=True)
class Lookup:
    """Every category has a class, drawn per prompt: recall of what was shown (Arora et al. 2024, without fillers).

    Parameters
    ----------
    n_classes : int
        k; all equally likely and independent.

    Raises
    ------
    InvalidInputError
        If it is below 2.
    """

    n_classes: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_classes", check_integer(self.n_classes, "n_classes", minimum=2))

    @property
    def labels(self) -> Labels:
        """Classes."""
        return Labels("class", self.n_classes)

    def mean_square(self, covariance: Matrix) -> float:
        """1: every label is one of the classes; Λ has shape (d, d)."""
        return 1.0

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The laws of the addressed prompts: indicators (B, P, d) to indicators of classes (B, P, k)."""
        table = (draws.uniforms("task", dimension) * self.n_classes).astype(np.int64)

        def laws(xs: PromptInputs) -> Law:
            classes = np.take_along_axis(table, xs.argmax(axis=2), axis=1)
            return np.eye(self.n_classes)[classes]

        return laws
