"""One optimiser step, and what must hold after it."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from iclab.models import Transformer
from iclab.models.predictor import device_of
from iclab.training.batches import Batch
from iclab.training.checkpoint import State
from iclab.training.config import TrainingConfig
from iclab.training.distributed import World
from iclab.training.losses import LOSSES
from iclab.training.recording import Recorded, Tensors

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
        self._gradients = [torch.zeros_like(parameter) for parameter in self._parameters]
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        self._forward = torch.compile(state.model) if config.compile else state.model
        self._config = config
        self._differentiate, self._move = Recorded(self._find_gradients), Recorded(self._apply_gradients)

    def __call__(self, batch: Batch) -> None:
        """Fit the model to one batch."""
        if batch.config.optimizer != self._config.optimizer:
            self._move = Recorded(self._apply_gradients)  # what moved on a ramp is a constant of a recording
        self._config = batch.config
        config, state, like = self._config, self._state, self._like
        asked = 1 if config.loss == "query" else batch.targets.shape[1]
        # The mean over the global batch, of which this process holds a share.
        count = config.batch_size * asked * (batch.stage.dimensions if config.per_dimension else 1)
        given = [_on(torch.from_numpy(part), like) for part in (batch.xs, batch.ys, batch.targets)]
        given.append(like.new_tensor(count))
        if batch.starts is not None:
            given.append(torch.from_numpy(batch.starts).to(like.device))
        (losses,) = self._differentiate(*given)
        self._processes.add([losses, *self._gradients])
        share = config.schedule.at(state.step, config.steps)
        self._move(torch.tensor(share, dtype=torch.float64, device=like.device))
        state.losses.append(losses)
        state.step += 1
        batch.loss = losses[0]

    def _find_gradients(
        self, xs: Tensor, ys: Tensor, targets: Tensor, count: Tensor, starts: Tensor | None = None
    ) -> Tensors:
        """Put the gradients where they belong; returns the loss and that of having learned nothing."""
        config = self._config
        with torch.autocast(xs.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            predictions = self._forward(xs, ys, starts=starts)
        asked = slice(-1, None) if config.loss == "query" else slice(None)
        predictions, targets = predictions.to(xs.dtype)[:, asked], targets[:, asked]
        rule, size = LOSSES[config.model.head], config.model.outputs
        loss = rule.of(predictions, targets).sum() / count
        for own, found in zip(self._gradients, torch.autograd.grad(loss, self._parameters), strict=True):
            own.copy_(found)
        return (torch.stack([loss.detach(), rule.zero(targets, size).sum().to(loss.dtype) / count]).double(),)

    @torch.no_grad()
    def _apply_gradients(self, share: Tensor) -> Tensors:
        """Clip and move the weights by this share of the peak rate."""
        config = self._config
        # The rate in a recording is fixed, at the peak: there the share is taken of the update, which is linear in it.
        rate = 1.0 if share.is_cuda else float(share)
        before = [parameter.clone() for parameter in self._parameters] if share.is_cuda else None
        if config.optimizer.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, config.optimizer.clip)
        for name, optimizer in self._state.optimizers.items():
            options = config.optimizer.options(name)
            for group in optimizer.param_groups:
                group.update(options, lr=options["lr"] * rate)
            optimizer.step()
        if before is not None:
            for parameter, old in zip(self._parameters, before, strict=True):
                parameter.copy_(old.lerp(parameter, share.to(old.dtype)))
        return ()


def _on(given: Tensor, like: Tensor) -> Tensor:
    """Numbers in the model's precision, classes as whole numbers."""
    return given.to(like.device, like.dtype if given.is_floating_point() else given.dtype)


def new_state(config: TrainingConfig) -> State:
    """The state before the first step of a training whose precisions are decided."""
    if config.undecided:
        raise ValueError("the precision must be decided before the first step")
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
        return torch.device("cpu")
    return device_of(config.device)
