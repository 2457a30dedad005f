"""The flow on a = b = 0 in modes: covariances that commute with one another, and with the prior of w."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, Matrix, Vector, check_covariance, check_real
from iclab.prompts import RandomDiagonal
from iclab.theory.covariance_rules import (
    CovarianceLaw,
    CovarianceRule,
    DiagonalMoments,
    check_size,
    covariance_rule,
)
from iclab.theory.lengths import TrainLength, inverse_moments


@dataclass(frozen=True, eq=False)
class FlowCoefficients:
    """The numbers that drive (27) and (52): in the common eigenbasis of all Λ, with a = b = 0,

    U̇_ij = −u² k_ij U_ij + u ξ_i δ_ij,  u̇ = −u Σ k_ij U_ij² + Σ ξ_i U_ii,
    L = ½u² Σ k_ij U_ij² − u Σ ξ_i U_ii + ½ E tr Λ.

    For a fixed Λ with eigenvalues l_i (Theorem 4), k_ij = g_i l_i l_j and ξ_i = l_i²; for random diagonal Λ_τ
    (Theorem 8, Corollary 22), k_ii = γ_i, k_ij = ζ_ij and ξ_i = E λ_i².

    Attributes
    ----------
    rotation : ndarray, shape (d, d), or None
        Common eigenvectors Q as columns; None when they are the coordinate axes.
    decay : ndarray, shape (d, d)
        k_ij.
    drive : ndarray, shape (d,)
        ξ_i.
    mean_trace : float
        E tr Λ.
    """  # noqa: D400

    rotation: Matrix | None
    decay: Matrix
    drive: Vector
    mean_trace: float

    @property
    def dimension(self) -> int:
        """Input dimension d."""
        return self.drive.shape[0]

    @property
    def target(self) -> Vector:
        """The limit of the eigenvalues of uU (Theorems 4 and 8): ξ_i/k_ii, and 0 where both vanish; shape (d,)."""
        diagonal = np.diagonal(self.decay)
        return np.divide(self.drive, diagonal, out=np.zeros_like(self.drive), where=diagonal > 0)

    def to_eigenbasis(self, matrix: Matrix) -> Matrix:
        """Q'XQ of a matrix X, shape (d, d): the coordinates in which (27) and (52) decouple."""
        return matrix if self.rotation is None else self.rotation.T @ matrix @ self.rotation

    def from_eigenbasis(self, matrix: Matrix) -> Matrix:
        """QXQ' of a matrix X, shape (d, d): back from the coordinates in which (27) and (52) decouple."""
        return matrix if self.rotation is None else self.rotation @ matrix @ self.rotation.T

    def loss(self, u: float, U: Matrix) -> float:
        """L at a = b = 0 (Lemmas 15 and 23), for U, shape (d, d), in the eigenbasis."""
        quadratic = np.einsum("ij,ij,ij->", self.decay, U, U)
        return float(u**2 * quadratic / 2 - u * (self.drive @ np.diagonal(U)) + self.mean_trace / 2)

    def gradient(self, u: float, U: Matrix) -> tuple[float, Matrix]:
        """∂L/∂u and ∂L/∂U at a = b = 0 (Lemmas 10 and 21), for U, shape (d, d), in the eigenbasis."""
        slope = u**2 * self.decay * U
        slope[np.diag_indices_from(slope)] -= u * self.drive
        return float(u * np.einsum("ij,ij,ij->", self.decay, U, U) - self.drive @ np.diagonal(U)), slope

    def excess(self, u: float, U: Matrix) -> float:
        """L − min L at a = b = 0, as a sum of squares (Lemma 24), for U, shape (d, d), in the eigenbasis."""
        return float(np.einsum("ij,ij->", self.decay, (u * U - np.diag(self.target)) ** 2) / 2)


@singledispatch
def flow_coefficients(
    covariates: CovarianceLaw,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> FlowCoefficients:
    """The coefficients of the flow (27), (52) for covariances that commute with one another.

    With label noise and a prior, k_ij = E A_i λ_j with A_i = (1 + 1/N) λ_i²ω_i + (Σ ω_jλ_j + s²)/N λ_i and
    ξ_i = ω_i E λ_i², ω_i the eigenvalues of W; not in the paper. E tr Λ is then E tr WΛ.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ.
    n_train : int, math.inf or AllPositions
        Length of training prompts.
    noise_variance : float
        s² ≥ 0, variance of the noise on the labels of the examples.
    weight_covariance : array_like, shape (d, d), optional
        W of w ~ N(0, W); the identity when omitted.

    Returns
    -------
    FlowCoefficients

    Raises
    ------
    InvalidInputError
        If the covariances do not commute, with one another and with W, or as :func:`covariance_rule`.
    """
    rule = covariance_rule(covariates)
    if not rule.commuting:
        raise InvalidInputError(
            "covariates must have covariances that commute with one another, for the flow to decouple into modes; "
            f"those of {type(covariates).__name__} do not."
        )
    check_size(float(np.abs(rule.spectra).max()))
    inverse, _ = inverse_moments(n_train)
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    w: Vector = np.ones(rule.dimension)
    if weight_covariance is not None:
        rule, w = _with_prior(rule, check_covariance(weight_covariance, "weight_covariance", rule.dimension))
    l = rule.spectra  # noqa: E741
    trace = (l * w).sum(-1, keepdims=True)
    p = (1 + inverse) * l**2 * w + inverse * (trace + noise) * l
    decay = np.einsum("n,ni,nj->ij", rule.weights, p, l, optimize=True)
    return FlowCoefficients(rule.rotations, decay, (rule.weights @ l**2) * w, float(rule.weights @ trace[:, 0]))


def _with_prior(rule: CovarianceRule, W: Matrix) -> tuple[CovarianceRule, Vector]:
    """The rule in a basis in which W is diagonal too, and W's diagonal."""
    basis = np.eye(rule.dimension) if rule.rotations is None else rule.rotations
    if len(rule.weights) == 1:  # in one Λ equal eigenvalues leave the basis open, which W then chooses
        spectrum = rule.spectra[0]
        scale = max(float(np.abs(W).max()), 1e-300)
        mixed = np.diag(spectrum / max(float(spectrum.max()), 1e-300)) + 0.618 * (basis.T @ W @ basis) / scale
        turn = np.linalg.eigh(mixed)[1] if np.count_nonzero(mixed - np.diag(np.diagonal(mixed))) else np.eye(len(W))
        Lambda = turn.T @ (spectrum[:, None] * turn)
        diagonal = np.diagonal(Lambda)
        if _off_diagonal(Lambda) <= 1e-13 * len(W) * float(spectrum.max()):
            basis = basis @ turn
            rule = CovarianceRule(rule.weights, np.clip(diagonal, 0, None)[None], basis)
    rotated = basis.T @ W @ basis
    if _off_diagonal(rotated) > 1e-13 * len(W) * float(np.abs(W).max()):
        raise InvalidInputError(
            "weight_covariance must commute with the covariances, for the flow to decouple into modes; it does not."
        )
    return rule, np.clip(np.diagonal(rotated), 0, None)


def _off_diagonal(matrix: Matrix) -> float:
    return float(np.abs(matrix - np.diag(np.diagonal(matrix))).max())


@flow_coefficients.register
def _(
    covariates: RandomDiagonal,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> FlowCoefficients:
    return flow_coefficients(DiagonalMoments.of(covariates), n_train, noise_variance, weight_covariance)


@flow_coefficients.register
def _(
    covariates: DiagonalMoments,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> FlowCoefficients:
    if weight_covariance is not None:
        return flow_coefficients.dispatch(object)(covariates, n_train, noise_variance, weight_covariance)
    inverse, _ = inverse_moments(n_train)
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    one, two, three = covariates.first, covariates.second, covariates.third
    check_size(float(np.cbrt(three.max())))
    trace = float(one.sum())
    # E λ_i²λ_j and E λ_iλ_j trΛ for i ≠ j, then the diagonals (Corollary 22, (51)): O(d²), unlike the 2d + 1 nodes.
    square = np.outer(two, one)
    products = np.outer(one, one)
    with_trace = square + square.T + products * (trace - one[:, None] - one[None, :])
    np.fill_diagonal(square, three)
    np.fill_diagonal(with_trace, three + two * (trace - one))
    np.fill_diagonal(products, two)
    decay = (1 + inverse) * square + inverse * (with_trace + noise * products)
    return FlowCoefficients(None, decay, two, trace)
