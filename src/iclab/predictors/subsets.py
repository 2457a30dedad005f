"""Bayes for sparse weights: one Gaussian posterior per set of nonzero weights, all sets weighted by their evidence."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float64

from iclab.foundations import InvalidInputError, PromptInputs, PromptLabels, check_integer, check_real
from iclab.predictors.base import apply, each_output
from iclab.predictors.evidence import LOG_2PI
from iclab.prompts import Prompts

# Most sets that are enumerated, and numbers of their posteriors kept at once.
_MOST = 20_000
_BLOCK = 1 << 18
# Without noise: a predictive variance this small beside |x|² is none, and a residual this small beside y rounding.
_CERTAIN = 1e-10
_FITS = 1e-6


@dataclass(frozen=True)
class SparseBayes:
    """Posterior mean for w ~ N(0, I) on ``nonzeros`` coordinates, every set of them equally likely, and 0 elsewhere.

    Of every set the posterior N(m, C) is updated example by example, and with it the evidence Π N(y_j; m'x_j, v_j),
    v_j = x_j'Cx_j + noise². Without noise an example that a set cannot fit rules it out.

    Parameters
    ----------
    nonzeros : int
        Number of nonzero weights; there may be at most 20 000 sets of them.
    noise : float
        Standard deviation of the label noise, at least 0.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or there are too many sets.
    """

    nonzeros: int
    noise: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "nonzeros", check_integer(self.nonzeros, "nonzeros", minimum=1))
        object.__setattr__(self, "noise", check_real(self.noise, "noise", minimum=0.0))

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Posterior mean of w at every position, shape (B, P, d)."""
        return self._run(prompts)[0]

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position, shape (B, P); for positive noise."""
        if self.noise == 0:
            raise InvalidInputError("noise must be positive for labels to have a density; 0 was given.")
        return self._run(prompts)[1]

    def _run(self, prompts: Prompts) -> tuple[PromptInputs, PromptLabels]:
        sets = self._sets(prompts.dimension)
        weights = np.empty(prompts.xs.shape)
        evidence = np.empty(prompts.xs.shape[:2])
        batch = max(1, _BLOCK // (sets.size * (self.nonzeros + 2)))
        for start in range(0, len(prompts), batch):
            some = slice(start, start + batch)
            weights[some], evidence[some] = self._posteriors(prompts.xs[some], prompts.ys[some], sets)
        return weights, evidence

    def _sets(self, dimension: int) -> np.ndarray:
        count = comb(dimension, self.nonzeros)
        if not 0 < count <= _MOST:
            raise InvalidInputError(
                f"the {self.nonzeros} nonzero weights must be among 1 to {_MOST} sets of them to be enumerated; "
                f"dimension {dimension} has {count}."
            )
        return np.array(list(combinations(range(dimension), self.nonzeros)))

    def _posteriors(self, xs: PromptInputs, ys: PromptLabels, sets: np.ndarray) -> tuple[PromptInputs, PromptLabels]:
        n_prompts, n_points, dimension = xs.shape
        count, k = sets.shape
        means = np.zeros((n_prompts, count, k))
        covariances = np.tile(np.eye(k), (n_prompts, count, 1, 1))
        logs = np.zeros((n_prompts, count))
        weights, evidence = np.empty(xs.shape), np.empty((n_prompts, n_points))
        member = np.eye(dimension)[sets].reshape(count * k, dimension)
        for i in range(n_points):
            best = logs.max(axis=1, keepdims=True)
            shares = np.exp(logs - best)
            total = shares.sum(axis=1, keepdims=True)
            weights[:, i] = ((shares / total)[..., None] * means).reshape(n_prompts, -1) @ member
            evidence[:, i] = (best + np.log(total / count))[:, 0]
            x = xs[:, i][:, sets]
            direction = np.einsum("bskl,bsl->bsk", covariances, x)
            spread = np.einsum("bsk,bsk->bs", direction, x)
            residual = ys[:, i, None] - np.einsum("bsk,bsk->bs", means, x)
            gain, step = self._gain(direction, spread, residual, x, np.abs(ys[:, : i + 1]).max(axis=1))
            means += gain * residual[..., None]
            covariances -= gain[..., None] * direction[..., None, :]
            ruled = logs + step
            # Labels that no set can have made leave the sets as they were.
            logs = np.where(np.isfinite(ruled).any(axis=1, keepdims=True), ruled, logs)
        return weights, evidence

    def _gain(
        self,
        direction: np.ndarray,
        spread: Float64[np.ndarray, "B S"],
        residual: Float64[np.ndarray, "B S"],
        x: np.ndarray,
        size: Float64[np.ndarray, " B"],
    ) -> tuple[np.ndarray, Float64[np.ndarray, "B S"]]:
        """What a residual of 1 moves the weights by, and the log-density of the label."""
        if self.noise > 0:
            variance = spread + self.noise**2
            return direction / variance[..., None], -0.5 * (residual**2 / variance + np.log(variance) + LOG_2PI)
        certain = spread <= _CERTAIN * np.einsum("bsk,bsk->bs", x, x)
        variance = np.where(certain, 1.0, spread)
        open_ = -0.5 * (residual**2 / variance + np.log(variance) + LOG_2PI)
        fits = np.abs(residual) <= _FITS * size[:, None]
        return np.where(certain[..., None], 0.0, direction / variance[..., None]), np.where(
            certain, np.where(fits, 0.0, -np.inf), open_
        )
