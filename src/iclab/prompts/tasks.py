"""Laws of the function h that labels a prompt: linear functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    Draws,
    InvalidInputError,
    Matrix,
    PromptInputs,
    PromptLabels,
    Vector,
    check_array,
    check_covariance,
    check_integer,
    check_members,
    check_vector,
)
from iclab.prompts.linear_algebra import symmetric_root

# The functions h of B prompts, one each: inputs (B, P, d) to noise-free labels (B, P).
Functions: TypeAlias = Callable[[PromptInputs], PromptLabels]
Weights: TypeAlias = Float64[np.ndarray, "B d"]


@runtime_checkable
class Tasks(Protocol):
    """A law of functions h: draws one per prompt and applies it to inputs."""

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² over tasks and x ~ N(0, Λ): the error of always predicting 0. Λ has shape (d, d)."""
        ...

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts, as one map from inputs (B, P, d) to labels (B, P)."""
        ...


def check_tasks(law: Tasks) -> Tasks:
    """Return a law of functions, or raise if it is none."""
    return check_members(law, "tasks", ("draw", "mean_square"))


def linear_functions(weights: Weights) -> Functions:
    """h(x) = w'x with one row of ``weights``, shape (B, d), per prompt."""
    return lambda xs: np.einsum("bpd,bd->bp", xs, weights, optimize=False)


def along(vector: Vector) -> Functions:
    """The linear function x ↦ vector'x for every prompt."""
    return lambda xs: np.einsum("bpd,d->bp", xs, vector, optimize=False)


@dataclass(frozen=True, eq=False)
class Linear:
    """h(x) = w'x with w ~ N(0, W), drawn per prompt (§3.3 of the paper, where W = I).

    Parameters
    ----------
    weight_covariance : array_like, shape (d, d), optional
        W, symmetric positive semi-definite; the identity when omitted.

    Raises
    ------
    InvalidInputError
        If W is not symmetric positive semi-definite, or of another dimension than the inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> first_only = Linear([[1.0, 0.0], [0.0, 0.0]])  # w = (w_1, 0)
    >>> prompts = PromptDistribution(Gaussian.isotropic(2), first_only).sample(3, 5, seed=0)
    >>> slopes = prompts.ys / prompts.xs[..., 0]
    >>> np.allclose(slopes, slopes[:, :1])
    True
    """

    weight_covariance: Matrix | None

    def __init__(self, weight_covariance: ArrayLike | None = None) -> None:
        checked = None if weight_covariance is None else check_covariance(weight_covariance, "weight_covariance")
        object.__setattr__(self, "weight_covariance", checked)

    def weights(self, draws: Draws, dimension: int) -> Weights:
        """The weight vectors w of the addressed prompts, shape (B, d)."""
        z = draws.normals("task", dimension)
        if self.weight_covariance is None:
            return z
        _check_dimension(self.weight_covariance.shape[0], "weight_covariance", dimension)
        return np.einsum("bj,ij->bi", z, symmetric_root(self.weight_covariance), optimize=False)

    def weight_moment(self, dimension: int) -> Matrix:
        """E ww', shape (d, d)."""
        return np.eye(dimension) if self.weight_covariance is None else self.weight_covariance

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr(Λ E ww') for x ~ N(0, Λ)."""
        return float(np.sum(covariance * self.weight_moment(covariance.shape[0])))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = w'x for the addressed prompts."""
        return linear_functions(self.weights(draws, dimension))


@dataclass(frozen=True, eq=False)
class FixedLinear:
    """h(x) = w'x with the same w in every prompt.

    Parameters
    ----------
    weight_vector : array_like, shape (d,)
        w.

    Raises
    ------
    InvalidInputError
        If w is not a finite vector, or of another dimension than the inputs.
    """

    weight_vector: Vector

    def __init__(self, weight_vector: ArrayLike) -> None:
        object.__setattr__(self, "weight_vector", check_vector(weight_vector, "weight_vector"))

    def weights(self, draws: Draws, dimension: int) -> Weights:
        """The vector w for every addressed prompt, shape (B, d)."""
        _check_dimension(len(self.weight_vector), "weight_vector", dimension)
        return np.tile(self.weight_vector, (draws.count, 1))

    def weight_moment(self, dimension: int) -> Matrix:
        """ww', shape (d, d)."""
        _check_dimension(len(self.weight_vector), "weight_vector", dimension)
        return np.outer(self.weight_vector, self.weight_vector)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr(Λ E ww') for x ~ N(0, Λ)."""
        return float(np.sum(covariance * self.weight_moment(covariance.shape[0])))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = w'x."""
        return linear_functions(self.weights(draws, dimension))


@dataclass(frozen=True)
class SparseLinear:
    """h(x) = w'x with w ~ N(0, I) on ``nonzeros`` coordinates chosen at random per prompt, 0 elsewhere (Garg et al.).

    Parameters
    ----------
    nonzeros : int
        Number of nonzero weights, from 1 to d.

    Raises
    ------
    InvalidInputError
        If it is below 1, or above the dimension of the inputs.
    """

    nonzeros: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "nonzeros", check_integer(self.nonzeros, "nonzeros", minimum=1))

    def weights(self, draws: Draws, dimension: int) -> Weights:
        """The weight vectors w of the addressed prompts, shape (B, d)."""
        if self.nonzeros > dimension:
            raise InvalidInputError(
                f"nonzeros must be at most the dimension {dimension} of the inputs; {self.nonzeros} was given."
            )
        weights = draws.normals("task", dimension)
        ranks = np.argsort(np.argsort(draws.at(channel=1).uniforms("task", dimension), axis=1), axis=1)
        weights[ranks >= self.nonzeros] = 0.0
        return weights

    def weight_moment(self, dimension: int) -> Matrix:
        """E ww' = (nonzeros/d) I, shape (d, d)."""
        return self.nonzeros / dimension * np.eye(dimension)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr(Λ E ww') for x ~ N(0, Λ)."""
        return float(np.sum(covariance * self.weight_moment(covariance.shape[0])))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = w'x for the addressed prompts."""
        return linear_functions(self.weights(draws, dimension))


@dataclass(frozen=True, eq=False)
class FinitePool:
    """h(x) = w'x with w uniform on a finite pool: task diversity (Raventós et al. 2023).

    Parameters
    ----------
    pool : array_like, shape (K, d)
        The weight vectors.

    Raises
    ------
    InvalidInputError
        If the pool is empty, or of another dimension than the inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.prompts import FinitePool, Gaussian, PromptDistribution
    >>> pool = FinitePool([[1.0, 0.0], [0.0, -2.0]])
    >>> prompts = PromptDistribution(Gaussian.isotropic(2), pool).sample(5, 4, seed=0)
    >>> fits = np.isclose(prompts.xs @ pool.pool.T, prompts.ys[..., None]).all(axis=1)
    >>> fits.sum(axis=1)  # every prompt is of one of the two tasks
    array([1, 1, 1, 1, 1])
    """

    pool: Float64[np.ndarray, "K d"]

    def __init__(self, pool: ArrayLike) -> None:
        array = check_array(pool, "pool", (None, None))
        if array.size == 0:
            raise InvalidInputError("pool must hold at least one weight vector; it is empty.")
        object.__setattr__(self, "pool", array)

    @classmethod
    def gaussian(cls, n_tasks: int, dimension: int, *, seed: int) -> FinitePool:
        """A pool of ``n_tasks`` weight vectors from N(0, I); a larger pool of the same seed extends a smaller one."""
        count = check_integer(n_tasks, "n_tasks", minimum=1)
        size = check_integer(dimension, "dimension", minimum=1)
        return cls(_gaussian_pool(count, size, seed))

    def weights(self, draws: Draws, dimension: int) -> Weights:
        """The weight vectors of the addressed prompts, shape (B, d)."""
        _check_dimension(self.pool.shape[1], "pool", dimension)
        index = (draws.uniforms("task", 1)[:, 0] * len(self.pool)).astype(np.int64)
        return self.pool[index]

    def weight_moment(self, dimension: int) -> Matrix:
        """(1/K) Σ w_k w_k', shape (d, d)."""
        _check_dimension(self.pool.shape[1], "pool", dimension)
        return self.pool.T @ self.pool / len(self.pool)

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr(Λ E ww') for x ~ N(0, Λ)."""
        return float(np.sum(covariance * self.weight_moment(covariance.shape[0])))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """h(x) = w'x for the addressed prompts."""
        return linear_functions(self.weights(draws, dimension))


@lru_cache(maxsize=1)
def _gaussian_pool(count: int, size: int, seed: int) -> Weights:
    """Weight vectors from N(0, I), kept as a configuration is built again and again."""
    # The pool belongs to the model's world, not to a prompt, hence its stream.
    pool = Draws(seed, count=count).normals("model", size)
    pool.setflags(write=False)
    return pool


def _check_dimension(given: int, name: str, dimension: int) -> None:
    if given != dimension:
        raise InvalidInputError(f"{name} must have the dimension {dimension} of the inputs; it has {given}.")
