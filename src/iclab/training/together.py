"""Trainings that differ in seed, rates and first weights, done as one batched model.

Small models spend most of a step on calls, not on arithmetic; S of them in one call pay for these once. Prompts,
optimisers, metrics and checkpoints are each training's own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from iclab.foundations import InvalidInputError, exclusive, require_writable, user_path
from iclab.models import Architecture
from iclab.models.predictor import checkpoints, device_of
from iclab.models.storage import verify
from iclab.training.batches import Batch, Batches
from iclab.training.checkpoint import clean
from iclab.training.config import TrainingConfig
from iclab.training.course import Course
from iclab.training.cuda_graphs import Graphed, recordable, step_of
from iclab.training.distributed import World
from iclab.training.interruption import Signals
from iclab.training.logs.told import telling
from iclab.training.loop import keep_first, state_at
from iclab.training.memory import keep_memory
from iclab.training.metrics import rewind_metrics
from iclab.training.run import Run
from iclab.training.step import Step, TrainingDivergedError

# Numbers that a token's vectors take in a step, above which a CPU gains nothing from trainings done at once.
_SMALL = 1 << 14
# Torch has no batched form of these.
_ALONE = {"lstm", "gru"}


def likeness(config: TrainingConfig) -> str | None:
    """What two trainings must have in common to be done at once; None for one that can only be done alone.

    It is all but the seed, the rates and the first weights.
    """
    model = config.model
    if not isinstance(model, Architecture) or _ALONE & set(model.kinds):
        return None
    if config.compile or config.clamp or config.curriculum.fields:
        return None
    data = config.as_dict()
    for key in ("seed", "init_from"):
        data.pop(key, None)
    for key in ("learning_rate", "matrix_learning_rate"):
        data["optimizer"].pop(key, None)
    return json.dumps(data, sort_keys=True)


def gains(config: TrainingConfig) -> bool:
    """Whether trainings like this one take less time at once: on a GPU, and on a CPU those of few narrow tokens."""
    assert isinstance(config.model, Architecture)
    # Tokens in turn are two for each example, and so are columns and the queries that branch off them.
    numbers = 2 * config.batch_size * config.n_points * config.model.width
    return numbers <= _SMALL or device_of(config.device).type != "cpu"


def train_together(
    configs: Sequence[TrainingConfig], directories: Sequence[str | Path]
) -> list[Run | TrainingDivergedError]:
    """Train several models into folders of their own, or resume them, as one batched model.

    Each ends with the numbers that ``train`` gives it up to the rounding of its precision, because products of other
    shapes are summed in another order. Killed at any moment, the same call ends in the same bits. Lines of metrics
    have the field ``together``, and in ``cpu_seconds`` an equal share of what all of them take.

    Parameters
    ----------
    configs : sequence of TrainingConfig
        Alike but for seed, rates and ``init_from``.
    directories : sequence of str or Path
        A folder for each.

    Returns
    -------
    list of Run or TrainingDivergedError
        The finished run of each, or how it went astray while the others went on.

    Raises
    ------
    InvalidInputError
        If they are not alike or cannot be done at once, or a folder is not writable, holds a run of another
        configuration, or is in use.
    OSError, KeyboardInterrupt
        As from ``train``; all states are saved first if it was interrupted.
    """
    if len(configs) != len(directories) or not configs:
        raise InvalidInputError(
            f"configs and directories must be as many, and at least one; {len(configs)} and {len(directories)} were "
            "given."
        )
    keep_memory()
    with ExitStack() as stack:
        runs: list[Run] = []
        for config, directory in zip(configs, directories, strict=True):
            folder = require_writable(user_path(directory))
            stack.enter_context(exclusive(folder))
            # What is left to the machine is decided once for all of them.
            runs.append(Run.create(folder, config.filled_from(runs[0].config) if runs else config))
            clean(folder)
        if None in (kinds := {likeness(run.config) for run in runs}) or len(kinds) > 1:
            raise InvalidInputError(
                "trainings done at once must be transformers that differ in seed, rates and init_from alone; these do "
                "not, or have parts without a batched form: train them one by one."
            )
        outcomes: dict[Path, TrainingDivergedError] = {}
        begun, step = _common(runs)
        if begun:
            _train(begun, step, outcomes)
        return [outcomes.get(run.directory, run) for run in runs]


def _common(runs: Sequence[Run]) -> tuple[list[Run], int]:
    """The trainings that are to be done, and the latest step that all of them have kept, 0 for the beginning.

    One that has finished is done again from there, so that the others have the same companions as before; where it kept
    no such step, as beside one that went astray, it is left as it is.
    """
    left = [run for run in runs if not run.finished]
    if not left:
        return [], 0
    for those in (list(runs), left):
        kept = [{int(path.name) for path in checkpoints(run.directory) if verify(path) is None} for run in those]
        if shared := set.intersection(*kept):
            return those, max(shared)
        if not any(kept):
            return those, 0
    return left, 0


def _train(runs: Sequence[Run], step: int, outcomes: dict[Path, TrainingDivergedError]) -> None:
    """From a step that all of them have kept to the last."""
    with ExitStack() as stack:
        steps: list[Step] = []
        courses: list[Course] = []
        for run in runs:
            _drop_after(run, step)
            checkpoint = run.directory / "checkpoints" / str(step) if step else None
            state = state_at(run.config, checkpoint)
            told = stack.enter_context(telling(run, [], rewind_metrics(run.directory, checkpoint)))
            keep_first(run, state)
            steps.append(step_of(run.config, state, World()))
            courses.append(Course(run, steps[-1], World(), told, members=len(runs)))
        together = Together(steps)
        signals = stack.enter_context(Signals())
        drawn = [stack.enter_context(Batches(run.config, World(), step)) for run in runs]
        for batches in zip(*drawn, strict=True):
            together(batches)
            interrupted = signals.received
            for course, batch in zip(courses, batches, strict=True):
                if course.run.directory not in outcomes:
                    try:
                        course.after(batch, interrupted)
                    except TrainingDivergedError as error:
                        outcomes[course.run.directory] = error
            if interrupted and steps[0].state.step < runs[0].config.steps:
                raise KeyboardInterrupt
            if len(outcomes) == len(runs):
                break


def _drop_after(run: Run, step: int) -> None:
    """Remove the checkpoints after a step, which a training that goes on from there writes again."""
    for folder in list(checkpoints(run.directory)):
        if int(folder.name) > step:
            shutil.rmtree(folder)


class Together:
    """Moves several trainings by one step: one forward and backward pass, and an update of each.

    Parameters
    ----------
    steps : sequence of Step
        Of models of one architecture; their weights and gradients become rows of common memory.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        models: list[Any] = [step.state.model for step in steps]
        named = [dict(model.named_parameters()) for model in models]
        with torch.no_grad():
            self._weights = {name: torch.stack([each[name] for each in named]) for name in named[0]}
            buffers = [dict(model.named_buffers()) for model in models]
            self._buffers = {name: torch.stack([each[name] for each in buffers]) for name in buffers[0]}
        self._gradients = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}
        for i, (step, each) in enumerate(zip(steps, named, strict=True)):
            for name, parameter in each.items():
                parameter.data = self._weights[name][i]
            step.adopt([self._gradients[name][i] for name in each])
        for weight in self._weights.values():
            weight.requires_grad_()
        self._losses = Graphed(self._backward) if recordable(models[0]) else self._backward

    def __call__(self, batches: Sequence[Batch]) -> None:
        """Fit every model to its own batch."""
        pairs = list(zip(self._steps, batches, strict=True))
        for step, batch in pairs:
            step.use(batch.config)
        tensors = [torch.stack(alike) for alike in zip(*(step.tensors(batch) for step, batch in pairs), strict=True)]
        (losses,) = self._losses(*tensors)
        for (step, batch), own in zip(pairs, losses, strict=True):
            step.end(batch, own)

    def _backward(self, *tensors: Tensor) -> tuple[Tensor]:
        """Put the gradients of all losses into ``grad``; returns both losses of each training, shape (S, 2)."""
        first = self._steps[0]

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], *own: Tensor) -> Tensor:
            def forward(*arguments: Any, **named: Any) -> Tensor:
                return functional_call(first.state.model, (weights, buffers), arguments, named)

            return torch.stack(first.losses(forward, *own))

        losses: Tensor = vmap(one)(self._weights, self._buffers, *tensors)
        slopes = torch.autograd.grad(losses[:, 0].sum(), list(self._weights.values()))
        for gradient, slope in zip(self._gradients.values(), slopes, strict=True):
            gradient.copy_(slope)
        return (losses.detach().double(),)
