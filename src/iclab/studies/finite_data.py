"""Finite data: training prompts, training tasks, and the lengths N and M, each against the error.

The paper trains on the population loss. Here: empirical minimisers on B prompts and SGD that sees each prompt once
(``finite_prompts``), pools of K tasks (``finite_tasks``), and Corollary 6's O(1/M + 1/N²) (``finite_lengths``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from iclab.models import load
from iclab.studies.finite_exponents import measured_exponents
from iclab.studies.finite_lengths import (
    best_lengths,
    bounded,
    coefficients_of,
    exact_part,
    measured_part,
    slopes_of,
)
from iclab.studies.finite_prompts import (
    FIXED,
    LINEAR,
    RANDOM,
    WHOLE,
    empirical_part,
    leading_coefficient,
    noise_part,
    one_pass_part,
)
from iclab.studies.finite_tasks import judge, pooled_layer
from iclab.studies.finite_words import captions, sentences, summary
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store, digest
from iclab.studies.trainings import Job, Trained, train_all, trained
from iclab.training import preset

NAME = "finite_data"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FiniteDataSettings:
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N of the transformers and of the layers trained on pools of tasks.
    layer_dimension, layer_n_train : int
        d and N of the layers trained on B prompts.
    prompts : tuple of int
        B, ascending.
    n_samples : int
        Training samples per B; half as many where a sample costs more.
    batches, rates : tuple
        Prompts per step of one-pass SGD, and its step sizes (for random covariances a quarter of them).
    noise_batches, noise_rates : tuple
        Batch sizes and step sizes at which SGD's noise is measured.
    tasks : tuple of int or None
        K of the transformers' pools; None for fresh tasks throughout.
    layer_tasks : tuple of int
        K of the layers' pools.
    n_pools : int
        Pools per K of the layers.
    noise : float
        Standard deviation of the label noise, with which ridge, dMMSE and least squares differ.
    n_grid, m_grid : tuple of int
        Lengths of the exact part.
    measured : tuple of int
        Lengths N and M of the layers trained by descent.
    preset : str
        Training preset of the transformers.
    overrides : dict
        Fields of the preset that this profile changes.
    n_prompts : int
        Test prompts.
    training_seeds : tuple of int
        One training per K and seed; the pool has the same seed.
    workers : int, optional
        Trainings at a time; one per core when omitted.
    seed : int
        Of everything else.
    """

    dimension: int = 5
    n_train: int = 10
    layer_dimension: int = 3
    layer_n_train: int = 12
    prompts: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
    n_samples: int = 16
    batches: tuple[int, ...] = (8, 32, 128)
    rates: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16)
    noise_batches: tuple[int, ...] = (64, 128, 256)
    noise_rates: tuple[float, ...] = (0.01, 0.02, 0.04)
    tasks: tuple[int | None, ...] = (1, 4, 16, 64, 256, 1024, None)
    layer_tasks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    n_pools: int = 64
    noise: float = 0.5
    n_grid: tuple[int, ...] = (5, 10, 20, 40, 80, 160, 320, 640, 1280)
    m_grid: tuple[int, ...] = (5, 10, 20, 40, 80, 160, 320, 640, 1280)
    measured: tuple[int, ...] = (5, 10, 20, 40, 80, 160)
    preset: str = "tiny"
    overrides: Mapping[str, Any] | None = None
    n_prompts: int = 4_000
    training_seeds: tuple[int, ...] = (0,)
    workers: int | None = None
    seed: int = 0


def run(*, store: Store, runs: Path, progress: Progress, **sizes: Any) -> StudyRecord:
    """Compute every part, train what is missing, and fit the exponents.

    Parameters
    ----------
    store : Store
        Finished units.
    runs : Path
        Keeps the trainings.
    progress : callable
        Called with (what is being done, done, total).
    **sizes
        Fields of ``FiniteDataSettings``.

    Returns
    -------
    StudyRecord
        Tables ``empirical``, ``one_pass`` and ``noise`` (one row per sample; see ``finite_prompts``), ``leading``
        (law, value, stderr, n), ``pooled_layer`` and ``transformers`` (see ``finite_tasks``; with n_tasks, NaN for
        fresh tasks, and training_seed), ``exact``, ``slopes``, ``coefficients``, ``best_lengths`` and ``measured``
        (see ``finite_lengths``), and ``exponents`` (what, value, low, high, n, expected).
    """
    settings = FiniteDataSettings(**sizes)
    tables = _tables(settings, store, progress)
    models = _train(settings, runs, progress)
    parts: list[pd.DataFrame] = []
    for done, ((n_tasks, seed), model) in enumerate(models.items()):
        progress(f"testing: {_named(n_tasks)}, seed {seed}", done, len(models))
        arguments = (n_tasks, seed, settings.dimension, settings.n_train, settings.noise, settings.n_prompts)
        table = store.table(
            f"{NAME}-transformers",
            {"model": model.identity, "arguments": list(arguments), "seed": settings.seed},
            lambda model=model, arguments=arguments: judge(load(model.path, device="auto"), *arguments, settings.seed),
        )
        parts.append(table.assign(n_tasks=n_tasks, training_seed=seed))
    progress("testing: done", len(models), len(models))
    tables["transformers"] = pd.concat(parts, ignore_index=True).astype({"n_tasks": "float64"})
    tables["exponents"] = measured_exponents(tables, settings)
    facts: dict[str, Any] = {
        "settings": {**asdict(settings), "overrides": dict(settings.overrides or {})},
        "steps": int(next(iter(models.values())).config.steps),
    }
    facts["sentences"] = sentences(tables, settings)
    facts["summary"] = summary(tables, settings)
    facts["captions"] = captions(settings)
    return StudyRecord(NAME, "Finite data: prompts, tasks and lengths", tables, facts)


def _tables(settings: FiniteDataSettings, store: Store, progress: Progress) -> dict[str, pd.DataFrame]:
    """What needs no transformer, unit by unit."""
    d, n, seed = settings.layer_dimension, settings.layer_n_train, settings.seed
    laws, samples = (FIXED, RANDOM), max(2, settings.n_samples // 2)
    # Full minimisation needs several prompts per parameter to stay near the minimum it starts from.
    enough = tuple(size for size in settings.prompts if size >= 16 * (d + 1) ** 2)
    work: list[tuple[str, list[Any], Callable[[], pd.DataFrame]]] = []

    def add(table: str, function: Callable[..., Any], *arguments: Any) -> None:
        work.append((table, list(arguments), lambda: function(*arguments)))

    for law in laws:
        add("empirical", empirical_part, law, LINEAR, d, n, settings.prompts, settings.n_samples, seed)
        if enough:
            add("empirical", empirical_part, law, WHOLE, d, n, enough, samples, seed)
        add("leading", _leading, law, d, n, seed)
        rates = settings.rates if law == FIXED else tuple(rate / 4 for rate in settings.rates)
        add("one_pass", one_pass_part, law, d, n, settings.prompts, settings.batches, rates, samples, seed)
    add("noise", noise_part, d, n, settings.noise_batches, settings.noise_rates, samples, seed)
    layer = (settings.dimension, settings.n_train, settings.noise, settings.n_pools, seed)
    add("pooled_layer", pooled_layer, settings.layer_tasks, *layer)
    add("exact", exact_part, settings.dimension, settings.n_grid, settings.m_grid)
    add("coefficients", coefficients_of, settings.dimension)
    add("best_lengths", best_lengths, settings.dimension, settings.n_grid, settings.m_grid)
    add("measured", measured_part, settings.dimension, settings.measured, settings.n_prompts, seed)
    parts: dict[str, list[pd.DataFrame]] = {}
    for done, (table, arguments, compute) in enumerate(work):
        progress(f"computing: {table.replace('_', ' ')}", done, len(work))
        parts.setdefault(table, []).append(store.table(f"{NAME}-{table}", {"arguments": arguments}, compute))
    progress("computing: done", len(work), len(work))
    tables = {table: pd.concat(frames, ignore_index=True) for table, frames in parts.items()}
    exact = bounded(tables["exact"], settings.dimension)
    return {**tables, "exact": exact, "slopes": slopes_of(exact)}


def _leading(law: str, dimension: int, n_train: int, seed: int) -> pd.DataFrame:
    found = leading_coefficient(law, dimension, n_train, seed)
    return pd.DataFrame([{"law": law, "value": found.value, "stderr": found.standard_error, "n": found.n}])


def _train(settings: FiniteDataSettings, runs: Path, progress: Progress) -> dict[tuple[int | None, int], Trained]:
    jobs: dict[tuple[int | None, int], Job] = {}
    for n_tasks in settings.tasks:
        for seed in settings.training_seeds:
            tasks: dict[str, Any] = {"kind": "linear"}
            if n_tasks is not None:
                tasks = {"kind": "finite_pool", "n_tasks": n_tasks, "dimension": settings.dimension, "seed": seed}
            config = preset(
                settings.preset,
                dimension=settings.dimension,
                n_train=settings.n_train,
                prompts={"tasks": tasks, "noise": settings.noise},
                **{"seed": seed, **(settings.overrides or {})},
            )
            slug = "fresh" if n_tasks is None else f"K{n_tasks}"
            directory = runs / f"{NAME}-{slug}-seed{seed}-{digest(config.as_dict())}"
            jobs[n_tasks, seed] = Job(f"training: {_named(n_tasks)}, seed {seed}", config, directory)
    train_all(list(jobs.values()), progress, settings.workers)
    return {key: trained(job) for key, job in jobs.items()}


def _named(n_tasks: int | None) -> str:
    if n_tasks is None:
        return "fresh tasks"
    return f"{n_tasks} task{'s' if n_tasks > 1 else ''}"
