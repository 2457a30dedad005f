"""Task diversity (Raventós et al. 2023): a transformer trained on M tasks, between remembering them and ridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from iclab.foundations import InvalidInputError, check_choice
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.studies.task_diversity.lines import bayes_lines
from iclab.studies.task_diversity.models import LABELS, RECIPES, along, configuration, final, posterior
from iclab.studies.task_diversity.thresholds import crossings, thresholds
from iclab.studies.trainings import Job, TrainingSettings, trained

TITLE = "Task diversity: remembering a pool, or ridge"


@dataclass(frozen=True)
class Problem:
    """Noisy linear regression: w ~ N(0, I) or of a pool, x ~ N(0, I).

    Attributes
    ----------
    dimension, n_points : int
        D, and the positions K, from 0 to K − 1 examples.
    noise : float
        Standard deviation of the labels' noise.
    """

    dimension: int
    n_points: int
    noise: float = 0.5


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """Sizes of the study.

    Attributes
    ----------
    published : Problem
        Whose Bayes lines are computed whatever is trained.
    published_tasks : tuple of int
        M of these lines.
    problem : Problem
        What is trained on.
    cells : dict
        Recipe to the M that it trains on, ascending; "labels" must be among them.
    rate : float
        Base rate of Adam.
    steps : int
        Of every training.
    kept : int
        Log-spaced steps at which a training on labels is looked at.
    pools : int
        Pools per M of the Bayes lines.
    n_prompts, n_along : int
        Test prompts of finished models, and of each of the weights kept along training.
    begin : float
        Share of a training from which on the posterior over strategies is fitted.
    n_bootstrap : int
        Resamples of trainings for its intervals.
    """

    published: Problem = Problem(8, 16)
    published_tasks: tuple[int, ...] = (2**4, 2**6, 2**10, 2**14, 2**15)
    problem: Problem = Problem(4, 8)
    cells: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {LABELS: (2, 8, 32, 128, 512, 4096)})
    rate: float = 3e-3
    steps: int = 1_500
    kept: int = 16
    pools: int = 4
    n_along: int = 500
    begin: float = 0.1
    n_bootstrap: int = 100

    def __post_init__(self) -> None:
        for recipe, tasks in self.cells.items():
            check_choice(recipe, "recipe", RECIPES)
            if not tasks or list(tasks) != sorted(set(tasks)):
                raise InvalidInputError(f"the numbers of tasks must ascend; {tasks} was given for {recipe!r}.")
        check_choice(LABELS, "a recipe of the cells", self.cells)


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Compute the lines, train every cell, and find where models change from one strategy to the other.

    Returns
    -------
    dict of DataFrame
        ``lines`` (see ``bayes_lines``; with setting, dimension, n_points, n_tasks), ``models`` (see ``final``; with
        recipe, n_tasks, training_seed), ``crossings`` (per recipe, tasks and seed), ``thresholds`` (over seeds),
        ``along`` (see there; with n_tasks, training_seed, run) and ``posterior`` (see there).
    """
    tables = {"lines": _lines(settings, lab)}
    jobs = {
        (recipe, n_tasks, seed): _job(recipe, n_tasks, seed, settings, lab)
        for recipe, counts in settings.cells.items()
        for n_tasks in counts
        for seed in settings.training_seeds
    }
    lab.train(list(jobs.values()))
    tables["models"] = _tested(final, jobs, settings, lab, settings.n_prompts)
    on_labels = {key: job for key, job in jobs.items() if key[0] == LABELS}
    rows = _tested(along, on_labels, settings, lab, settings.n_along)
    runs = "M = " + rows["n_tasks"].astype(str) + ", seed " + rows["training_seed"].astype(str)
    tables["along"] = rows.assign(run=runs)
    # The first steps teach a model nothing of either strategy.
    late = tables["along"][tables["along"]["step"] >= settings.steps * settings.begin]
    columns = ["tasks", "run", "seen", "relative", "loss_memorising", "loss_generalising", "bits"]
    fitted = {"rows": late[columns].to_dict("list"), "n_bootstrap": settings.n_bootstrap, "seed": settings.seed}
    tables["posterior"] = lab.table(fitted_posterior, "posterior over strategies", **fitted)
    tables["crossings"] = crossings(tables["models"])
    tables["thresholds"] = thresholds(tables["crossings"])
    return tables


def fitted_posterior(rows: Mapping[str, list[Any]], n_bootstrap: int, seed: int) -> pd.DataFrame:
    """Table of ``posterior``, from columns."""
    return posterior(pd.DataFrame(rows), n_bootstrap, seed)


def _tested(
    function: Callable[..., pd.DataFrame],
    jobs: Mapping[tuple[str, int, int], Job],
    settings: Settings,
    lab: Lab,
    n_prompts: int,
) -> pd.DataFrame:
    """Tables of finished models, with recipe, n_tasks and training_seed."""
    sizes = {**asdict(settings.problem), "n_prompts": n_prompts, "seed": settings.seed}
    units = [
        Unit(
            function,
            {"model": trained(job), "n_tasks": count, "pool_seed": seed, **sizes},
            job.label,
            {"recipe": recipe, "n_tasks": count, "training_seed": seed},
        )
        for (recipe, count, seed), job in jobs.items()
    ]
    return lab.rows(units, "testing")


def _lines(settings: Settings, lab: Lab) -> pd.DataFrame:
    """Bayes lines of the published setting, and of the one that is trained on."""
    trained_on = sorted({count for counts in settings.cells.values() for count in counts})
    wanted = [("published", settings.published, count) for count in settings.published_tasks]
    wanted += [("trained", settings.problem, count) for count in trained_on]
    common = {"pools": tuple(range(settings.pools)), "n_prompts": settings.n_prompts, "seed": settings.seed}
    units = [
        Unit(
            bayes_lines,
            {**asdict(problem), "n_tasks": count, **common},
            f"{name}, M = {count}",
            {"setting": name, "dimension": problem.dimension, "n_points": problem.n_points, "n_tasks": count},
        )
        for name, problem, count in wanted
    ]
    return lab.rows(units, "Bayes lines")


def _job(recipe: str, n_tasks: int, seed: int, settings: Settings, lab: Lab) -> Job:
    config = configuration(
        recipe,
        n_tasks,
        seed,
        **asdict(settings.problem),
        rate=settings.rate,
        steps=settings.steps,
        kept=settings.kept if recipe == LABELS else 0,
        overrides=settings.overrides,
    )
    name = f"task_diversity-{recipe.replace(' ', '_')}-M{n_tasks}-seed{seed}"
    return lab.job(f"{recipe}, M = {n_tasks}, seed {seed}", name, config)
