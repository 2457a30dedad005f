"""Laws of inputs whose covariance is itself drawn, anew in every prompt (Theorem 8 allows any of them)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from iclab.foundations import (
    Draws,
    InvalidInputError,
    Matrices,
    Matrix,
    PromptInputs,
    Vector,
    check_array,
    check_covariance,
    check_integer,
    check_vector,
)
from iclab.prompts.linear_algebra import orthogonal_from, symmetric_root


@dataclass(frozen=True, eq=False)
class RandomRotation:
    """Inputs x ~ N(0, U diag(spectrum) U'), U uniform on the orthogonal group, drawn anew in every prompt.

    A spectrum with zeros puts every prompt into a subspace of its own.

    Parameters
    ----------
    spectrum : array_like, shape (d,)
        Eigenvalues of the covariance, at least 0.

    Raises
    ------
    InvalidInputError
        If the spectrum is empty or has a negative entry.
    """

    spectrum: Vector

    def __init__(self, spectrum: ArrayLike) -> None:
        object.__setattr__(self, "spectrum", _check_spectrum(spectrum))

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return len(self.spectrum)

    def _rotations(self, draws: Draws) -> Matrices:
        return orthogonal_from(draws.normals("covariance", self.dimension, self.dimension))

    def covariances(self, draws: Draws) -> Matrices:
        """U diag(spectrum) U' of the addressed prompts, shape (B, d, d)."""
        rotations = self._rotations(draws)
        return np.einsum("bik,k,bjk->bij", rotations, self.spectrum, rotations, optimize=False)

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        z = draws.normals("x", n_points, self.dimension)
        z *= np.sqrt(self.spectrum)
        return np.einsum("bpk,bik->bpi", z, self._rotations(draws), optimize=False)


@dataclass(frozen=True, eq=False)
class CovarianceMixture:
    """Inputs x ~ N(0, Λ_k), the index k drawn anew in every prompt with given probabilities.

    Parameters
    ----------
    covariance_matrices : array_like, shape (K, d, d)
        Λ_1, …, Λ_K, symmetric positive semi-definite.
    probabilities : array_like, shape (K,), optional
        Positive, summing to 1; uniform when omitted.

    Raises
    ------
    InvalidInputError
        If a matrix is no covariance, or the probabilities do not add to 1.
    """

    covariance_matrices: Matrices
    probabilities: Float64[np.ndarray, " K"]

    def __init__(self, covariance_matrices: ArrayLike, probabilities: ArrayLike | None = None) -> None:
        stack = check_array(covariance_matrices, "covariance_matrices", (None, None, None))
        if len(stack) == 0:
            raise InvalidInputError("covariance_matrices must hold at least one matrix; none was given.")
        checked = [check_covariance(matrix, f"covariance_matrices[{k}]") for k, matrix in enumerate(stack)]
        object.__setattr__(self, "covariance_matrices", np.array(checked))
        object.__setattr__(self, "probabilities", check_probabilities(probabilities, len(stack)))

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.covariance_matrices.shape[1]

    def components(self, draws: Draws) -> Int64[np.ndarray, " B"]:
        """The index k of the addressed prompts, shape (B,)."""
        return choose(draws.uniforms("covariance", 1)[:, 0], self.probabilities)

    def covariances(self, draws: Draws) -> Matrices:
        """Λ_k of the addressed prompts, shape (B, d, d)."""
        return self.covariance_matrices[self.components(draws)]

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        z = draws.normals("x", n_points, self.dimension)
        roots = np.array([symmetric_root(matrix) for matrix in self.covariance_matrices])
        return np.einsum("bpj,bij->bpi", z, roots[self.components(draws)], optimize=False)


@dataclass(frozen=True, eq=False)
class Wishart:
    """Inputs x ~ N(0, Λ_τ), Λ_τ ~ Wishart(degrees, mean)/degrees drawn anew in every prompt, with mean ``mean``.

    Parameters
    ----------
    mean : array_like, shape (d, d)
        E Λ_τ, symmetric positive semi-definite.
    degrees : int
        Degrees of freedom, at least 1; below d the covariances are singular.

    Raises
    ------
    InvalidInputError
        If the mean is no covariance or the degrees are below 1.
    """

    mean: Matrix
    degrees: int

    def __init__(self, mean: ArrayLike, degrees: int) -> None:
        object.__setattr__(self, "mean", check_covariance(mean, "mean"))
        object.__setattr__(self, "degrees", check_integer(degrees, "degrees", minimum=1))

    @classmethod
    def isotropic(cls, dimension: int, degrees: int) -> Wishart:
        """A mean covariance of I."""
        return cls(np.eye(check_integer(dimension, "dimension", minimum=1)), degrees)

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.mean.shape[0]

    def _factors(self, draws: Draws) -> Float64[np.ndarray, "B n d"]:
        # Λ_τ = G'G with the rows of G ~ N(0, mean/degrees): the definition, and a factor without a root.
        normals = draws.normals("covariance", self.degrees, self.dimension) / np.sqrt(self.degrees)
        root = symmetric_root(self.mean)
        scales = np.diagonal(root)
        if np.count_nonzero(root) == np.count_nonzero(scales):  # the same numbers, without the products with 0
            return normals * scales
        return np.einsum("bnj,ij->bni", normals, root, optimize=False)

    def covariances(self, draws: Draws) -> Matrices:
        """Λ_τ of the addressed prompts, shape (B, d, d)."""
        factors = self._factors(draws)
        return np.einsum("bni,bnj->bij", factors, factors, optimize=False)

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        z = draws.normals("x", n_points, self.degrees)
        return np.einsum("bpn,bni->bpi", z, self._factors(draws), optimize=False)


def choose(uniforms: Float64[np.ndarray, " B"], probabilities: Float64[np.ndarray, " K"]) -> Int64[np.ndarray, " B"]:
    """Index k with the given probabilities, from one uniform number each."""
    edges = np.cumsum(probabilities)
    return np.minimum(np.searchsorted(edges, uniforms, side="right"), len(probabilities) - 1)


def check_probabilities(value: ArrayLike | None, count: int) -> Float64[np.ndarray, " K"]:
    """Return ``count`` probabilities that add to 1; uniform ones for None.

    Raises
    ------
    InvalidInputError
        If one is negative or they do not add to 1 within 1e-9.
    """
    if value is None:
        return np.full(count, 1 / count)
    given = check_vector(value, "probabilities", count)
    if (given < 0).any() or abs(given.sum() - 1) > 1e-9:
        raise InvalidInputError(
            f"probabilities must be at least 0 and add to 1; they add to {given.sum():.6g} and the smallest is "
            f"{given.min():.6g}."
        )
    return given / given.sum()


def _check_spectrum(value: Sequence[float] | ArrayLike) -> Vector:
    spectrum = check_vector(value, "spectrum")
    if spectrum.size == 0 or (spectrum < 0).any():
        raise InvalidInputError("spectrum must hold at least one eigenvalue, none of them negative.")
    return spectrum
