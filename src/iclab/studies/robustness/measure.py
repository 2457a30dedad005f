"""Errors of small transformers on Λ = I and under Garg et al.'s shifts, one factor of the recipe changed at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import InvalidInputError, check_choice, mean_interval
from iclab.prompts import GARG
from iclab.studies.lab import Lab
from iclab.studies.robustness.judging import judge
from iclab.studies.robustness.recipes import BASE, FACTORS, configuration
from iclab.studies.rows import where
from iclab.studies.store import Unit
from iclab.studies.trainings import Job, trained

TITLE = {"robustness": "Robustness under shifts, and what buys it"}
STANDARD = "standard"


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    dimension : int
        d; prompts have N = 2d examples.
    steps : int
        Of ``columns``.
    factors : tuple of str
        Recipes, ``columns`` among them.
    training_seeds : tuple of int
        One training of each recipe per seed.
    n_prompts, seed : int
        Test prompts of each evaluation, and their seed.
    judged : tuple of str
        The shifts whose errors are summed up.
    """

    dimension: int = 5
    steps: int = 1_000
    factors: tuple[str, ...] = tuple(FACTORS)
    training_seeds: tuple[int, ...] = (0, 1, 2)
    n_prompts: int = 1_280
    seed: int = 0
    judged: tuple[str, ...] = ("random_quadrants", "half_subspace", "skewed", "scale-x=2", "scale-y=2")

    def __post_init__(self) -> None:
        for name in self.factors:
            check_choice(name, "factor", FACTORS)
        for name in self.judged:
            check_choice(name, "evaluation", GARG)
        if BASE not in self.factors:
            raise InvalidInputError(f"factors must hold {BASE!r}; {', '.join(self.factors)} were given.")


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train every recipe with every seed, and judge it on the fifteen evaluations.

    Returns
    -------
    dict of DataFrame
        ``errors`` (recipe × seed × evaluation at d and 2d examples, divided by d), ``board`` (geometric means over
        seeds), ``effects`` (each recipe over ``columns``) and ``growth`` (each shift over none), with intervals over
        seeds.
    """
    cells = [(factor, seed) for seed in settings.training_seeds for factor in settings.factors]
    jobs = {cell: _job(*cell, settings, lab) for cell in cells}
    lab.train(list(jobs.values()))
    arguments = {"dimension": settings.dimension, "n_prompts": settings.n_prompts, "seed": settings.seed}
    units = [
        Unit(
            judge,
            {"model": trained(job), **arguments},
            f"{job.label} on 15 evaluations",
            {"factor": factor, "group": FACTORS[factor].group, "training_seed": seed},
        )
        for (factor, seed), job in jobs.items()
    ]
    errors = lab.rows(units, "judging")
    return {
        "board": board(errors, settings),
        "effects": effects(errors, settings),
        "growth": growth(errors, settings),
        "errors": errors,
    }


def _job(factor: str, seed: int, settings: Settings, lab: Lab) -> Job:
    config = configuration(factor, settings.dimension, settings.steps, seed)
    name = "robustness-" + "".join(letter if letter.isalnum() else "-" for letter in factor)
    return lab.job(f"{factor}, seed {seed}", f"{name}-{seed}", config)


def at_full_length(errors: pd.DataFrame, dimension: int) -> pd.DataFrame:
    """The errors at 2d examples, by recipe and seed (rows) and evaluation (columns)."""
    full = where(errors, examples=2 * dimension)
    return full.pivot_table(
        index=["factor", "group", "training_seed"], columns="evaluation", values="error", sort=False
    )


def board(errors: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Errors / d at 2d examples, own law and shifts side by side: geometric means over seeds, one row per recipe."""
    wide = at_full_length(errors, settings.dimension)[[STANDARD, *settings.judged]].transform(np.log)
    table = wide.groupby(level=["factor", "group"], sort=False).mean().transform(np.exp).reset_index()
    return table.assign(seeds=len(settings.training_seeds))


def effects(errors: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Each recipe's error over that of ``columns`` with the same seeds, on Λ = I and over the judged shifts together.

    Geometric means over seeds (and shifts), with Student's 95 % interval over seeds; one seed has none. ``own`` is the
    ratio without a shift, ``shifted`` the one under shifts, and ``gap`` the second over the first: above 1 where what
    a recipe gains is not gained under shifts.
    """
    wide = at_full_length(errors, settings.dimension).transform(np.log)
    parts = {"own": wide[STANDARD], "shifted": wide[list(settings.judged)].mean(axis=1)}
    parts["gap"] = parts["shifted"] - parts["own"]
    rows: list[dict[str, Any]] = []
    for factor in settings.factors:
        if factor == BASE:
            continue
        row: dict[str, Any] = {"factor": factor, "group": FACTORS[factor].group}
        for name, values in parts.items():
            difference = values.loc[factor].droplevel("group") - values.loc[BASE].droplevel("group")
            row |= _interval(name, difference.to_numpy())
        rows.append(row)
    return pd.DataFrame(rows).assign(seeds=len(settings.training_seeds))


def growth(errors: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """How much a judged shift multiplies a recipe's error, as a share of that of predicting zero.

    Geometric means over seeds, with Student's 95 % interval.
    """
    share = errors.assign(error=errors["error"] / errors["zero"])
    wide = at_full_length(share, settings.dimension).transform(np.log)
    rows: list[dict[str, Any]] = []
    for factor in settings.factors:
        own = wide.loc[factor]
        for name in settings.judged:
            row = {"factor": factor, "group": FACTORS[factor].group, "evaluation": name}
            rows.append(row | _interval("growth", (own[name] - own[STANDARD]).to_numpy()))
    return pd.DataFrame(rows)


def _interval(name: str, logs: np.ndarray) -> dict[str, float]:
    """A geometric mean with its interval."""
    low, high = mean_interval(logs) if len(logs) > 1 else (np.nan, np.nan)
    return {name: float(np.exp(logs.mean())), f"{name}_low": float(np.exp(low)), f"{name}_high": float(np.exp(high))}
