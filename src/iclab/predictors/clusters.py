"""Classifiers of Gaussian clusters: the one-matrix model of Frei and Vardi (2024), and Bayes for known |μ|."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.special import expit, ive, logsumexp, softmax

from iclab.foundations import InvalidInputError, Matrix, check_integer, check_matrix, check_real
from iclab.predictors.base import counts, dot_sums_before, sums_before
from iclab.predictors.ngrams import require_classes
from iclab.prompts import Prompts
from iclab.prompts.boolean_functions import check_share
from iclab.prompts.labels import Labels, Law

# Most examples whose labels are flipped in all ways, and numbers of sums kept at once.
_MOST = 12
_BLOCK = 1 << 22


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
        signs = signs_of(prompts)
        means = np.einsum("bp,bpd->bd", signs[:, :-1], prompts.xs[:, :-1]) / (prompts.n_points - 1)
        queries, wanted = prompts.queries[:, -1], signs[:, -1]
        matrix = np.zeros((prompts.dimension, prompts.dimension))
        for _ in range(steps):
            margins = wanted * np.einsum("bd,bd->b", means @ matrix, queries)
            pull = expit(-margins) * wanted / len(prompts)
            matrix += rate * (means * pull[:, None]).T @ queries
        return cls(matrix)

    @property
    def labels(self) -> Labels:
        """Two classes."""
        return Labels("class", 2)

    def __call__(self, prompts: Prompts) -> Law:
        """Probabilities, shape (B, P, 2)."""
        if prompts.dimension != len(self.matrix):
            raise InvalidInputError(
                f"prompts must have the dimension {len(self.matrix)} of the matrix; {prompts.dimension} was given."
            )
        keys = prompts.queries @ self.matrix.T
        one = expit(dot_sums_before(signs_of(prompts), prompts.xs, keys) / counts(prompts.n_points))
        return np.stack([1 - one, one], axis=-1)


@dataclass(frozen=True)
class ClusterBayes:
    """Bayes for ``GaussianMixture``: the centre is integrated over its sphere in closed form.

    With S = Σ_{j<i} s_j x_j over the clusters s_j and Z(v) = E exp(μ'v) over the sphere, the cluster of x is + with
    probability Z(S + x)/(Z(S + x) + Z(S − x)), and Z(v) ∝ I_ν(z)/z^ν, z = |μ||v|, ν = d/2 − 1: the normaliser of the
    von Mises-Fisher law. Where labels may be flipped, both are sums over all 2^i ways to flip them.

    Parameters
    ----------
    radius : float
        |μ|, at least 0.
    flips : float
        Probability that a label is the other class, from 0 to ½; if it is not 0, at most 12 examples are read.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the prompts have more than two classes or, with flips, more than 13 positions.
    """

    radius: float
    flips: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", check_real(self.radius, "radius", minimum=0.0))
        object.__setattr__(self, "flips", check_share(self.flips, "flips"))

    @property
    def labels(self) -> Labels:
        """Two classes."""
        return Labels("class", 2)

    def __call__(self, prompts: Prompts) -> Law:
        """Probabilities, shape (B, P, 2)."""
        signed = signs_of(prompts)[..., None] * prompts.xs
        if self.flips == 0:
            logits = self._ratios(sums_before(signed), prompts.queries)
            return expit(np.stack([-logits, logits], axis=-1))
        if prompts.n_points > _MOST + 1:
            raise InvalidInputError(
                f"prompts must have at most {_MOST + 1} positions for all ways to flip their labels to be summed; they "
                f"have {prompts.n_points}."
            )
        law = np.empty((*prompts.ys.shape, 2))
        batch = max(1, _BLOCK // (prompts.dimension << prompts.n_points))
        for start in range(0, len(prompts), batch):
            some = slice(start, start + batch)
            law[some] = self._summed(signed[some], prompts.queries[some])
        return self.flips + (1 - 2 * self.flips) * law

    def _ratios(self, sums: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """log Z(S + x) − log Z(S − x)."""
        sides = (np.linalg.norm(sums + sign * queries, axis=-1) for sign in (1, -1))
        plus, minus = (_log_sphere(self.radius * side, queries.shape[-1]) for side in sides)
        return plus - minus

    def _summed(self, signed: np.ndarray, queries: np.ndarray) -> Law:
        """The law of the cluster of every query, over all ways to flip the labels before it."""
        sums, logs = np.zeros((len(signed), 1, signed.shape[2])), np.zeros(1)
        law = np.empty((*signed.shape[:2], 2))
        for i in range(signed.shape[1]):
            sides = [np.linalg.norm(sums + sign * queries[:, i, None], axis=2) for sign in (-1, 1)]
            evidence = [logsumexp(logs + _log_sphere(self.radius * side, signed.shape[2]), axis=1) for side in sides]
            law[:, i] = softmax(np.stack(evidence, axis=-1), axis=-1)
            flipped = signed[:, i, None]
            sums = np.concatenate([sums + flipped, sums - flipped], axis=1)
            logs = np.concatenate([logs + np.log1p(-self.flips), logs + np.log(self.flips)])
        return law


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


def signs_of(prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    """Labels of two classes as −1 and 1, shape (B, P)."""
    if require_classes(prompts, "a classifier") != 2:
        raise InvalidInputError(f"prompts must have two classes; they have {prompts.n_classes}.")
    return 2.0 * prompts.ys - 1.0
