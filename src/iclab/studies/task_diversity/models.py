"""Transformers trained on pools of M tasks, by several recipes, and where they stand in the end and along training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.evaluation.streaming import accumulate
from iclab.inspect import compressed_bits, fit_posterior, relative_distances
from iclab.models import load
from iclab.predictors import Predictor
from iclab.prompts import FinitePool, Prompts
from iclab.studies.task_diversity.lines import POOL, TASKS, law_of, strategies
from iclab.studies.trainings import Trained
from iclab.training import Run, TrainingConfig, preset


@dataclass(frozen=True)
class Recipe:
    """How a pool is trained on: Adam, its rate beside the base rate, the schedule, and what is fitted.

    Attributes
    ----------
    factor : float
        Of the base rate.
    decay : float
        Share of the run over which the rate falls to 0; it rises over the rest, or is constant at 0.
    targets : {"labels", "posterior_mean"}
        What predictions are fitted to.
    """

    factor: float = 1.0
    decay: float = 0.5
    targets: Literal["labels", "posterior_mean"] = "labels"


# Raventós et al. raise the rate over half of the run, then lower it; Aswadi (2026) keeps three times that rate.
LABELS, POSTERIOR, CONSTANT, FAST, FAST_CONSTANT = (
    "labels",
    "posterior means",
    "constant rate",
    "triple rate",
    "triple constant rate",
)
RECIPES: Mapping[str, Recipe] = {
    LABELS: Recipe(),
    POSTERIOR: Recipe(targets="posterior_mean"),
    CONSTANT: Recipe(decay=0.0),
    FAST: Recipe(factor=3.0),
    FAST_CONSTANT: Recipe(factor=3.0, decay=0.0),
}


def configuration(
    recipe: str,
    n_tasks: int,
    seed: int,
    *,
    dimension: int,
    n_points: int,
    noise: float,
    rate: float,
    steps: int,
    kept: int,
    overrides: Mapping[str, Any],
) -> TrainingConfig:
    """One training: a pool of the training's own seed, weights kept at ``kept`` log-spaced steps."""
    chosen = RECIPES[recipe]
    tasks = {"kind": "finite_pool", "n_tasks": n_tasks, "dimension": dimension, "seed": seed}
    return preset(
        "tiny",
        dimension=dimension,
        n_train=n_points - 1,
        max_points=n_points,
        steps=steps,
        seed=seed,
        **{
            "prompts": {"tasks": tasks, "noise": noise},
            "targets": chosen.targets,
            "optimizer": {"kind": "adam", "learning_rate": chosen.factor * rate, "betas": [0.9, 0.999], "clip": None},
            "schedule": {"warmup": round(steps * (1 - chosen.decay)) if chosen.decay else 0, "decay": chosen.decay},
            "curriculum": {"dimensions": None, "points": None, "examples_per_dimension": None},
            "per_dimension": False,
            "checkpoints": {"spacing": "log", "count": kept, "precision": "half"} if kept else None,
            **overrides,
        },
    )


def final(
    model: Trained, n_tasks: int, pool_seed: int, dimension: int, n_points: int, noise: float, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Where a finished model stands between the strategies, and the errors of all three.

    Returns
    -------
    DataFrame
        tasks, relative (1 at dMMSE, 0 at ridge; see ``inspect.relative_distances``) with relative_stderr, off_line,
        error with stderr, dmmse and ridge (errors of the strategies), all means over positions and / d, n.
    """
    pool = FinitePool.gaussian(n_tasks, dimension, seed=pool_seed)
    remembers, ridge = strategies(pool, noise)
    laws = {tasks: law_of(tasks, pool, noise) for tasks in TASKS}
    network, tested = load(model.path, device="auto"), _Tested(n_prompts=n_prompts, seed=seed)
    places = relative_distances({model.config.steps: network}, remembers, ridge, laws, n_points, **tested)
    rows: list[dict[str, Any]] = []
    for place in places.to_dict("records"):
        # One number per prompt: positions of a prompt are not independent.
        errors = _MeanErrors((network, remembers, ridge), dimension)
        [found] = accumulate(errors, laws[place["distribution"]], n_points, **tested)
        own, dmmse, other = found.mean
        row = {"tasks": place["distribution"], "relative": place["relative"], "relative_stderr": place["stderr"]}
        row |= {"off_line": place["off_line"], "error": own, "stderr": found.stderr[0], "dmmse": dmmse, "ridge": other}
        rows.append(row | {"n": n_prompts})
    return pd.DataFrame(rows)


class _Tested(TypedDict):
    """Test prompts."""

    n_prompts: int
    seed: int


@dataclass(frozen=True)
class _MeanErrors:
    """Squared errors / d, means over positions: samples of shape (B, K)."""

    predictors: tuple[Predictor, ...]
    dimension: int

    def __call__(self, prompts: Prompts) -> Float64[np.ndarray, "B K"]:
        scores = [np.mean((each(prompts) - prompts.targets) ** 2, axis=1) for each in self.predictors]
        return np.stack(scores, axis=1) / self.dimension


def along(
    model: Trained, n_tasks: int, pool_seed: int, dimension: int, n_points: int, noise: float, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Where a model stood at every step whose weights were kept, and what the posterior over strategies is made of.

    Returns
    -------
    DataFrame
        step, tasks, relative, stderr, off_line, n; seen (labels), loss_memorising and loss_generalising (errors of the
        strategies on the pool, / d), bits (of the compressed pool).
    """
    pool = FinitePool.gaussian(n_tasks, dimension, seed=pool_seed)
    remembers, ridge = strategies(pool, noise)
    laws = {tasks: law_of(tasks, pool, noise) for tasks in TASKS}
    tested = _Tested(n_prompts=n_prompts, seed=seed)
    table = relative_distances(Run.open(model.path).checkpoints(), remembers, ridge, laws, n_points, **tested)
    [losses] = accumulate(_MeanErrors((remembers, ridge), dimension), laws[POOL], n_points, **tested)
    seen = table["step"] * model.config.batch_size * n_points
    table = table.rename(columns={"distribution": "tasks"}).assign(seen=seen, bits=compressed_bits(pool.pool))
    table = table.assign(loss_memorising=losses.mean[0], loss_generalising=losses.mean[1])
    return table[[*_ALONG]]


_ALONG = (
    "step",
    "tasks",
    "relative",
    "stderr",
    "off_line",
    "n",
    "seen",
    "loss_memorising",
    "loss_generalising",
    "bits",
)


def posterior(rows: pd.DataFrame, n_bootstrap: int, seed: int) -> pd.DataFrame:
    """The posterior over strategies with three constants (Wurgaft et al. 2025), fitted to ``along`` on each law.

    Parameters
    ----------
    rows : DataFrame
        Of ``along``, with ``run``.

    Returns
    -------
    DataFrame
        tasks, quantity ("correlation", "gamma", "alpha", "beta"), value with value_low and value_high (95 % bootstrap
        over trainings), n (checkpoints).
    """
    kept: list[dict[str, Any]] = []
    for tasks, own in rows.groupby("tasks", sort=False):
        fitted = fit_posterior(own, n_bootstrap=n_bootstrap, seed=seed)
        for name, ends in fitted.intervals.items():
            row = {"tasks": tasks, "quantity": name, "value": getattr(fitted, name), "value_low": ends.low}
            kept.append({**row, "value_high": ends.high, "n": fitted.n})
    return pd.DataFrame(kept)
