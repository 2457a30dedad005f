"""Steps to error: how soon recipes of training reach a given error, on one architecture size.

A recipe is data: a preset and what it changes (optimiser, schedule, curriculum, targets, attention). Warm-up,
decay and curriculum are shares of a run, so a recipe's speed depends on the length it is planned for; a recipe
is therefore run at a ladder of lengths. Its *steps to error* is the least number of steps after which one of its
runs was first seen at or below that error: first crossing, at evaluations every 2 % of a run, on held-out prompts
that are the same at every evaluation of a run. The ladder is climbed until a run reaches the last threshold. A
threshold that no run reaches is a censored value: not within the longest length. Nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from iclab.foundations import InvalidInputError, check_choice
from iclab.models import SIZES
from iclab.studies.leaderboard_words import captions, findings, sentences
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store, digest
from iclab.studies.trainings import Job, Threshold, train_all
from iclab.training import Run, TrainingConfig, preset

SIZE = "tiny"
# Evaluations per run: the resolution of a crossing.
EVALUATIONS = 50
OURS, GARG = "fast", "garg"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Recipe:
    """A preset, and what is changed of it.

    Attributes
    ----------
    preset : str
        Name of the preset.
    overrides : mapping
        Fields of the configuration that differ, as for ``training.preset``.
    curriculum : {"preset", "ours", "garg", "none"}
        The preset's own, the one that ``fast`` has with softmax attention, Garg et al.'s scaled to the dimension, or
        none.
    differs : str
        In words.
    """

    preset: str = "fast"
    overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])
    curriculum: Literal["preset", "ours", "garg", "none"] = "preset"
    differs: str = ""


RECIPES: Mapping[str, Recipe] = {
    OURS: Recipe(
        differs="the default recipe: columns (x, y), linear attention, Muon, warm-up and linear decay, whole prompts "
        "from the start, Rao-Blackwell targets"
    ),
    "tiny": Recipe(
        "tiny", differs="the preset for GPT-2 at d = 5: softmax, tokens in turn, a higher rate, a curriculum"
    ),
    "tokens in turn": Recipe(
        overrides={"model": {"embedding": "interleaved"}},
        differs="fast reading x and y as tokens in turn, attention still linear",
    ),
    "labels": Recipe(overrides={"targets": "labels"}, differs="fast, fitted to labels"),
    "adamw": Recipe(overrides={"optimizer": {"kind": "adamw"}}, differs="fast with AdamW for every weight"),
    "adam": Recipe(overrides={"optimizer": {"kind": "adam"}}, differs="fast with Adam for every weight"),
    "constant rate": Recipe(overrides={"schedule": {"decay": 0.0}}, differs="fast without decay of the rate"),
    "cosine": Recipe(overrides={"schedule": {"shape": "cosine"}}, differs="fast with cosine decay"),
    "curriculum": Recipe(curriculum="ours", differs="fast with few dimensions first, as for softmax attention"),
    "garg curriculum": Recipe(curriculum="garg", differs="fast with the curriculum of Garg et al."),
    "softmax": Recipe(
        overrides={"model": {"attention": "softmax"}}, differs="fast with softmax attention and its curriculum"
    ),
    "softmax, no curriculum": Recipe(
        overrides={"model": {"attention": "softmax"}},
        curriculum="none",
        differs="fast with softmax attention, whole prompts from the start",
    ),
    "gpt2": Recipe(
        overrides={"model": {"attention": "softmax", "embedding": "interleaved"}},
        differs="fast with softmax attention on tokens in turn, which is GPT-2, and its curriculum",
    ),
    GARG: Recipe("garg-linear", curriculum="garg", differs="Garg et al.: Adam at a constant 1e-4, labels"),
    "garg, our targets": Recipe(
        "garg-linear", {"targets": "posterior_mean"}, "garg", "Garg et al. with Rao-Blackwell targets"
    ),
    "garg, our optimiser": Recipe(
        "garg-linear",
        {"optimizer": {"kind": "muon", "learning_rate": 2e-3, "matrix_learning_rate": 3e-3, "clip": 1.0}},
        "garg",
        "Garg et al. with Muon at our constant rates",
    ),
}


@dataclass(frozen=True)
class LeaderboardSettings:
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
    name : str
        Of the record.
    """

    dimension: int
    ladders: Mapping[str, tuple[int, ...]]
    training_seeds: tuple[int, ...] = (0, 1, 2)
    thresholds: tuple[float, ...] = (0.1, 0.02, 0.005)
    n_evaluation: int = 512
    name: str = "leaderboard"

    def __post_init__(self) -> None:
        for recipe, lengths in self.ladders.items():
            check_choice(recipe, "recipe", RECIPES)
            if not lengths or list(lengths) != sorted(set(lengths)):
                raise InvalidInputError(f"ladders must ascend; {lengths} was given for {recipe!r}.")
        for recipe in (OURS, GARG):
            if recipe not in self.ladders:
                raise InvalidInputError(f"ladders must hold {OURS!r} and {GARG!r}; {recipe!r} is missing.")


def run(*, store: Store, runs: Path, progress: Progress, **sizes: Any) -> StudyRecord:
    """Train every recipe up its ladder, and rank them.

    Parameters
    ----------
    store : Store
        Keeps the evaluations of each run.
    runs : Path
        Keeps the trainings.
    progress : callable
        Called with (what is being done, done, total) in steps.
    **sizes
        Fields of ``LeaderboardSettings``.

    Returns
    -------
    StudyRecord
        Tables ``board`` (recipe × threshold × seed), ``summary`` (over seeds), ``ranking`` (the summary of runs of
        equal lengths), ``ratios`` (Garg et al. over ours), ``runs`` (every run's last error) and ``curves`` (every
        evaluation).
    """
    settings = LeaderboardSettings(**sizes)
    curves = _climb(settings, store, runs, progress)
    board = crossings(curves, settings)
    tables = {
        "ranking": summarise(crossings(curves, settings, comparable(settings.ladders))),
        "summary": summarise(board),
        "board": board,
        "ratios": ratios(board),
        "runs": curves.groupby(["recipe", "length", "seed"], sort=False, as_index=False).last(),
        "curves": curves,
    }
    facts = {
        "settings": {**asdict(settings), "seed": "each training's own"},
        "sentences": sentences(tables, settings.dimension),
        "summary": findings(tables, settings.dimension),
        "captions": captions(settings.dimension),
        "recipes": {recipe: RECIPES[recipe].differs for recipe in settings.ladders},
    }
    return StudyRecord(settings.name, f"Steps to error at d = {settings.dimension}", tables, facts)


def configuration(recipe: str, dimension: int, steps: int, seed: int, n_evaluation: int) -> TrainingConfig:
    """The training of a recipe: N = 2d, float32, the size ``tiny``, evaluated every 2 % of the run."""
    chosen = RECIPES[recipe]
    width, layers, heads = SIZES[SIZE]
    overrides = dict(chosen.overrides)
    overrides["model"] = {"width": width, "layers": layers, "heads": heads, **overrides.get("model", {})}
    if chosen.curriculum == "none":
        overrides["curriculum"] = {"dimensions": None, "points": None, "examples_per_dimension": None}
    elif chosen.curriculum == "ours":
        softmax = preset(OURS, dimension=dimension, steps=steps, model={"attention": "softmax"})
        overrides["curriculum"] = asdict(softmax.curriculum)
    elif chosen.curriculum == "garg":
        overrides["curriculum"] = scaled_garg(dimension, steps)
    interval = max(1, steps // EVALUATIONS)
    return preset(
        chosen.preset,
        dimension=dimension,
        n_train=2 * dimension,
        max_points=2 * dimension + 1,
        **overrides,
        steps=steps,
        seed=seed,
        precision="float32",
        n_evaluation=n_evaluation,
        log_every=interval,
        evaluate_every=interval,
        checkpoint_every=max(50, 5 * interval),
    )


def scaled_garg(dimension: int, steps: int) -> dict[str, Any]:
    """Garg et al.'s curriculum for d = 20, N = 40, scaled to ``dimension`` and ``steps``.

    Theirs goes from 5 of 20 dimensions and 11 of 41 points to all of them within 30 000 of 500 001 steps (dims +1
    and points +2 every 2000). Here both start at the same share of d and of 2d + 1 and end at the same share of the
    run.
    """
    last = 30_000 / 500_001 * steps

    def ramp(start: int, end: int) -> dict[str, int]:
        return {"start": start, "end": end, "increment": 1, "every": max(1, int(last / max(1, end - start)))}

    points = 2 * dimension + 1
    return {
        "dimensions": ramp(max(1, round(dimension * 5 / 20)), dimension),
        "points": ramp(max(2, round(points * 11 / 41)), points),
        "examples_per_dimension": None,
    }


def _climb(settings: LeaderboardSettings, store: Store, runs: Path, progress: Progress) -> pd.DataFrame:
    """The evaluations of every run; the runs of a rung are trained side by side."""
    last = settings.thresholds[-1]
    total = sum(map(sum, settings.ladders.values())) * len(settings.training_seeds)
    climbers = [(recipe, seed) for recipe in settings.ladders for seed in settings.training_seeds]
    curves: dict[tuple[str, int], list[pd.DataFrame]] = {climber: [] for climber in climbers}
    before = 0
    for rung in range(max(map(len, settings.ladders.values()))):
        jobs: dict[tuple[str, int], Job] = {}
        for recipe, seed in climbers:
            if rung < len(settings.ladders[recipe]):
                config = configuration(
                    recipe, settings.dimension, settings.ladders[recipe][rung], seed, settings.n_evaluation
                )
                name = f"{settings.name}-{recipe}-{config.steps}-{seed}".replace(" ", "-").replace(",", "")
                jobs[recipe, seed] = Job(
                    f"training: {recipe}, {config.steps} steps, seed {seed}",
                    config,
                    runs / f"{name}-{digest(config.as_dict())}",
                    Threshold(2 * settings.dimension, last * settings.dimension),
                )
        length = sum(job.config.steps for job in jobs.values())
        jobs = {climber: job for climber, job in jobs.items() if not any(_reached(c, last) for c in curves[climber])}
        units = {climber: (job.directory.name, {"until": last}) for climber, job in jobs.items()}
        waiting = [job for climber, job in jobs.items() if not store.path(*units[climber]).exists()]
        train_all(waiting, lambda label, done, _, before=before: progress(label, before + done, total))
        for (recipe, seed), job in jobs.items():
            curve = store.table(*units[recipe, seed], lambda job=job: _evaluations(job))
            curves[recipe, seed].append(curve.assign(recipe=recipe, length=job.config.steps, seed=seed))
        before += length
        progress("training", before, total)
    return pd.concat([curve for mine in curves.values() for curve in mine], ignore_index=True)


def _reached(curve: pd.DataFrame, threshold: float) -> bool:
    return bool(curve["error"].min() <= threshold)


def _evaluations(job: Job) -> pd.DataFrame:
    """What a finished training was seen to reach: step, sequences, CPU seconds, error, stderr."""
    config, run = job.config, Run.open(job.directory)
    d = config.model.dimension
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
    curves: pd.DataFrame, settings: LeaderboardSettings, ladders: Mapping[str, Sequence[int]] | None = None
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
                mine = own[own["seed"] == seed]
                below = mine[mine["error"] <= threshold]
                row: dict[str, Any] = {"recipe": recipe, "threshold": threshold, "seed": seed, "within": max(lengths)}
                row |= {"reached": not below.empty}
                names = ("steps", "sequences", "cpu_seconds", "error", "stderr", "length")
                found = below.rename(columns={"step": "steps"})
                best = None if below.empty else found.sort_values("steps", kind="stable").iloc[0]
                rows.append(row | {name: np.nan if best is None else float(best[name]) for name in names})
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
    """Steps of Garg et al.'s recipe over ours, seed by seed, with what the censoring leaves of it.

    ``relation`` is "=" where both reached the threshold, "≥" where only ours did (the ratio then takes the length that
    theirs was tried at), "≤" where only theirs did, and "unknown" where neither did.
    """
    rows: list[dict[str, Any]] = []
    ours, theirs = (board[board["recipe"] == name] for name in (OURS, GARG))
    paired = ours.merge(theirs, on=["threshold", "seed"], suffixes=("_ours", "_garg"), sort=False)
    for row in paired.to_dict("records"):
        mine, other = bool(row["reached_ours"]), bool(row["reached_garg"])
        relation = {(True, True): "=", (True, False): "≥", (False, True): "≤", (False, False): "unknown"}[mine, other]
        ratio = (row["steps_garg"] if other else row["within_garg"]) / (
            row["steps_ours"] if mine else row["within_ours"]
        )
        rows.append(
            {
                "threshold": row["threshold"],
                "seed": row["seed"],
                "steps_ours": row["steps_ours"],
                "steps_garg": row["steps_garg"],
                "within_ours": row["within_ours"],
                "within_garg": row["within_garg"],
                "ratio": np.nan if relation == "unknown" else float(ratio),
                "relation": relation,
            }
        )
    return pd.DataFrame(rows)
