"""Functions whose values are vectors: linear maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iclab.foundations import Draws, Matrix, check_integer
from iclab.prompts.labels import Labels
from iclab.prompts.tasks import Functions


@dataclass(frozen=True)
class VectorLinear:
    """h(x) = Wx ∈ R^k, all entries of W from N(0, 1), drawn per prompt.

    Parameters
    ----------
    outputs : int
        k, at least 1.

    Raises
    ------
    InvalidInputError
        If k is below 1.
    """

    outputs: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", check_integer(self.outputs, "outputs", minimum=1))

    @property
    def labels(self) -> Labels:
        """Vectors of k numbers."""
        return Labels("vector", self.outputs)

    def mean_square(self, covariance: Matrix) -> float:
        """E |h(x)|² = k tr Λ for x ~ N(0, Λ), shape (d, d)."""
        return self.outputs * float(np.trace(covariance))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts: inputs (B, P, d) to labels (B, P, k)."""
        weights = draws.normals("task", self.outputs, dimension)
        return lambda xs: np.einsum("bpd,bkd->bpk", xs, weights, optimize=False)
