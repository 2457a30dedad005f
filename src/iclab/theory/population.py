"""The population loss L = ½ E(ŷ − w'x_q)² of a linear self-attention layer, w ~ N(0, W), on all its parameters.

At a = b = 0 it is Lemma 15's (28) and Lemma 23's (53) plus the constant ½ E tr Λ. On all parameters ŷ splits into a
part odd in w, with V = uU + ab', and an even part that is independent of the target:

L = ½tr(ΓΛVΛV') − tr(Λ²V) + ½trΛ + ½ E(even part)²,

for W = I without label noise (``label_moments`` has what stands there otherwise),

a polynomial of degree 4 in the parameters and 3 in Λ. As it is covariant under rotations, it is evaluated in the
eigenbasis of each node of the covariance rule, where products with Λ are elementwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, Matrix, check_covariance, check_real, check_reals
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory.covariance_rules import (
    CovarianceLaw,
    CovarianceRule,
    DiagonalMoments,
    covariance_rule,
    law_dimension,
)
from iclab.theory.label_moments import LabelMoments
from iclab.theory.lengths import TrainLength, inverse_moments
from iclab.theory.lsa import LSAParameters
from iclab.theory.modes import FlowCoefficients, flow_coefficients

_Array: TypeAlias = Float64[np.ndarray, "..."]
# a (..., d), u (...), U (..., d, d), b (..., d)
_Blocks: TypeAlias = tuple[_Array, _Array, _Array, _Array]
_MAXIMUM_ELEMENTS = 2_000_000


def gamma(covariance: ArrayLike, n_train: TrainLength) -> Matrix:
    """Γ = (1 + 1/N)Λ + (trΛ/N) I of Theorem 4, so that E[Λ̂²] = ΓΛ.

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ, positive semi-definite.
    n_train : int, math.inf or AllPositions
        Prompt length N; ``AllPositions(N)`` puts H_N/N for 1/N.

    Returns
    -------
    ndarray, shape (d, d)
    """
    matrix = check_covariance(covariance)
    inverse, _ = inverse_moments(n_train)
    return (1 + inverse) * matrix + inverse * np.trace(matrix) * np.eye(matrix.shape[0])


class PopulationLoss:
    """L, (8) and (20), as a function of all parameters, for one law of covariances and one prompt length.

    Use it where many evaluations are needed; :func:`population_loss` and :func:`population_gradient` are one each.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ, in dimension d.
    n_train : int, math.inf or AllPositions
        Prompt length N. ``AllPositions(N)`` averages the loss over contexts of 1, …, N examples.
    noise_variance : float
        s² ≥ 0, variance of the noise on the labels of the examples; the query's target is noise-free.
    weight_covariance : array_like, shape (d, d), optional
        W of w ~ N(0, W); the identity when omitted.
    """

    def __init__(
        self,
        covariates: CovarianceLaw,
        n_train: TrainLength,
        noise_variance: float = 0.0,
        weight_covariance: ArrayLike | None = None,
    ) -> None:
        self.covariates = covariates
        self.n_train = n_train
        self._inverse = inverse_moments(n_train)
        self.dimension = law_dimension(covariates)
        self.noise_variance = check_real(noise_variance, "noise_variance", minimum=0.0)
        self.weight_covariance = (
            None
            if weight_covariance is None
            else check_covariance(weight_covariance, "weight_covariance", self.dimension)
        )

    @property
    def problem(self) -> tuple[CovarianceLaw, TrainLength, float, Matrix | None]:
        """Law of Λ, N, s² and W: the arguments of Theorem 4's :func:`minimizer` and :func:`minimum_loss`."""
        return self.covariates, self.n_train, self.noise_variance, self.weight_covariance

    @property
    def inverse_length(self) -> float:
        """Mean of 1/N over the contexts of the loss: what stands for 1/N in Γ of Theorem 4."""
        return self._inverse[0]

    @cached_property
    def rule(self) -> CovarianceRule:
        """Nodes and weights for expectations over Λ."""
        return covariance_rule(self.covariates)

    @cached_property
    def coefficients(self) -> FlowCoefficients:
        """Coefficients of the loss at a = b = 0, if the covariances commute, and with W."""
        return flow_coefficients(self.covariates, self.n_train, self.noise_variance, self.weight_covariance)

    @cached_property
    def modal(self) -> bool:
        """Whether the loss (8) at a = b = 0 falls apart into modes; known for some laws without their many nodes."""
        if self.weight_covariance is not None:
            with suppress(InvalidInputError):
                return bool(self.coefficients.dimension)
            return False
        return isinstance(self.covariates, Gaussian | RandomDiagonal | DiagonalMoments) or self.rule.commuting

    @cached_property
    def _labels(self) -> LabelMoments:
        return LabelMoments.of(self.rule, self._inverse[0], self.noise_variance, self.weight_covariance)

    def __call__(self, parameters: LSAParameters) -> float:
        """L(θ), (8): Lemmas 15 and 23 at a = b = 0; on all parameters the formula is not in the paper."""
        self._check(parameters)
        a, u, U, b = parameters.blocks
        if self.modal and not a.any() and not b.any():
            return self.coefficients.loss(u, self.coefficients.to_eigenbasis(U))
        return float(self._values(_as_arrays(parameters)))

    def gradient(self, parameters: LSAParameters) -> LSAParameters:
        """∇L(θ) of (9), arranged as parameters: ∂L/∂a, ∂L/∂u, ∂L/∂U, ∂L/∂b in the blocks and zeros elsewhere."""
        self._check(parameters)
        a, u, U, b = parameters.blocks
        if self.modal and not a.any() and not b.any():
            u_slope, U_slope = self.coefficients.gradient(u, self.coefficients.to_eigenbasis(U))
            return LSAParameters.from_blocks(a, u_slope, self.coefficients.from_eigenbasis(U_slope), b)
        a, slope, core, b = self._gradients(_as_arrays(parameters))
        return LSAParameters.from_blocks(a, float(slope), core, b)

    def values(self, vectors: ArrayLike) -> _Array:
        """L at parameters given as vectors t of Lemma 9, shape (..., (d + 1)²); shape (...)."""
        return self._values(self._split(vectors))

    def gradients(self, vectors: ArrayLike) -> _Array:
        """∇L in the coordinates t of Lemma 9, at and with the shape of ``vectors`` (..., (d + 1)²)."""
        a, u, U, b = self._gradients(self._split(vectors))
        size = self.dimension + 1
        reduced = np.empty((*u.shape, size, size))
        reduced[..., :-1, :-1], reduced[..., :-1, -1], reduced[..., -1, :-1], reduced[..., -1, -1] = U, a, b, u
        return np.swapaxes(reduced, -1, -2).reshape(*u.shape, size**2)

    def hessian(self, parameters: LSAParameters) -> Matrix:
        """∇²L(θ) in the coordinates t of Lemma 9, shape ((d + 1)², (d + 1)²)."""
        self._check(parameters)
        return self.hessian_along(parameters.vector, np.eye((self.dimension + 1) ** 2))

    def hessian_along(self, vector: ArrayLike, directions: ArrayLike) -> Matrix:
        """D ∇²L D' at t = ``vector``, shape ((d + 1)²,), for directions D, shape (k, (d + 1)²); shape (k, k).

        Central differences of the gradient of (9) with two steps: exact up to rounding, as it is a cubic.
        """
        t, D = check_reals(vector, "vector"), check_reals(directions, "directions")
        step = max(1.0, float(np.abs(t).max())) / 4
        shifts = step * D
        near = (self.gradients(t + shifts) - self.gradients(t - shifts)) / (2 * step)
        far = (self.gradients(t + 2 * shifts) - self.gradients(t - 2 * shifts)) / (4 * step)
        hessian = (4 * near - far) @ D.T / 3
        return (hessian + hessian.T) / 2

    def _check(self, parameters: LSAParameters) -> None:
        if parameters.dimension != self.dimension:
            raise InvalidInputError(
                f"parameters must have the dimension {self.dimension} of the covariates; "
                f"dimension {parameters.dimension} was given."
            )

    def _split(self, vectors: ArrayLike) -> _Blocks:
        t = check_reals(vectors, "vectors")
        size = self.dimension + 1
        if t.ndim < 1 or t.shape[-1] != size**2:
            raise InvalidInputError(f"vectors must have shape (..., {size**2}); {t.shape} was given.")
        reduced = np.swapaxes(t.reshape(*t.shape[:-1], size, size), -1, -2)
        return reduced[..., :-1, -1], reduced[..., -1, -1], reduced[..., :-1, :-1], reduced[..., -1, :-1]

    def _parts(self, batch: _Array) -> Iterator[tuple[CovarianceRule, LabelMoments]]:
        """The rule in parts whose intermediate arrays stay below some 16 MB for this batch of u."""
        nodes = max(1, _MAXIMUM_ELEMENTS // max(1, batch.size * self.dimension**2))
        for number, part in enumerate(self.rule.parts(nodes)):
            yield part, self._labels.cut(number * nodes, (number + 1) * nodes)

    def _values(self, blocks: _Blocks) -> _Array:
        total = np.zeros(blocks[1].shape)
        for part, labels in self._parts(blocks[1]):
            total += _node_values(_rotated(blocks, part.rotations), labels, *self._inverse) @ part.weights
        return total

    def _gradients(self, blocks: _Blocks) -> _Blocks:
        a, u, core, b = (np.zeros(block.shape) for block in blocks)
        for part, labels in self._parts(blocks[1]):
            slopes = _node_gradients(_rotated(blocks, part.rotations), labels, *self._inverse)
            a_slope, u_slope, U_slope, b_slope = _rotated_back(slopes, part.rotations)
            a += np.vecmat(part.weights, a_slope)
            b += np.vecmat(part.weights, b_slope)
            core += np.einsum("...kij,k->...ij", U_slope, part.weights)
            u += u_slope @ part.weights
        return a, u, core, b


def population_loss(
    parameters: LSAParameters,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> float:
    """L(θ) = ½ E(ŷ − w'x_q)², (8) and (20), with the constant ½ E tr WΛ, on all parameters.

    Parameters
    ----------
    parameters : LSAParameters
        θ, in dimension d; only its blocks a, u, U, b matter.
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ.
    n_train : int, math.inf or AllPositions
        Prompt length N.
    noise_variance, weight_covariance
        As in :class:`PopulationLoss`; W of shape (d, d).

    Raises
    ------
    InvalidInputError
        If dimensions differ, N is below 1 or E λ³ is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.prompts import Gaussian
    >>> zero = LSAParameters.from_blocks([0, 0], 0.0, np.zeros((2, 2)), [0, 0])
    >>> population_loss(zero, Gaussian([[2.0, 0.5], [0.5, 1.0]]), 10)  # ½ tr Λ
    1.5
    """
    return PopulationLoss(covariates, n_train, noise_variance, weight_covariance)(parameters)


def population_gradient(
    parameters: LSAParameters,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> LSAParameters:
    """∇L(θ) with ∂L/∂a, ∂L/∂u, ∂L/∂U, ∂L/∂b in the blocks (Lemma 10 extended to all parameters).

    Parameters and errors are those of :func:`population_loss`.
    """
    return PopulationLoss(covariates, n_train, noise_variance, weight_covariance).gradient(parameters)


def _rotated(blocks: _Blocks, Q: _Array | None) -> _Blocks:
    """Blocks in the eigenbasis of every node: a node axis before the last ones."""
    a, u, U, b = blocks
    if Q is None:
        return a[..., None, :], u[..., None], U[..., None, :, :], b[..., None, :]
    a, b = (np.vecmat(v[..., None, :], Q) for v in (a, b))
    return a, u[..., None], np.swapaxes(Q, -1, -2) @ U[..., None, :, :] @ Q, b


def _rotated_back(blocks: _Blocks, Q: _Array | None) -> _Blocks:
    if Q is None:
        return blocks
    a, u, U, b = blocks
    back = np.swapaxes(Q, -1, -2)
    a, b = (np.vecmat(v, back) for v in (a, b))
    return a, u, Q @ U @ back, b


def _as_arrays(parameters: LSAParameters) -> _Blocks:
    a, u, U, b = parameters.blocks
    return a, np.asarray(u), U, b


def _dot(x: _Array, y: _Array) -> _Array:
    return np.vecdot(x, y)


def _apply(matrix: _Array, vector: _Array) -> _Array:
    return np.matvec(matrix, vector)


def _outer(x: _Array, y: _Array) -> _Array:
    return x[..., :, None] * y[..., None, :]


def _node_values(blocks: _Blocks, labels: LabelMoments, inverse: float, inverse_square: float) -> _Array:
    """L for Λ = diag(l), with the means of 1/N and 1/N²; blocks broadcast against l, shape (K, d)."""
    a, u, U, b = blocks
    l = labels.spectra  # noqa: E741
    V = u[..., None, None] * U + _outer(a, b)
    odd = _apply(labels.with_gram(V) * V, l).sum(-1) / 2 - labels.trace_with(V) + labels.mean_square / 2
    if not a.any() and not b.any():
        return odd
    S = (U + np.swapaxes(U, -1, -2)) / 2
    la, lb = l * a, l * b
    c = np.vecmat(la, U)
    Sa = _apply(S, la)  # SΛa
    aa, ab, bb, aSa = _dot(a, la), _dot(la, b), _dot(b, lb), _dot(la, Sa)
    tau = _dot(np.diagonal(U, axis1=-2, axis2=-1), l)  # tr SΛ
    uu = _dot(_apply(U**2, l), l)  # tr ΛUΛU'
    ss = _dot(_apply(S**2, l), l)  # tr SΛSΛ
    t1 = (1 + inverse) * _dot(c, l * c) + inverse * uu * aa
    t2 = inverse_square * (aa * (tau**2 + 2 * ss) + 4 * aSa * tau + 8 * _dot(Sa, l * Sa))
    t3 = u**2 * bb * labels.square
    t12 = 2 * inverse * (aSa * tau + 2 * _dot(l * c, Sa))
    t13 = 2 * u * _dot(labels.with_square(a), _apply(U, lb))
    t23 = 2 * inverse * u * labels.level * (ab * tau + 2 * _dot(lb, Sa))
    return odd + (t1 + t2 + t3 + t12 + t13 + t23) / 2


def _node_gradients(blocks: _Blocks, labels: LabelMoments, inverse: float, inverse_square: float) -> _Blocks:
    """Derivatives of :func:`_node_values` in a, u, U, b, term by term."""
    a, u, U, b = blocks
    l = labels.spectra  # noqa: E741
    ll = _outer(l, l)
    u2 = u[..., None, None]
    R = labels.with_gram(u2 * U + _outer(a, b)) * l[..., None, :]
    labels.take_signal(R)
    index = list(range(l.shape[-1]))
    grad_u, grad_U = (R * U).sum((-2, -1)), u2 * R
    if not a.any() and not b.any():
        zero = np.zeros(R.shape[:-1])
        return zero, grad_u, grad_U, zero

    S = (U + np.swapaxes(U, -1, -2)) / 2
    la, lb = l * a, l * b
    c = np.vecmat(la, U)
    Sa, lc = _apply(S, la), l * c
    lSa = l * Sa  # ΛSΛa
    aa, ab, bb, aSa = _dot(a, la), _dot(la, b), _dot(b, lb), _dot(la, Sa)
    tau = _dot(np.diagonal(U, axis1=-2, axis2=-1), l)
    uu, ss = _dot(_apply(U**2, l), l), _dot(_apply(S**2, l), l)
    qa, k3 = labels.with_square(a), labels.square
    aa2, tau2 = aa[..., None, None], tau[..., None, None]
    aa1, ab1, aSa1, tau1, u1 = (x[..., None] for x in (aa, ab, aSa, tau, u))
    Ulb = _apply(U, lb)
    mixed = u * inverse * labels.level

    # Halves of the derivatives of T1, T2, T3, T12, T13, T23, in this order.
    grad_a = _apply(R, b)
    grad_a += (1 + inverse) * l * _apply(U, lc) + inverse * la * uu[..., None]
    grad_a += inverse_square * (la * (tau**2 + 2 * ss)[..., None] + 4 * lSa * tau1 + 8 * l * _apply(S, lSa))
    grad_a += inverse * (2 * lSa * tau1 + 2 * l * _apply(U, lSa) + 2 * l * _apply(S, lc))
    grad_a += u1 * labels.with_square(Ulb)
    grad_a += mixed[..., None] * (lb * tau1 + 2 * l * _apply(S, lb))

    grad_b = np.vecmat(a, R)
    grad_b += u1**2 * k3[..., None] * lb
    grad_b += u1 * l * np.vecmat(qa, U)
    grad_b += mixed[..., None] * (la * tau1 + 2 * lSa)

    grad_u += u * bb * k3 + _dot(qa, Ulb) + inverse * labels.level * (ab * tau + 2 * _dot(lb, Sa))

    grad_U += (1 + inverse) * _outer(la, lc) + inverse * ll * U * aa2
    diagonal = inverse_square * (aa1 * tau1 + 2 * aSa1) * l + inverse * aSa1 * l + mixed[..., None] * ab1 * l
    grad_U[..., index, index] += diagonal
    grad_U += inverse_square * (2 * aa2 * ll * S + 2 * tau2 * _outer(la, la) + 4 * (_outer(la, lSa) + _outer(lSa, la)))
    grad_U += inverse * (tau2 * _outer(la, la) + 2 * _outer(la, lSa) + _outer(lc, la) + _outer(la, lc))
    grad_U += u2 * _outer(qa, lb) + mixed[..., None, None] * (_outer(la, lb) + _outer(lb, la))
    return grad_a, grad_u, grad_U, grad_b
