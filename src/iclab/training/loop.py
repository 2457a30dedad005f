"""The training loop: draw, predict, compare, step; now and then log, evaluate and checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iclab.foundations import InvalidInputError, exclusive, require_writable, user_path
from iclab.models import OwnModel
from iclab.models.mixers.kernels import check_kernels
from iclab.models.predictor import device_of
from iclab.models.storage import MANIFEST
from iclab.prompts.reading import allowing_code
from iclab.training.batches import Batches
from iclab.training.causality import check_causal
from iclab.training.checkpoint import State, clean, last_good, restore
from iclab.training.clamping import check_clamps, clamped
from iclab.training.config import TrainingConfig
from iclab.training.continuing import initial_weights
from iclab.training.course import Course, Until
from iclab.training.cuda_graphs import step_of
from iclab.training.distributed import World, world
from iclab.training.interruption import Signals
from iclab.training.logs import Log, logs_of
from iclab.training.logs.named import Given
from iclab.training.logs.told import Called, Progress, Told, telling
from iclab.training.memory import keep_memory
from iclab.training.metrics import Written, rewind_metrics
from iclab.training.run import CONFIG, Run
from iclab.training.series import keep_weights
from iclab.training.step import new_state


def train(
    config: TrainingConfig,
    directory: str | Path,
    *,
    resume: bool | None = None,
    progress: Progress | None = None,
    until: Until | None = None,
    log: Given | None = None,
    allow_code: bool = False,
) -> Run:
    """Train a model into a folder, or resume an interrupted training of it.

    A finished run returns at once. An unfinished one resumes from its last whole checkpoint and ends with the
    same weights and metrics, bit for bit (the field ``seconds`` aside), as if it had never been interrupted, on
    the same machine with the same number of threads. Under ``torchrun`` every process calls this with the same
    arguments; the global batch holds the same prompts for any number of processes.

    Parameters
    ----------
    config : TrainingConfig
        What to train.
    directory : str or Path
        The run's folder; created if needed.
    resume : bool, optional
        None resumes a run that is there or starts a new one; True requires one to be there; False requires
        the folder to hold none.
    progress : callable, optional
        Called about twice a second and at the end with (step, total, loss, seconds left).
    until : callable, optional
        Called with each line of held-out errors (``step``, ``error``, ``stderr``, … as in ``metrics.jsonl``). True
        ends the training there, its state saved; the same call again then returns at once, and one without
        ``until`` resumes it.
    log : str, Log, or sequence of them, optional
        What else is told of the training than ``metrics.jsonl``: "tensorboard", "wandb" (offline), "wandb-online",
        "csv", or a :class:`iclab.training.logs.Log` of your own. A resumed run continues its logs; a
        finished one is written to new ones.
    allow_code : bool
        Whether code of your own that the configuration names (``module:object``) may run.

    Returns
    -------
    Run
        The finished run, or the one that ``until`` ended.

    Raises
    ------
    InvalidInputError
        If ``config`` is no TrainingConfig, the folder is not writable, holds a run of another configuration, is being
        trained by another process, or ``resume`` does not fit what is there; if a module of your own looks ahead; if
        there is no such log, or its package is not installed.
    TrainingDivergedError
        If the loss is NaN, infinite or huge; the last good checkpoint stays.
    OSError
        If the disk is full; the last good checkpoint stays.
    KeyboardInterrupt
        After SIGINT, SIGTERM, SIGHUP or SIGUSR1, once the state is saved.

    Examples
    --------
    >>> import tempfile
    >>> from iclab.training import preset, train
    >>> config = preset("lsa", dimension=2, n_train=4, steps=20, batch_size=8, n_evaluation=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train(config, folder).finished
    True
    """
    if not isinstance(config, TrainingConfig):
        raise InvalidInputError(
            f"config must be a TrainingConfig; {config!r} was given: make one by preset or read_config."
        )
    logs = [*logs_of(log), *([] if progress is None else [Called(progress)])]
    if allow_code:
        config = allowing_code(config)
    # A device that is not there, and code that may not run or fails, are refused before anything is written.
    device_of(config.device)
    if config.by_kernels:
        check_kernels()
    if isinstance(config.model, OwnModel):
        check_causal(config)
    check_clamps(config.clamp, config.architecture, config.n_points)
    config.prompts.build().sample(1, 1, seed=0)
    directory = user_path(directory)
    if config.init_from is not None and not (directory / CONFIG).exists():
        initial_weights(config)
    keep_memory()
    with world() as processes:
        if not processes.leads:
            processes.wait()  # until the folder is set up
            return _fit(Run.create(directory, config), processes, [], None)
        if (directory / MANIFEST).exists():
            raise InvalidInputError(f"{directory} must be the folder of a run; it holds a saved model: choose another.")
        exists = (directory / CONFIG).exists()
        if resume is True and not exists:
            raise InvalidInputError(f"{directory} must hold a run to resume; it holds none: train without resuming.")
        if resume is False and exists:
            raise InvalidInputError(
                f"{directory} must hold no run yet; it holds one: resume it or choose another directory."
            )
        with exclusive(require_writable(directory)):
            run = Run.create(directory, config)
            clean(directory)
            processes.wait()
            return _fit(run, processes, logs, until)


def _fit(run: Run, processes: World, logs: Sequence[Log], until: Until | None) -> Run:
    config = run.config
    checkpoint = last_good(run.directory)
    if checkpoint is not None and int(checkpoint.name) >= config.steps:
        with telling(run, logs, Written()):
            return run
    state = state_at(config, checkpoint)
    written = rewind_metrics(run.directory, checkpoint) if processes.leads else Written()
    # Only the leading process evaluates, and only it is given an ``until``.
    reached = until is not None and any(until(line) for line in run.metrics if "error" in line)
    if processes.any(reached):
        return run
    if processes.leads:
        keep_first(run, state)
    with telling(run, logs, written) as told, clamped(config.clamp):
        _steps(run, processes, state, told, until)
    return run


def state_at(config: TrainingConfig, checkpoint: Path | None) -> State:
    """The state of a training at one of its checkpoints, or before its first step."""
    state = new_state(config)
    if checkpoint is not None:
        restore(state, checkpoint)
    elif config.init_from is not None:
        state.model.load_state_dict(initial_weights(config))
    return state


def keep_first(run: Run, state: State) -> None:
    """Keep the weights before the first step, where those along the training are kept."""
    if run.config.checkpoints is not None and state.step == 0:
        keep_weights(state.model, run.directory, 0, run.config.checkpoints)


def _steps(run: Run, processes: World, state: State, told: Told, until: Until | None) -> None:
    """From a state to the last step, or to where ``until`` ends it."""
    config = run.config
    step = step_of(config, state, processes)
    course = Course(run, step, processes, told, until)
    with Signals() as signals, Batches(config, processes, state.step) as batches:
        for batch in batches:
            step(batch)
            interrupted = processes.any(signals.received)
            reached = course.after(batch, interrupted)
            if interrupted and state.step < config.steps:
                raise KeyboardInterrupt
            if reached:
                break
    processes.wait()
