"""One optimiser step, and what must hold after it."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import torch
from torch import nn

from incontext.models import Transformer
from incontext.training.batches import Batch
from incontext.training.checkpoint import State
from incontext.training.config import TrainingConfig
from incontext.training.distributed import World

# A loss this many times the zero predictor's has left the task.
_DIVERGED = 1e6
_log = logging.getLogger(__name__)


class TrainingDivergedError(RuntimeError):
    """The loss became NaN, infinite or huge; the last checkpoint before it is kept."""


class Step:
    """Moves a training by one step: forward, loss, backward, sum over processes, clip, update.

    Parameters
    ----------
    config : TrainingConfig
        How.
    state : State
        What is moved.
    processes : World
        Whose gradients are summed.
    """

    def __init__(self, config: TrainingConfig, state: State, processes: World) -> None:
        self._state, self._processes = state, processes
        self._parameters = list(state.model.parameters())
        self._like = self._parameters[0]
        self._forward = torch.compile(state.model) if config.compile else state.model

    def __call__(self, batch: Batch) -> None:
        """Fit the model to one batch."""
        config, state, like = batch.config, self._state, self._like
        share = config.schedule.at(state.step, config.steps)
        for name, optimizer in state.optimizers.items():
            options = config.optimizer.options(name)
            for group in optimizer.param_groups:
                group.update(options, lr=options["lr"] * share)
        xs, ys, targets = (
            torch.from_numpy(part).to(like.device, like.dtype) for part in (batch.xs, batch.ys, batch.targets)
        )
        starts = None if batch.starts is None else torch.from_numpy(batch.starts).to(like.device)
        with torch.autocast(like.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            predictions = self._forward(xs, ys, starts=starts)
        asked = slice(-1, None) if config.loss == "query" else slice(None)
        predictions, targets = predictions.to(like.dtype)[:, asked], targets[:, asked]
        # The mean over the global batch, of which this process holds a share.
        count = config.batch_size * targets.shape[1] * (batch.stage.dimensions if config.per_dimension else 1)
        loss = (predictions - targets).square().sum() / count
        loss.backward()
        losses = torch.stack([loss.detach(), targets.square().sum() / count]).double()
        self._processes.add([losses, *(parameter.grad for parameter in self._parameters if parameter.grad is not None)])
        if config.optimizer.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, config.optimizer.clip)
        for optimizer in state.optimizers.values():
            optimizer.step()
            optimizer.zero_grad()
        state.losses.append(losses)
        state.step += 1
        batch.loss = losses[0]


def new_state(config: TrainingConfig) -> State:
    """The state before the first step."""
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    model = Transformer(config.model, config.seed).to(_device(config), dtype)
    return State(model, config.optimizer.build(model), 0, [])


def check_sound(state: State, directory: Path, *, weights: bool) -> None:
    """Stop a training that went astray, before anything of it is saved.

    Raises
    ------
    TrainingDivergedError
        If a loss since the last line of metrics is NaN, infinite or huge, or (with ``weights``) a weight is.
    """
    losses = [(float(loss), float(zero)) for loss, zero in state.losses]
    bad = next((loss for loss, zero in losses if not math.isfinite(loss) or loss > _DIVERGED * max(zero, 1e-30)), None)
    if bad is None and weights and not all(bool(torch.isfinite(p).all()) for p in state.model.parameters()):
        bad = math.nan
    if bad is not None:
        raise TrainingDivergedError(
            f"the training must keep a finite loss; it reached {bad:.3g} by step {state.step}: lower the learning "
            f"rate and start anew (the last good checkpoint stays in {directory})."
        )


def _device(config: TrainingConfig) -> torch.device:
    if config.device == "cuda" and not torch.cuda.is_available():
        _log.warning("no GPU was found: the training runs on the CPU")
    if config.device != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
