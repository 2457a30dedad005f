"""Rules of degree 3 for covariances beyond independent coordinates (Lemma 21 holds for all of them).

Finite mixtures, a random factor times a fixed matrix, Wishart matrices and random rotations. The last two average
over directions, for which a rule on the sphere of degree 7 serves; its d + d(d−1) + ⅔d(d−1)(d−2) nodes bound the
dimension in practice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, Matrix, Vector, check_covariance
from iclab.prompts import CovarianceMixture, RandomRotation, Wishart
from iclab.theory.covariance_rules import CovarianceRule, DiagonalMoments, covariance_rule, eigenbasis, law_moments

_MAXIMUM_DIMENSION = 30
_Weights: TypeAlias = Float64[np.ndarray, " K"]


@dataclass(frozen=True, eq=False)
class ScaledCovariance:
    """Λ_τ = s_τ Λ, a random factor times a fixed matrix: a law of Lemma 21 beyond diagonal ones.

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ, positive semi-definite.
    law : frozen scipy.stats distribution
        Law of s, positive, with a finite third moment.

    Raises
    ------
    InvalidInputError
        If Λ is no covariance, or E s³ is infinite.
    """

    covariance: Matrix
    law: Any

    def __init__(self, covariance: ArrayLike, law: Any) -> None:
        object.__setattr__(self, "covariance", check_covariance(covariance))
        object.__setattr__(self, "law", law)
        law_moments((law,))

    @property
    def dimension(self) -> int:
        """Input dimension d."""
        return self.covariance.shape[0]


@covariance_rule.register
def _(covariates: ScaledCovariance) -> CovarianceRule:
    spectrum, rotation = eigenbasis(covariates.covariance)
    factor = DiagonalMoments(*law_moments((covariates.law,))).rule()
    return CovarianceRule(factor.weights, factor.spectra * spectrum, rotation)


@covariance_rule.register
def _(covariates: CovarianceMixture) -> CovarianceRule:
    return _from_matrices(covariates.probabilities, covariates.covariance_matrices)


@covariance_rule.register
def _(covariates: Wishart) -> CovarianceRule:
    # Λ is a mean of n independent matrices gg'. As in the sum of independent coordinates, no mixed term of degree 3
    # survives, so E p(Λ) = (1 − n) p(mean) + n E p(mean + (gg' − mean)/n).
    mean, n = covariates.mean, covariates.degrees
    values, vectors = np.linalg.eigh(mean)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    weights, directions = _sphere(covariates.dimension)
    radii, radius_weights = _chi_squared(covariates.dimension)
    g = directions @ root.T
    outer = g[:, :, None] * g[:, None, :]
    shares = n * np.outer(radius_weights, weights).ravel()
    nodes = mean + (radii[:, None, None, None] * outer - mean).reshape(-1, *mean.shape) / n
    return _from_matrices(np.concatenate([[1.0 - n], shares]), np.concatenate([mean[None], nodes]))


@covariance_rule.register
def _(covariates: RandomRotation) -> CovarianceRule:
    # The mean over rotations of a polynomial depends on Λ only through tr Λ, tr Λ², tr Λ³ and their products. So
    # matrices αI + βωω', ω uniform on the sphere, serve, with signed weights that match these invariants.
    spectrum, d = covariates.spectrum, covariates.dimension
    level = float(spectrum.mean())
    if level == 0 or np.ptp(spectrum) == 0:
        return CovarianceRule(np.ones(1), spectrum[None])
    shapes = np.array(
        [(1.0, 0.0), (1.0, 1.0), (1.0, -1.0), (0.0, 1.0), (0.0, 2.0), (0.5, 2.0), (2.0, -1.0), (0.0, 0.0)]
    )
    alpha, beta = shapes[:, 0], shapes[:, 1] * np.sqrt(d)
    powers = [(d - 1) * alpha**k + (alpha + beta) ** k for k in (1, 2, 3)]
    wanted = [float(np.sum((spectrum / level) ** k)) for k in (1, 2, 3)]
    system, right = _invariants(*powers), _invariants(*(np.array([value]) for value in wanted))
    size = np.abs(system).max(1, keepdims=True)
    balanced: np.ndarray = system / size
    combination: np.ndarray = np.linalg.pinv(balanced, rtol=1e-12) @ (right[:, 0] / size[:, 0])
    weights, directions = _sphere(d)
    outer = directions[:, :, None] * directions[:, None, :]
    nodes = level * (alpha[:, None, None, None] * np.eye(d) + beta[:, None, None, None] * outer)
    return _from_matrices(np.outer(combination, weights).ravel(), nodes.reshape(-1, d, d))


def _invariants(p1: Vector, p2: Vector, p3: Vector) -> Float64[np.ndarray, "7 K"]:
    """1 and the products of traces of powers up to degree 3."""
    return np.array([np.ones_like(p1), p1, p1**2, p2, p1**3, p1 * p2, p3])


def _from_matrices(weights: _Weights, matrices: Float64[np.ndarray, "K d d"]) -> CovarianceRule:
    """A rule from its nodes, in common eigenvectors where they have any."""
    d = matrices.shape[-1]
    diagonals = np.diagonal(matrices, axis1=-2, axis2=-1)
    if np.array_equal(matrices, diagonals[:, :, None] * np.eye(d)):
        return CovarianceRule(weights, diagonals)
    sizes = np.linalg.norm(matrices, axis=(-2, -1))
    # A combination with generic coefficients has only the eigenvectors that all matrices share, if they share them.
    generic = np.einsum("k,kij->ij", np.cos(np.arange(len(weights))) / np.where(sizes > 0, sizes, 1), matrices)
    Q = np.linalg.eigh(generic)[1]
    turned = Q.T @ matrices @ Q
    spectra = np.diagonal(turned, axis1=-2, axis2=-1)
    off = np.linalg.norm(turned - spectra[:, :, None] * np.eye(d), axis=(-2, -1))
    if np.all(off <= 1e-12 * sizes):
        return CovarianceRule(weights, spectra, Q)
    values, vectors = np.linalg.eigh(matrices)
    return CovarianceRule(weights, values, vectors)


def _sphere(d: int) -> tuple[_Weights, Float64[np.ndarray, "K d"]]:
    """Weights and nodes of a rule of degree 7 on the unit sphere, for functions that are even.

    Nodes e_i, (e_i ± e_j)/√2, (e_i ± e_j ± e_k)/√3; the weights follow from E ω_1⁶, E ω_1⁴ω_2², E ω_1²ω_2²ω_3²,
    which are 15, 3 and 1 over d(d+2)(d+4).
    """
    if d > _MAXIMUM_DIMENSION:
        raise InvalidInputError(
            f"covariates must have at most {_MAXIMUM_DIMENSION} dimensions for this law of covariances; {d} were given."
        )
    total = d * (d + 2) * (d + 4)
    pairs = 4 * (5 - d) / total
    triples = 27 / (4 * total)
    ones = (15 - (5 - d) * (d - 1) - (d - 1) * (d - 2) / 2) / total
    weights, nodes = [ones] * d, list(np.eye(d))
    for count, weight in ((2, pairs), (3, triples)):
        for chosen in combinations(range(d), count):
            for signs in product((1.0, -1.0), repeat=count - 1):
                node = np.zeros(d)
                node[list(chosen)] = np.array([1.0, *signs]) / np.sqrt(count)
                nodes.append(node)
                weights.append(weight)
    return np.array(weights), np.array(nodes)


def _chi_squared(d: int) -> tuple[Vector, Vector]:
    """The two-node Gauss rule of r² = ‖g‖², g ~ N(0, I_d): nodes and weights."""
    rule = DiagonalMoments([d], [d * (d + 2)], [d * (d + 2) * (d + 4)]).rule()
    return rule.spectra[1:, 0], rule.weights[1:]
