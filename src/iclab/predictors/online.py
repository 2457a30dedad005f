"""Learners that read each example once: the exact learners of one layer with a state.

One layer of DeltaNet is Kaczmarz' method or the delta rule, one of retention or gated linear attention a forgetting
average, one mesa layer recursive least squares. On noise-free linear labels with w ~ N(0, I) and x ~ N(0, I) their mean
squared errors / d after k examples are

- Kaczmarz: (1 − 1/d)^k, as the projection of w − w_k on a random direction is lost;
- delta rule at rate η: (1 − 2η + η²(d + 2))^k, least at η = 1/(d + 2), from E x x'|x|² = (d + 2) I;
- weights c_j on y_j x_j: 1 − 2 s_1 + s_1² + (d + 1) s_2 with s_p = Σ_j c_j^p, from E (x x')² = (d + 2) I; a forgetting
  average has c_j = (1 − γ) γ^{k−j};
- recursive least squares without penalty: 1 − k/d, and 0 from k = d on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from iclab.foundations import InvalidInputError, PromptInputs, PromptLabels, check_real
from iclab.predictors.base import apply, each_output
from iclab.predictors.least_squares import Ridge
from iclab.prompts import Prompts

Rows = Float64[np.ndarray, "B d"]
# Examples are scaled by powers of the forgetting factor, whose squares must stay in range.
_SMALLEST = 1e-280


@dataclass(frozen=True)
class DeltaRule:
    """The delta rule (least mean squares; Widrow and Hoff 1960): w ← w + rate · x (y − x·w), example by example.

    Parameters
    ----------
    rate : float
        Positive. On x ~ N(0, Λ) errors shrink below 2/(2 λ_max + tr Λ) on average, for Λ = I fastest at 1/(d + 2).

    Raises
    ------
    InvalidInputError
        If the rate is not positive.
    """

    rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_real(self.rate, "rate", above=0.0))

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Iterate w at every position, shape (B, P, d)."""
        return _iterates(prompts, lambda w, x, y: w + self.rate * x * _error(w, x, y))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)


@dataclass(frozen=True)
class Kaczmarz:
    """Kaczmarz' method (1937): w ← w + rate · x (y − x·w)/|x|², at rate 1 the projection onto what fits the example.

    Inputs that are 0 move nothing. It is the delta rule on keys of norm 1.

    Parameters
    ----------
    rate : float
        Relaxation, between 0 and 2.

    Raises
    ------
    InvalidInputError
        If the rate is not between 0 and 2.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        rate = check_real(self.rate, "rate", above=0.0)
        if rate >= 2:
            raise InvalidInputError(f"rate must be below 2, beyond which errors grow; {rate:g} was given.")
        object.__setattr__(self, "rate", rate)

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Iterate w at every position, shape (B, P, d)."""

        def move(w: Rows, x: Rows, y: Rows) -> Rows:
            largest = np.abs(x).max(axis=1, keepdims=True)
            unit = x / np.where(largest > 0, largest, 1.0)  # squares of tiny or huge inputs stay in range
            square = np.einsum("bd,bd->b", unit, unit)[:, None]
            square = np.where(largest > 0, square * largest, 1.0)
            return w + self.rate * unit * _error(w, x, y) / square

        return _iterates(prompts, move)

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)


@dataclass(frozen=True)
class ForgettingAverage:
    """Averaging that forgets exponentially: w ← γ w + (1 − γ) y x.

    Parameters
    ----------
    forgetting : float
        γ, at least 0 and below 1: what an example keeps of its weight with each one after it.

    Raises
    ------
    InvalidInputError
        If γ is out of range.
    """

    forgetting: float

    def __post_init__(self) -> None:
        factor = check_real(self.forgetting, "forgetting", minimum=0.0)
        if factor >= 1:
            raise InvalidInputError(f"forgetting must be below 1; {factor:g} was given: Averaging() forgets nothing.")
        object.__setattr__(self, "forgetting", factor)

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Average at every position, shape (B, P, d)."""
        return _iterates(prompts, lambda w, x, y: self.forgetting * w + (1 - self.forgetting) * y * x)

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)


@dataclass(frozen=True)
class RecursiveLeastSquares:
    """Recursive least squares with a forgetting factor: after i examples min Σ_j γ^{i−1−j} (y_j − x_j·w)² + γ^i λ|w|².

    That is what the recursion P ← (P − P x x'P/(γ + x'P x))/γ, w ← w + P x (y − x·w) from P = I/λ, w = 0 computes; here
    it is ridge regression on scaled examples, which loses no digits. Without forgetting it is ``Ridge(λ)``.

    Parameters
    ----------
    penalty : float
        λ, at least 0.
    forgetting : float
        γ, positive and at most 1.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or γ to the number of positions is below 1e-280.
    """

    penalty: float
    forgetting: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "penalty", check_real(self.penalty, "penalty", minimum=0.0))
        factor = check_real(self.forgetting, "forgetting", above=0.0)
        if factor > 1:
            raise InvalidInputError(f"forgetting must be at most 1; {factor:g} was given.")
        object.__setattr__(self, "forgetting", factor)

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Solution at every position, shape (B, P, d)."""
        if self.forgetting == 1:
            return Ridge(self.penalty).weights(prompts)
        if prompts.n_points * np.log(self.forgetting) < np.log(_SMALLEST):
            raise InvalidInputError(
                f"forgetting to the power of the {prompts.n_points} positions must be at least {_SMALLEST:g}; "
                f"{self.forgetting:g} was given: take one nearer to 1 or shorter prompts."
            )
        # Divided by γ^i the problem of every position is the same but for the examples it has: x_j / γ^{(j+1)/2}.
        # All of it times γ^{P/2}, halfway, keeps numbers in range.
        halves = 0.5 * np.log(self.forgetting)
        middle = prompts.n_points // 2
        scale = np.exp(halves * (middle - 1 - np.arange(prompts.n_points)))
        xs, ys = prompts.xs * scale[:, None], prompts.ys * scale
        return Ridge(self.penalty * self.forgetting**middle).weights(Prompts(xs, ys, xs, prompts.targets))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)


def _iterates(prompts: Prompts, move: Callable[[Rows, Rows, Rows], Rows]) -> PromptInputs:
    """The iterate at every position, from w = 0; a label is a column (B, 1)."""
    weights = np.zeros(prompts.xs.shape)
    for i in range(1, prompts.n_points):
        weights[:, i] = move(weights[:, i - 1], prompts.xs[:, i - 1], prompts.ys[:, i - 1, None])
    return weights


def _error(w: Rows, x: Rows, y: Rows) -> Rows:
    return y - np.einsum("bd,bd->b", w, x, optimize=False)[:, None]
