"""The two strategies that a pool of tasks allows, and where a predictor stands between them.

dMMSE is Bayes for the pool: it remembers its tasks. Ridge is Bayes for all tasks of N(0, I). At position 0 dMMSE
predicts by the pool's mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.foundations import standard_error
from iclab.predictors import FinitePoolBayes, Predictor, Ridge
from iclab.prompts import FinitePool, Gaussian, Linear, PromptDistribution

POOL, FRESH = "pool", "fresh"
TASKS = (FRESH, POOL)
DMMSE, RIDGE, EXCESS = "dMMSE", "ridge", "dMMSE − ridge"
# Prompts at a time.
_CHUNK = 250


def strategies(pool: FinitePool, noise: float) -> tuple[Predictor, Predictor]:
    """DMMSE and ridge."""
    return FinitePoolBayes(pool.pool, noise, first="prior"), Ridge.bayes(noise)


def law_of(tasks: str, pool: FinitePool, noise: float) -> PromptDistribution:
    """Prompts with tasks of the pool, or with fresh ones."""
    dimension = pool.pool.shape[1]
    return PromptDistribution(Gaussian.isotropic(dimension), pool if tasks == POOL else Linear(), noise)


def means_over_positions(values: Float64[np.ndarray, "B P"], dimension: int) -> Float64[np.ndarray, " B"]:
    """One number per prompt, divided by d."""
    return values.mean(axis=1) / dimension


def bayes_lines(
    dimension: int, n_points: int, noise: float, n_tasks: int, pools: Sequence[int], n_prompts: int, seed: int
) -> pd.DataFrame:
    """Errors of both strategies, their distance and the difference of their errors, / d, for several pools of one size.

    Returns
    -------
    DataFrame
        tasks, quantity ("dMMSE", "ridge", "distance", "dMMSE − ridge"), mean and stderr over pools (over prompts where
        there is one pool), pools, n (prompts in all). ``n_prompts`` are shared among the pools.
    """
    each = max(2, n_prompts // len(pools))
    samples: dict[tuple[str, str], list[Float64[np.ndarray, " B"]]] = {}
    for pool_seed in pools:
        pool = FinitePool.gaussian(n_tasks, dimension, seed=pool_seed)
        remembers, ridge = strategies(pool, noise)
        for tasks in TASKS:
            law = law_of(tasks, pool, noise)
            found: dict[str, list[Float64[np.ndarray, " B"]]] = {}
            for start in range(0, each, _CHUNK):
                # Every pool has prompts of its own.
                prompts = law.sample(min(_CHUNK, each - start), n_points, seed=seed, step=pool_seed, start=start)
                one, other = remembers(prompts), ridge(prompts)
                pairs = {DMMSE: one - prompts.targets, RIDGE: other - prompts.targets, "distance": one - other}
                squares = {name: means_over_positions(gap**2, dimension) for name, gap in pairs.items()}
                # On the same prompts, so that what they share is not in its error.
                squares[EXCESS] = squares[DMMSE] - squares[RIDGE]
                for name, values in squares.items():
                    found.setdefault(name, []).append(values)
            for name, parts in found.items():
                samples.setdefault((tasks, name), []).append(np.concatenate(parts))
    rows = []
    for (tasks, name), parts in samples.items():
        independent = np.array([part.mean() for part in parts]) if len(parts) > 1 else parts[0]
        rows.append(
            (tasks, name, independent.mean(), float(standard_error(independent)), len(parts), each * len(parts))
        )
    return pd.DataFrame(rows, columns=["tasks", "quantity", "mean", "stderr", "pools", "n"])
