"""Posteriors over a list of functions, and two learners of Boolean functions that need no list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.special import softmax

from iclab.foundations import InvalidInputError, PromptLabels, check_choice
from iclab.predictors.base import each_output
from iclab.predictors.evidence import LOG_2PI
from iclab.prompts import Prompts
from iclab.prompts.boolean_functions import BooleanLaw
from iclab.prompts.labels import Law

# Values of functions kept at once.
_BLOCK = 1 << 18
# Of the value of a function, beside a label of size 1.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class CodedFunctions:
    """Values of all Boolean functions of a law.

    Attributes
    ----------
    law : BooleanLaw
        Whose rule it is.
    codes : ndarray, shape (K, d)
        Of the functions.
    """

    law: BooleanLaw
    codes: Float64[np.ndarray, "K d"]

    def __call__(self, x: Float64[np.ndarray, "B d"]) -> Float64[np.ndarray, "B K"]:
        """h_k(x), −1 or 1."""
        signs, literals = np.sign(x), np.abs(self.codes)
        seen = literals.sum(axis=1) if signs.all() else np.abs(signs) @ literals.T
        return self.law.rule(signs @ self.codes.T, seen)


@dataclass(frozen=True, eq=False)
class EnumerationBayes:
    """Posterior over a list of functions h_k, and the mean of their values, or of the laws of the class, under it.

    Exactly Bayes for functions drawn from the list. Prompts that none of them can have produced leave the posterior as
    it was.

    Parameters
    ----------
    values : callable
        Inputs of one position, shape (B, d), to h_k(x), shape (B, K).
    log_prior : ndarray, shape (K,)
        Log-probability of each function.
    noise : float
        Standard deviation of real labels; 0 for exact ones.
    law : callable, optional
        For labels that are classes: values of functions to the law of the class, with a last axis of k.
    """

    values: Callable[[np.ndarray], np.ndarray]
    log_prior: Float64[np.ndarray, " K"]
    noise: float = 0.0
    law: Callable[[np.ndarray], Law] | None = None

    def __call__(self, prompts: Prompts) -> np.ndarray:
        """Predictions, shape (B, P), or of classes (B, P, k)."""
        return self._run(prompts)[0]

    def log_evidence(self, prompts: Prompts) -> PromptLabels:
        """Log-density of real labels before every position, shape (B, P); for positive noise."""
        if self.noise == 0:
            raise InvalidInputError("noise must be positive for labels to have a density; 0 was given.")
        constant = -0.5 * (LOG_2PI + 2 * np.log(self.noise))
        return self._run(prompts)[1] + constant * np.arange(prompts.n_points)

    def _run(self, prompts: Prompts) -> tuple[np.ndarray, PromptLabels]:
        if (self.law is None) != (prompts.n_classes is None):
            wanted = "numbers" if self.law is None else "classes"
            raise InvalidInputError(f"prompts must have labels that are {wanted} for this list of functions.")
        answers = np.empty((*prompts.ys.shape, *prompts.labels.answer_shape))
        evidence = np.empty(prompts.ys.shape)
        prior = softmax(self.log_prior)
        batch = max(1, _BLOCK // len(prior))
        for start in range(0, len(prompts), batch):
            some = slice(start, start + batch)
            ys, xs, queries = prompts.ys[some], prompts.xs[some], prompts.queries[some]
            weights, total = np.tile(prior, (len(ys), 1)), np.zeros(len(ys))
            for i in range(prompts.n_points):
                here = self._shown(xs[:, i])
                asked = self._shown(queries[:, i]) if prompts.shifted_queries else here
                answers[some, i] = np.einsum("bk,bk...->b...", weights, asked)
                evidence[some, i] = total
                likelihood, offset = self._likelihood(here, ys[:, i])
                likelihood *= weights
                share = likelihood.sum(axis=1)
                known = share > 0
                weights = np.where(known[:, None], likelihood / np.where(known, share, 1.0)[:, None], weights)
                total = total + np.where(known, np.log(np.where(known, share, 1.0)) + offset, 0.0)
        return answers, evidence

    def _shown(self, x: np.ndarray) -> np.ndarray:
        """Values of the functions, shape (B, K), or the laws of the class, (B, K, k)."""
        values = self.values(x)
        return values if self.law is None else self.law(values)

    def _likelihood(self, shown: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray | float]:
        """Likelihood of a label under each function, shape (B, K), divided by exp(offset)."""
        if self.law is not None:
            return np.take_along_axis(shown, ys[:, None, None], axis=2)[..., 0], 0.0
        if self.noise == 0:
            tolerance = _ROUNDING * np.maximum(1.0, np.abs(ys[:, None]))
            return (np.abs(shown - ys[:, None]) <= tolerance).astype(np.float64), 0.0
        squares = np.square((shown - ys[:, None]) / self.noise) / 2
        least = squares.min(axis=1)
        return np.exp(least[:, None] - squares), -least


@dataclass(frozen=True)
class ParityBayes:
    """Bayes for ``Parity`` with exact labels, to dimension 63: Gaussian elimination over the field of two elements.

    With b the indicator of the coordinates that are −1, h(x) = (−1)^(s'b): the label of a query in the span of the
    inputs seen is known, and of one outside it a fair coin.
    """

    def __call__(self, prompts: Prompts) -> np.ndarray:
        """Posterior means, shape (B, P), 0 or ±1; of two classes probabilities, shape (B, P, 2)."""
        d = prompts.dimension
        if d > 63 or prompts.n_classes not in (None, 2):
            raise InvalidInputError(
                f"prompts must have at most 63 dimensions and two classes, or labels ±1; dimension {d} was given."
            )
        powers = np.uint64(1) << np.arange(d, dtype=np.uint64)
        keys, asked = ((inputs < 0) @ powers for inputs in (prompts.xs, prompts.queries))
        odd = prompts.ys < 0 if prompts.n_classes is None else prompts.ys == 0
        rows = np.zeros((d, len(prompts)), dtype=np.uint64)
        signs = np.zeros((d, len(prompts)), dtype=bool)
        means = np.empty(prompts.ys.shape)
        for i in range(prompts.n_points):
            left, sign = _reduced(asked[:, i], np.zeros(len(prompts), dtype=bool), rows, signs)
            means[:, i] = np.where(left == 0, np.where(sign, -1.0, 1.0), 0.0)
            left, sign = _reduced(keys[:, i], odd[:, i], rows, signs)
            for j in range(d):
                # The highest bit left is a new pivot.
                new = (left >> np.uint64(j)) == 1
                rows[j] = np.where(new, left, rows[j])
                signs[j] = np.where(new, sign, signs[j])
        return means if prompts.n_classes is None else np.stack([(1 - means) / 2, (1 + means) / 2], axis=-1)


def _reduced(bits: np.ndarray, sign: np.ndarray, rows: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of vectors after elimination by the rows, and of their labels; shapes (B,)."""
    for j in reversed(range(len(rows))):
        hit = ((bits >> np.uint64(j)) & np.uint64(1)).astype(bool) & (rows[j] != 0)
        bits = np.where(hit, bits ^ rows[j], bits)
        sign = sign ^ (hit & signs[j])
    return bits, sign


@dataclass(frozen=True)
class Elimination:
    """The literals that no positive example contradicts, all required: Valiant's learner of conjunctions (1984).

    It never errs on negative queries of a conjunction, and is not Bayes: negative examples teach it nothing. A
    disjunction is the negation of the conjunction of its negated literals.

    Parameters
    ----------
    of : {"conjunction", "disjunction"}
        What is learned.
    """

    of: Literal["conjunction", "disjunction"] = "conjunction"

    def __post_init__(self) -> None:
        check_choice(self.of, "of", ("conjunction", "disjunction"))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions −1 or 1, and 0 at position 0; shape (B, P)."""
        side = 1.0 if self.of == "conjunction" else -1.0
        predictions = np.zeros(prompts.ys.shape)
        # Largest and smallest value of each coordinate over the positive examples: equal where a literal is left.
        low, high = (np.full((len(prompts), prompts.dimension), bound) for bound in (np.inf, -np.inf))
        for i in range(prompts.n_points):
            query = prompts.queries[:, i]
            # Before any positive example both literals of every coordinate are left, which no query satisfies.
            holds = ((query >= low) | (low < 0)) & ((query <= high) | (high > 0)) & (low <= high)
            predictions[:, i] = np.where(holds.all(axis=1), side, -side)
            positive = (side * prompts.ys[:, i] > 0)[:, None]
            low = np.where(positive, np.minimum(low, prompts.xs[:, i]), low)
            high = np.where(positive, np.maximum(high, prompts.xs[:, i]), high)
        predictions[:, 0] = 0.0
        return predictions
