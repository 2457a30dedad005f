"""What scaling a prompt at test time does to linear self-attention: exact errors of the scaled layer.

With y = w'x, dividing all inputs by s turns w into s·w and leaves the labels: the same prompt, in other units. A layer
ŷ = k x_q'Λ̂w (a = b = 0, K = kI) then says ŷ/s². Two scales estimated from the context itself are treated: its mean
variance, s² = trΛ̂/d, so that ŷ = κ x_q'Λ̂w/(trΛ̂/d), and one per coordinate, s_i² = Λ̂_ii, which is of use where Λ is
diagonal, as in Theorem 8. Both errors are quadratic in κ, by the independence of norms and directions of Gaussians:
with g_i the i-th coordinates of the context, Λ̂_ij = g_i'g_j/M and E[(g_i'g_j)² | norms] = |g_i|²|g_j|²/M.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory.lengths import PromptLength, inverse_moments

# Trapezoidal sums in logarithmic variables: exponentially accurate for the analytic integrands here.
_TIMES = np.arange(-45.0, 60.0, 0.125)
_TAIL = np.arange(-4.5, 5.5, 0.05)


@dataclass(frozen=True)
class ScaledRisk:
    """E(ŷ − w'x_q)² = constant − 2κ cross + κ² square of ŷ = κ · (a scaled predictor), for every κ.

    Attributes
    ----------
    constant : float
        E tr Λ, the zero estimator's error.
    cross, square : float
        E[ŷ₁ w'x_q] and E ŷ₁² at κ = 1.
    """

    constant: float
    cross: float
    square: float

    def __call__(self, coefficient: float) -> float:
        """Error at κ = ``coefficient``, for example the k of the layer that Theorem 8 trains."""
        return self.constant - 2 * coefficient * self.cross + coefficient**2 * self.square

    @property
    def best(self) -> float:
        """The κ of least error: what training on scaled prompts of this length would find."""
        return self.cross / self.square

    @property
    def minimum(self) -> float:
        """The error at the best κ."""
        return self.constant - self.cross**2 / self.square


def trace_scaling(covariates: Gaussian | RandomDiagonal, n_test: PromptLength) -> ScaledRisk:
    """Error of ŷ = κ x_q'Λ̂w/(trΛ̂/d) on noise-free linear prompts of length M, w ~ N(0, I), exactly.

    With z_i = Σ_m x_mi² and Z = Σ z_i it is E Σ λ_i [1 − 2κd z_i/Z + κ²d²(z_i² + z_i(Z − z_i)/M)/Z²]. As the z_i are
    independent, E λ_i z_i/Z = ∫ E[λ_i z_i e^{−tz_i}] Π_{j≠i} E e^{−tz_j} dt, and so for 1/Z² with a factor t. Not in
    the paper.

    Parameters
    ----------
    covariates : Gaussian with a diagonal covariance, or RandomDiagonal
        Law of Λ at test.
    n_test : int or math.inf
        M.

    Returns
    -------
    ScaledRisk

    Raises
    ------
    InvalidInputError
        If a fixed covariance is not diagonal.
    """
    inverse, _ = inverse_moments(n_test, "n_test")
    laws = _laws(covariates)
    keys = [id(law) for law in laws]
    known = {key: law_nodes(law) for key, law in dict(zip(keys, laws, strict=True)).items()}
    scale = covariates.scale if isinstance(covariates, RandomDiagonal) else 1.0
    d = len(laws)
    t = np.exp(_TIMES)
    transforms = {key: _transforms(*pair, t, inverse) for key, pair in known.items()}
    logs = np.array([transforms[key][0] for key in keys])
    others = np.exp(logs.sum(axis=0) - logs)  # Π_{j≠i} E e^{−tz_j}
    step = _TIMES[1] - _TIMES[0]
    first = sum(float(np.sum(transforms[key][1] * others[i] * t)) for i, key in enumerate(keys)) * step
    second = sum(float(np.sum(transforms[key][2] * others[i] * t**2)) for i, key in enumerate(keys)) * step
    mean = sum(float(known[key][0] @ known[key][1]) for key in keys)
    square = d**2 * ((1 - inverse) * second + inverse * first)
    return ScaledRisk(scale * mean, scale * d * first, scale * square)


def coordinate_scaling(covariates: Gaussian | RandomDiagonal, n_test: PromptLength) -> ScaledRisk:
    """Error of ŷ = κ Σ_i x_qi (Λ̂w)_i/Λ̂_ii on noise-free linear prompts of length M, w ~ N(0, I), exactly.

    E Λ̂_ij²/Λ̂_ii² = (λ_j/λ_i) E 1/χ²_M, so that it is E trΛ [(1 − κ)² + κ²(d − 1)/(M − 2)] whatever the law of the
    diagonal Λ: at the best κ, E trΛ (d − 1)/(M + d − 3). Not in the paper.

    Parameters
    ----------
    covariates, n_test
        As in :func:`trace_scaling`; the square is infinite for M ≤ 2 and d ≥ 2.
    """
    inverse, _ = inverse_moments(n_test, "n_test")
    laws = _laws(covariates)
    trace = (
        float(covariates.moments(1).sum())
        if isinstance(covariates, RandomDiagonal)
        else float(np.trace(covariates.covariance))
    )
    spread = 0.0
    if len(laws) > 1 and inverse > 0:
        spread = (len(laws) - 1) * inverse / (1 - 2 * inverse) if inverse < 0.5 else math.inf
    return ScaledRisk(trace, trace, trace * (1 + spread))


def _laws(covariates: Gaussian | RandomDiagonal) -> list[Any]:
    """The law of each λ_i: a frozen distribution, or a number."""
    if isinstance(covariates, RandomDiagonal):
        return list(covariates.laws)
    Lambda = covariates.covariance
    variances = np.diagonal(Lambda)
    if np.count_nonzero(Lambda - np.diag(variances)):
        raise InvalidInputError("covariates must have a diagonal covariance here; rotate them into its eigenbasis.")
    return list(variances)


def law_nodes(law: Any) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Values and weights that integrate functions of λ, heavy tails too: double exponential sums from the median."""
    if isinstance(law, float):  # a variance that is known
        return np.array([law]), np.ones(1)
    depth = np.exp(_TAIL - np.exp(-_TAIL))
    tail = np.exp(-depth) / 2  # probability below, and above, a node
    weights = tail * depth * (1 + np.exp(-_TAIL)) * (_TAIL[1] - _TAIL[0])
    values = np.concatenate([law.ppf(tail), law.isf(tail)])
    doubled = np.concatenate([weights, weights])
    usable = np.isfinite(values) & (values > 0)
    return values[usable], doubled[usable]


def _transforms(
    values: np.ndarray, weights: np.ndarray, t: np.ndarray, inverse: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The logarithm of E e^{−tz}, E λz e^{−tz} and E λz² e^{−tz} at every t, for z = λχ²_M/M, which is λ at M = ∞."""
    product = t[:, None] * values
    if inverse == 0:
        kernel = np.exp(-product)
        powers = (values**2 * kernel, values**3 * kernel)
    else:
        growth = 1 + 2 * inverse * product
        kernel = np.exp(-np.log(growth) / (2 * inverse))
        powers = (values**2 * kernel / growth, (1 + 2 * inverse) * values**3 * kernel / growth**2)
    # Where every kernel underflows, so does what it multiplies.
    zero = np.log(np.maximum(kernel @ weights, 1e-300))
    return zero, powers[0] @ weights, powers[1] @ weights
