"""What a training does between its steps: lines of metrics, held-out errors, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Flag, auto
from typing import Any

from iclab.training.batches import Batch
from iclab.training.checkpoint import State, save_checkpoint
from iclab.training.config import TrainingConfig
from iclab.training.distributed import World
from iclab.training.logs.told import Told
from iclab.training.reporting import Clock, HeldOutEvaluation, metrics_line
from iclab.training.run import Run
from iclab.training.series import keep_weights
from iclab.training.step import Step, check_sound

# Called with a line of held-out errors; True means that the training has reached what it was for.
Until = Callable[[Mapping[str, Any]], bool]


class Due(Flag):
    """What is to be done after a step."""

    NOTHING = 0
    LOSS = auto()
    EVALUATION = auto()
    CHECKPOINT = auto()
    KEPT = auto()


def due_after(step: int, config: TrainingConfig) -> Due:
    """What is due after a step: everything after the last one, and otherwise each at its interval."""
    intervals = {
        Due.LOSS: config.log_interval,
        Due.EVALUATION: config.evaluation_interval,
        Due.CHECKPOINT: config.checkpoint_interval,
    }
    due = Due.NOTHING
    for kind, interval in intervals.items():
        if step == config.steps or step % interval == 0:
            due |= kind
    return due | Due.KEPT if step in config.kept_steps else due


class Course:
    """A training under way.

    Parameters
    ----------
    run : Run
        Where it is kept.
    step : Step
        What moves its state.
    processes : World
        Of which the leading one writes.
    told : Told
        Its metrics and logs.
    until : callable, optional
        What may end it early.
    members : int
        Trainings that are moved by the same call, which share the time that it takes.
    """

    def __init__(
        self, run: Run, step: Step, processes: World, told: Told, until: Until | None = None, members: int = 1
    ) -> None:
        self.run, self.step = run, step
        self._processes, self._told, self._until = processes, told, until
        self._clock = Clock(run.config, step.state, told.progress, members)
        self._evaluate = HeldOutEvaluation(run.config)

    @property
    def state(self) -> State:
        """Of the training."""
        return self.step.state

    def after(self, batch: Batch, interrupted: bool) -> bool:
        """Do what is due after a step; returns whether the training has reached what it was for."""
        run, state, processes = self.run, self.state, self._processes
        config, series = run.config, run.config.checkpoints
        due = due_after(state.step, config) | (Due.CHECKPOINT if interrupted else Due.NOTHING)
        if due:
            check_sound(state, run.directory, weights=due != Due.LOSS)
        reached = processes.leads and self._write(due, batch)
        if Due.LOSS in due:
            state.losses.clear()
        if Due.EVALUATION in due:
            reached = processes.any(reached)
        if processes.leads:
            if series is not None and Due.KEPT in due:
                run.check_there()
                keep_weights(state.model, run.directory, state.step, series)
            if reached or Due.CHECKPOINT in due:
                run.check_there()
                spent, written = self._clock.spent, self._told.written
                save_checkpoint(state, run.directory, keep=config.keep_checkpoints, clock=spent, written=written)
            self._clock.report(state.step, batch.loss)
        return reached

    def _write(self, due: Due, batch: Batch) -> bool:
        """Write the lines of metrics that are due; returns whether the training has reached what it was for."""
        if Due.LOSS in due:
            ramps, norm = self.run.config.curriculum.fields, self.step.gradient_norm()
            self._told.line(metrics_line(self.state, batch, ramps, self._clock, norm))
        if Due.EVALUATION not in due:
            return False
        line = self._evaluate(self.state)
        self._told.line(line)
        return self._until is not None and self._until(line)
