"""Classification: clusters (Frei and Vardi 2024), logistic regression (Bai et al. 2023), bursts (Reddy 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from iclab.studies.classification.bursts import accuracies
from iclab.studies.classification.clusters import clusters
from iclab.studies.classification.logistic import logistic, prompts_of
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.studies.trainings import Job, TrainingSettings, trained
from iclab.training import TrainingConfig, read_config

TITLE = "Classification: noise, logistic regression and bursts"


@dataclass(frozen=True)
class Regression:
    """Logistic regression in context.

    Attributes
    ----------
    dimension, n_train : int
        D and N.
    slope : float
        Of the logistic law.
    n_draws : int
        Draws of w for the Bayes predictor.
    """

    dimension: int = 2
    n_train: int = 12
    slope: float = 4.0
    n_draws: int = 8_000


@dataclass(frozen=True)
class Bursts:
    """Classes and their labels.

    Attributes
    ----------
    dimension, n_labels, n_pairs : int
        D of an item, labels L, pairs N of the context.
    spread : float
        Of items about their class, ε.
    n_classes, bursts : tuple of int
        K and how often a class is shown: one training for each pair of them and seed.
    """

    dimension: int = 16
    n_labels: int = 8
    n_pairs: int = 8
    spread: float = 0.1
    n_classes: tuple[int, ...] = (32, 1024)
    bursts: tuple[int, ...] = (1, 4)


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """Sizes of the study.

    Attributes
    ----------
    dimensions : tuple of int
        D of the clusters.
    exponents : tuple of float
        Of |μ| at test, as a power of d.
    matrix_seeds : tuple of int
        Trainings of the matrix.
    regression, bursts : Regression, Bursts
        What transformers are trained on.
    steps, burst_steps : int
        Of their trainings.
    optimizer, burst_optimizer : dict
        Of these.
    model, overrides : dict
        Fields of the model, and of the configuration, of both.
    regression_model : dict
        What of the model is other for logistic regression.
    n_clusters, n_prompts : int
        Test prompts of each matrix, and of each transformer.
    """

    dimensions: tuple[int, ...] = (50, 100, 200)
    exponents: tuple[float, ...] = (0.1, 0.3, 0.6)
    matrix_seeds: tuple[int, ...] = tuple(range(12))
    regression: Regression = Regression()
    bursts: Bursts = Bursts()
    steps: int = 800
    burst_steps: int = 800
    optimizer: Mapping[str, Any] = field(
        default_factory=lambda: {"kind": "adam", "learning_rate": 3e-3, "betas": [0.9, 0.999]}
    )
    burst_optimizer: Mapping[str, Any] = field(
        default_factory=lambda: {"kind": "adam", "learning_rate": 1e-3, "betas": [0.9, 0.999]}
    )
    model: Mapping[str, Any] = field(default_factory=lambda: {"width": 32, "layers": 2, "heads": 1})
    regression_model: Mapping[str, Any] = field(default_factory=lambda: {"embedding": "stacked"})
    n_clusters: int = 20_000


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Descend on one matrix, train the transformers, and test them.

    Returns
    -------
    dict of DataFrame
        ``clusters`` (see there; with dimension), ``logistic`` and ``regression_gaps`` (see ``logistic``), ``bursts``
        (see ``accuracies``; with n_classes, burst, training_seed).
    """
    tested = {"n_prompts": settings.n_prompts, "seed": settings.seed}
    sizes = {"exponents": settings.exponents, "seeds": settings.matrix_seeds, "n_prompts": settings.n_clusters}
    sizes |= {"seed": settings.seed}
    units = [
        Unit(clusters, {"dimension": d, **sizes}, f"clusters, d = {d}", {"dimension": d}) for d in settings.dimensions
    ]
    tables = {"clusters": lab.rows(units, "clusters")}
    regression = {f"seed {seed}": _regression_job(seed, settings, lab) for seed in settings.training_seeds}
    bursts = {
        (count, burst, seed): _burst_job(count, burst, seed, settings, lab)
        for count in settings.bursts.n_classes
        for burst in settings.bursts.bursts
        for seed in settings.training_seeds
    }
    lab.train([*bursts.values(), *regression.values()])
    models = {name: trained(job) for name, job in regression.items()}
    sizes = {"models": models, **asdict(settings.regression), **tested}
    tables |= lab.named_tables([Unit(logistic, sizes, "logistic regression")], "testing")
    units = [
        Unit(
            accuracies,
            {"model": trained(job), "problem": _problem(*cell, settings), **tested},
            job.label,
            dict(zip(("n_classes", "burst", "training_seed"), cell, strict=True)),
        )
        for cell, job in bursts.items()
    ]
    return {**tables, "bursts": lab.rows(units, "testing")}


def _problem(n_classes: int, burst: int, seed: int, settings: Settings) -> dict[str, Any]:
    chosen = settings.bursts
    sizes = {"dimension": chosen.dimension, "n_labels": chosen.n_labels, "n_pairs": chosen.n_pairs}
    return {**sizes, "spread": chosen.spread, "n_classes": n_classes, "burst": burst, "seed": seed}


def _configuration(settings: Settings, outputs: int, n_train: int, dimension: int, **fields: Any) -> TrainingConfig:
    changes = fields.pop("model", {})
    model = {"dimension": dimension, "max_points": n_train + 1, "head": "classes", "outputs": outputs}
    data = {"model": {**model, **settings.model, **changes}, "n_train": n_train, **fields}
    return read_config({**data, "precision": "float32", **settings.overrides})


def _regression_job(seed: int, settings: Settings, lab: Lab) -> Job:
    chosen = settings.regression
    prompts = prompts_of(chosen.dimension, chosen.slope)
    config = _configuration(
        settings,
        2,
        chosen.n_train,
        chosen.dimension,
        prompts=prompts,
        model=settings.regression_model,
        seed=seed,
        optimizer=settings.optimizer,
        steps=settings.steps,
        schedule={"warmup": settings.steps // 20, "decay": 0.5},
    )
    return lab.job(f"logistic regression, seed {seed}", f"classification-logistic-seed{seed}", config)


def _burst_job(n_classes: int, burst: int, seed: int, settings: Settings, lab: Lab) -> Job:
    problem = {"kind": "bursty_classes", **_problem(n_classes, burst, seed, settings)}
    config = _configuration(
        settings,
        settings.bursts.n_labels,
        settings.bursts.n_pairs,
        settings.bursts.dimension,
        prompts=problem,
        seed=seed,
        optimizer=settings.burst_optimizer,
        steps=settings.burst_steps,
        loss_at="query",
    )
    name = f"classification-K{n_classes}-burst{burst}-seed{seed}"
    return lab.job(f"K = {n_classes}, burst {burst}, seed {seed}", name, config)
