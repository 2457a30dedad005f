"""Steps to error: how soon recipes of training reach a given error, on one architecture size.

Warm-up, decay and curriculum are shares of a run, so a recipe's speed depends on the length it is planned for; a recipe
is therefore run at a ladder of lengths. Its *steps to error* is the least number of steps after which one of its runs
was first seen at or below that error: first crossing, at evaluations every 2 % of a run, on held-out prompts that are
the same at every evaluation of a run. The ladder is climbed until a run reaches the last threshold. A threshold that no
run reaches is a censored value: not within the longest length. Nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import InvalidInputError, check_choice
from iclab.studies.lab import Lab
from iclab.studies.leaderboard.recipes import BASE, GARG, OURS, RECIPES, configuration
from iclab.studies.rows import where
from iclab.studies.trainings import Job, Threshold
from iclab.training import Run

TITLE = {"leaderboard": "Steps to error at d = 5", "leaderboard-d10": "Steps to error at d = 10"}


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    dimension : int
        d; prompts have N = 2d examples.
    ladders : dict
        Recipe to the lengths at which it is run, ascending.
    training_seeds : tuple of int
        One run of each recipe and length per seed, which also draws its held-out prompts.
    thresholds : tuple of float
        Errors / d at 2d examples, descending.
    n_evaluation : int
        Held-out prompts of each evaluation.
    """

    dimension: int = 5
    ladders: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {OURS: (2_000,), BASE: (2_000,), GARG: (13_000,)}
    )
    training_seeds: tuple[int, ...] = (0, 1, 2)
    thresholds: tuple[float, ...] = (0.1, 0.02, 0.005)
    n_evaluation: int = 512

    def __post_init__(self) -> None:
        for recipe, lengths in self.ladders.items():
            check_choice(recipe, "recipe", RECIPES)
            if not lengths or list(lengths) != sorted(set(lengths)):
                raise InvalidInputError(f"ladders must ascend; {lengths} was given for {recipe!r}.")
        for recipe in (OURS, BASE, GARG):
            if recipe not in self.ladders:
                raise InvalidInputError(f"ladders must hold {OURS!r}, {BASE!r} and {GARG!r}; {recipe!r} is missing.")


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train every recipe up its ladder, and rank them.

    Returns
    -------
    dict of DataFrame
        ``board`` (recipe × threshold × seed), ``summary`` (over seeds), ``ranking`` (the summary of runs of equal
        lengths), ``ratios`` (Garg et al. over ``columns``), ``runs`` (every run's last error), ``ends`` (last errors
        over those of ``columns``) and ``curves`` (every evaluation).
    """
    curves = _climb(settings, lab)
    board = crossings(curves, settings)
    runs = curves.groupby(["recipe", "length", "seed"], sort=False, as_index=False).last()
    return {
        "ranking": summarise(crossings(curves, settings, comparable(settings.ladders))),
        "summary": summarise(board),
        "board": board,
        "ratios": ratios(board),
        "runs": runs,
        "ends": last_errors(runs, len(settings.training_seeds)),
        "curves": curves,
    }


def _climb(settings: Settings, lab: Lab) -> pd.DataFrame:
    """The evaluations of every run; the runs of a rung are trained side by side."""
    last = settings.thresholds[-1]
    climbers = [(recipe, seed) for recipe in settings.ladders for seed in settings.training_seeds]
    curves: dict[tuple[str, int], list[pd.DataFrame]] = {climber: [] for climber in climbers}
    for rung in range(max(map(len, settings.ladders.values()))):
        jobs = {
            (recipe, seed): _job(recipe, settings.ladders[recipe][rung], seed, settings, lab)
            for recipe, seed in climbers
            if rung < len(settings.ladders[recipe])
            and not any(curve["error"].min() <= last for curve in curves[recipe, seed])
        }
        lab.train(list(jobs.values()))
        for (recipe, seed), job in jobs.items():
            curves[recipe, seed].append(_evaluations(job).assign(recipe=recipe, length=job.config.steps, seed=seed))
    return pd.concat([curve for mine in curves.values() for curve in mine], ignore_index=True)


def _job(recipe: str, steps: int, seed: int, settings: Settings, lab: Lab) -> Job:
    config = configuration(recipe, settings.dimension, steps, seed, settings.n_evaluation)
    name = f"leaderboard-{recipe}-{steps}-{seed}".replace(" ", "-").replace(",", "")
    until = Threshold(2 * settings.dimension, settings.thresholds[-1] * settings.dimension)
    return lab.job(f"{recipe}, {steps} steps, seed {seed}", name, config, until)


def _evaluations(job: Job) -> pd.DataFrame:
    """What a finished training was seen to reach: step, sequences, CPU seconds, error, stderr."""
    config, run = job.config, Run.open(job.directory)
    d = config.prompts.build().dimension
    spent = {line["step"]: line["cpu_seconds"] for line in run.metrics if "loss" in line}
    rows = [
        {
            "step": line["step"],
            "sequences": line["step"] * config.batch_size,
            "cpu_seconds": spent[line["step"]],
            "error": line["error"][2 * d] / d,
            "stderr": line["stderr"][2 * d] / d,
            "n": config.n_evaluation,
        }
        for line in run.metrics
        if "error" in line
    ]
    return pd.DataFrame(rows)


def comparable(ladders: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The recipes tried at the same lengths as ours, and these lengths, as far up as the most recipes went.

    A longer run decays its rate later, so that a recipe with longer runs reaches errors that others were not given
    the steps for.
    """
    found: dict[str, tuple[int, ...]] = {}
    for longest in ladders[OURS]:
        tried = {recipe: tuple(n for n in lengths if n <= longest) for recipe, lengths in ladders.items()}
        equal = {recipe: lengths for recipe, lengths in tried.items() if lengths == tried[OURS]}
        found = equal if len(equal) >= len(found) else found
    return found


def crossings(
    curves: pd.DataFrame, settings: Settings, ladders: Mapping[str, Sequence[int]] | None = None
) -> pd.DataFrame:
    """Steps to error: one row per recipe, threshold and seed, in the runs of ``ladders``, by default all.

    Columns ``steps``, ``sequences``, ``cpu_seconds``, ``error`` and ``stderr`` are those of the first crossing that
    took the fewest steps, and missing where there is none; ``within`` is the longest length tried, and ``length`` that
    of the run that crossed.
    """
    rows: list[dict[str, Any]] = []
    for recipe, lengths in (ladders or settings.ladders).items():
        own = curves[(curves["recipe"] == recipe) & curves["length"].isin(lengths)]
        for threshold in settings.thresholds:
            for seed in settings.training_seeds:
                below = own[(own["seed"] == seed) & (own["error"] <= threshold)].sort_values("step", kind="stable")
                row: dict[str, Any] = {"recipe": recipe, "threshold": threshold, "seed": seed, "within": max(lengths)}
                row |= {"reached": len(below) > 0}
                found = below.head(1).rename(columns={"step": "steps"}).to_dict("records") or [{}]
                names = ("steps", "sequences", "cpu_seconds", "error", "stderr", "length")
                rows.append(row | {name: float(found[0].get(name, np.nan)) for name in names})
    return pd.DataFrame(rows)


def summarise(board: pd.DataFrame) -> pd.DataFrame:
    """Median and range over seeds of the steps to error, one row per recipe and threshold.

    A censored seed counts as more than any number of steps: a median beyond the last reached one is infinite, and so
    is the largest where any seed is censored; ``within`` says how far the search went.
    """
    rows: list[dict[str, Any]] = []
    for (recipe, threshold), group in board.groupby(["recipe", "threshold"], sort=False):
        steps = group["steps"].fillna(np.inf)
        middle = group.assign(steps=steps).sort_values("steps").iloc[(len(group) - 1) // 2]
        rows.append(
            {
                "recipe": recipe,
                "threshold": threshold,
                "reached": int(group["reached"].sum()),
                "seeds": len(group),
                "median_steps": float(middle["steps"]),
                "least_steps": float(steps.min()),
                "most_steps": float(steps.max()),
                "median_sequences": float(middle["sequences"]) if middle["reached"] else np.inf,
                "median_cpu_seconds": float(middle["cpu_seconds"]) if middle["reached"] else np.inf,
                "within": int(group["within"].max()),
            }
        )
    return pd.DataFrame(rows)


def ratios(board: pd.DataFrame) -> pd.DataFrame:
    """Steps of Garg et al.'s recipe over those of ``BASE``, seed by seed, with what the censoring leaves of it.

    ``relation`` is "=" where both reached the threshold, "≥" where ``BASE`` alone did (the ratio then takes the length
    that theirs was tried at), "≤" where only theirs did, and "unknown" where neither did.
    """
    own, theirs = (where(board, recipe=name) for name in (BASE, GARG))
    paired = own.merge(theirs, on=["threshold", "seed"], suffixes=("_base", "_garg"), sort=False)
    mine, other = paired["reached_base"], paired["reached_garg"]
    ratio = paired["steps_garg"].where(other, paired["within_garg"])
    ratio /= paired["steps_base"].where(mine, paired["within_base"])
    columns = ["threshold", "seed", "steps_base", "steps_garg", "within_base", "within_garg"]
    return paired[columns].assign(
        ratio=ratio.where(mine | other),
        relation=np.select([mine & other, mine, other], ["=", "≥", "≤"], "unknown"),
    )


def last_errors(runs: pd.DataFrame, n_seeds: int) -> pd.DataFrame:
    """Each recipe's last error over that of ``BASE``, same seeds, at the longest length that all of both ran through.

    A run that stopped at the last threshold has no last error to compare. ``ratio`` is the geometric mean over seeds,
    ``ratio_low`` and ``ratio_high`` its range.
    """
    whole = runs[runs["step"] == runs["length"]]
    both = where(whole, recipe=BASE).merge(
        whole[whole["recipe"] != BASE], on=["length", "seed"], suffixes=("_base", "")
    )
    rows: dict[str, dict[str, Any]] = {}
    for (length, recipe), same in both.groupby(["length", "recipe"], sort=True):
        if len(same) == n_seeds:
            values = same["error"] / same["error_base"]
            found = {"recipe": recipe, "length": length, "ratio": float(np.exp(np.log(values).mean()))}
            rows[str(recipe)] = {**found, "ratio_low": values.min(), "ratio_high": values.max(), "seeds": n_seeds}
    ordered = [rows[recipe] for recipe in runs["recipe"].unique() if recipe in rows]
    return pd.DataFrame(ordered, columns=["recipe", "length", "ratio", "ratio_low", "ratio_high", "seeds"])
