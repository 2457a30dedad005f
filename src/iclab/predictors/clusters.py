"""Classifiers of Gaussian clusters: the one-matrix model of Frei and Vardi (2024), and Bayes for known |μ|."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.special import expit, ive

from iclab.foundations import InvalidInputError, Matrix, check_integer, check_matrix, check_real
from iclab.predictors.base import counts, dot_sums_before, sums_before
from iclab.predictors.ngrams import require_classes
from iclab.prompts import Prompts
from iclab.prompts.labels import Law


@dataclass(frozen=True, eq=False)
class OneMatrix:
    """P(class 1) = 1/(1 + exp(−ŷ)), ŷ = ((1/i) Σ_{j<i} s_j x_j)'W x_q with signs s = ±1 of the classes.

    Linear attention with a convex parameterisation (Frei and Vardi 2024, on benign overfitting in context).

    Parameters
    ----------
    matrix : array_like, shape (d, d)
        W.

    Raises
    ------
    InvalidInputError
        If it is not square, or the prompts have another dimension or more than two classes.
    """

    matrix: Matrix

    def __init__(self, matrix: ArrayLike) -> None:
        object.__setattr__(self, "matrix", check_matrix(matrix, "matrix"))

    @classmethod
    def trained(cls, prompts: Prompts, *, steps: int = 300, rate: float = 0.01) -> OneMatrix:
        """W after ``steps`` of gradient descent from 0 on the logistic loss at the last position of all ``prompts``."""
        steps, rate = check_integer(steps, "steps", minimum=0), check_real(rate, "rate", above=0.0)
        if prompts.n_points < 2:
            raise InvalidInputError("prompts must have an example before their query to be trained on; they have none.")
        signs = _signs(prompts)
        means = np.einsum("bp,bpd->bd", signs[:, :-1], prompts.xs[:, :-1]) / (prompts.n_points - 1)
        queries, wanted = prompts.queries[:, -1], signs[:, -1]
        matrix = np.zeros((prompts.dimension, prompts.dimension))
        for _ in range(steps):
            margins = wanted * np.einsum("bd,bd->b", means @ matrix, queries)
            pull = expit(-margins) * wanted / len(prompts)
            matrix += rate * (means * pull[:, None]).T @ queries
        return cls(matrix)

    def __call__(self, prompts: Prompts) -> Law:
        """Probabilities, shape (B, P, 2)."""
        if prompts.dimension != len(self.matrix):
            raise InvalidInputError(
                f"prompts must have the dimension {len(self.matrix)} of the matrix; {prompts.dimension} was given."
            )
        keys = prompts.queries @ self.matrix.T
        one = expit(dot_sums_before(_signs(prompts), prompts.xs, keys) / counts(prompts.n_points))
        return np.stack([1 - one, one], axis=-1)


@dataclass(frozen=True)
class ClusterBayes:
    """Bayes for ``GaussianMixture`` without flips: the centre is integrated over its sphere in closed form.

    With S = Σ_{j<i} s_j x_j and Z(v) = E exp(μ'v) over the sphere, class 1 has probability
    Z(S + x)/(Z(S + x) + Z(S − x)), and Z(v) ∝ I_ν(z)/z^ν, z = |μ||v|, ν = d/2 − 1: the normaliser of the von
    Mises-Fisher law.

    Parameters
    ----------
    radius : float
        |μ|, at least 0.

    Raises
    ------
    InvalidInputError
        If it is negative, or the prompts have more than two classes.
    """

    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", check_real(self.radius, "radius", minimum=0.0))

    def __call__(self, prompts: Prompts) -> Law:
        """Probabilities, shape (B, P, 2)."""
        sums = sums_before(_signs(prompts)[..., None] * prompts.xs)
        sizes = (np.linalg.norm(sums + sign * prompts.queries, axis=2) for sign in (1, -1))
        with_, against = (_log_sphere(self.radius * size, prompts.dimension) for size in sizes)
        one = expit(with_ - against)
        return np.stack([1 - one, one], axis=-1)


def _log_sphere(z: Float64[np.ndarray, "B P"], dimension: int) -> Float64[np.ndarray, "B P"]:
    """log(I_ν(z)/z^ν) up to a constant, ν = d/2 − 1."""
    order = dimension / 2 - 1
    safe = np.maximum(z, 1e-8 * max(1.0, order))  # below that the function is constant to rounding
    scaled = ive(order, safe)
    with np.errstate(divide="ignore"):
        direct = np.log(scaled) + safe
    # Where the Bessel function underflows, its expansion for large orders (Abramowitz and Stegun 9.7.7).
    ratio = safe / max(order, 1.0)
    root = np.sqrt(1 + ratio**2)
    eta = root + np.log(ratio / (1 + root))
    correction = np.log1p((3 / root - 5 / root**3) / (24 * max(order, 1.0)))
    large = order * eta - 0.25 * np.log(1 + ratio**2) + correction - 0.5 * np.log(2 * np.pi * max(order, 1.0))
    return np.where(scaled > 1e-290, direct, large) - order * np.log(safe)


def _signs(prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    if require_classes(prompts, "classifiers of clusters") != 2:
        raise InvalidInputError(f"prompts must have two classes; they have {prompts.n_classes}.")
    return 2.0 * prompts.ys - 1.0
