"""One optimiser step, and what must hold after it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from iclab.foundations import InvalidInputError
from iclab.models import OwnModel, OwnModule, make
from iclab.models.mixers.kernels import check_kernels, using
from iclab.models.predictor import device_of
from iclab.training.batches import Batch
from iclab.training.checkpoint import State
from iclab.training.config import TrainingConfig
from iclab.training.distributed import World
from iclab.training.losses import LOSSES

# A loss this many times the zero predictor's has left the task.
_DIVERGED = 1e6


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

    Attributes
    ----------
    parameters : list of Parameter
        What is trained.
    norm : Tensor
        Of the last gradient before it was clipped.
    """

    def __init__(self, config: TrainingConfig, state: State, processes: World) -> None:
        self.config, self.state, self._processes = config, state, processes
        self._forward = torch.compile(state.model) if config.compile else state.model
        self.parameters = [parameter for parameter in state.model.parameters() if parameter.requires_grad]
        self.adopt([torch.zeros_like(parameter) for parameter in self.parameters])
        self.norm = self.parameters[0].new_zeros(())

    def adopt(self, gradients: Sequence[Tensor]) -> None:
        """Read the parameters' gradients from this memory from now on."""
        self._gradients = gradients
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient

    def __call__(self, batch: Batch) -> None:
        """Fit the model to one batch."""
        self.use(batch.config)
        with self._randomness():
            losses = self.backward(*self.tensors(batch))
        self._processes.add([losses, *self._gradients])
        self.end(batch, losses)

    def end(self, batch: Batch, losses: Tensor) -> None:
        """Update the weights by the gradients that are there, and count the step."""
        config, state = batch.config, self.state
        self.update(config.schedule.at(state.step, config.steps))
        state.losses.append(losses)
        state.step += 1
        batch.loss = losses[0]

    def use(self, config: TrainingConfig) -> None:
        """Take the values that ramps have in the next step."""
        self.config = config

    def tensors(self, batch: Batch) -> list[Tensor]:
        """A batch as ``backward`` takes it, where the model is."""
        config, weights = batch.config, self.parameters[0]
        asked = 1 if config.loss_at == "query" else batch.targets.shape[1]
        # The mean over the global batch, of which this process holds a share.
        count = config.batch_size * asked * (batch.stage.dimensions if config.per_dimension else 1)
        tensors = [_like(weights, torch.from_numpy(array)) for array in (batch.xs, batch.ys, batch.targets)]
        tensors.append(weights.new_tensor(count))
        if batch.starts is not None:
            tensors.append(torch.from_numpy(batch.starts).to(weights.device))
        return tensors

    def backward(self, xs: Tensor, ys: Tensor, targets: Tensor, count: Tensor, starts: Tensor | None = None) -> Tensor:
        """Put the loss's gradients into ``grad``; returns the loss and that of having learned nothing."""
        losses = self.losses(self._forward, xs, ys, targets, count, starts)
        for gradient, value in zip(self._gradients, self._gradients_of(losses[0]), strict=True):
            gradient.copy_(value)
        return torch.stack([loss.detach() for loss in losses]).double()

    def losses(
        self,
        forward: Callable[..., Tensor],
        xs: Tensor,
        ys: Tensor,
        targets: Tensor,
        count: Tensor,
        starts: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The loss of what ``forward`` predicts, and that of having learned nothing."""
        config = self.config
        multiplied = torch.autocast(xs.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
        with multiplied, using(config.by_kernels):
            predictions = forward(xs, ys, starts=starts, **self._loops())
        asked = slice(-1, None) if config.loss_at == "query" else slice(None)
        targets = targets[:, asked]
        # One, or those after each loop of the window.
        predictions = predictions.to(xs.dtype)[None] if config.window is None else predictions.to(xs.dtype)
        architecture = self.state.model.architecture
        rule, size = LOSSES[architecture.head or "mean"], architecture.outputs or 1
        loss = sum((rule.of(said[:, asked], targets).sum() for said in predictions), xs.new_zeros(())) / (
            count * len(predictions)
        )
        return loss, rule.zero(targets, size).sum().to(loss.dtype) / count

    def _loops(self) -> dict[str, int | None]:
        """Of a transformer in this step, where it has any."""
        model = self.config.model
        if isinstance(model, OwnModel) or (model.loops == 1 and self.config.window is None):
            return {}
        return {"loops": model.loops, "window": self.config.window}

    @contextmanager
    def _randomness(self) -> Generator[None]:
        """What is random in a module of your own, such as dropout, is a function of seed, step and process."""
        if not isinstance(self.state.model, OwnModule):
            yield
            return
        weights = self.parameters[0]
        address = (self.config.seed, self.state.step, self._processes.rank)
        high, low = np.random.SeedSequence(address).generate_state(2)
        with torch.random.fork_rng([weights.device] if weights.is_cuda else []):
            torch.manual_seed(int(high) << 31 | int(low) >> 1)
            yield

    def _gradients_of(self, loss: Tensor) -> tuple[Tensor, ...]:
        """Of the loss; zeros for parameters that a module of your own has and does not use."""
        if not isinstance(self.state.model, OwnModule):
            return torch.autograd.grad(loss, self.parameters)
        if not loss.requires_grad:
            raise InvalidInputError(
                "a module of your own must predict by parameters that are trained; its predictions depend on none."
            )
        return torch.autograd.grad(loss, self.parameters, allow_unused=True, materialize_grads=True)

    @torch.no_grad()
    def update(self, share: float) -> None:
        """Clip the gradients and move the weights at this share of the peak rate."""
        settings = self.config.optimizer
        if settings.clip is not None:
            self.norm = nn.utils.clip_grad_norm_(self.parameters, settings.clip)
        for name, optimizer in self.state.optimizers.items():
            options = settings.options(name)
            for group in optimizer.param_groups:
                group.update(options, lr=options["lr"] * share)
            optimizer.step()

    def gradient_norm(self) -> float:
        """Of the whole gradient of the last step, before it was clipped."""
        clipped = self.config.optimizer.clip is not None
        return float(self.norm if clipped else nn.utils.get_total_norm(self._gradients))


def _like(weights: Tensor, numbers: Tensor) -> Tensor:
    """Numbers in the precision of the weights, classes as whole numbers, on their device."""
    return numbers.to(weights.device, weights.dtype if numbers.is_floating_point() else numbers.dtype)


def new_state(config: TrainingConfig) -> State:
    """The state before the first step of a training whose precisions are decided."""
    if config.undecided:
        raise ValueError("precision and kernels must be decided before the first step")
    if config.by_kernels:
        check_kernels()
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    model = make(config.architecture, config.seed).to(device_of(config.device), dtype)
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
