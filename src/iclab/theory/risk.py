"""Prediction error of a trained layer on new prompts: Theorem 5, Corollary 6 and the shifts of §4.2, all exact.

Errors are E(ŷ − target)², without the factor ½ of the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    InvalidInputError,
    Matrix,
    Vector,
    check_covariance,
    check_matrix,
    check_real,
    check_vector,
)
from iclab.prompts import Gaussian
from iclab.theory.covariance_rules import CovarianceLaw, CovarianceRule, check_size, covariance_rule, law_dimension
from iclab.theory.lengths import PromptLength, TrainLength, inverse_moments
from iclab.theory.lsa import LSAParameters
from iclab.theory.minimizers import optimal_learner
from iclab.theory.population import gamma, population_loss


def theorem5_risk(
    covariance: ArrayLike,
    n_train: TrainLength,
    n_test: PromptLength,
    a: ArrayLike,
    sigma: ArrayLike,
    best: float,
) -> float:
    """Theorem 5: E(ŷ − y)² of the layer of Theorem 4 for any law of (x, y) with x ~ N(0, Λ).

    best + (1/M) tr(ΣΓ⁻²Λ) + (1/N²)[a'Γ⁻²Λ³a + 2 trΛ a'Γ⁻²Λ²a + (trΛ)² a'Γ⁻²Λa].

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ, in training and at test.
    n_train : int, math.inf or AllPositions
        Training prompt length N.
    n_test : int or math.inf
        Test prompt length M.
    a : array_like, shape (d,)
        Λ⁻¹E[xy].
    sigma : array_like, shape (d, d)
        Σ = Cov(xy).
    best : float
        min_w E(w'x − y)². A ``LabelLaw`` holds the three: ``theorem5_risk(covariance, N, M, *law)``.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If a shape is wrong, Σ is not positive semi-definite, ``best`` is negative, N or M is below 1, or Λ is beyond
        1e±80 in size.
    """
    Lambda = check_covariance(covariance)
    d = Lambda.shape[0]
    slope = check_vector(a, "a", d)
    spread = check_covariance(sigma, "sigma", d)
    floor = check_real(best, "best", minimum=0.0)
    inverse_test, _ = inverse_moments(n_test, "n_test")
    inverse, _ = inverse_moments(n_train)
    G = _invertible_gamma(Lambda, n_train)
    variance = np.trace(np.linalg.solve(G, np.linalg.solve(G, Lambda) @ spread))
    # a − Γ⁻¹Λa = (1/N) Γ⁻¹(Λ + trΛ I)a, without cancellation.
    bias: Vector = inverse * np.linalg.solve(G, Lambda @ slope + float(np.trace(Lambda)) * slope)
    return floor + inverse_test * float(variance) + float(bias @ Lambda @ bias)


def shift_risk(
    learner: ArrayLike,
    context_covariance: ArrayLike,
    query_covariance: ArrayLike,
    n_test: PromptLength,
    weight_moment: ArrayLike,
    noise_variance: float = 0.0,
) -> float:
    """E(ŷ − w'x_q)² of any linear learner ŷ = x_q'K (1/M) Σ y_i x_i under task, query and covariate shift (§4.2).

    Context x_i ~ N(0, Λ'), y_i = w'x_i + ε_i, query x_q ~ N(0, Λ_q) independent of them:
    tr(Λ_q[K((1+1/M)Λ'WΛ' + tr(WΛ')Λ'/M)K' − KΛ'W − WΛ'K' + W]) + (s²/M) tr(Λ_q KΛ'K').

    Parameters
    ----------
    learner : array_like, shape (d, d)
        K; Γ⁻¹ for the layer of Theorem 4.
    context_covariance, query_covariance : array_like, shape (d, d)
        Λ' and Λ_q. Scaling x by c scales its covariance by c².
    n_test : int or math.inf
        M.
    weight_moment : array_like, shape (d, d)
        W = E ww'; ww' for a fixed w.
    noise_variance : float
        s² ≥ 0, variance of the noise on the labels of the context; the query's target is noise-free.

    Returns
    -------
    float

    Examples
    --------
    >>> from iclab.theory import shift_risk
    >>> shift_risk([[1.0]], [[1.0]], [[1.0]], n_test=8, weight_moment=[[1.0]])  # 2/M
    0.25
    """
    K = check_matrix(learner, "learner")
    d = K.shape[0]
    context = check_covariance(context_covariance, "context_covariance", d)
    query = check_covariance(query_covariance, "query_covariance", d)
    check_size(float(np.abs(context).max()))
    check_size(float(np.abs(query).max()))
    W = check_covariance(weight_moment, "weight_moment", d)
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    inverse, _ = inverse_moments(n_test, "n_test")
    residual = K @ context - np.eye(d)
    # K Λ'WΛ'K' − KΛ'W − WΛ'K' + W is (KΛ' − I)W(KΛ' − I)', which cannot cancel.
    bias = residual @ W @ residual.T
    spread = K @ (context @ W @ context + (np.vdot(W, context) + noise) * context) @ K.T
    return float(np.vdot(query, bias + inverse * spread))


def expected_risk(
    covariates: CovarianceLaw,
    n_train: TrainLength,
    n_test: PromptLength,
    test_covariates: CovarianceLaw | None = None,
    noise_variance: float = 0.0,
    *,
    training_noise_variance: float = 0.0,
) -> float:
    """Exact mean over w ~ N(0, I) of the minimiser's E(ŷ − w'x_q)² on prompts of length M.

    For a fixed Λ it is the quantity that Corollary 6 bounds: trΛ − 2tr(Γ⁻¹Λ²) + tr(Γ⁻²Λ²Γ_M); at M = N twice the
    minimum loss. For random Λ_new it is the mean over Λ_new too (Theorem 8).

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ in training, in dimension d.
    n_train : int, math.inf or AllPositions
        Training prompt length N.
    n_test : int or math.inf
        Test prompt length M.
    test_covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`, optional
        Law of Λ_new in test prompts; that of training when omitted.
    noise_variance : float
        Variance of the label noise in test prompts (targets are noise-free).
    training_noise_variance : float
        Variance of the label noise the layer was trained with.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If dimensions differ, N or M is below 1, or a covariance is beyond 1e±80 in size.

    Examples
    --------
    >>> from iclab.prompts import Gaussian
    >>> round(expected_risk(Gaussian.isotropic(2), n_train=10, n_test=30), 6)  # 2(k²(1 + 3/30) − 2k + 1), k = 10/13
    0.224852
    """
    K = optimal_learner(covariates, n_train, training_noise_variance)
    test = covariates if test_covariates is None else test_covariates
    return learner_risk(K, test, n_test, noise_variance)


def learner_risk(
    learner: ArrayLike, covariates: CovarianceLaw, n_test: PromptLength, noise_variance: float = 0.0
) -> float:
    """Mean over w ~ N(0, I) and over Λ of E(ŷ − w'x_q)² for any learner K, shape (d, d).

    Corollary 6 bounds it for K = Γ⁻¹. The other parameters are those of :func:`expected_risk`.
    """
    K = check_matrix(learner, "learner", law_dimension(covariates))
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    inverse, _ = inverse_moments(n_test, "n_test")
    rule = covariance_rule(covariates)
    check_size(float(np.abs(rule.spectra).max()))
    return float(rule.weights @ node_risks(K, rule, inverse, noise))


def layer_risk(parameters: LSAParameters, covariates: CovarianceLaw, n_test: PromptLength) -> float:
    """Mean over w ~ N(0, I) and over Λ of E(ŷ − w'x_q)² of any layer on prompts of length M, its a and b included.

    Twice the population loss (8) with M for N and the law of test prompts, as ρ = M at test time.

    Parameters
    ----------
    parameters : LSAParameters
        The layer, in dimension d.
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ in test prompts.
    n_test : int or math.inf
        M.
    """
    return 2 * population_loss(parameters, covariates, n_test)


def node_risks(K: Matrix, rule: CovarianceRule, inverse: float, noise: float) -> Float64[np.ndarray, " K"]:
    """E(ŷ − w'x_q)² of the learner K at every node Λ_k of ``rule``, shape (K,), for w ~ N(0, I)."""
    if rule.rotations is None and np.count_nonzero(K - np.diag(np.diagonal(K))) == 0:
        l, k = rule.spectra, np.diagonal(K)  # noqa: E741
        level = l.sum(-1, keepdims=True) + noise
        return np.einsum("nd,nd->n", l, (k * l - 1) ** 2 + inverse * k**2 * l * (l + level))
    nodes = rule.matrices
    residual = K @ nodes - np.eye(rule.dimension)
    level = np.trace(nodes, axis1=-2, axis2=-1) + noise
    spread = K @ (nodes @ nodes + level[:, None, None] * nodes) @ K.T
    return np.einsum("nij,nij->n", nodes, residual @ np.swapaxes(residual, -1, -2) + inverse * spread)


def corollary6_bound(covariance: ArrayLike, n_train: TrainLength, n_test: PromptLength) -> float:
    """The bound of Corollary 6: (d + 1)trΛ/M + (1 + 2d + d²κ)trΛ/N², κ the condition number of Λ.

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ; a singular one has κ = ∞ and an infinite bound.
    n_train, n_test : int or math.inf
        N and M.

    Returns
    -------
    float

    Examples
    --------
    >>> from iclab.theory import corollary6_bound
    >>> corollary6_bound([[1.0]], n_train=4, n_test=8)  # 2/M + 4/N²
    0.5
    """
    Lambda = check_covariance(covariance)
    inverse_test, _ = inverse_moments(n_test, "n_test")
    return (Lambda.shape[0] + 1) * float(np.trace(Lambda)) * inverse_test + corollary6_floor(Lambda, n_train)


def corollary6_floor(covariance: ArrayLike, n_train: TrainLength) -> float:
    """The additive error η = (1 + 2d + d²κ)trΛ/N² of Corollary 6 (Definition 2).

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ; a singular one has an infinite η.
    n_train : int or math.inf
        N.
    """
    Lambda = check_covariance(covariance)
    inverse, _ = inverse_moments(n_train)
    if inverse == 0:
        return 0.0
    d = Lambda.shape[0]
    values = np.linalg.eigvalsh(Lambda)
    if values[-1] <= 0:
        return 0.0
    if values[0] <= np.finfo(np.float64).eps * d * values[-1]:
        return math.inf
    kappa = float(values[-1] / values[0])
    return (1 + 2 * d + d**2 * kappa) * float(np.trace(Lambda)) * inverse**2


@dataclass(frozen=True)
class SampleComplexity:
    """Smallest test prompts with which the layer in-context learns up to η + ε (Definition 2, Corollary 6).

    Attributes
    ----------
    floor : float
        Exact η: the error left as M → ∞.
    bound_floor : float
        Corollary 6's η = (1 + 2d + d²κ)trΛ/N².
    exact : int
        Smallest M with error ≤ floor + ε.
    exact_to_bound_floor : int
        Smallest M with error ≤ bound_floor + ε.
    by_bound : int or float
        Corollary 6's M = ⌈(d + 1)trΛ/ε⌉.
    """

    floor: float
    bound_floor: float
    exact: int
    exact_to_bound_floor: int
    by_bound: int


def sample_complexity(covariance: ArrayLike, n_train: TrainLength, epsilon: float) -> SampleComplexity:
    """Sample complexity of in-context learning linear functions: exact and by Corollary 6.

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ, in training and at test.
    n_train : int, math.inf or AllPositions
        Training prompt length N.
    epsilon : float
        ε > 0.
    """
    Lambda = check_covariance(covariance)
    slack = check_real(epsilon, "epsilon", above=0.0)
    law = Gaussian(Lambda)
    floor = expected_risk(law, n_train, math.inf)
    slope = expected_risk(law, n_train, 1) - floor  # the error is floor + slope/M exactly
    bound_floor = corollary6_floor(Lambda, n_train)

    def smallest(allowed: float) -> int:
        return max(1, math.ceil(slope / allowed * (1 - 1e-14))) if math.isfinite(allowed) else 1

    return SampleComplexity(
        floor=floor,
        bound_floor=bound_floor,
        exact=smallest(slack),
        exact_to_bound_floor=smallest(bound_floor - floor + slack),
        by_bound=max(1, math.ceil((Lambda.shape[0] + 1) * float(np.trace(Lambda)) / slack)),
    )


def _invertible_gamma(Lambda: Matrix, n_train: TrainLength) -> Matrix:
    check_size(float(np.abs(Lambda).max()))
    G = gamma(Lambda, n_train)
    if np.linalg.cond(G) * np.finfo(np.float64).eps > 1:
        raise InvalidInputError("covariance must be positive definite here, as Γ is singular otherwise; change it.")
    return G
