"""Sample complexity: training prompts, training tasks, and the lengths N and M, each against the error.

The paper trains on the population loss. Here: empirical minimisers on B prompts and SGD that sees each prompt once
(``prompts``), pools of K tasks (``tasks``), and Corollary 6's O(1/M + 1/N²) (``lengths``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from iclab.flow import excess_coefficient
from iclab.studies.lab import Lab
from iclab.studies.sample_complexity.fits import measured_exponents
from iclab.studies.sample_complexity.lengths import (
    best_lengths,
    bounded,
    coefficients_of,
    exact_part,
    measured_part,
    slopes_of,
)
from iclab.studies.sample_complexity.prompts import (
    FIXED,
    LINEAR,
    RANDOM,
    WHOLE,
    covariates_of,
    empirical_part,
    noise_part,
    one_pass_part,
)
from iclab.studies.sample_complexity.tasks import judge, pooled_layer
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
        ``empirical``, ``one_pass`` and ``noise`` (one row per sample; see ``prompts``), ``leading`` (inputs, value,
        stderr, n), ``pooled_layer`` and ``transformers`` (see ``tasks``; with n_tasks, NaN for fresh tasks, and
        training_seed), ``exact``, ``slopes``, ``coefficients``, ``best_lengths`` and ``measured`` (see
        ``lengths``), and ``exponents`` (see ``fits``).
    """
    tables = lab.named_tables(list(_parts(settings)), "computing")
    tables["exact"] = bounded(tables["exact"], settings.dimension)
    tables["slopes"] = slopes_of(tables["exact"])
    tables["transformers"] = _transformers(settings, lab)
    tables["exponents"] = measured_exponents(tables, settings.dimension)
    return tables


def _parts(settings: Settings) -> Iterator[Unit]:
    """What needs no transformer."""
    d, n, seed = settings.layer_dimension, settings.layer_n_train, settings.seed
    sizes, samples = {"dimension": d, "n_train": n, "seed": seed}, max(2, settings.n_samples // 2)
    # Full minimisation needs several prompts per parameter to stay near the minimum it starts from.
    enough = tuple(size for size in settings.prompts if size >= 16 * (d + 1) ** 2)

    def unit(function: Callable[..., pd.DataFrame], table: str, **arguments: Any) -> Unit:
        return Unit(function, arguments, f"{table} {arguments.get('inputs', '')}".strip(), table=table)

    for inputs in (FIXED, RANDOM):
        mine = {"inputs": inputs, **sizes}
        count = settings.n_samples
        yield unit(empirical_part, "empirical", kind=LINEAR, prompts=settings.prompts, n_samples=count, **mine)
        if enough:
            yield unit(empirical_part, "empirical", kind=WHOLE, prompts=enough, n_samples=samples, **mine)
        yield unit(leading, "leading", **mine)
        rates = settings.rates if inputs == FIXED else tuple(rate / 4 for rate in settings.rates)
        steps = {"batches": settings.batches, "rates": rates, "n_samples": samples}
        yield unit(one_pass_part, "one_pass", prompts=settings.prompts, **steps, **mine)
    steps = {"batches": settings.noise_batches, "rates": settings.noise_rates, "n_samples": samples}
    yield unit(noise_part, "noise", **steps, **sizes)
    layer = {"dimension": settings.dimension, "n_train": settings.n_train, "noise": settings.noise, "seed": seed}
    yield unit(pooled_layer, "pooled_layer", tasks=settings.layer_tasks, n_pools=settings.n_pools, **layer)
    grid = {"dimension": settings.dimension, "n_grid": settings.n_grid, "m_grid": settings.m_grid}
    yield unit(exact_part, "exact", **grid)
    yield unit(coefficients_of, "coefficients", dimension=settings.dimension)
    yield unit(best_lengths, "best_lengths", **grid)
    tested = {"dimension": settings.dimension, "n_prompts": settings.n_prompts, "seed": seed}
    yield unit(measured_part, "measured", lengths=settings.measured, **tested)


def leading(inputs: str, dimension: int, n_train: int, seed: int) -> pd.DataFrame:
    """The leading coefficient of the empirical minimiser's excess, with its standard error."""
    found = excess_coefficient(covariates_of(inputs, dimension), dimension, n_train, seed)
    return pd.DataFrame([{"inputs": inputs, "value": found.value, "stderr": found.standard_error, "n": found.n}])


def _transformers(settings: Settings, lab: Lab) -> pd.DataFrame:
    """Transformers trained on pools of K tasks, judged on their pools and on fresh tasks."""
    jobs = {(k, seed): _job(k, seed, settings, lab) for k in settings.tasks for seed in settings.training_seeds}
    lab.train(list(jobs.values()))
    sizes = {"dimension": settings.dimension, "n_train": settings.n_train, "noise": settings.noise}
    sizes |= {"n_prompts": settings.n_prompts, "seed": settings.seed}
    units = [
        Unit(
            judge,
            {"model": trained(job), "n_tasks": k, "pool_seed": seed, **sizes},
            job.label,
            {"n_tasks": k, "training_seed": seed},
        )
        for (k, seed), job in jobs.items()
    ]
    return lab.rows(units, "testing").astype({"n_tasks": "float64"})


def _job(n_tasks: int | None, seed: int, settings: Settings, lab: Lab) -> Job:
    tasks: dict[str, Any] = {"kind": "linear"}
    if n_tasks is not None:
        tasks = {"kind": "finite_pool", "n_tasks": n_tasks, "dimension": settings.dimension, "seed": seed}
    config = settings.configuration(seed, prompts={"tasks": tasks, "noise": settings.noise})
    name = "fresh" if n_tasks is None else f"K{n_tasks}"
    return lab.job(f"{name}, seed {seed}", f"sample_complexity-{name}-seed{seed}", config)
