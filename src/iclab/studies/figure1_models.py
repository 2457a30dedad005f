"""Which models Figure 1 needs, how each is trained, and where it is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iclab.studies.panels import COVARIATES
from iclab.studies.store import digest
from iclab.studies.trainings import Job, Trained, find, train_all, trained
from iclab.training import TrainingConfig, preset

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Figure1Settings:
    """Sizes of the study.

    Attributes
    ----------
    dimension : int
        d.
    n_train : tuple of int
        Training lengths N, ascending.
    max_context : int
        Largest test context M.
    preset : str
        Name of the training preset.
    overrides : dict
        Fields of the preset that this profile changes.
    n_prompts : int
        Test prompts per law.
    scales : tuple of float
        Factors c of the random test covariances.
    training_seeds : tuple of int
        One training per seed.
    seed : int
        Seed of the test prompts.
    name : str
        Of the record.
    reuse : bool
        Whether models at hand will do whose training differs in its number of steps, or that ship with the package.
    train_missing : bool
        Whether models that are not at hand are trained; otherwise they are left out, and the page says so.
    learned_at_n : float, optional
        Largest error / d at N, on its own law, of a model that counts as having learned; when omitted the criterion is
        ``LEARNED`` at 2d for fixed covariances and the exact LSA curve for random ones.
    workers : int, optional
        Trainings at a time; one per core when omitted.
    """

    dimension: int
    n_train: tuple[int, ...]
    max_context: int
    preset: str
    overrides: Mapping[str, Any]
    n_prompts: int
    scales: tuple[float, ...] = (1.0, 4.0, 9.0)
    training_seeds: tuple[int, ...] = (0,)
    seed: int = 0
    name: str = "figure1"
    reuse: bool = False
    train_missing: bool = True
    learned_at_n: float | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Model:
    """One of the trained models of the figure."""

    family: str
    n_train: int
    training_seed: int

    @property
    def name(self) -> str:
        """Identifier, as in the paper's legend."""
        return f"{self.family}cov_N{self.n_train}" + (f"_seed{self.training_seed}" if self.training_seed else "")


def configuration(model: Model, settings: Figure1Settings) -> TrainingConfig:
    """What the study trains for a model."""
    given: dict[str, Any] = {
        "dimension": settings.dimension,
        "n_train": model.n_train,
        "covariates": COVARIATES[model.family],
        "max_points": settings.max_context + 1,
        "seed": model.training_seed,
        **settings.overrides,
    }
    return preset(settings.preset, **given)


def find_or_train(
    wanted: list[Model], settings: Figure1Settings, runs: Path, progress: Progress
) -> dict[Model, Trained]:
    """Each model from where it is: its own run, one at hand, or a new training."""
    jobs: dict[Model, Job] = {}
    found: dict[Model, Trained] = {}
    for model in wanted:
        wish = configuration(model, settings)
        job = Job(f"training: {model.name}", wish, runs / f"{model.name}-{digest(wish.as_dict())}")
        at_hand = None if job.directory.exists() else find(wish, runs, loosely=settings.reuse)
        if at_hand is not None:
            found[model] = at_hand
        elif job.directory.exists() or settings.train_missing:
            jobs[model] = job
    train_all(list(jobs.values()), progress, settings.workers)
    return found | {model: trained(job) for model, job in jobs.items()}
