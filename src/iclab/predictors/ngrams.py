"""Predictors of symbols: counts of what followed earlier, and the posterior over a pool of chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, check_integer, check_real
from iclab.prompts import MarkovChainPool, Prompts
from iclab.prompts.labels import Law
from iclab.prompts.markov_chains import openings

# Counts kept at once.
_BLOCK, _MOST = 1 << 22, 100_000_000


@dataclass(frozen=True)
class NGramBayes:
    """How often each symbol followed the last ``order`` symbols, plus ``concentration``, normalised.

    The posterior mean of a row of the table under a Dirichlet(concentration) law: exactly Bayes for
    ``MarkovChains`` of that order that start from uniform symbols (all do at order 0); symbols from the stationary law
    say a little more about the table. Where fewer than ``order`` symbols were seen all are equally likely.

    Parameters
    ----------
    order : int
        Symbols looked back: 0 for unigrams, 1 for bigrams (the induction head with counts).
    concentration : float
        Added to every count: 1 for add-one.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the labels are no classes.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.predictors import NGramBayes
    >>> from iclab.prompts import MarkovChains
    >>> prompts = MarkovChains(2).sample(1, 6, seed=0)
    >>> zeros = int((prompts.ys[0, :5] == 0).sum())
    >>> np.allclose(NGramBayes(0)(prompts)[0, 5], [(zeros + 1) / 7, (6 - zeros) / 7])  # add-one counts
    True
    """

    order: int
    concentration: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", check_integer(self.order, "order", minimum=0))
        object.__setattr__(self, "concentration", check_real(self.concentration, "concentration", above=0.0))

    def __call__(self, prompts: Prompts) -> Law:
        """Probabilities, shape (B, P, k)."""
        k = require_classes(prompts, "n-grams")
        if self.order > _MOST.bit_length() or k ** (self.order + 1) > _MOST:
            raise InvalidInputError(
                f"n-grams must be at most {_MOST} to be counted; {k} symbols make {k}^{self.order + 1} of order "
                f"{self.order}."
            )
        answers = np.empty((*prompts.ys.shape, k))
        batch = max(1, _BLOCK // k ** (self.order + 1))
        for start in range(0, len(prompts), batch):
            some = slice(start, start + batch)
            answers[some] = self._posterior(prompts.ys[some], k)
        return answers

    def _posterior(self, ys: np.ndarray, k: int) -> Law:
        rows, prior = k**self.order, self.concentration
        counts = np.zeros((len(ys), rows, k))
        answers = np.full((*ys.shape, k), 1 / k)
        prompts, state = np.arange(len(ys)), np.zeros(len(ys), dtype=np.int64)
        for i in range(ys.shape[1]):
            if i >= self.order:
                row = counts[prompts, state]
                answers[:, i] = (row + prior) / (row.sum(axis=1, keepdims=True) + k * prior)
                counts[prompts, state, ys[:, i]] += 1
            state = (state * k + ys[:, i]) % rows
        return answers


@dataclass(frozen=True, eq=False)
class MarkovPoolBayes:
    """Posterior over a finite pool of chains, and the law of the next symbol under it.

    Exactly Bayes on prompts of ``MarkovChainPool``, for urns too. With ``order=0`` beside chains of order 1 it is the
    unigram strategy of Park et al. (2025): chains are weighed and symbols predicted by their stationary laws alone.

    Prompts that no chain can have produced are predicted by the whole pool.

    Parameters
    ----------
    chains : array_like, shape (n, k^order, k)
        Tables, for example ``MarkovChainPool.chains``.
    order : int, optional
        Symbols looked back, at most that of the chains, which it is when omitted.

    Raises
    ------
    InvalidInputError
        If the tables are none, the order is above theirs, or the prompts have other symbols.
    """

    chains: Law
    order: int

    def __init__(self, chains: ArrayLike, order: int | None = None) -> None:
        pool = MarkovChainPool(chains)
        looked = pool.order if order is None else check_integer(order, "order", minimum=0)
        if looked > pool.order:
            raise InvalidInputError(f"order must be at most that of the chains, {pool.order}; {looked} was given.")
        object.__setattr__(self, "chains", pool.chains)
        object.__setattr__(self, "order", looked)

    def __call__(self, prompts: Prompts) -> Law:
        """Probabilities, shape (B, P, k)."""
        k = require_classes(prompts, "a pool of chains")
        if k != self.chains.shape[2]:
            raise InvalidInputError(f"prompts must have the chains' {self.chains.shape[2]} symbols; they have {k}.")
        levels = openings(self.chains)
        levels = [*levels, self.chains][: self.order + 1]
        with np.errstate(divide="ignore"):
            # One row per state and symbol, contiguous over the pool.
            logs = [np.ascontiguousarray(np.log(level).reshape(len(level), -1).T) for level in levels]
        answers = np.empty((*prompts.ys.shape, k))
        batch = max(1, _BLOCK // len(self.chains))
        for start in range(0, len(prompts), batch):
            some = slice(start, start + batch)
            answers[some] = self._predict(prompts.ys[some], levels, logs)
        return answers

    def _predict(self, ys: np.ndarray, levels: list[Law], logs: list[np.ndarray]) -> Law:
        k = self.chains.shape[2]
        evidence = np.zeros((len(ys), len(self.chains)))
        answers = np.empty((*ys.shape, k))
        state = np.zeros(len(ys), dtype=np.int64)
        for i in range(ys.shape[1]):
            level = levels[min(i, self.order)]
            best = evidence.max(axis=1, keepdims=True)
            weights = np.exp(np.where(np.isfinite(best), evidence - best, 0.0))
            weights /= weights.sum(axis=1, keepdims=True)
            for each in np.unique(state):
                here = state == each
                answers[here, i] = weights[here] @ level[:, each]
            code = state * k + ys[:, i]
            evidence += logs[min(i, self.order)][code]
            state = code % k ** min(i + 1, self.order)
        return answers


@dataclass(frozen=True)
class TrueLaw:
    """The law that the prompts were drawn with, ``prompts.probabilities``: the floor that no learner can pass.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.predictors import TrueLaw
    >>> from iclab.prompts import MarkovChains
    >>> law = TrueLaw()(MarkovChains(3).sample(4, 10, seed=0))
    >>> law.shape, np.allclose(law.sum(axis=-1), 1)
    ((4, 10, 3), True)
    """

    def __call__(self, prompts: Prompts) -> Law:
        """Probabilities, shape (B, P, k)."""
        require_classes(prompts, "a true law")
        if prompts.probabilities is None:
            raise InvalidInputError("prompts must have probabilities, the true law of their classes; they have none.")
        return prompts.probabilities


def require_classes(prompts: Prompts, what: str) -> int:
    """Number of classes of the labels.

    Raises
    ------
    InvalidInputError
        If the labels are numbers.
    """
    if prompts.n_classes is None:
        raise InvalidInputError(f"prompts must have labels that are classes for {what}; theirs are numbers.")
    return prompts.n_classes
