"""Trained models for the studies: found where they are, or trained side by side, one core each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from iclab import __version__
from iclab.foundations import read_json
from iclab.models import shipped_models
from iclab.models.storage import MANIFEST
from iclab.studies.executors import Done, Here, Task
from iclab.studies.lab import Lab
from iclab.training import Run, TrainingConfig, read_config, train
from iclab.training.config import differences
from iclab.training.run import CONFIG, METRICS, read_metrics

# What a configuration says about watching a training, and where it runs; none of it makes another model.
_IMMATERIAL = {
    "device",
    "compile",
    "log_every",
    "evaluate_every",
    "checkpoint_every",
    "n_evaluation",
    "keep_checkpoints",
    "checkpoints",
}
# What is trained to do what; the rest of a configuration says how it got there. Labels and their posterior means have
# the same expected gradient.
_ESSENTIAL = {"prompts", "model", "n_train", "loss"}


def digest(content: Mapping[str, Any]) -> str:
    """Short hash of what identifies a model: its configuration, or what ships."""
    text = json.dumps({"version": __version__, **content}, sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Trained:
    """A finished model, and what a page says of it.

    Attributes
    ----------
    path : Path
        What ``iclab.models.load`` reads.
    config : TrainingConfig
        How it was trained.
    identity : str
        Of the model, as a key for what is computed from it.
    origin : str
        Where it comes from, in words.
    """

    path: Path
    config: TrainingConfig
    identity: str
    origin: str


@dataclass(frozen=True)
class Threshold:
    """A held-out squared error after some number of examples, at or below which a training may end."""

    examples: int
    error: float

    def __call__(self, line: Mapping[str, Any]) -> bool:
        """Whether a line of metrics with errors is there."""
        return line["error"][self.examples] <= self.error


@dataclass(frozen=True)
class Job:
    """A training to be done: what is reported of it, its configuration, its folder, and when it may end early."""

    label: str
    config: TrainingConfig
    directory: Path
    until: Threshold | None = None


def trained(job: Job) -> Trained:
    """The model of a finished job."""
    return _run_of(job.directory, job.config)


def _run_of(directory: Path, config: TrainingConfig) -> Trained:
    """A run, whichever study or user began it."""
    return Trained(directory, config, digest(config.as_dict()), f"runs/{directory.name} in the reproduction's folder")


def find(wanted: TrainingConfig, runs: Path, *, loosely: bool) -> Trained | None:
    """A finished model of this configuration in a folder of runs or, loosely, among those that ship with the package.

    Parameters
    ----------
    wanted : TrainingConfig
        What it should be.
    runs : Path
        Folder of runs, whatever their names.
    loosely : bool
        False for nothing but a run of the configuration wanted. True to be content with the same model, prompts,
        training length and loss, however optimised, and to look among the shipped ones too.

    Returns
    -------
    Trained or None
        If several fit, the one that differs in the fewest settings, then the one with the most steps.
    """
    candidates = [*_runs(runs), *(shipped() if loosely else [])]
    fitting = [found for found in candidates if _fits(found, wanted, loosely=loosely)]
    for found in sorted(fitting, key=lambda found: (len(deviations(found, wanted)), -found.config.steps)):
        if (found.path / MANIFEST).exists():
            return found
        if Run.open(found.path).finished:
            same = found.config == wanted.filled_from(found.config)
            return replace(found, identity=digest(wanted.as_dict())) if same else found
    return None


def deviations(found: Trained, wanted: TrainingConfig) -> list[str]:
    """The settings in which a model's training differs from the one wanted, those aside that make no other model."""
    asked = wanted.filled_from(found.config)  # what the machine that trained it was left to decide
    found_keys = differences(found.config.as_dict(), asked.as_dict())
    return [key for key in found_keys if key.split(".")[0] not in _IMMATERIAL]


def _fits(found: Trained, wanted: TrainingConfig, *, loosely: bool) -> bool:
    differing = set(deviations(found, wanted))
    if not loosely:
        # Weights along the training are there only if they were kept.
        return not differing and wanted.checkpoints in (None, found.config.checkpoints)
    if found.config.model.max_points > wanted.model.max_points:
        differing.discard("model.max_points")
    return not any(key.split(".")[0] in _ESSENTIAL for key in differing)


def _runs(folder: Path) -> list[Trained]:
    """The runs in a folder, finished or not."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [_run_of(path, Run.open(path).config) for path in paths if (path / CONFIG).exists()]


def shipped() -> list[Trained]:
    """The models that ship with the package and say how they were trained."""
    return [
        Trained(
            path,
            read_config(path / CONFIG),
            digest({"shipped": read_json(path / MANIFEST)}),
            f"shipped with the package as {name}",
        )
        for name, path in shipped_models().items()
    ]


def train_all(jobs: Sequence[Job], lab: Lab) -> None:
    """Do every training, some at a time; go on with those that were interrupted.

    Small models gain little from a second core, so each training has one thread to itself. The results do not depend on
    how many there are at a time, or where.

    Parameters
    ----------
    jobs : sequence of Job
        A finished one costs nothing.
    lab : Lab
        Where they are done, and what is told how many steps are.

    Raises
    ------
    InvalidInputError, TrainingDivergedError, OSError
        What a training raised; the others stop and keep what they have.
    KeyboardInterrupt
        After the trainings under way have been saved.
    """

    def stop(_: int, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            raise outcome

    train_each(jobs, lab, stop)


def train_each(jobs: Sequence[Job], lab: Lab, done: Done) -> None:
    """As ``train_all``, but what a training raised is handed to ``done`` with the job's index, and the others go on."""
    waiting = [i for i, job in enumerate(jobs) if not finished(job)]
    total = sum(job.config.steps for job in jobs)
    under_way = {i: jobs[i] for i in waiting}

    def report() -> None:
        left = {i: max(0, job.config.steps - _step(job.directory)) for i, job in under_way.items()}
        begun = [i for i in left if 0 < left[i] < jobs[i].config.steps]
        current = begun[0] if begun else next(iter(left), len(jobs) - 1)
        lab.progress(f"{jobs[current].label} ({current + 1} of {len(jobs)})", total - sum(left.values()), total)

    def ended(index: int, outcome: Any) -> None:
        del under_way[waiting[index]]
        report()
        done(waiting[index], outcome)

    if waiting:
        report()
        tasks = [Task(_train, (jobs[i],), lab.package) for i in waiting]
        place = lab.workplace if len(tasks) > 1 else Here()
        place.run(tasks, ended, report)


def _train(job: Job) -> None:
    train(job.config, job.directory, until=job.until)


def _step(directory: Path) -> int:
    """How far a training is, by its metrics."""
    lines = read_metrics(directory / METRICS)
    return int(lines[-1]["step"]) if lines else 0


def finished(job: Job) -> bool:
    """Whether a training is done."""
    if not (job.directory / CONFIG).exists():
        return False
    run = Run.create(job.directory, job.config)
    return run.finished or (job.until is not None and any(job.until(line) for line in run.metrics if "error" in line))
