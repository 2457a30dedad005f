"""Sample complexity: training prompts, training tasks, and the lengths N and M, each against the error.

The paper trains on the population loss. Here: empirical minimisers on B prompts and SGD that sees each prompt once
(``prompts``), pools of K tasks (``tasks``), and Corollary 6's O(1/M + 1/N²) (``lengths``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from iclab.studies.lab import Lab
from iclab.studies.sample_complexity import lengths, prompts, tasks
from iclab.studies.sample_complexity.fits import measured_exponents
from iclab.studies.store import Unit
from iclab.studies.trainings import Job, PresetSettings, trained

TITLE = "Sample complexity: prompts, tasks and lengths"


@dataclass(frozen=True)
class Settings(PresetSettings):
    """Sizes of the study; d and N are those of the transformers and of the layers trained on pools of tasks.

    Attributes
    ----------
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
    """

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
    n_prompts: int = 4_000
    training_seeds: tuple[int, ...] = (0,)


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Compute every part, train what is missing, and fit the exponents.

    Returns
    -------
    dict of DataFrame
        ``empirical``, ``one_pass``, ``noise`` and ``leading``: see ``prompts``; ``pooled_layer`` and ``transformers``:
        see ``tasks``, with n_tasks, NaN for fresh tasks, and training_seed; ``exact``, ``slopes``, ``coefficients``,
        ``best_lengths`` and ``measured``: see ``lengths``; ``exponents``: see ``fits``.
    """
    tables = lab.named_tables(list(_parts(settings)), "computing")
    tables["slopes"] = lengths.slopes_of(tables["exact"])
    tables["transformers"] = _transformers(settings, lab)
    tables["exponents"] = measured_exponents(tables, settings.dimension)
    return tables


def _parts(settings: Settings) -> Iterator[Unit]:
    """What needs no transformer; each function makes the table of its name."""

    def unit(function: Callable[..., pd.DataFrame], **given: Any) -> Unit:
        name = function.__name__
        return Unit(function, given, f"{name} {given.get('inputs', '')}".strip(), table=name)

    layer = {"dimension": settings.layer_dimension, "n_train": settings.layer_n_train, "seed": settings.seed}
    few = {"n_samples": max(2, settings.n_samples // 2)}
    # Full minimisation needs several prompts per parameter to stay near the minimum it starts from.
    enough = tuple(size for size in settings.prompts if size >= 16 * (settings.layer_dimension + 1) ** 2)
    for inputs, slower in ((prompts.FIXED, 1), (prompts.RANDOM, 4)):
        mine, sizes = {"inputs": inputs, **layer}, {"prompts": settings.prompts}
        yield unit(prompts.empirical, kind=prompts.LINEAR, n_samples=settings.n_samples, **sizes, **mine)
        if enough:
            yield unit(prompts.empirical, kind=prompts.WHOLE, prompts=enough, **few, **mine)
        yield unit(prompts.leading, **mine)
        rates = tuple(rate / slower for rate in settings.rates)
        yield unit(prompts.one_pass, batches=settings.batches, rates=rates, **sizes, **few, **mine)
    yield unit(prompts.noise, batches=settings.noise_batches, rates=settings.noise_rates, **few, **layer)
    own, drawn = {"dimension": settings.dimension}, {"seed": settings.seed}
    pools = {"n_pools": settings.n_pools, "n_train": settings.n_train, "noise": settings.noise}
    yield unit(tasks.pooled_layer, tasks=settings.layer_tasks, **pools, **own, **drawn)
    grid = {"n_grid": settings.n_grid, "m_grid": settings.m_grid}
    yield unit(lengths.exact, **grid, **own)
    yield unit(lengths.coefficients, **own)
    yield unit(lengths.best_lengths, **grid, **own)
    yield unit(lengths.measured, lengths=settings.measured, n_prompts=settings.n_prompts, **own, **drawn)


def _transformers(settings: Settings, lab: Lab) -> pd.DataFrame:
    """Transformers trained on pools of K tasks, judged on their pools and on fresh tasks."""
    jobs = {(k, seed): _job(k, seed, settings, lab) for k in settings.tasks for seed in settings.training_seeds}
    lab.train(list(jobs.values()))
    given = {name: getattr(settings, name) for name in ("dimension", "n_train", "noise", "n_prompts", "seed")}
    units = []
    for (k, seed), job in jobs.items():
        model = {"model": trained(job), "pool": None if k is None else (k, seed)}
        units.append(Unit(tasks.judge, {**model, **given}, job.label, {"n_tasks": k, "training_seed": seed}))
    return lab.rows(units, "testing").astype({"n_tasks": "float64"})


def _job(n_tasks: int | None, seed: int, settings: Settings, lab: Lab) -> Job:
    name, law = "fresh", {"kind": "linear"}
    if n_tasks is not None:
        pool = {"n_tasks": n_tasks, "dimension": settings.dimension, "seed": seed}
        name, law = f"K{n_tasks}", {"kind": "finite_pool", **pool}
    config = settings.configuration(seed, prompts={"tasks": law, "noise": settings.noise})
    return lab.job(f"{name}, seed {seed}", f"sample_complexity-{name}-seed{seed}", config)
