"""How the error of the layer of Theorem 8 varies with Λ_new: exact moments, and bounds with high probability (§4.3).

With Λ_new = diag(λ) and K = diag(k), the error given Λ_new is R = Σ_i p(λ_i) + (1/M)(Σ_i k_i²λ_i²)(Σ_j λ_j) with
p(λ_i) = λ_i(k_iλ_i − 1)² + (1/M)k_i²λ_i²(λ_i + s²). Its variance needs moments of λ up to the sixth, coordinate by
coordinate: the product of the two sums is expanded around their means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float64

from iclab.foundations import InvalidInputError, Vector, check_real
from iclab.prompts import RandomDiagonal
from iclab.prompts.moments import law_moment
from iclab.theory.covariance_rules import CovarianceLaw, law_dimension
from iclab.theory.lengths import PromptLength, TrainLength, inverse_moments
from iclab.theory.minimizers import optimal_learner
from iclab.theory.rescaling import law_nodes

_Coefficients: TypeAlias = Float64[np.ndarray, "d n"]


@dataclass(frozen=True)
class RiskConcentration:
    """Mean and standard deviation over Λ_new of the error E(ŷ − w'x_q)² given Λ_new, both exact.

    Attributes
    ----------
    mean : float
        That of ``expected_risk``.
    standard_deviation : float
        Infinite where E λ⁶ is.
    """

    mean: float
    standard_deviation: float

    def exceedance_bound(self, level: float) -> float:
        """Largest probability that any law with these moments gives an error of ``level`` or more (Cantelli 1928).

        σ²/(σ² + (level − mean)²) above the mean, 1 below: a bound for the "high probability" of §4.3.
        """
        distance = check_real(level, "level") - self.mean
        if distance <= 0 or math.isinf(self.standard_deviation):
            return 1.0
        return 1 / (1 + (distance / self.standard_deviation) ** 2) if self.standard_deviation > 0 else 0.0

    def level_bound(self, probability: float) -> float:
        """The level that the error exceeds with at most this probability, by the same bound (§4.3)."""
        share = check_real(probability, "probability", above=0.0)
        if share >= 1:
            raise InvalidInputError(f"probability must be below 1; {share} was given.")
        return self.mean + self.standard_deviation * math.sqrt((1 - share) / share)


def risk_concentration(
    covariates: CovarianceLaw,
    n_train: TrainLength,
    n_test: PromptLength,
    test_covariates: RandomDiagonal | None = None,
    noise_variance: float = 0.0,
) -> RiskConcentration:
    """Exact mean and standard deviation over Λ_new of the error of the minimiser of Theorem 8, (22)-(23).

    What :func:`risk_distribution` draws; the display is not in the paper, which hopes for "high probability" in §4.3.

    Parameters
    ----------
    covariates : RandomDiagonal, Gaussian or any law of :func:`covariance_rule`
        Law of Λ in training, in dimension d, whose minimiser is diagonal.
    n_train : int, math.inf or AllPositions
        Training prompt length N.
    n_test : int or math.inf
        Test prompt length M.
    test_covariates : RandomDiagonal, optional
        Law of Λ_new; that of training when omitted.
    noise_variance : float
        s² ≥ 0, variance of the label noise in test prompts.

    Returns
    -------
    RiskConcentration

    Raises
    ------
    InvalidInputError
        If the law of Λ_new is not of independent coordinates, the minimiser is not diagonal, or dimensions differ.

    Examples
    --------
    >>> from scipy import stats
    >>> law = RandomDiagonal([stats.expon()] * 100)
    >>> risk = risk_concentration(law, math.inf, math.inf)
    >>> round(risk.mean, 3), round(risk.standard_deviation, 3)  # d/3 and √d
    (33.333, 10.0)
    """
    law = covariates if test_covariates is None else test_covariates
    if not isinstance(law, RandomDiagonal):
        raise InvalidInputError(
            "test_covariates must be a RandomDiagonal, whose coordinates are independent; "
            f"{type(law).__name__} was given."
        )
    inverse, _ = inverse_moments(n_test, "n_test")
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    K = optimal_learner(covariates, n_train)
    if law_dimension(law) != K.shape[0]:
        raise InvalidInputError(
            f"test_covariates must have the dimension {K.shape[0]} of covariates; {law_dimension(law)} was given."
        )
    if np.count_nonzero(K - np.diag(np.diagonal(K))):
        raise InvalidInputError(
            "covariates must have a diagonal minimiser, as Λ_new is; rotate them into the eigenbasis of the minimiser."
        )
    distinct = {id(one): one for one in law.laws}
    known = {key: _central_moments(one) for key, one in distinct.items()}
    moments = np.array([known[id(one)] for one in law.laws]) * law.scale ** np.array([1, 1, 2, 3, 4, 5, 6])
    if not np.isfinite(moments[:, :4]).all():
        raise InvalidInputError(
            "test_covariates must have laws with a finite third moment, for the error to have a mean."
        )
    finite = np.isfinite(moments)
    mean, deviation = _mean_and_deviation(np.diagonal(K), np.where(finite, moments, 0.0), inverse, noise)
    return RiskConcentration(mean, deviation if finite.all() else math.inf)


def _central_moments(law: Any) -> Float64[np.ndarray, " orders"]:
    """E λ, then 0 and the central moments 2 to 6 of a frozen distribution; infinite where it has none."""
    raw = np.array([law_moment(law, order) for order in range(7)])
    mean = raw[1]
    known = int(np.argmin(np.isfinite(raw))) if not np.isfinite(raw).all() else 7
    moments = np.full(7, math.inf)
    for order in range(known):
        terms = [math.comb(order, low) * raw[low] * (-mean) ** (order - low) for low in range(order + 1)]
        moments[order] = math.fsum(terms)
    if hasattr(law, "pdf"):  # SciPy integrates high moments to some 1e-9, and raw ones of narrow laws cancel
        values, weights = law_nodes(law)
        if abs(float(weights @ values**3) - raw[3]) <= 1e-6 * raw[3]:
            moments[:known] = [float(weights @ (values - mean) ** order) for order in range(known)]
    moments[:2] = mean, 0.0
    return moments


def _mean_and_deviation(k: Vector, moments: _Coefficients, inverse: float, noise: float) -> tuple[float, float]:
    """Of R, from the moments (d, 7), by polynomials in τ_i = λ_i − E λ_i whose products are taken row by row."""
    d = len(k)
    m, zero = moments[:, 0], np.zeros(d)
    central = np.column_stack([zero + 1, moments[:, 1:]])
    p = _shifted(np.stack([zero, zero + 1, inverse * noise * k**2 - 2 * k, (1 + inverse) * k**2], axis=1), m)
    a = _shifted(np.stack([zero, zero, k**2], axis=1), m)
    t = np.stack([zero, zero + 1], axis=1)

    def mean(polynomial: _Coefficients) -> Vector:
        return np.sum(central[:, : polynomial.shape[1]] * polynomial, axis=1)

    squares, trace = mean(a), m
    a = a - np.column_stack([squares, zero, zero])
    x = p - np.column_stack([mean(p), zero, zero, zero])
    x[:, :3] += inverse * float(trace.sum()) * a
    x[:, :2] += inverse * float(squares.sum()) * t
    at = _product(a, t)
    mixed, a2, t2 = mean(at), mean(_product(a, a)), mean(_product(t, t))
    centre = float(mean(p).sum()) + inverse * (float(squares.sum() * trace.sum()) + float(mixed.sum()))
    variance = mean(_product(x, x)).sum() + 2 * inverse * mean(_product(x, at)).sum()
    if inverse > 0:
        pairs = mean(_product(at, at)) - a2 * t2 - 2 * mixed**2
        variance += inverse**2 * (pairs.sum() + a2.sum() * t2.sum() + mixed.sum() ** 2)
    return centre, math.sqrt(max(float(variance), 0.0))


def _product(f: _Coefficients, g: _Coefficients) -> _Coefficients:
    """Products of polynomials given by the coefficients in their rows."""
    result = np.zeros((len(f), f.shape[1] + g.shape[1] - 1))
    for power in range(g.shape[1]):
        result[:, power : power + f.shape[1]] += f * g[:, power : power + 1]
    return result


def _shifted(f: _Coefficients, centre: Vector) -> _Coefficients:
    """The polynomial of each row as one of the distance from its centre."""
    result = np.zeros_like(f)
    for power in range(f.shape[1]):
        for lower in range(power + 1):
            result[:, lower] += math.comb(power, lower) * f[:, power] * centre ** (power - lower)
    return result
