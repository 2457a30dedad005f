"""What shifts do to drawn inputs and queries, each a small frozen record (definitions: Garg et al. 2022, §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    Draws,
    InvalidInputError,
    Matrices,
    Matrix,
    PromptInputs,
    PromptLabels,
    Vector,
    check_covariance,
)
from iclab.prompts.linear_algebra import orthogonal_from, symmetric_root

Changed = tuple[PromptInputs, PromptInputs]


@dataclass(frozen=True)
class Quadrants:
    """Context inputs |x|·s with one random sign vector s per prompt.

    Parameters
    ----------
    opposite : bool
        Whether the queries get the signs opposite to the context's; otherwise they stay as drawn.
    """

    opposite: bool = False

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> Changed:
        """Changed inputs and queries."""
        signs = np.where(draws.uniforms("shift", 1, xs.shape[2]) < 0.5, -1.0, 1.0)
        contexts = np.abs(xs) * signs
        return contexts, (-np.abs(queries) * signs if self.opposite else queries)


@dataclass(frozen=True)
class OrthogonalQueries:
    """Each query projected off the span of its context and rescaled to its own norm.

    Position i has an orthogonal direction left only for i < d.
    """

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> Changed:
        """Changed inputs and queries.

        Raises
        ------
        InvalidInputError
            If there are more positions than dimensions.
        """
        n_prompts, n_points, dimension = xs.shape
        if n_points > dimension:
            raise InvalidInputError(
                f"n_points must be at most the dimension {dimension} for queries orthogonal to their context "
                f"(position i needs i < d); {n_points} was given."
            )
        # Orthonormal rows spanning the context so far; a dependent input leaves a zero row.
        basis = np.zeros((n_prompts, n_points, dimension))
        changed = np.empty_like(queries)
        for i in range(n_points):
            earlier = basis[:, :i]
            query = queries[:, i]
            residual = _off(earlier, query)
            length = np.linalg.norm(residual, axis=1, keepdims=True)
            changed[:, i] = residual * np.linalg.norm(query, axis=1, keepdims=True) / np.where(length > 0, length, 1)
            fresh = _off(earlier, xs[:, i])
            size = np.linalg.norm(fresh, axis=1, keepdims=True)
            independent = size > 1e-12 * np.linalg.norm(xs[:, i], axis=1, keepdims=True)
            basis[:, i] = np.where(independent, fresh / np.where(size > 0, size, 1), 0.0)
        return xs, changed


@dataclass(frozen=True)
class OverlappingQueries:
    """Each query is a random earlier input of its prompt; position 0 keeps its own."""

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> Changed:
        """Changed inputs and queries."""
        n_points = xs.shape[1]
        uniforms: PromptLabels = draws.uniforms("shift", n_points)
        earlier = np.asarray(uniforms * np.arange(n_points), dtype=np.int64)
        changed = xs[np.arange(len(xs))[:, None], earlier]
        changed[:, 0] = queries[:, 0]
        return xs, changed


@dataclass(frozen=True)
class RotatedSpectrum:
    """Inputs and queries times T = U diag(λ) U'·√(d/Σλ²), U a uniformly random rotation.

    Parameters
    ----------
    spectrum : {"half", "reciprocal"}
        λ = 1 for the first d/2 coordinates and 0 for the rest, or λ_i = 1/(i+1).
    rotation : {"evaluation", "prompt"}
        Whether U is drawn once per evaluation, as Garg et al. do, or per prompt.
    """

    spectrum: Literal["half", "reciprocal"]
    rotation: Literal["evaluation", "prompt"] = "evaluation"

    def eigenvalues(self, dimension: int) -> Vector:
        """λ·√(d/Σλ²), shape (d,)."""
        if self.spectrum == "half":
            if dimension < 2:
                raise InvalidInputError("half_subspace needs a dimension of at least 2; 1 was given.")
            values = (np.arange(dimension) < dimension // 2).astype(np.float64)
        else:
            values = 1 / np.arange(1.0, dimension + 1)
        return values * np.sqrt(dimension / np.sum(values**2))

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> Changed:
        """Changed inputs and queries."""
        dimension = xs.shape[2]
        if self.rotation == "evaluation":
            normals = draws.shared("shift").standard_normal((dimension, dimension))[None]
            rotations = np.broadcast_to(orthogonal_from(normals), (draws.count, dimension, dimension))
        else:
            rotations = orthogonal_from(draws.normals("shift", dimension, dimension))
        matrices = np.einsum("bik,k,bjk->bij", rotations, self.eigenvalues(dimension), rotations, optimize=False)
        return _both(xs, queries, matrices)


@dataclass(frozen=True)
class ScaledInputs:
    """Inputs times ``context``, queries times ``query``."""

    context: float = 1.0
    query: float = 1.0

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> Changed:
        """Changed inputs and queries."""
        if queries is xs and self.context == self.query:
            scaled = self.context * xs
            return scaled, scaled
        return self.context * xs, self.query * queries


@dataclass(frozen=True, eq=False)
class MultipliedInputs:
    """Inputs x → A x with one fixed matrix for the context and one for the queries.

    Attributes
    ----------
    context, query : ndarray, shape (d, d)
        The matrices.
    """

    context: Matrix
    query: Matrix

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> Changed:
        """Changed inputs and queries."""
        return _times(xs, self.context), _times(queries, self.query)


@dataclass(frozen=True, eq=False)
class IndependentQueries:
    """Queries drawn anew from N(0, Λ_q), independent of everything in the context.

    Parameters
    ----------
    covariance : array_like, shape (d, d), optional
        Λ_q; the identity when omitted.
    """

    covariance: Matrix | None

    def __init__(self, covariance: ArrayLike | None = None) -> None:
        object.__setattr__(self, "covariance", None if covariance is None else check_covariance(covariance))

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> Changed:
        """Changed inputs and queries."""
        normals = draws.normals("query", *xs.shape[1:])
        if self.covariance is None:
            return xs, normals
        return xs, _times(normals, symmetric_root(check_covariance(self.covariance, dimension=xs.shape[2])))


def _off(basis: Float64[np.ndarray, "B i d"], vectors: Float64[np.ndarray, "B d"]) -> Float64[np.ndarray, "B d"]:
    for _ in range(2):  # twice is enough
        vectors = vectors - np.einsum("bid,bi->bd", basis, np.einsum("bid,bd->bi", basis, vectors))
    return vectors


def _both(xs: PromptInputs, queries: PromptInputs, matrices: Matrices) -> Changed:
    changed = np.einsum("bpj,bij->bpi", xs, matrices, optimize=False)
    if queries is xs:
        return changed, changed
    return changed, np.einsum("bpj,bij->bpi", queries, matrices, optimize=False)


def _times(points: PromptInputs, matrix: Matrix) -> PromptInputs:
    return np.einsum("bpj,ij->bpi", points, matrix, optimize=False)
