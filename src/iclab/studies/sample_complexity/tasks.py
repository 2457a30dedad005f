"""A finite number of training tasks: the linear layer exactly, and which algorithm a transformer ends up with.

With tasks w drawn from a pool of K vectors the population loss of a linear learner depends on the pool only through
its second moment W = (1/K) Σ w_k w_k'. So the layer generalises to fresh tasks as soon as W ≈ I, at K of the order of
d, while the Bayes predictor of the pool, dMMSE, answers fresh tasks with tasks of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from iclab.evaluation import compare, nearest_algorithm
from iclab.models import load
from iclab.predictors import FinitePoolBayes, LeastSquares, Predictor, Ridge, TrainedLSA
from iclab.prompts import FinitePool, Gaussian, Linear, PromptDistribution
from iclab.studies.trainings import Trained
from iclab.theory import minimizer, optimal_learner, shift_risk

POOL, FRESH = "pool", "fresh"
MODEL, DMMSE, RIDGE, LEAST_SQUARES, LSA = "GPT-2", "dMMSE", "ridge", "least squares", "linear layer"


def pooled_layer(
    tasks: Sequence[int], dimension: int, n_train: int, noise: float, n_pools: int, seed: int
) -> pd.DataFrame:
    """Exact errors, at M = N, of the layer of least loss (a = b = 0) trained on pools of K tasks.

    Returns
    -------
    DataFrame
        n_tasks, sample (of the pool), pool and fresh (its errors on tasks of the pool and on new ones), infinite_pool
        (what the layer trained on all tasks has on the pool), excess (on fresh tasks over that layer's).
    """
    identity = np.eye(dimension)
    law, variance = Gaussian(identity), noise**2
    general = optimal_learner(law, n_train, variance)

    def risk(learner: np.ndarray, moment: np.ndarray) -> float:
        return shift_risk(learner, identity, identity, n_train, moment, variance)

    best = risk(general, identity)
    rows = []
    for count in tasks:
        for sample in range(n_pools):
            moment = FinitePool.gaussian(count, dimension, seed=1000 * seed + sample).weight_moment(dimension)
            learner = optimal_learner(law, n_train, variance, moment)
            fresh = risk(learner, identity)
            rows.append((count, sample, risk(learner, moment), fresh, risk(general, moment), fresh - best))
    return pd.DataFrame(rows, columns=["n_tasks", "sample", "pool", "fresh", "infinite_pool", "excess"])


def judge(
    model: Trained,
    n_tasks: int | None,
    pool_seed: int,
    dimension: int,
    n_train: int,
    noise: float,
    n_prompts: int,
    seed: int,
) -> pd.DataFrame:
    """A transformer trained on a pool of K tasks, on tasks of the pool and on fresh ones.

    Parameters
    ----------
    model : Trained
        The transformer.
    n_tasks : int or None
        K; None for fresh tasks throughout, for which dMMSE is ridge.

    Returns
    -------
    DataFrame
        tasks, position, predictor, error (/d), stderr, n; for the classical ones also distance (mean squared
        difference from the model over the mean squared target), distance_stderr, frequency (share of bootstrap
        samples in which it is the nearest).
    """
    covariates = Gaussian.isotropic(dimension)
    network = load(model.path, device="auto")
    candidates: dict[str, Predictor] = {RIDGE: Ridge.bayes(noise), LEAST_SQUARES: LeastSquares()}
    distributions = {FRESH: PromptDistribution(covariates, Linear(), noise)}
    moment = None
    if n_tasks is not None:
        pool = FinitePool.gaussian(n_tasks, dimension, seed=pool_seed)
        candidates = {DMMSE: FinitePoolBayes(pool.pool, noise), **candidates}
        distributions = {POOL: PromptDistribution(covariates, pool, noise), **distributions}
        moment = pool.weight_moment(dimension)
    candidates[LSA] = TrainedLSA(minimizer(covariates, n_train, noise**2, moment))
    errors = compare({MODEL: network, **candidates}, distributions, n_train + 1, n_prompts=n_prompts, seed=seed)
    found = nearest_algorithm(network, candidates, distributions, n_train + 1, n_prompts=n_prompts, seed=seed)
    distances = found.distances.rename(columns={"candidate": "predictor", "stderr": "distance_stderr"})
    errors = errors.rename(columns={"mean": "error"})
    errors[["error", "stderr"]] /= dimension
    keys = ["predictor", "distribution", "position"]
    table = errors.merge(distances.drop(columns="n"), on=keys, how="left")
    return table.rename(columns={"distribution": "tasks"})
