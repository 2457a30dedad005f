"""Global minimisers of the population loss, and how far given weights are from them.

Theorem 4 (fixed Λ) and Theorem 8 (random Λ_τ), also with label noise and any prior of w.
The minimum over u and U that the paper proves is the minimum over all parameters, for every N, as the part of ŷ that
is even in (w, noise) only adds a square; so it is enough to find the best linear learner ŷ = x_q'K (1/N) Σ y_i x_i.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, Matrix, check_covariance, check_matrix, check_real
from iclab.prompts import Gaussian
from iclab.theory.covariance_rules import (
    CovarianceLaw,
    CovarianceRule,
    check_size,
    covariance_rule,
    law_dimension,
)
from iclab.theory.lengths import TrainLength, inverse_moments
from iclab.theory.lsa import LSAParameters
from iclab.theory.modes import flow_coefficients
from iclab.theory.population import PopulationLoss


def optimal_learner(
    covariates: CovarianceLaw,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> Matrix:
    """The learner K of ŷ = x_q'K (1/N) Σ y_i x_i with the smallest population loss.

    Γ⁻¹ for a fixed Λ (Theorem 4), E Λ² (E ΓΛ²)⁻¹ for random diagonal Λ_τ (Theorem 8). In general it solves
    E[Λ K A] = E[ΛWΛ] with A = (1 + 1/N) ΛWΛ + (tr WΛ + s²)/N Λ, for w ~ (0, W) and label noise of variance s²; for
    a fixed Λ that is K = W [(1 + 1/N) ΛW + (tr WΛ + s²)/N I]⁻¹. Where it is not unique (directions in which Λ
    vanishes, N = ∞), the one of least norm.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ, in dimension d.
    n_train : int, math.inf or AllPositions
        Length of training prompts.
    noise_variance : float
        s² ≥ 0, variance of the noise on training labels.
    weight_covariance : array_like, shape (d, d), optional
        W, second moment of w; the identity when omitted.

    Returns
    -------
    ndarray, shape (d, d)

    Raises
    ------
    InvalidInputError
        If dimensions differ, N is below 1, or a covariance is beyond 1e±80 in size.

    Examples
    --------
    >>> from iclab.prompts import Gaussian
    >>> from iclab.theory import optimal_learner
    >>> optimal_learner(Gaussian([[1.0]]), 8)  # 1 / (1 + 2/N)
    array([[0.8]])
    """
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    inverse, _ = inverse_moments(n_train)
    d = law_dimension(covariates)
    W = np.eye(d) if weight_covariance is None else check_covariance(weight_covariance, "weight_covariance", d)
    if isinstance(covariates, Gaussian):
        Lambda = covariates.covariance
        check_size(float(np.abs(Lambda).max()))
        level = inverse * (float(np.vdot(W, Lambda)) + noise)
        if level > 0:
            K = np.linalg.solve((1 + inverse) * W @ Lambda + level * np.eye(d), W)
            return (K + K.T) / 2
    rule = covariance_rule(covariates)
    if rule.commuting and weight_covariance is None:
        coefficients = flow_coefficients(covariates, n_train, noise)
        return coefficients.from_eigenbasis(np.diag(coefficients.target))
    return _solve_learner(rule, inverse, noise, W)


def minimizer(
    covariates: CovarianceLaw,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> LSAParameters:
    """The global minimiser that gradient flow reaches: Theorem 4, (11), and Theorem 8.

    a = b = 0, u = ‖K‖_F^{1/2} and U = K'/u for the learner K of :func:`optimal_learner`, whose parameters these are:
    the balanced point (u² = ‖U‖_F²) of the set uU = K', with a and b of shape (d,) and U of shape (d, d). Parameters
    and errors are those of :func:`optimal_learner`.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.prompts import Gaussian
    >>> a, u, U, b = minimizer(Gaussian(np.diag([2.0, 1.0])), n_train=5).blocks
    >>> np.linalg.inv(u * U)  # Γ = (1 + 1/5)Λ + 3/5 I
    array([[3. , 0. ],
           [0. , 1.8]])
    """
    K = optimal_learner(covariates, n_train, noise_variance, weight_covariance)
    u = float(np.sqrt(np.linalg.norm(K)))
    zero = np.zeros(K.shape[0])
    return LSAParameters.from_blocks(zero, u, K.T / u if u else K, zero)


def learner_loss(
    learner: ArrayLike,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> float:
    """½ E(ŷ − w'x_q)² of the linear learner ŷ = x_q'K (1/N) Σ y_i x_i: (28) for any W and label noise.

    Parameters
    ----------
    learner : array_like, shape (d, d)
        K. The other parameters are those of :func:`optimal_learner`.
    """
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    inverse, _ = inverse_moments(n_train)
    d = law_dimension(covariates)
    K = check_matrix(learner, "learner", d)
    W = np.eye(d) if weight_covariance is None else check_covariance(weight_covariance, "weight_covariance", d)
    rule = covariance_rule(covariates)
    nodes = rule.matrices
    signal, gram = _learner_moments(nodes, W, inverse, noise)
    second = np.einsum("nij,jk,nkl,il->n", nodes, K, gram, K, optimize=True)
    cross = np.einsum("nij,ij->n", signal, K)
    prior = np.einsum("nij,ij->n", nodes, W)
    return float(rule.weights @ (second - 2 * cross + prior)) / 2


def minimum_loss(
    covariates: CovarianceLaw,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> float:
    """Minimum of L over all parameters, with the constant ½ E tr Λ (Corollary 16 and Lemma 24).

    ½trΛ − ½tr(Λ²Γ⁻¹) for a fixed Λ, shape (d, d), ½ E trΛ − ½ Σ ξ_i²/γ_i for random diagonal Λ_τ. Parameters and
    errors are those of :func:`optimal_learner`.
    """
    if weight_covariance is None:
        rule = covariance_rule(covariates)
        if rule.commuting:
            coefficients = flow_coefficients(covariates, n_train, noise_variance)
            return (coefficients.mean_trace - float(coefficients.drive @ coefficients.target)) / 2
    K = optimal_learner(covariates, n_train, noise_variance, weight_covariance)
    return learner_loss(K, covariates, n_train, noise_variance, weight_covariance)


@dataclass(frozen=True)
class MinimizerComparison:
    """How far a layer is from the minimiser of Theorem 4 or 8, unchanged by (W^PV, W^KQ) → (c W^PV, W^KQ/c).

    Attributes
    ----------
    learner_distance : float
        ‖uU + ab' − K*'‖_F/‖K*‖_F, the distance of the part of ŷ that is odd in w.
    block_distance : float
        ‖uU − K*'‖_F/‖K*‖_F.
    alignment : float
        Cosine between uU and K*'; 1 when they agree up to a positive factor, 0 when uU = 0.
    scale_ratio : float
        ‖uU‖_F/‖K*‖_F.
    ab_size : float
        ‖a‖‖b‖/‖K*‖_F.
    a_size, b_size : float
        ‖a‖/|u| and ‖b‖/‖U‖_F (infinite where the denominator alone is zero): both invariant.
    loss, minimum_loss, excess : float
        L(θ), min L and their difference.
    relative_excess : float
        Excess divided by ½ E tr Λ − min L, the gain of the minimiser over predicting zero.
    """

    learner_distance: float
    block_distance: float
    alignment: float
    scale_ratio: float
    ab_size: float
    a_size: float
    b_size: float
    loss: float
    minimum_loss: float
    excess: float
    relative_excess: float


def compare_to_minimizer(
    parameters: LSAParameters, covariates: CovarianceLaw, n_train: TrainLength
) -> MinimizerComparison:
    """Compare trained weights with Theorem 4 / 8 in scale-invariant terms.

    Parameters
    ----------
    parameters : LSAParameters
        The layer, in dimension d.
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ it was trained on.
    n_train : int, math.inf or AllPositions
        Length of its training prompts; ``AllPositions(N)`` if it was trained on all positions.

    Returns
    -------
    MinimizerComparison

    Raises
    ------
    InvalidInputError
        If the dimensions differ, or Λ = 0, where there is nothing to learn.
    """
    loss = PopulationLoss(covariates, n_train)
    value = loss(parameters)
    target = optimal_learner(covariates, n_train).T
    size = _norm(target)
    if size == 0:
        raise InvalidInputError("the covariance must not be zero: every layer is then a minimiser.")
    a, u, U, b = parameters.blocks
    product = u * U
    best = minimum_loss(covariates, n_train)
    at_zero = loss(LSAParameters.from_blocks(0 * a, 0.0, 0 * U, 0 * b))
    excess = value - best
    norm = _norm(product)
    return MinimizerComparison(
        learner_distance=_norm(parameters.learner.T - target) / size,
        block_distance=_norm(product - target) / size,
        alignment=float(np.vdot(product, target)) / (norm * size) if norm else 0.0,
        scale_ratio=norm / size,
        ab_size=_norm(a) * _norm(b) / size,
        a_size=_ratio(_norm(a), abs(u)),
        b_size=_ratio(_norm(b), _norm(U)),
        loss=value,
        minimum_loss=best,
        excess=excess,
        relative_excess=excess / (at_zero - best),
    )


def _learner_moments(
    nodes: Float64[np.ndarray, "K d d"], W: Matrix, inverse: float, noise: float
) -> tuple[Float64[np.ndarray, "K d d"], Float64[np.ndarray, "K d d"]]:
    """ΛWΛ and A = E[(1/N²) X'yy'X] = (1 + 1/N) ΛWΛ + (tr WΛ + s²)/N Λ at every node."""
    signal = nodes @ W @ nodes
    level = inverse * (np.einsum("nij,ij->n", nodes, W) + noise)
    return signal, (1 + inverse) * signal + level[:, None, None] * nodes


def _solve_learner(rule: CovarianceRule, inverse: float, noise: float, W: Matrix) -> Matrix:
    d = rule.dimension
    if not rule.commuting:
        nodes = rule.matrices
        signal, gram = _learner_moments(nodes, W, inverse, noise)
        # E[Λ K A] = E[ΛWΛ] as one linear system in vec K (by rows).
        system: np.ndarray = np.einsum("n,nij,nkl->ikjl", rule.weights, nodes, gram, optimize=True)
        inverted = np.linalg.pinv(system.reshape(d**2, d**2), hermitian=True)
        return (inverted @ rule.mean(signal).ravel()).reshape(d, d)
    Q = np.eye(d) if rule.rotations is None else rule.rotations
    diagonal = CovarianceRule(rule.weights, rule.spectra)
    signal, gram = _learner_moments(diagonal.matrices, Q.T @ W @ Q, inverse, noise)
    # With diagonal nodes the system falls apart into one of size d for each row of K.
    systems: np.ndarray = np.einsum("n,ni,nkl->ikl", rule.weights, rule.spectra, gram, optimize=True)
    rows = np.einsum("ikl,il->ik", np.linalg.pinv(systems, hermitian=True), rule.mean(signal))
    return Q @ rows @ Q.T


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array))


def _ratio(numerator: float, denominator: float) -> float:
    if denominator:
        return numerator / denominator
    return float("inf") if numerator else 0.0
