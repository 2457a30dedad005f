"""Exact and classical predictors of chains and urns, and the least cross-entropy of logits linear in frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.optimize import minimize
from scipy.special import log_softmax

from iclab.evaluation import error_curve
from iclab.predictors import MarkovPoolBayes, NGramBayes, Predictor, TrueLaw
from iclab.prompts import MarkovChainPool, MarkovChains, Prompts

TRUE, BIGRAM, UNIGRAM, UNIFORM = "true chain", "bigram", "unigram", "uniform"
FREQUENCIES, DAMPED = "β·frequency", "β·count/(total + c)"
POOL_BIGRAM, POOL_UNIGRAM = "pool, bigram", "pool, unigram"
POOL, NEW = "pool", "new"


class Uniform:
    """All symbols equally likely."""

    def __call__(self, prompts: Prompts) -> Float64[np.ndarray, "B P k"]:
        """Probabilities, shape (B, P, k)."""
        k = prompts.labels.size
        return np.full((*prompts.ys.shape, k), 1 / k)


def strategies() -> dict[str, Predictor]:
    """Without a pool, from the crudest to the finest: add-one counts, of which the last is Bayes."""
    return {UNIFORM: Uniform(), UNIGRAM: NGramBayes(0), BIGRAM: NGramBayes(1)}


def with_pool(chains: np.ndarray) -> dict[str, Predictor]:
    """Counts, and posteriors over the pool (Park et al. 2025); of urns unigrams alone."""
    pool = MarkovChainPool(chains)
    if pool.order == 0:
        return {UNIGRAM: NGramBayes(0), POOL_UNIGRAM: MarkovPoolBayes(chains)}
    return {
        UNIGRAM: NGramBayes(0),
        BIGRAM: NGramBayes(1),
        POOL_UNIGRAM: MarkovPoolBayes(chains, 0),
        POOL_BIGRAM: MarkovPoolBayes(chains),
    }


def chain_lines(n_symbols: int, length: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Cross-entropies on chains with Dirichlet(1) rows: mean over the ``length`` predictions after the first symbol.

    Returns
    -------
    DataFrame
        predictor, mean, stderr (over chains), last (prediction) with last_stderr, n; and for the fitted logits their
        constants β and c.
    """
    prompts = MarkovChains(n_symbols).sample(n_prompts, length + 1, seed=seed)
    assert prompts.probabilities is not None
    law = prompts.probabilities[:, 1:]
    answers = {name: np.log(p(prompts)[:, 1:]) for name, p in {TRUE: TrueLaw(), **strategies()}.items()}
    constants: dict[str, tuple[float, float]] = {}
    counts = transitions(prompts)[:, 1:]
    for name, start in ((FREQUENCIES, (3.0,)), (DAMPED, (4.0, 1.0))):
        found: Any = minimize(
            lambda x: -(law * log_softmax(damped(counts, *x), axis=2)).sum(axis=2).mean(), start, method="Nelder-Mead"
        )
        constants[name] = (float(found.x[0]), float(found.x[1]) if len(found.x) > 1 else 0.0)
        answers[name] = log_softmax(damped(counts, *found.x), axis=2)
    rows = []
    for name, logs in answers.items():
        entropies = -(law * np.where(law > 0, logs, 0.0)).sum(axis=2)
        each, last = entropies.mean(axis=1), entropies[:, -1]
        scale = np.sqrt(n_prompts)
        row = {"predictor": name, "mean": each.mean(), "stderr": each.std(ddof=1) / scale, "last": last.mean()}
        beta, c = constants.get(name, (np.nan, np.nan))
        rows.append({**row, "last_stderr": last.std(ddof=1) / scale, "beta": beta, "c": c, "n": n_prompts})
    return pd.DataFrame(rows)


def damped(counts: Float64[np.ndarray, "B P k"], beta: float, c: float = 0.0) -> Float64[np.ndarray, "B P k"]:
    """Logits β n_j/(n + |c|): frequencies of what followed the last symbol, drawn to 0 where little did."""
    total = counts.sum(axis=2, keepdims=True) + abs(c)
    return beta * counts / np.where(total > 0, total, 1.0)


def transitions(prompts: Prompts) -> Float64[np.ndarray, "B P k"]:
    """How often each symbol followed the last one before position i, shape (B, P, k)."""
    ys, k = prompts.ys, prompts.labels.size
    table = np.zeros((len(ys), k, k))
    found = np.zeros((*ys.shape, k))
    rows = np.arange(len(ys))
    for i in range(1, ys.shape[1]):
        if i > 1:
            table[rows, ys[:, i - 2], ys[:, i - 1]] += 1
        found[:, i] = table[rows, ys[:, i - 1]]
    return found


def law_of(tasks: str, n_chains: int, n_symbols: int, order: int, pool_seed: int) -> Any:
    """Chains or urns of a pool, or new ones of the law that the pool was drawn from."""
    if tasks == NEW:
        return MarkovChains(n_symbols, order=order)
    return MarkovChainPool.dirichlet(n_chains, n_symbols, order=order, seed=pool_seed)


def pool_lines(
    n_chains: int, n_symbols: int, order: int, length: int, pools: tuple[int, ...], n_prompts: int, seed: int
) -> pd.DataFrame:
    """Divergence of each strategy from the true law, mean over ``length`` predictions, on the pool and on new chains.

    Returns
    -------
    DataFrame
        tasks, predictor, mean, stderr (over pools, of which each has its share of the prompts), pools, n.
    """
    each = max(2, n_prompts // len(pools))
    found: dict[tuple[str, str], list[float]] = {}
    for pool_seed in pools:
        pool = law_of(POOL, n_chains, n_symbols, order, pool_seed)
        for tasks in (POOL, NEW):
            law = law_of(tasks, n_chains, n_symbols, order, pool_seed)
            for name, predictor in with_pool(pool.chains).items():
                curve = error_curve(
                    predictor, law, length, n_prompts=each, seed=seed + pool_seed, score="kl_divergence"
                )
                found.setdefault((tasks, name), []).append(float(curve.mean.mean()))
    rows = [
        (tasks, name, np.mean(v), np.std(v, ddof=1) / np.sqrt(len(v)) if len(v) > 1 else np.nan, len(v), each * len(v))
        for (tasks, name), v in found.items()
    ]
    return pd.DataFrame(rows, columns=["tasks", "predictor", "mean", "stderr", "pools", "n"])
