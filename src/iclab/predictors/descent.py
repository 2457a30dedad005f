"""Iterative learners: gradient descent, preconditioned or not, and Newton's iteration for the inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import Matrix, PromptInputs, PromptLabels, check_integer, check_matrix, check_real
from iclab.predictors.base import apply, each_output, power_of_two, sums_before
from iclab.prompts import Prompts

# Entries of Gram matrices held at once: by descent, whose passes should stay in a core's cache, and by Newton.
_CACHE = 1 << 16
# Steps that cost less than squaring their matrix to halve them.
_FEW = 6
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class GradientDescent:
    """k steps of gradient descent on (1/2i) Σ_{j<i} (w'x_j − y_j)² from w = 0, at every position i.

    w ← w − rate · A (1/i) X'(Xw − y). One step with rate 1 is averaging; one step with A = Γ⁻¹ is the linear
    self-attention layer of Theorem 4 (prediction (13)), the best one-step preconditioner for its law.

    Parameters
    ----------
    steps : int
        k, at least 0.
    rate : float
        Step size, positive. Stable on Gaussian inputs below about 2/λ_max of (1/i)X'X, which is largest for
        short contexts: (1 + √(d/i))² at Λ = I.
    preconditioner : array_like, shape (d, d), optional
        A; the identity when omitted.

    Raises
    ------
    InvalidInputError
        If a setting is out of range, or A of another dimension than the prompts.
    """

    steps: int
    rate: float
    preconditioner: Matrix | None = None

    def __init__(self, steps: int, rate: float, preconditioner: ArrayLike | None = None) -> None:
        object.__setattr__(self, "steps", check_integer(steps, "steps", minimum=0))
        object.__setattr__(self, "rate", check_real(rate, "rate", above=0.0))
        checked = None if preconditioner is None else check_matrix(preconditioner, "preconditioner")
        object.__setattr__(self, "preconditioner", checked)

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Iterate w at every position, shape (B, P, d)."""
        dimension = prompts.dimension
        matrix = None
        if self.preconditioner is not None:
            matrix = check_matrix(self.preconditioner, "preconditioner", dimension)
        weights = np.zeros(prompts.xs.shape)
        size = max(16, _CACHE // dimension**2)
        for start in range(0, len(prompts) if self.steps else 0, size):
            some = slice(start, start + size)
            self._iterate(prompts.xs[some], prompts.ys[some], matrix, weights[some])
        return weights

    def _iterate(self, xs: PromptInputs, ys: PromptLabels, matrix: Matrix | None, weights: PromptInputs) -> None:
        """Write the iterates of a block of prompts into ``weights``."""
        n_prompts, n_points, dimension = xs.shape
        gram = np.zeros((n_prompts, dimension, dimension))  # A Σ x x'
        outer, contraction = np.empty_like(gram), np.empty_like(gram)
        moment = np.zeros((n_prompts, dimension, 1))  # A Σ y x
        diagonal = np.arange(dimension)
        for i in range(1, n_points):
            x = xs[:, i - 1]
            conditioned = (x if matrix is None else np.einsum("ij,bj->bi", matrix, x))[..., None]
            gram += np.multiply(conditioned, x[:, None, :], out=outer)
            moment += conditioned * ys[:, i - 1, None, None]
            np.multiply(gram, -self.rate / i, out=contraction)
            contraction[:, diagonal, diagonal] += 1.0
            weights[:, i] = _iterated(contraction, self.rate / i * moment, self.steps, outer)[..., 0]

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)


def _iterated(
    matrix: Float64[np.ndarray, "B d d"],
    vector: Float64[np.ndarray, "B d 1"],
    steps: int,
    scratch: Float64[np.ndarray, "B d d"],
) -> Float64[np.ndarray, "B d 1"]:
    """Apply the map w ↦ matrix·w + vector ``steps`` times to 0; overwrites ``matrix`` and ``scratch``.

    Two steps are one step of (matrix², matrix·vector + vector), so that k steps take about log₂ k squarings.
    """
    w: Float64[np.ndarray, "B d 1"] | None = None
    while steps:
        if steps % 2 or steps <= _FEW:
            w = vector.copy() if w is None else matrix @ w + vector
            steps -= 1
        else:
            vector = matrix @ vector + vector
            matrix, scratch = np.matmul(matrix, matrix, out=scratch), matrix
            steps //= 2
    return np.zeros_like(vector) if w is None else w


@dataclass(frozen=True)
class Newton:
    """k Newton (Schulz) iterations for (X'X)⁻¹, then w = M X'y, at every position (Fu et al. 2023).

    M_0 = X'X/|X'X|_F² and M ← 2M − M X'X M: the error of M on the range of X squares with each step, so
    about log₂ cond(X'X) + a few steps reach least squares. M_0's range is that of X', so the limit has
    minimum norm.

    Parameters
    ----------
    steps : int
        k, at least 0.

    Raises
    ------
    InvalidInputError
        If k is negative.
    """

    steps: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", check_integer(self.steps, "steps", minimum=0))

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Iterate w at every position, shape (B, P, d)."""
        dimension = prompts.dimension
        weights = np.empty(prompts.xs.shape)
        batch = max(1, _BLOCK // (prompts.n_points * dimension**2))
        for start in range(0, len(prompts), batch):
            some = slice(start, start + batch)
            # Scaling by a power of two is exact; it keeps fourth powers of tiny or huge inputs in range.
            scale = power_of_two(prompts.xs[some])[:, None, None]
            xs, ys = prompts.xs[some] / scale, prompts.ys[some]
            gram = sums_before(xs[..., :, None] * xs[..., None, :])
            size = np.einsum("bpij,bpij->bp", gram, gram)[..., None, None]
            inverse = gram / np.where(size > 0, size, 1.0)
            for _ in range(self.steps):
                inverse = 2 * inverse - inverse @ gram @ inverse
            moments = sums_before(ys[..., None] * xs)
            weights[some] = np.einsum("bpij,bpj->bpi", inverse, moments) / scale
        return weights

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)
