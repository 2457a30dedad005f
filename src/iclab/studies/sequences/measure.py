"""Sequences: phases of learning a chain (Edelman et al. 2024), pools of chains (Park et al. 2025) and urns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from iclab.studies.lab import Lab
from iclab.studies.sequences.lines import chain_lines, pool_lines
from iclab.studies.sequences.models import configuration, on_pools, phases
from iclab.studies.store import Unit
from iclab.studies.trainings import Job, TrainingSettings, digest, trained
from iclab.training.config import merge

TITLE = "Sequences: phases, floors and pools"
ATTENTION, MLP = "attention only", "with MLPs"
MODELS: Mapping[str, Mapping[str, Any]] = {ATTENTION: {}, MLP: {"mlp": True}}


@dataclass(frozen=True)
class Chains:
    """Chains of order 1, each prompt its own.

    Attributes
    ----------
    n_symbols, length : int
        Symbols k, and predictions T after the first symbol.
    """

    n_symbols: int = 3
    length: int = 100


@dataclass(frozen=True)
class Pools:
    """Pools of n tables each, of one order: 1 for chains, 0 for urns.

    Attributes
    ----------
    order, n_symbols, length : int
        Of the tables, symbols k, and symbols T.
    sizes : tuple of int
        Numbers n of tables.
    """

    order: int
    n_symbols: int
    length: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """Sizes of the study.

    Attributes
    ----------
    lines : tuple of Chains
        Whose exact lines are computed.
    chains : Chains
        What the phases are trained on.
    published_urns : Pools
        Whose exact lines are computed.
    pools : dict
        Name ("chains", "urns") to the pools that are trained on.
    steps, pool_steps : int
        Of the trainings of the phases, and on pools.
    rate, pool_rate : float
        Of Adam.
    kept : int
        Log-spaced steps at which phases are looked at.
    pool_model : dict
        What of the model is other on pools.
    n_lines, n_prompts : int
        Test prompts of lines, and of models.
    """

    lines: tuple[Chains, ...] = (Chains(2), Chains(3))
    chains: Chains = Chains()
    published_urns: Pools = Pools(0, 8, 128, (4, 64, 1024))
    pools: Mapping[str, Pools] = field(
        default_factory=lambda: {"chains": Pools(1, 3, 64, (2, 16, 256)), "urns": Pools(0, 8, 64, (2, 16, 256))}
    )
    steps: int = 1_000
    pool_steps: int = 500
    rate: float = 1e-2
    pool_rate: float = 3e-3
    kept: int = 40
    pool_model: Mapping[str, Any] = field(default_factory=lambda: {"mlp": True, "width": 32})
    n_lines: int = 4_000
    n_prompts: int = 500


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Compute the lines, train every model, and compare what it says with every strategy.

    Returns
    -------
    dict of DataFrame
        ``lines`` (see ``chain_lines``; with n_symbols), ``urns`` and ``pools`` (see ``pool_lines``; with n_chains, and
        family), ``phases`` (see ``divergences``; with model, training_seed, step), ``mixtures`` (the same with family,
        n_chains, training_seed, tasks).
    """
    tables = _lines(settings, lab)
    phase_jobs = {(m, seed): _phase_job(m, seed, settings, lab) for m in MODELS for seed in settings.training_seeds}
    pool_jobs = {
        (name, size, seed): _pool_job(name, size, seed, settings, lab)
        for name, pools in settings.pools.items()
        for size in pools.sizes
        for seed in settings.training_seeds
    }
    lab.train([*phase_jobs.values(), *pool_jobs.values()])
    tested = {"n_prompts": settings.n_prompts, "seed": settings.seed}
    units = [
        Unit(phases, {"model": trained(j), **asdict(settings.chains), **tested}, j.label) for j in phase_jobs.values()
    ]
    found = zip(phase_jobs, lab.tables(units, "looking at weights along trainings"), strict=True)
    tables["phases"] = pd.concat([t.assign(model=m, training_seed=s) for (m, s), t in found], ignore_index=True)
    units = [
        Unit(
            on_pools,
            {"model": trained(job), "pool_seed": seed, **_sizes(settings.pools[name], size), **tested},
            job.label,
        )
        for (name, size, seed), job in pool_jobs.items()
    ]
    found = zip(pool_jobs, lab.tables(units, "testing"), strict=True)
    tables["mixtures"] = pd.concat(
        [t.assign(family=name, n_chains=size, training_seed=seed) for (name, size, seed), t in found], ignore_index=True
    )
    return tables


def _sizes(pools: Pools, size: int) -> dict[str, int]:
    return {"n_chains": size, "n_symbols": pools.n_symbols, "order": pools.order, "length": pools.length}


def _lines(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Exact lines of chains, of the published urns, and of the pools that are trained on."""
    tested = {"n_prompts": settings.n_lines, "seed": settings.seed}
    units = [Unit(chain_lines, {**asdict(c), **tested}, f"chains, k = {c.n_symbols}") for c in settings.lines]
    found = lab.tables(units, "lines")
    lines = pd.concat([t.assign(n_symbols=c.n_symbols) for c, t in zip(settings.lines, found, strict=True)])
    wanted = [("urns", "published", settings.published_urns, size) for size in settings.published_urns.sizes]
    wanted += [("pools", name, pools, size) for name, pools in settings.pools.items() for size in pools.sizes]
    seeds = {"pools": settings.training_seeds}
    units = [
        Unit(pool_lines, {**_sizes(p, size), **seeds, **tested}, f"{name}, n = {size}") for _, name, p, size in wanted
    ]
    parts: dict[str, list[pd.DataFrame]] = {}
    for (table, name, _, size), rows in zip(wanted, lab.tables(units, "lines"), strict=True):
        parts.setdefault(table, []).append(rows.assign(family=name, n_chains=size))
    joined = {name: pd.concat(rows, ignore_index=True) for name, rows in parts.items()}
    return {"lines": lines.reset_index(drop=True), **joined}


def _phase_job(model: str, seed: int, settings: Settings, lab: Lab) -> Job:
    chains = settings.chains
    prompts = {"kind": "markov_chains", "n_symbols": chains.n_symbols}
    fields = {"steps": settings.steps, "rate": settings.rate, "checkpoints": {"spacing": "log", "count": settings.kept}}
    fields = merge({**fields, "model": MODELS[model]}, settings.overrides)
    return _job(f"phases, {model}", prompts, chains, seed, lab, fields)


def _pool_job(name: str, size: int, seed: int, settings: Settings, lab: Lab) -> Job:
    pools = settings.pools[name]
    prompts = {
        "kind": "markov_pool",
        "n_chains": size,
        "n_symbols": pools.n_symbols,
        "order": pools.order,
        "seed": seed,
    }
    fields = {"steps": settings.pool_steps, "rate": settings.pool_rate, "model": settings.pool_model}
    return _job(f"{name}, n = {size}", prompts, pools, seed, lab, merge(fields, settings.overrides))


def _job(what: str, prompts: dict[str, Any], law: Chains | Pools, seed: int, lab: Lab, fields: dict[str, Any]) -> Job:
    config = configuration(prompts, law.n_symbols, law.length, seed, **fields)
    safe = what.replace(", ", "-").replace(" = ", "").replace(" ", "_")
    name = f"sequences-{safe}-seed{seed}-{digest(config.as_dict())}"
    return Job(f"training: {what}, seed {seed}", config, lab.runs / name)
