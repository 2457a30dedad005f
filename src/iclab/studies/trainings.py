"""Trained models for the studies: found where they are, or trained side by side, one core each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from iclab import __version__
from iclab.foundations import InvalidInputError, read_json
from iclab.foundations.seals import read_sealed_line
from iclab.models import shipped_models
from iclab.models.storage import MANIFEST
from iclab.studies.executors import Done, Here, Task
from iclab.studies.lab import Lab
from iclab.training import Run, TrainingConfig, preset, read_config, train, train_together
from iclab.training.config import differences, merge
from iclab.training.metrics import METRICS
from iclab.training.run import CONFIG
from iclab.training.together import gains, likeness

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
_ESSENTIAL = {"prompts", "model", "n_train", "loss_at"}
# Bytes at the end of a metrics file that hold its last line.
_TAIL = 65_536
# Trainings that are done at once at most: enough to pay for the calls, few enough to share among workers.
_AT_ONCE = 8
# Names, in settings, the models that ship with the package.
SHIPPED = "shipped"


def digest(content: Mapping[str, Any]) -> str:
    """Short hash of what identifies a model: its configuration, or what ships."""
    text = json.dumps({"version": __version__, **content}, sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TrainingSettings:
    """Sizes that studies of trained models have in common, for their settings to inherit.

    Attributes
    ----------
    overrides : dict
        Fields of every configuration that this profile changes.
    n_prompts : int
        Test prompts of each case.
    training_seeds : tuple of int
        One training of each case per seed, which also draws what is the training's own, such as a pool of tasks.
    seed : int
        Of the test prompts, and of everything else that is drawn.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    n_prompts: int = 1_000
    training_seeds: tuple[int, ...] = (0, 1, 2)
    seed: int = 0


@dataclass(frozen=True)
class PresetSettings(TrainingSettings):
    """Those of studies whose transformers differ in a few fields of a preset.

    Attributes
    ----------
    dimension, n_train : int
        d and N.
    preset : str
        Name of the training preset.
    """

    dimension: int = 5
    n_train: int = 10
    preset: str = "tiny"

    def configuration(self, seed: int, **changes: Any) -> TrainingConfig:
        """One training of the preset with changes, those of the profile last."""
        sizes = {"dimension": self.dimension, "n_train": self.n_train, "seed": seed}
        return preset(self.preset, **merge({**sizes, **changes}, self.overrides))


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
    # Several runs may be of one configuration, and so the same model: which is read says nothing.
    return Trained(directory, config, digest(config.as_dict()), "runs/ in the reproduction's folder")


def find(wanted: TrainingConfig, runs: Path) -> Trained | None:
    """A finished run of this configuration in a folder of runs, whatever its name there."""
    for path in sorted(runs.iterdir()) if runs.is_dir() else []:
        if (path / CONFIG).exists():
            run = Run.open(path)
            found = _run_of(path, run.config)
            # Weights along the training are there only if they were kept.
            kept = wanted.checkpoints in (None, run.config.checkpoints)
            if kept and not deviations(found, wanted) and run.finished:
                same = found.config == wanted.filled_from(found.config)
                return replace(found, identity=digest(wanted.as_dict())) if same else found
    return None


def choose(wanted: TrainingConfig, candidates: Sequence[Trained]) -> Trained | None:
    """The finished model that stands for the one wanted: the same model, prompts, N and loss, however optimised.

    Returns
    -------
    Trained or None
        If several fit, the one that differs in the fewest settings, then the one with the most steps, then the first.
        Nothing but the candidates decides.
    """
    fitting = [each for each in candidates if _fits(each, wanted)]
    return min(fitting, key=lambda each: (len(deviations(each, wanted)), -each.config.steps), default=None)


def stated(names: Sequence[str]) -> list[Trained]:
    """The models that settings name: ``SHIPPED`` for those of the package, else folders of finished runs.

    Raises
    ------
    InvalidInputError
        If a folder holds no run, or one that has not finished.
    """
    found: list[Trained] = []
    for name in names:
        if name == SHIPPED:
            found += shipped()
            continue
        run = Run.open(name)
        if not run.finished:
            raise InvalidInputError(
                f"a model that is used again must be trained to its end; {name} is at step {run.step} of "
                f"{run.config.steps}: resume it with `iclab train --resume`."
            )
        found.append(replace(_run_of(run.directory, run.config), origin=f"the run in {name}"))
    return found


def deviations(found: Trained, wanted: TrainingConfig) -> list[str]:
    """The settings in which a model's training differs from the one wanted, those aside that make no other model."""
    asked = wanted.filled_from(found.config)  # what the machine that trained it was left to decide
    found_keys = differences(found.config.as_dict(), asked.as_dict())
    return [key for key in found_keys if key.split(".")[0] not in _IMMATERIAL]


def _fits(found: Trained, wanted: TrainingConfig) -> bool:
    differing = set(deviations(found, wanted))
    if found.config.model.max_points > wanted.model.max_points:
        differing.discard("model.max_points")
    return not any(key.split(".")[0] in _ESSENTIAL for key in differing)


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
    """Do every training, some at a time; resume those that were interrupted.

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
    waiting = {i for i, job in enumerate(jobs) if not finished(job)}
    groups = [group for group in _groups(jobs) if waiting.intersection(group)]
    total = sum(job.config.steps for job in jobs)
    under_way = {i: jobs[i] for group in groups for i in group if i in waiting}

    def report() -> None:
        left = {i: max(0, job.config.steps - steps_done(job.directory)) for i, job in under_way.items()}
        begun = [i for i in left if 0 < left[i] < jobs[i].config.steps]
        current = begun[0] if begun else next(iter(left), len(jobs) - 1)
        lab.progress(f"{jobs[current].label} ({current + 1} of {len(jobs)})", total - sum(left.values()), total)

    def ended(index: int, outcome: Any) -> None:
        group = [i for i in groups[index] if under_way.pop(i, None)]
        report()
        for i in group:
            done(i, outcome[groups[index].index(i)] if isinstance(outcome, list) else outcome)

    if waiting:
        report()
        tasks = [Task(_train, (tuple(jobs[i] for i in group),), lab.package) for group in groups]
        place = lab.workplace if len(tasks) > 1 else Here()
        place.run(tasks, ended, report)


def _groups(jobs: Sequence[Job]) -> list[list[int]]:
    """Which trainings are done at once: a function of all of them, so that it does not hang on what is finished."""
    alike: dict[str, list[int]] = {}
    for i, job in enumerate(jobs):
        key = None if job.until else likeness(job.config)
        alike.setdefault(key if key is not None and gains(job.config) else f"alone {i}", []).append(i)
    return [group[i : i + _AT_ONCE] for group in alike.values() for i in range(0, len(group), _AT_ONCE)]


def _train(jobs: Sequence[Job]) -> list[Exception | None]:
    """Do one training, or several at once; how each went astray, if it did."""
    if len(jobs) == 1:
        train(jobs[0].config, jobs[0].directory, until=jobs[0].until)
        return [None]
    outcomes = train_together([job.config for job in jobs], [job.directory for job in jobs])
    return [outcome if isinstance(outcome, Exception) else None for outcome in outcomes]


def steps_done(directory: Path) -> int:
    """How far a training is, by the end of its metrics alone: those of a long one are too many to be read often."""
    path = directory / METRICS
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            *whole, _ = file.read().split(b"\n")  # behind the last line feed stands what is being written
    except FileNotFoundError:
        return 0
    for line in reversed(whole):
        content = read_sealed_line(line.decode("utf-8", errors="replace"))
        if content is not None and isinstance(content.get("step"), int):
            return content["step"]
    return 0


def finished(job: Job) -> bool:
    """Whether a training is done."""
    if not (job.directory / CONFIG).exists():
        return False
    run = Run.create(job.directory, job.config)
    return run.finished or (job.until is not None and any(job.until(line) for line in run.metrics if "error" in line))
