"""Minimum-norm least squares and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass

from iclab.foundations import PromptInputs, PromptLabels, check_real
from iclab.predictors.base import apply, each_output
from iclab.predictors.square_root_filter import fit_prefixes
from iclab.prompts import Prompts


@dataclass(frozen=True)
class LeastSquares:
    """Minimum-norm least squares on the examples before each position, all prefixes in one pass.

    Agrees with ``numpy.linalg.pinv(X, rtol=None) @ y`` at every prefix, its rank rule included: singular
    values up to max(i, d)·ε times the largest count as zero. It is the Bayes predictor of noise-free linear
    labels with w ~ N(0, I), whatever the law of x.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.predictors import LeastSquares
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(2), Linear()).sample(4, 6, seed=0)
    >>> np.allclose(LeastSquares()(prompts)[:, 2:], prompts.targets[:, 2:])  # from d examples on
    True
    """

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Least-squares solution at every position, shape (B, P, d)."""
        return fit_prefixes(prompts.xs, prompts.ys).weights

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on the examples before each position: min |Xw − y|² + penalty·|w|².

    Parameters
    ----------
    penalty : float
        Positive, or 0 for least squares. It is not divided by the number of examples: with w ~ N(0, ψ²I) and
        label noise of variance s², penalty = s²/ψ² is the Bayes predictor, ``Ridge.bayes``.

    Raises
    ------
    InvalidInputError
        If the penalty is negative or not finite.

    Examples
    --------
    >>> from iclab.predictors import Ridge
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> Ridge.bayes(noise=0.5)
    Ridge(penalty=0.25)
    >>> prompts = PromptDistribution(Gaussian.isotropic(2), Linear(), noise=0.5).sample(4, 6, seed=0)
    >>> Ridge(0.25)(prompts).shape
    (4, 6)
    """

    penalty: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "penalty", check_real(self.penalty, "penalty", minimum=0.0))

    @classmethod
    def bayes(cls, noise: float, weight_variance: float = 1.0) -> Ridge:
        """The Bayes predictor for w ~ N(0, weight_variance·I) and labels of noise standard deviation ``noise``."""
        noise = check_real(noise, "noise", minimum=0.0)
        return cls(noise**2 / check_real(weight_variance, "weight_variance", above=0.0))

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Ridge solution at every position, shape (B, P, d)."""
        return fit_prefixes(prompts.xs, prompts.ys, self.penalty).weights

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)
