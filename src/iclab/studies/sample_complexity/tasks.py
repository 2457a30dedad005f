"""A finite number of training tasks: the linear layer exactly, and which algorithm a transformer ends up with.

With tasks w drawn from a pool of K vectors the population loss of a linear learner depends on the pool only through
its second moment W = (1/K) Σ w_k w_k'. So the layer generalises to fresh tasks as soon as W ≈ I, at K of the order of
d, while the Bayes predictor of the pool, dMMSE, answers fresh tasks with tasks of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

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

    On tasks of the pool and on fresh ones, and what the layer trained on all tasks has: on the pool, and less on fresh.
    """
    identity = np.eye(dimension)
    law, variance = Gaussian(identity), noise**2

    def risk(learner: np.ndarray, moment: np.ndarray) -> float:
        return shift_risk(learner, identity, identity, n_train, moment, variance)

    general, rows = optimal_learner(law, n_train, variance), []
    for count, sample in product(tasks, range(n_pools)):
        moment = FinitePool.gaussian(count, dimension, seed=1000 * seed + sample).weight_moment(dimension)
        learner = optimal_learner(law, n_train, variance, moment)
        errors = {"pool": risk(learner, moment), "fresh": risk(learner, identity)}
        row = {"n_tasks": count, "sample": sample, **errors, "infinite_pool": risk(general, moment)}
        rows.append({**row, "excess": errors["fresh"] - risk(general, identity)})
    return pd.DataFrame(rows)


def judge(
    model: Trained, pool: tuple[int, int] | None, dimension: int, n_train: int, noise: float, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Errors / d of a transformer trained on a pool (K and its seed), on tasks of the pool and on fresh ones.

    Without a pool they are fresh throughout. Classical learners have a distance too (mean squared difference from the
    model over the mean squared target), and the share of bootstrap samples in which it is least.
    """
    covariates = Gaussian.isotropic(dimension)
    network = load(model.path, device="auto")
    candidates: dict[str, Predictor] = {RIDGE: Ridge.bayes(noise), LEAST_SQUARES: LeastSquares()}
    distributions = {FRESH: PromptDistribution(covariates, Linear(), noise)}
    moment = None
    if pool is not None:
        tasks = FinitePool.gaussian(pool[0], dimension, seed=pool[1])
        candidates = {DMMSE: FinitePoolBayes(tasks.pool, noise), **candidates}
        distributions = {POOL: PromptDistribution(covariates, tasks, noise), **distributions}
        moment = tasks.weight_moment(dimension)
    candidates[LSA] = TrainedLSA(minimizer(covariates, n_train, noise**2, moment))
    given = (distributions, n_train + 1)
    errors = compare({MODEL: network, **candidates}, *given, n_prompts=n_prompts, seed=seed)
    found = nearest_algorithm(network, candidates, *given, n_prompts=n_prompts, seed=seed).distances.drop(columns="n")
    distances = found.rename(columns={"candidate": "predictor", "stderr": "distance_stderr"})
    table = errors.merge(distances, on=["predictor", "distribution", "position"], how="left")
    table[["mean", "stderr"]] /= dimension
    return table.rename(columns={"distribution": "tasks", "mean": "error"})
