"""Trained models for the studies: found where they are, or trained side by side, one core each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import joblib
import torch
from threadpoolctl import threadpool_limits

from iclab.foundations import read_json
from iclab.models import shipped_models
from iclab.models.storage import MANIFEST
from iclab.studies.store import digest
from iclab.training import Run, TrainingConfig, read_config, train
from iclab.training.config import differences
from iclab.training.run import CONFIG

Progress = Callable[[str, int, int], None]
# What a configuration says about watching a training, and where it runs; none of it makes another model.
_IMMATERIAL = {
    "device",
    "compile",
    "log_every",
    "evaluate_every",
    "checkpoint_every",
    "n_evaluation",
    "keep_checkpoints",
}
# What is trained to do what; the rest of a configuration says how it got there. Labels and their posterior means have
# the same expected gradient.
_ESSENTIAL = {"prompts", "model", "n_train", "loss"}
# Seconds that interrupted trainings have to save themselves.
_GRACE = 10.0


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
        if (found.path / MANIFEST).exists() or Run.open(found.path).finished:
            return found
    return None


def deviations(found: Trained, wanted: TrainingConfig) -> list[str]:
    """The settings in which a model's training differs from the one wanted, those aside that make no other model."""
    return [key for key in differences(found.config.as_dict(), wanted.as_dict()) if key not in _IMMATERIAL]


def _fits(found: Trained, wanted: TrainingConfig, *, loosely: bool) -> bool:
    differing = set(deviations(found, wanted))
    if not loosely:
        return not differing
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


def train_all(jobs: Sequence[Job], progress: Progress, workers: int | None = None) -> None:
    """Do every training, several at a time on a CPU; go on with those that were interrupted.

    Small models gain little from a second core, so each training has one to itself. The results do not depend on
    the number of workers.

    Parameters
    ----------
    jobs : sequence of Job
        A finished one costs nothing.
    progress : callable
        Called with (what is being done, steps done, steps in all).
    workers : int, optional
        Trainings at a time: on a CPU as many as there are cores, on a GPU one, when omitted.

    Raises
    ------
    InvalidInputError, TrainingDivergedError, OSError
        What a training raised; the others stop and keep what they have.
    KeyboardInterrupt
        After the trainings under way have been saved.
    """
    waiting = [(i, job) for i, job in enumerate(jobs) if not _finished(job)]
    total = sum(job.config.steps for job in jobs)
    steps = [job.config.steps for job in jobs]
    for i, _ in waiting:
        steps[i] = 0
    if workers is None:
        workers = 1 if torch.cuda.is_available() else joblib.cpu_count()
    workers = min(workers, len(waiting))

    def report(i: int, step: int) -> None:
        steps[i] = step
        progress(f"{jobs[i].label} ({i + 1} of {len(jobs)})", sum(steps), total)

    if workers < 2:
        with _one_thread():
            for i, job in waiting:
                train(job.config, job.directory, progress=lambda step, *_, i=i: report(i, step), until=job.until)
        return
    with ExitStack() as stack:
        idle = [stack.enter_context(_worker()) for _ in range(workers)]
        busy: dict[Connection, int] = {}
        while waiting or busy:
            while waiting and idle:
                i, job = waiting.pop(0)
                connection = idle.pop()
                connection.send((job.config, job.directory, job.until))
                busy[connection] = i
            ready = wait(list(busy))
            for connection in [known for known in busy if known in ready]:
                try:
                    message = connection.recv()
                except EOFError as error:
                    label = jobs[busy[connection]].label
                    raise RuntimeError(f"{label}: its process ended early; run the same command again.") from error
                if isinstance(message, BaseException):
                    raise message
                if message is None:
                    report(busy[connection], jobs[busy[connection]].config.steps)
                    del busy[connection]
                    idle.append(connection)
                else:
                    report(busy[connection], message)


def _finished(job: Job) -> bool:
    if not (job.directory / CONFIG).exists():
        return False
    run = Run.create(job.directory, job.config)
    return run.finished or (job.until is not None and any(job.until(line) for line in run.metrics if "error" in line))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, and so the same bits, whichever process computes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _worker() -> Iterator[Connection]:
    """A process that trains what it is sent, and the connection to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    except KeyboardInterrupt:
        process.join(_GRACE)  # an interrupt at the keyboard reaches the workers too
        raise
    finally:
        # SIGTERM: a training under way saves itself and ends.
        process.terminate()
        process.join(_GRACE)
        process.kill()
        process.join()
        ours.close()


def _work(connection: Any) -> None:
    """Train until the connection closes; steps done, None at the end, or an exception go back."""
    with _one_thread():
        while True:
            try:
                config, directory, until = connection.recv()
                train(config, directory, progress=lambda step, *_: connection.send(step), until=until)
                connection.send(None)
            except (EOFError, BrokenPipeError, KeyboardInterrupt):
                return  # the study is gone, or wants this to end
            except Exception as error:  # whatever it is, the study raises it
                connection.send(error)
