"""GD++: descent on inputs that every step curves, which tied linear attention implements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iclab.foundations import PromptInputs, PromptLabels, check_integer, check_real
from iclab.predictors.base import apply, counts, each_output, sums_before
from iclab.prompts import Prompts

_BLOCK = 1 << 20


@dataclass(frozen=True)
class GradientDescentPlusPlus:
    """k steps of GD++ (von Oswald et al. 2023) from w = 0, at every position i.

    With Λ̂ = (1/i) Σ_{j<i} x_j x_j' of the current inputs, a step moves the labels y_j ← y_j − rate·x_j'(1/i) Σ y x
    and curves all inputs, the query among them, x ← (I − curvature·Λ̂) x, which evens out the spectrum of Λ̂. The
    prediction is minus the label of the query, which begins at 0. Curvature 0 is gradient descent; any value at one
    step too. k tied layers of linear attention with W^PV = diag(−(curvature/rate) I, −1) and W^KQ = diag(rate·I, 0)
    do this.

    Parameters
    ----------
    steps : int
        k, at least 0.
    rate : float
        Step size, positive.
    curvature : float
        How much a step curves the inputs.

    Raises
    ------
    InvalidInputError
        If a setting is out of range.

    Examples
    --------
    >>> from iclab.predictors import GradientDescent
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(2, 9, seed=0)
    >>> np.allclose(GradientDescentPlusPlus(4, 0.3, 0.0)(prompts), GradientDescent(4, 0.3)(prompts))
    True
    """

    steps: int
    rate: float
    curvature: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", check_integer(self.steps, "steps", minimum=0))
        object.__setattr__(self, "rate", check_real(self.rate, "rate", above=0.0))
        object.__setattr__(self, "curvature", check_real(self.curvature, "curvature"))

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Weight vector at every position, shape (B, P, d)."""
        weights = np.zeros(prompts.xs.shape)
        size = max(1, _BLOCK // (prompts.n_points * prompts.dimension**2))
        for start in range(0, len(prompts) if self.steps else 0, size):
            some = slice(start, start + size)
            self._iterate(prompts.xs[some], prompts.ys[some], weights[some])
        return weights

    def _iterate(self, xs: PromptInputs, ys: PromptLabels, weights: PromptInputs) -> None:
        """Write the weights of a block of prompts into ``weights``."""
        examples = counts(xs.shape[1])[:, None]
        gram = sums_before(xs[..., :, None] * xs[..., None, :])
        gram /= examples[..., None]
        moment = sums_before(ys[..., None] * xs)[..., None]
        moment /= examples[..., None]
        # Polynomials in the first Λ̂ commute: x_ℓ = curve·x, Λ̂_ℓ = current.
        curve = np.broadcast_to(np.eye(xs.shape[2]), gram.shape)
        current = gram
        for step in range(self.steps):
            weights += self.rate * (curve @ moment)[..., 0]
            if step == self.steps - 1:
                break
            moment = moment - self.rate * (current @ moment)
            moment = moment - self.curvature * (current @ moment)
            bent = current - self.curvature * (current @ current)
            curve = curve - self.curvature * (current @ curve)
            current = bent - self.curvature * (bent @ current)

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)
