"""What a predictor is, and the sums over earlier examples that several of them share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from jaxtyping import Float64

from iclab.foundations import InvalidInputError, PromptInputs, PromptLabels
from iclab.prompts import Prompts


@runtime_checkable
class Predictor(Protocol):
    """Maps prompts to one prediction per position, using only the examples before it.

    Any callable of this signature is one: a function, a trained model, or the classes here. It reads
    ``prompts.xs``, ``prompts.ys`` and ``prompts.queries``, never ``prompts.targets``; position i may depend
    on ``xs[:, :i]``, ``ys[:, :i]`` and ``queries[:, i]`` alone. Position 0 predicts 0, or for classes their law before
    any example.
    """

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P); (B, P, k) for vectors, and for classes their probabilities."""
        ...


@runtime_checkable
class LinearPredictor(Predictor, Protocol):
    """A predictor that is linear in the query: ŷ_i = queries_i · weights_i."""

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Weight vector at every position, shape (B, P, d)."""
        ...


# A method from prompts to predictions.
_Answer = TypeVar("_Answer", bound=Callable[..., PromptLabels])


def each_output(answer: _Answer) -> _Answer:
    """Make a predictor of one number answer vectors too, one of their numbers after the other, and refuse classes.

    Sequences of vectors without inputs become a regression of every label on the one before it.
    """

    @wraps(answer)
    def answers(self: object, prompts: Prompts) -> PromptLabels:
        if prompts.n_classes is not None:
            raise InvalidInputError(
                f"prompts must have labels that are numbers for {type(self).__name__}; theirs are classes."
            )
        if prompts.ys.ndim == 2:
            return answer(self, prompts)
        if prompts.dimension == 0:
            prompts = prompts.on_previous_labels()
        return np.stack([answer(self, prompts.output(k)) for k in range(prompts.labels.size)], axis=2)

    return cast(_Answer, answers)


def sums_before(values: Float64[np.ndarray, "B P *rest"]) -> Float64[np.ndarray, "B P *rest"]:
    """At every position, the sum over the positions before it; zero at position 0."""
    sums = np.zeros_like(values)
    np.cumsum(values[:, :-1], axis=1, out=sums[:, 1:])
    return sums


def power_of_two(xs: PromptInputs) -> Float64[np.ndarray, " B"]:
    """A power of two near the largest entry of every prompt, to divide by without rounding; 1 where all are 0."""
    size = np.abs(xs).max(axis=(1, 2))
    exponents = np.frexp(np.where((size > 0) & np.isfinite(size), size, 1.0))[1]
    return np.ldexp(1.0, np.minimum(exponents, 1023))  # 2^1024 is infinite


def counts(n_points: int) -> Float64[np.ndarray, " P"]:
    """Number of examples at every position, with 1 in place of 0 so that one may divide by it."""
    return np.maximum(np.arange(n_points, dtype=np.float64), 1.0)


def apply(weights: PromptInputs, queries: PromptInputs) -> PromptLabels:
    """ŷ_i = queries_i · weights_i, shape (B, P)."""
    return np.einsum("bpd,bpd->bp", weights, queries, optimize=False)


def dot_sums_before(labels: PromptLabels, xs: PromptInputs, queries: PromptInputs) -> PromptLabels:
    """queries_i · Σ_{j<i} labels_j x_j at every position, shape (B, P), without an array per position."""
    results = np.zeros(labels.shape)
    sums = np.zeros((xs.shape[0], xs.shape[2]))
    for i in range(1, xs.shape[1]):
        sums += labels[:, i - 1, None] * xs[:, i - 1]
        results[:, i] = np.einsum("bd,bd->b", queries[:, i], sums, optimize=False)
    return results
