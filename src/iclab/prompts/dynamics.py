"""Sequences of vectors that follow a linear map of their own: y_{t+1} = W y_t."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from iclab.foundations import Draws, Matrices, check_choice, check_integer, check_real
from iclab.prompts.labels import Labels
from iclab.prompts.linear_algebra import orthogonal_from
from iclab.prompts.sequences import Sequences


@dataclass(frozen=True)
class LinearDynamics(Sequences):
    """Sequences y_0 ~ N(0, I), y_{t+1} = W y_t + noise · N(0, I) in R^k, W drawn per prompt.

    The noise-free label of position 0 is 0, its mean; that of position t is W y_{t−1}. With orthogonal W it is the
    setting of Sander et al. (2024, "How do transformers perform in-context autoregressive learning?").

    Parameters
    ----------
    size : int
        k, length of a vector.
    law : {"orthogonal", "gaussian"}
        W uniform on the orthogonal group, or with entries N(0, scale²/k).
    noise : float
        Standard deviation of what is added at every step.
    scale : float
        Positive; of Gaussian W, whose spectral radius is about ``scale``. Above 1 sequences grow.

    Raises
    ------
    InvalidInputError
        If a number is out of range or there is no such law.
    """

    size: int
    law: Literal["orthogonal", "gaussian"] = "orthogonal"
    noise: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_integer(self.size, "size", minimum=1))
        check_choice(self.law, "law", ("orthogonal", "gaussian"))
        object.__setattr__(self, "noise", check_real(self.noise, "noise", minimum=0.0))
        object.__setattr__(self, "scale", check_real(self.scale, "scale", above=0.0))

    @property
    def labels(self) -> Labels:
        """Vectors of k numbers."""
        return Labels("vector", self.size)

    def maps(self, draws: Draws) -> Matrices:
        """W of the addressed prompts, shape (B, k, k)."""
        normals = draws.normals("task", self.size, self.size)
        return orthogonal_from(normals) if self.law == "orthogonal" else normals * (self.scale / np.sqrt(self.size))

    def draw(self, draws: Draws, n_points: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels and W times the label before, 0 at position 0, both (B, P, k)."""
        maps = self.maps(draws)
        steps = draws.normals("noise", n_points, self.size)
        steps[:, 1:] *= self.noise
        truth = np.zeros_like(steps)
        ys = steps
        for t in range(1, n_points):
            truth[:, t] = np.einsum("bij,bj->bi", maps, ys[:, t - 1], optimize=False)
            ys[:, t] += truth[:, t]
        return ys, truth
