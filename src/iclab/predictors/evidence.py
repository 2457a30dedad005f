"""Bayes predictors that know how likely the labels they have seen were, and mixtures weighted by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.special import softmax

from iclab.foundations import InvalidInputError, PromptInputs, PromptLabels, check_integer, check_members, check_real
from iclab.predictors.base import Predictor, apply, each_output, sums_before
from iclab.predictors.square_root_filter import fit_prefixes
from iclab.prompts import Prompts
from iclab.prompts.random_covariances import check_probabilities

LOG_2PI = float(np.log(2 * np.pi))
# A random scale: the largest factor, and nodes per log(largest)·√P.
_LARGEST, _DENSITY = 1e6, 4.0


@runtime_checkable
class Evidence(Predictor, Protocol):
    """A predictor of numbers that is the posterior mean of a law, and knows the evidence for that law."""

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position given the inputs, shape (B, P); 0 at position 0."""
        ...


@dataclass(frozen=True)
class LinearBayes:
    """Posterior mean for h(x) = w'x, w ~ N(0, weight_variance · I), with label noise: ridge, and its evidence.

    Parameters
    ----------
    noise : float
        Standard deviation of the label noise, positive.
    weight_variance : float
        Positive.

    Raises
    ------
    InvalidInputError
        If a number is not positive.
    """

    noise: float
    weight_variance: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", check_real(self.noise, "noise", above=0.0))
        object.__setattr__(self, "weight_variance", check_real(self.weight_variance, "weight_variance", above=0.0))

    def weights(self, prompts: Prompts) -> PromptInputs:
        """Posterior mean of w at every position, shape (B, P, d)."""
        return fit_prefixes(prompts.xs, prompts.ys, self.noise**2 / self.weight_variance).weights

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position, shape (B, P); of vectors that of all their numbers."""
        if prompts.labels.kind == "vector":
            return np.sum([self.log_evidence(prompts.output(k)) for k in range(prompts.labels.size)], axis=0)
        fit = fit_prefixes(prompts.xs, prompts.ys, self.noise**2 / self.weight_variance)
        variance = self.noise**2 * (1 + fit.leverages)
        return log_gaussians(prompts.ys - apply(fit.weights, prompts.xs), variance)


@dataclass(frozen=True)
class RandomScaleBayes:
    """Posterior mean for h(x) = c·w'x, w ~ N(0, I), log c uniform on ±log ``largest``, with label noise.

    Given c it is that of :class:`LinearBayes`; c is integrated out by Gauss-Legendre, weighted by the evidence.

    Parameters
    ----------
    noise : float
        Standard deviation of the label noise, positive.
    largest : float
        Largest factor, above 1 and at most 1e6; the smallest is its reciprocal.
    nodes : int, optional
        Of the quadrature over log c; when omitted, as many as make its error that of rounding: log c has a range of
        2 log ``largest``, and its posterior after n examples a width of at least 1/√(2n).

    Raises
    ------
    InvalidInputError
        If a number is out of its range.
    """

    noise: float
    largest: float
    nodes: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", check_real(self.noise, "noise", above=0.0))
        object.__setattr__(self, "largest", check_real(self.largest, "largest", above=1.0))
        if self.largest > _LARGEST:
            raise InvalidInputError(f"largest must be at most {_LARGEST:g}; {self.largest:g} was given.")
        if self.nodes is not None:
            object.__setattr__(self, "nodes", check_integer(self.nodes, "nodes", minimum=1))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        given, logs = self._given(prompts)
        return np.sum(softmax(logs, axis=0) * given, axis=0)

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position, shape (B, P); of vectors that of all their numbers."""
        if prompts.labels.kind == "vector":
            return np.sum([self.log_evidence(prompts.output(k)) for k in range(prompts.labels.size)], axis=0)
        return np.logaddexp.reduce(self._given(prompts)[1], axis=0)

    def _given(self, prompts: Prompts) -> tuple[np.ndarray, np.ndarray]:
        """Predictions given each c, and the logarithm of its weight times the evidence, shapes (K, B, P)."""
        count = self.nodes or 16 + ceil(_DENSITY * np.log(self.largest) * np.sqrt(prompts.n_points))
        points, shares = np.polynomial.legendre.leggauss(count)
        factors = (self.largest**points)[:, None, None, None]
        # Weights c·w on inputs x are weights w on inputs c·x, so that one pass fits all c.
        whole = (count * len(prompts), prompts.n_points)
        xs = (factors * prompts.xs).reshape(*whole, -1)
        ys = np.broadcast_to(prompts.ys, (count, *prompts.ys.shape)).reshape(whole)
        fit = fit_prefixes(xs, ys, self.noise**2)
        evidence = log_gaussians(ys - apply(fit.weights, xs), self.noise**2 * (1 + fit.leverages))
        queries = (factors * prompts.queries).reshape(*whole, -1)
        shape = (count, *prompts.ys.shape)
        return apply(fit.weights, queries).reshape(shape), evidence.reshape(shape) + np.log(shares / 2)[:, None, None]


def log_gaussians(residuals: np.ndarray, variances: np.ndarray | float) -> np.ndarray:
    """Running sums of log N(residual; 0, variance) over the positions before each, along axis 1."""
    return sums_before(-0.5 * (residuals**2 / variances + np.log(variances) + LOG_2PI))


@dataclass(frozen=True, eq=False)
class Shifted:
    """``predictor`` of y − m'x, plus m'x: posterior means for weights about a known centre m.

    Parameters
    ----------
    predictor : callable
        For weights about 0.
    centre : ndarray, shape (d,)
        m.
    """

    predictor: Predictor
    centre: Float64[np.ndarray, " d"]

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return self.predictor(self._about(prompts)) + prompts.queries @ self.centre

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position, shape (B, P)."""
        return evidence_of(self.predictor, self._about(prompts))

    def _about(self, prompts: Prompts) -> Prompts:
        return replace(prompts, ys=prompts.ys - prompts.xs @ self.centre)


@dataclass(frozen=True)
class ScaledLabels:
    """factor · ``predictor`` of y/factor: posterior means for another law's functions times a factor.

    Parameters
    ----------
    predictor : callable
        For the law before it is scaled, and noise divided by the factor.
    factor : float
        Not 0.
    """

    predictor: Predictor
    factor: float

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return self.factor * self.predictor(replace(prompts, ys=prompts.ys / self.factor))

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position, shape (B, P)."""
        inner = evidence_of(self.predictor, replace(prompts, ys=prompts.ys / self.factor))
        return inner - np.arange(prompts.n_points) * prompts.labels.size * np.log(abs(self.factor))


@dataclass(frozen=True, eq=False)
class EvidenceMixture:
    """Members weighted by prior probability times the evidence of the labels seen: Bayes for a mixture of their laws.

    Parameters
    ----------
    members : sequence of predictors
        Each Bayes for its law; of numbers each with ``log_evidence``, of classes any.
    probabilities : array_like, shape (K,), optional
        Of the laws; uniform when omitted.

    Raises
    ------
    InvalidInputError
        If there is no member, the probabilities do not add to 1, or a member of numbers gives no evidence.
    """

    members: tuple[Predictor, ...]
    probabilities: Float64[np.ndarray, " K"]

    def __init__(self, members: Sequence[Predictor], probabilities: ArrayLike | None = None) -> None:
        if not members:
            raise InvalidInputError("members must hold at least one predictor; none was given.")
        object.__setattr__(self, "members", tuple(members))
        object.__setattr__(self, "probabilities", check_probabilities(probabilities, len(members)))

    def posterior(self, prompts: Prompts) -> Float64[np.ndarray, "B P K"]:
        """Probability of every member given the examples before each position."""
        evidence = np.stack([evidence_of(member, prompts) for member in self.members], axis=-1)
        with np.errstate(divide="ignore"):
            return softmax(evidence + np.log(self.probabilities), axis=-1)

    def __call__(self, prompts: Prompts) -> np.ndarray:
        """Predictions, shape (B, P), or of classes (B, P, k)."""
        weights = self.posterior(prompts)
        answers = np.stack([member(prompts) for member in self.members], axis=-1)
        return np.sum(answers * (weights if answers.ndim == 3 else weights[:, :, None]), axis=-1)

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of the labels before every position, shape (B, P)."""
        evidence = np.stack([evidence_of(member, prompts) for member in self.members], axis=-1)
        with np.errstate(divide="ignore"):
            return np.logaddexp.reduce(evidence + np.log(self.probabilities), axis=-1)


def evidence_of(predictor: Any, prompts: Prompts) -> PromptLabels:
    """Log-probability of the labels before every position under a predictor's law, shape (B, P).

    Raises
    ------
    InvalidInputError
        If the labels are numbers and the predictor gives no evidence.
    """
    if prompts.n_classes is None:
        check_members(predictor, "a predictor that is weighed by evidence", ("log_evidence",))
        return predictor.log_evidence(prompts)
    laws = predictor(replace(prompts, queries=prompts.xs))
    chosen = np.take_along_axis(laws, prompts.ys[..., None], axis=-1)[..., 0]
    return sums_before(np.log(np.maximum(chosen, np.finfo(np.float64).tiny)))
