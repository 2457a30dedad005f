"""Laws of the function h that labels a prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from incontext.foundations import Draws, Matrix, PromptInputs, PromptLabels, check_covariance

# The functions h of B prompts, one each: inputs (B, P, d) to noise-free labels (B, P).
Functions: TypeAlias = Callable[[PromptInputs], PromptLabels]


@runtime_checkable
class Tasks(Protocol):
    """A law of functions h: draws one per prompt and applies it to inputs."""

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts, as one map from inputs (B, P, d) to labels (B, P)."""
        ...


class Linear:
    """h(x) = w'x with w ~ N(0, W), drawn per prompt (§3.3 of the paper, where W = I).

    Parameters
    ----------
    weight_covariance : array_like, shape (d, d), optional
        W, symmetric positive semi-definite; the identity when omitted.

    Raises
    ------
    InvalidInputError
        If W is not symmetric positive semi-definite, or of another dimension than the inputs.
    """

    def __init__(self, weight_covariance: ArrayLike | None = None) -> None:
        self.weight_covariance: Matrix | None = (
            None if weight_covariance is None else check_covariance(weight_covariance, "weight_covariance")
        )

    def weights(self, draws: Draws, dimension: int) -> Float64[np.ndarray, "B d"]:
        """The weight vectors w of the addressed prompts, shape (B, d)."""
        z = draws.normals("task", dimension)
        if self.weight_covariance is None:
            return z
        check_covariance(self.weight_covariance, "weight_covariance", dimension)
        values, vectors = np.linalg.eigh(self.weight_covariance)
        root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        return np.einsum("bj,ij->bi", z, root, optimize=False)

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = w'x for the addressed prompts."""
        weights = self.weights(draws, dimension)
        return lambda xs: np.einsum("bpd,bd->bp", xs, weights, optimize=False)
