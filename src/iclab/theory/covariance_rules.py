"""Exact expectations over the covariance Λ of a prompt.

Everything the theory averages over Λ is a polynomial of degree at most 3 in it (Lemma 21 of the paper, and the loss
on all parameters). So a law of Λ enters only through a *rule*: finitely many matrices Λ_k with signed weights that
integrate every such polynomial exactly. A fixed Λ is a rule with one node; independent coordinates need 2d + 1,
because a polynomial of degree 3 has no mixed term of independent centred variables whose mean is not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    InvalidInputError,
    Matrix,
    Vector,
    check_integer,
    check_vector,
)
from iclab.prompts import CovarianceMixture, Gaussian, RandomDiagonal, RandomRotation, Wishart
from iclab.prompts.moments import law_moment


@dataclass(frozen=True, eq=False)
class CovarianceRule:
    """Nodes Λ_k = Q_k diag(l_k) Q_k' and weights with E p(Λ) = Σ_k w_k p(Λ_k) for polynomials p of degree ≤ 3.

    What the expectations of Lemma 21 need of a law; the rule itself is not in the paper.

    Attributes
    ----------
    weights : ndarray, shape (K,)
        Sum to 1; may be negative.
    spectra : ndarray, shape (K, d)
        Eigenvalues of the nodes.
    rotations : ndarray, shape (d, d) or (K, d, d), or None
        Eigenvectors as columns: common to all nodes, one matrix per node, or the identity (None).
    """

    weights: Float64[np.ndarray, " K"]
    spectra: Float64[np.ndarray, "K d"]
    rotations: np.ndarray | None = None

    @property
    def dimension(self) -> int:
        """Input dimension d."""
        return self.spectra.shape[1]

    @property
    def commuting(self) -> bool:
        """Whether all nodes share their eigenvectors."""
        return self.rotations is None or self.rotations.ndim == 2

    @property
    def matrices(self) -> Float64[np.ndarray, "K d d"]:
        """The nodes Λ_k, shape (K, d, d)."""
        if self.rotations is None:
            return self.spectra[:, :, None] * np.eye(self.dimension)
        return (self.rotations * self.spectra[:, None, :]) @ np.swapaxes(self.rotations, -1, -2)

    def parts(self, nodes: int) -> Iterator[CovarianceRule]:
        """The rule cut into rules of at most ``nodes`` nodes, whose sums add up: Lemma 21 in pieces."""
        for start in range(0, self.weights.shape[0], nodes):
            cut = slice(start, start + nodes)
            rotations = self.rotations if self.rotations is None or self.commuting else self.rotations[cut]
            yield CovarianceRule(self.weights[cut], self.spectra[cut], rotations)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Σ_k w_k values_k: an expectation as in Lemma 21, from values at the nodes, shape (K, ...); shape (...)."""
        return np.tensordot(self.weights, values, axes=1)


@dataclass(frozen=True, eq=False)
class DiagonalMoments:
    """Λ_τ = diag(λ_1, …, λ_d), independent coordinates known only by their first three moments (Lemma 23).

    Parameters
    ----------
    first, second, third : array_like, shape (d,)
        E λ_i, E λ_i², E λ_i³ of positive λ_i.

    Raises
    ------
    InvalidInputError
        If a moment is infinite, or no positive law has these moments (E λ² < (E λ)² or E λ E λ³ < (E λ²)²).
    """

    first: Vector
    second: Vector
    third: Vector

    def __init__(self, first: ArrayLike, second: ArrayLike, third: ArrayLike) -> None:
        one = check_vector(first, "first")
        check_integer(one.shape[0], "the number of coordinates", minimum=1)
        two = check_vector(second, "second", one.shape[0])
        three = check_vector(third, "third", one.shape[0])
        slack = 1 + 1e-12
        if np.any(one < 0) or np.any(one**2 > two * slack) or np.any(two**2 > one * three * slack):
            raise InvalidInputError(
                "first, second and third must be the moments of positive variables: E λ ≥ 0, E λ² ≥ (E λ)² and "
                f"E λ · E λ³ ≥ (E λ²)²; {one}, {two} and {three} were given."
            )
        for name, value in (("first", one), ("second", two), ("third", three)):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, covariates: RandomDiagonal) -> DiagonalMoments:
        """The moments E λ_i, E λ_i², E λ_i³ of Lemma 23, for a law given by distributions; each of shape (d,)."""
        one, two, three = law_moments(covariates.laws)
        c = covariates.scale
        return cls(c * one, c**2 * two, c**3 * three)

    @property
    def dimension(self) -> int:
        """Input dimension d."""
        return self.first.shape[0]

    def rule(self) -> CovarianceRule:
        """2d + 1 diagonal nodes: the mean, and each coordinate moved to the two Gauss points of its law.

        By Gauss quadrature (Golub and Welsch 1969) for each coordinate; not in the paper.
        """
        variance = self.second - self.first**2
        random = variance > 1e-14 * self.second
        spread = variance[random]
        third = (self.third - 3 * self.first * self.second + 2 * self.first**3)[random]
        # The two-point Gauss rule of a centred variable: roots of z² − (m₃/m₂) z − m₂.
        half = third / spread / 2
        root = np.sqrt(half**2 + spread)
        upper, lower = half + root, half - root
        index = np.flatnonzero(random)
        spectra = np.tile(self.first, (1 + 2 * index.size, 1))
        spectra[1 + np.arange(index.size), index] += upper
        spectra[1 + index.size + np.arange(index.size), index] += lower
        share = -lower / (upper - lower)
        return CovarianceRule(np.concatenate([[1.0 - index.size], share, 1 - share]), spectra)


def law_moments(laws: Sequence[Any]) -> tuple[Vector, Vector, Vector]:
    """The first three moments of positive variables, each of shape (len(laws),).

    Parameters
    ----------
    laws : sequence of frozen scipy.stats distributions
        One law per variable.

    Raises
    ------
    InvalidInputError
        If one is no such distribution or its third moment is infinite.
    """
    known: dict[int, list[float]] = {}
    for law in laws:
        if id(law) in known:
            continue
        if not callable(getattr(law, "moment", None)):
            raise InvalidInputError(f"every law must be a frozen scipy.stats distribution; {law!r} was given.")
        known[id(law)] = [law_moment(law, order) for order in (1, 2, 3)]
        if not np.isfinite(known[id(law)]).all():
            raise InvalidInputError(
                "every law of covariances must have a finite third moment (Theorem 8); "
                f"{getattr(getattr(law, 'dist', law), 'name', law)} with {_arguments(law)} has none."
            )
    one, two, three = np.array([known[id(law)] for law in laws]).T
    return one, two, three


def _arguments(law: Any) -> str:
    """The parameters of a frozen distribution, in words."""
    named = [f"{name} = {value:g}" for name, value in getattr(law, "kwds", {}).items()]
    return f"arguments {', '.join([f'{value:g}' for value in getattr(law, 'args', ())] + named) or 'unknown'}"


if TYPE_CHECKING:
    from iclab.theory.general_rules import ScaledCovariance

CovarianceLaw: TypeAlias = (
    "Gaussian | RandomDiagonal | DiagonalMoments | ScaledCovariance | CovarianceMixture | Wishart | RandomRotation"
)
"""Every law of covariances that the theory accepts."""


@singledispatch
def covariance_rule(covariates: CovarianceLaw) -> CovarianceRule:
    """The rule of degree 3 of a law of covariances, which all expectations of Lemma 21 need.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal, DiagonalMoments, CovarianceMixture, ScaledCovariance, Wishart, RandomRotation
        Law of Λ.

    Returns
    -------
    CovarianceRule

    Raises
    ------
    InvalidInputError
        If the law is of another kind, or E λ³ is infinite.
    """
    raise _unknown(covariates)


@covariance_rule.register
def _(covariates: Gaussian) -> CovarianceRule:
    spectrum, rotation = eigenbasis(covariates.covariance)
    return CovarianceRule(np.ones(1), spectrum[None], rotation)


@covariance_rule.register
def _(covariates: RandomDiagonal) -> CovarianceRule:
    return DiagonalMoments.of(covariates).rule()


@covariance_rule.register
def _(covariates: DiagonalMoments) -> CovarianceRule:
    return covariates.rule()


def check_size(largest: float) -> None:
    """The cubes of eigenvalues, and products of such, must be within float64."""
    if largest != 0 and not 1e-80 < largest < 1e80:
        raise InvalidInputError(
            f"covariances must be between 1e-80 and 1e80 in size, or 0; {largest:.3g} was given: "
            "change the unit of the inputs."
        )


def law_dimension(covariates: CovarianceLaw) -> int:
    """Dimension d of the inputs of a law; an :class:`InvalidInputError` for what is no law."""
    dimension: object = getattr(covariates, "dimension", None)
    if not isinstance(dimension, int):
        raise _unknown(covariates)
    return dimension


def eigenbasis(covariance: Matrix) -> tuple[Vector, Matrix | None]:
    """Eigenvalues (d,), rounded up to 0, and eigenvectors (d, d) or None for a diagonal Λ (which keeps its order)."""
    diagonal = np.diagonal(covariance)
    if np.count_nonzero(covariance) == np.count_nonzero(diagonal):
        return np.array(diagonal), None
    values, vectors = np.linalg.eigh(covariance)
    return np.clip(values, 0, None), vectors


def _unknown(covariates: object) -> InvalidInputError:
    return InvalidInputError(
        "covariates must be a law whose covariance moments are known (Gaussian, RandomDiagonal, DiagonalMoments, "
        "CovarianceMixture, ScaledCovariance, Wishart or RandomRotation); "
        f"{type(covariates).__name__} was given."
    )
