"""What the layer of Theorem 8 does on prompts with a new random covariance: in expectation and with high probability.

The mean over Λ_new is exact (:func:`iclab.theory.expected_risk`); quantiles come from draws of Λ_new, at each of
which the error is exact, so that the only randomness is that of Λ_new.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import bdtrik

from iclab.foundations import (
    Draws,
    Estimate,
    InvalidInputError,
    check_choice,
    check_integer,
    check_real,
    check_vector,
)
from iclab.prompts import CovarianceMixture, RandomDiagonal, RandomRotation, Wishart
from iclab.theory.covariance_rules import CovarianceLaw, CovarianceRule, law_dimension
from iclab.theory.lengths import PromptLength, TrainLength, inverse_moments
from iclab.theory.minimizers import optimal_learner
from iclab.theory.risk import expected_risk, node_risks

_CHUNK = 20_000


@dataclass(frozen=True, eq=False)
class RiskDistribution:
    """Law of the error E(ŷ − w'x_q)² given Λ_new, as Λ_new varies (§4.3); means over w ~ N(0, I) and x.

    Attributes
    ----------
    mean : float
        Exact mean over Λ_new.
    sampled_mean : Estimate
        The same from the draws of Λ_new: a check of the draws.
    levels, quantiles : ndarray, shape (q,)
        Probabilities and the sample quantiles at them.
    lower, upper : ndarray, shape (q,)
        95 % confidence limits of the quantiles, from order statistics; infinite where the sample is too small.
    risks : ndarray, shape (n,)
        The error at every draw, sorted.
    n, seed : int
        Number of draws of Λ_new and their seed.
    """

    mean: float
    sampled_mean: Estimate
    levels: Float64[np.ndarray, ...]
    quantiles: Float64[np.ndarray, ...]
    lower: Float64[np.ndarray, ...]
    upper: Float64[np.ndarray, ...]
    risks: Float64[np.ndarray, ...]
    n: int
    seed: int

    def exceedance(self, level: float) -> float:
        """Share of drawn Λ_new whose error exceeds ``level``: the "high probability" that §4.3 hopes for."""
        return 1 - float(np.searchsorted(self.risks, check_real(level, "level"), side="right")) / self.n


def risk_distribution(
    covariates: CovarianceLaw,
    n_train: TrainLength,
    n_test: PromptLength,
    test_covariates: CovarianceLaw | None = None,
    *,
    levels: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
    n: int = 10_000,
    seed: int = 0,
    noise_variance: float = 0.0,
    purpose: str = "verification",
) -> RiskDistribution:
    """Error of the minimiser of Theorem 8 over new covariances, (22)-(23), at finite or infinite N and M.

    Parameters
    ----------
    covariates : RandomDiagonal, Gaussian or any law of :func:`covariance_rule`
        Law of Λ in training, in dimension d.
    n_train : int, math.inf or AllPositions
        Training prompt length N.
    n_test : int or math.inf
        Test prompt length M.
    test_covariates : RandomDiagonal, CovarianceMixture, Wishart or RandomRotation, optional
        Law of Λ_new; that of training when omitted.
    levels : sequence of float
        Probabilities of the quantiles, strictly between 0 and 1.
    n, seed : int
        Number of draws of Λ_new, at least 2, and their seed.
    noise_variance : float
        Variance of the label noise in test prompts.
    purpose : str
        Which of the seeded streams to draw from.

    Returns
    -------
    RiskDistribution
    """
    test = covariates if test_covariates is None else test_covariates
    if not isinstance(test, RandomDiagonal | CovarianceMixture | Wishart | RandomRotation):
        raise InvalidInputError(
            "test_covariates must be a law that draws covariances (RandomDiagonal, CovarianceMixture, Wishart or "
            f"RandomRotation); {type(test).__name__} was given."
        )
    inverse, _ = inverse_moments(n_test, "n_test")
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    count = check_integer(n, "n", minimum=2)
    check_choice(purpose, "purpose", ("training", "evaluation", "verification"))
    probabilities = check_vector(levels, "levels")
    if np.any((probabilities <= 0) | (probabilities >= 1)):
        raise InvalidInputError(f"levels must lie strictly between 0 and 1; {probabilities} was given.")
    K = optimal_learner(covariates, n_train)
    if law_dimension(test) != K.shape[0]:
        raise InvalidInputError(
            f"test_covariates must have the dimension {K.shape[0]} of covariates; {law_dimension(test)} was given."
        )
    parts = [
        node_risks(K, _draw(test, Draws(seed, purpose, start=start, count=min(_CHUNK, count - start))), inverse, noise)
        for start in range(0, count, _CHUNK)
    ]
    risks = np.concatenate(parts)
    mean = expected_risk(covariates, n_train, n_test, test, noise_variance)
    sampled = Estimate.from_samples(risks, seed)
    risks = np.sort(risks)
    lower, upper = _order_statistics(risks, probabilities)
    quantiles = np.quantile(risks, probabilities)
    return RiskDistribution(mean, sampled, probabilities, quantiles, lower, upper, risks, count, seed)


def _draw(law: RandomDiagonal | CovarianceMixture | Wishart | RandomRotation, draws: Draws) -> CovarianceRule:
    """Drawn covariances in the form in which errors are computed at nodes."""
    weights = np.full(draws.count, 1 / draws.count)
    if isinstance(law, RandomDiagonal):
        return CovarianceRule(weights, law.variances(draws))
    values, vectors = np.linalg.eigh(law.covariances(draws))
    return CovarianceRule(weights, np.clip(values, 0, None), vectors)


def _order_statistics(
    ordered: Float64[np.ndarray, " n"], levels: Float64[np.ndarray, " q"]
) -> tuple[Float64[np.ndarray, " q"], Float64[np.ndarray, " q"]]:
    """Distribution-free 95 % confidence limits: order statistics at binomial quantiles."""
    n = ordered.shape[0]
    padded = np.concatenate([[-math.inf], ordered, [math.inf]])
    # The k-th smallest exceeds the quantile with the probability that fewer than k of n draws fall below it.
    low: np.ndarray = np.ceil(bdtrik(0.025, n, levels)).astype(int)
    high: np.ndarray = np.ceil(bdtrik(0.975, n, levels)).astype(int) + 1
    return padded[low], padded[high]
