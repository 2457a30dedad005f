"""A two-layer ReLU network trained by Adam on each prefix, all prompts of a position at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from iclab.foundations import PromptInputs, PromptLabels, check_integer, check_real
from iclab.predictors.base import each_output
from iclab.prompts import Prompts


@dataclass(frozen=True)
class TwoLayerNetwork:
    """h(x) = v'ReLU(W x + b) + c trained by Adam on the examples before each position.

    The baseline of Garg et al. (2022): Adam with learning rate 5e-3 for 100 steps of at most 100 examples, default
    betas. Weights start uniform in ±1/√fan_in, the same start for every prompt and position, where theirs differ.

    Parameters
    ----------
    hidden : int
        Width.
    steps : int
        Adam steps.
    rate : float
        Learning rate.
    batch : int
        Examples of a step, drawn anew for each where there are more.
    seed : int
        Of the starting weights and of these draws.
    """

    hidden: int = 100
    steps: int = 100
    rate: float = 5e-3
    batch: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name, minimum in (("hidden", 1), ("steps", 0), ("batch", 1), ("seed", 0)):
            object.__setattr__(self, name, check_integer(getattr(self, name), name, minimum=minimum))
        object.__setattr__(self, "rate", check_real(self.rate, "rate", above=0.0))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        predictions = np.zeros(prompts.ys.shape)
        size = max(1, (1 << 20) // (self.hidden * max(prompts.dimension, prompts.n_points)))
        for start in range(0, len(prompts), size):
            some = slice(start, start + size)
            for i in range(1, prompts.n_points):
                predictions[some, i] = self._fit_predict(
                    prompts.xs[some, :i], prompts.ys[some, :i], prompts.queries[some, i]
                )
        return predictions

    def _fit_predict(
        self, xs: PromptInputs, ys: PromptLabels, queries: Float64[np.ndarray, "B d"]
    ) -> Float64[np.ndarray, " B"]:
        n_prompts, count, dimension = xs.shape
        rng = np.random.default_rng(self.seed)
        shapes = ((dimension, self.hidden), (1, self.hidden), (self.hidden, 1), (1, 1))
        fans = (dimension, dimension, self.hidden, self.hidden)
        state = [
            np.tile(rng.uniform(-1, 1, shape) / np.sqrt(fan), (n_prompts, 1, 1))
            for shape, fan in zip(shapes, fans, strict=True)
        ]
        first = [np.zeros_like(values) for values in state]
        second = [np.zeros_like(values) for values in state]
        for step in range(1, self.steps + 1):
            chosen = slice(None) if count <= self.batch else rng.permutation(count)[: self.batch]
            gradients = _gradients(state, xs[:, chosen], ys[:, chosen])
            for values, mean, square, gradient in zip(state, first, second, gradients, strict=True):
                mean += 0.1 * (gradient - mean)
                square += 0.001 * (gradient**2 - square)
                scale = np.sqrt(square / (1 - 0.999**step)) + 1e-8
                values -= self.rate / (1 - 0.9**step) * mean / scale
        W, b, v, c = state
        return (np.maximum(queries[:, None] @ W + b, 0.0) @ v + c)[:, 0, 0]


def _gradients(state: list[np.ndarray], xs: PromptInputs, ys: PromptLabels) -> tuple[np.ndarray, ...]:
    """Of the mean squared error, by W, b, v and c."""
    W, b, v, c = state
    hidden = xs @ W + b
    active = hidden > 0
    hidden *= active
    error = (2 / xs.shape[1]) * (hidden @ v + c - ys[..., None])  # (B, i, 1)
    back = (error @ v.transpose(0, 2, 1)) * active
    return (
        xs.transpose(0, 2, 1) @ back,
        back.sum(axis=1, keepdims=True),
        hidden.transpose(0, 2, 1) @ error,
        error.sum(axis=1, keepdims=True),
    )
