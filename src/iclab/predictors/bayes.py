"""Bayes predictors: posterior means under a finite pool of tasks and under an unknown noise level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

from iclab.foundations import (
    InvalidInputError,
    PromptInputs,
    PromptLabels,
    Vector,
    check_array,
    check_choice,
    check_real,
)
from iclab.predictors.base import apply, each_output, sums_before
from iclab.predictors.evidence import log_gaussians
from iclab.predictors.square_root_filter import fit_prefixes
from iclab.prompts import Linear, PromptDistribution, Prompts

_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class FinitePoolBayes:
    """Posterior mean for w uniform on a finite pool, labels w'x + noise: dMMSE (Raventós et al. 2023).

    Weights of the pool at position i: softmax of −Σ_{j<i}(y_j − w_k'x_j)²/(2·noise²); without noise, uniform on
    the tasks with the smallest squared residual (equal up to rounding).

    At position 0 it predicts 0, as every predictor of numbers does, so that all curves start at the error of having
    learned nothing; with ``first="prior"`` it is Bayes there too and predicts x_q · ``prior_mean``, which is 0 only for
    a centred pool.

    Parameters
    ----------
    pool : array_like, shape (K, d)
        The weight vectors, for example ``FinitePool.pool``.
    noise : float
        Standard deviation of the label noise, at least 0.
    first : {"zero", "prior"}
        What position 0 is predicted by.

    Raises
    ------
    InvalidInputError
        If the pool is empty or of another dimension than the prompts, or the noise negative.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.predictors import FinitePoolBayes
    >>> from iclab.prompts import FinitePool, Gaussian, PromptDistribution
    >>> pool = [[1.0, 0.0], [0.0, -2.0]]
    >>> prompts = PromptDistribution(Gaussian.isotropic(2), FinitePool(pool)).sample(5, 4, seed=0)
    >>> predictions = FinitePoolBayes(pool, noise=0.0)(prompts)
    >>> np.allclose(predictions[:, 1:], prompts.targets[:, 1:])  # one example without noise tells the task
    True
    """

    pool: Float64[np.ndarray, "K d"]
    noise: float
    first: Literal["zero", "prior"] = "zero"

    def __init__(self, pool: ArrayLike, noise: float, first: Literal["zero", "prior"] = "zero") -> None:
        array = check_array(pool, "pool", (None, None))
        if array.size == 0:
            raise InvalidInputError("pool must hold at least one weight vector; it is empty.")
        object.__setattr__(self, "pool", array)
        object.__setattr__(self, "noise", check_real(noise, "noise", minimum=0.0))
        object.__setattr__(self, "first", check_choice(first, "first", ("zero", "prior")))

    @property
    def prior_mean(self) -> Vector:
        """Mean of the pool, shape (d,): the posterior mean of w before any example."""
        return self.pool.mean(axis=0)

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Posterior mean of w at every position, shape (B, P, d); zero at position 0 unless the prior is asked for."""
        if self.pool.shape[1] != prompts.dimension:
            raise InvalidInputError(
                f"prompts must have the pool's dimension {self.pool.shape[1]}; they have {prompts.dimension}."
            )
        weights = np.empty(prompts.xs.shape)
        batch = max(1, _BLOCK // (prompts.n_points * len(self.pool)))
        for start in range(0, len(prompts), batch):
            some = slice(start, start + batch)
            xs, ys = prompts.xs[some], prompts.ys[some]
            squares = sums_before((ys[..., None] - xs @ self.pool.T) ** 2)
            if self.noise > 0:
                posterior = softmax(-squares / (2 * self.noise**2), axis=-1)
            else:
                rounding = 1e-20 * sums_before(ys**2)[..., None]
                best = squares <= squares.min(axis=-1, keepdims=True) + rounding
                posterior = best / best.sum(axis=-1, keepdims=True)
            weights[some] = posterior @ self.pool
        weights[:, 0] = 0.0 if self.first == "zero" else self.prior_mean
        return weights

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position, shape (B, P); for positive noise."""
        if self.noise == 0:
            raise InvalidInputError("noise must be positive for labels to have a density; 0 was given.")
        residuals = prompts.ys[..., None] - prompts.xs @ self.pool.T
        return logsumexp(log_gaussians(residuals, self.noise**2), axis=-1) - np.log(len(self.pool))


@dataclass(frozen=True)
class NoiseMixtureBayes:
    """Posterior mean for w ~ N(0, weight_variance·I) and a noise level drawn from a finite set, per prompt.

    Ridge predictors, one per level, weighted by their evidence: the product of the predictive densities
    N(y_j; ŷ_j, s²(1 + leverage_j)) of the labels seen.

    Parameters
    ----------
    noises : sequence of float
        The levels (standard deviations), positive, equally likely.
    weight_variance : float
        Positive.

    Raises
    ------
    InvalidInputError
        If there is no level, or a number is not positive.
    """

    noises: tuple[float, ...]
    weight_variance: float = 1.0

    def __init__(self, noises: Sequence[float], weight_variance: float = 1.0) -> None:
        levels = tuple(check_real(noise, "each of noises", above=0.0) for noise in noises)
        if not levels:
            raise InvalidInputError("noises must hold at least one level; none was given.")
        object.__setattr__(self, "noises", levels)
        object.__setattr__(self, "weight_variance", check_real(weight_variance, "weight_variance", above=0.0))

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Posterior mean of w at every position, shape (B, P, d)."""
        fitted: list[PromptInputs] = []
        evidence: list[PromptLabels] = []
        for noise in self.noises:
            fit = fit_prefixes(prompts.xs, prompts.ys, noise**2 / self.weight_variance)
            variance = noise**2 * (1 + fit.leverages)
            residual = prompts.ys - apply(fit.weights, prompts.xs)
            evidence.append(sums_before(-0.5 * (residual**2 / variance + np.log(variance))))
            fitted.append(fit.weights)
        posterior = softmax(np.array(evidence), axis=0)
        return np.einsum("kbp,kbpd->bpd", posterior, np.array(fitted))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)


@dataclass(frozen=True, eq=False)
class BestLinear:
    """The best predictor of the form ŷ = x_q'K_i (1/i) Σ y_j x_j at every position i: LSA trained for each length.

    K_i is ``theory.optimal_learner`` at N = i. It is not the best linear map of the labels, which is ridge.

    Parameters
    ----------
    distribution : PromptDistribution
        Of the prompts to come: Gaussian or random diagonal covariates, ``Linear`` tasks, any noise.

    Raises
    ------
    InvalidInputError
        If the tasks are not linear.
    """

    distribution: PromptDistribution

    def __post_init__(self) -> None:
        self._tasks()

    def _tasks(self) -> Linear:
        tasks = self.distribution.tasks
        if not isinstance(tasks, Linear):
            raise InvalidInputError(f"distribution must have Linear tasks; {tasks!r} was given.")
        return tasks

    def weights(self, prompts: Prompts) -> PromptInputs:
        """K_i (1/i) Σ_{j<i} y_j x_j at every position, shape (B, P, d)."""
        from iclab.theory import optimal_learner  # its import takes a third of a second

        tasks, covariates = self._tasks(), self.distribution.covariates
        noise = self.distribution.noise**2
        sums = sums_before(prompts.ys[..., None] * prompts.xs)
        weights = np.zeros(prompts.xs.shape)
        for i in range(1, prompts.n_points):
            learner = optimal_learner(covariates, i, noise, tasks.weight_covariance)  # type: ignore[arg-type]
            weights[:, i] = np.einsum("bj,ij->bi", sums[:, i], learner) / i
        return weights

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)
