"""Whether a model looks ahead: no prediction may know its own label, what comes after its query, or another prompt."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from iclab.foundations import InvalidInputError
from iclab.models import Model, OwnModel, OwnModule, make
from iclab.training.config import TrainingConfig
from iclab.training.leaks import Ask, Changes, Leak, by_changes, by_derivatives, by_queries

# Positions from which on a prompt is changed; of long prompts as many, spread over them.
_MOST = 64
# Multiply-adds of a pass in float64: a large model is shown fewer prompts at a time.
_WORK = 5e7
# Of the largest prediction or derivative; rounding lies below.
_ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-11}
# Whether weights are moved, since a leak may hide behind one that begins at zero, and how many times as large prompts
# are, since it may hide behind a threshold.
_PROBES = ((False, 1.0), (False, 100.0), (True, 1.0), (True, 0.01))


def check_causal(config: TrainingConfig, model: Model | None = None) -> None:
    """Hold predictions to the examples before them, as the model predicts and as it is trained.

    First in its own precision: predictions are finite, the same at every call, and those of prompts whose later labels
    or inputs differ, or that stand among other prompts. Then in float64, where rounding hides nothing above 1e-11 of
    the largest: the same changes, and derivatives by what may not be known, on other prompts, on some a hundred times
    as large or as small, and with weights moved at random. Where ``queries`` are taken, position i must know query i
    alone. A module that does not run in float64 is looked at in its own precision; of one with Fourier transforms in
    single precision, leaks below their rounding pass.

    What is random, such as dropout, is the same for all these prompts. A module with the attribute ``adversarial =
    True`` changes its prompts to raise its error while it is trained, and is checked as it predicts.

    Parameters
    ----------
    config : TrainingConfig
        What is trained.
    model : Transformer or OwnModule, optional
        The one to check; a new one when omitted.

    Raises
    ------
    InvalidInputError
        If predictions up to a position change, which the sentence names, are not finite, or change from call to call.
    """
    exact = _made(config) if model is None else copy.deepcopy(model)
    model = _made(config) if model is None else model
    attacked = any(getattr(part, "adversarial", False) for part in model.modules())
    modes = (False,) if attacked else (False, True)
    rng = np.random.default_rng(config.seed)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    places = np.unique(np.linspace(0, config.n_points - 1, min(config.n_points, _MOST)).round().astype(int))
    changes = _changes(config, places, model, rng)
    for training in modes:
        ask = _asking(model, training)
        _check_sound(config, ask, changes)
        _refuse(config, by_changes(ask, changes, _rounding(model)), " while it is trained" * training)
    model.load_state_dict(before)  # statistics of batches that it may keep
    for found, when in _closer(config, exact, modes, rng):
        _refuse(config, found, when)


def _made(config: TrainingConfig) -> Model:
    return make(config.architecture, config.seed).to(torch.float64 if config.precision == "float64" else torch.float32)


def _closer(
    config: TrainingConfig, model: Model, modes: tuple[bool, ...], rng: np.random.Generator
) -> Iterator[tuple[Leak | None, str]]:
    """What is found in float64, and when; the weights are changed here."""
    model, rounding = _precise(config, model, rng)
    rows = int(np.clip(_WORK // (2 * config.n_points * max(1, model.n_parameters)), 2, min(config.n_points, _MOST)))
    order, drawn = rng.permutation(config.n_points), 0
    for moved, scale in _PROBES:
        if moved:
            _move(model, config.seed)
        for training in modes:
            drawn += rows
            changes = _changes(config, np.resize(np.roll(order, -drawn), rows), model, rng, scale=scale, start=drawn)
            when = " while it is trained" * training
            when += f" on prompts {scale:g} times as large" * (scale != 1) + " once its weights have moved" * moved
            looks = [by_derivatives, by_changes]
            if not training and config.architecture.dimension and _takes_queries(model):
                looks.append(by_queries)
            for look in looks:
                yield _looked(look, _asking(model, training), changes, rounding), when


def _looked(
    look: Callable[[Ask, Changes, float], Leak | None], ask: Ask, changes: Changes, rounding: float
) -> Leak | None:
    """What one look finds; a model need not read prompts of other sizes, nor have derivatives on a GPU."""
    with contextlib.suppress(Exception), torch.backends.cudnn.flags(enabled=False):
        return look(ask, changes, rounding)
    return None


def _precise(config: TrainingConfig, model: Model, rng: np.random.Generator) -> tuple[Model, float]:
    """The model in float64 and what rounding does there; as it was, where it does not run so."""
    exact = copy.deepcopy(model).double()
    for part in exact.modules():
        for value in [*part.parameters(recurse=False), *part.buffers(recurse=False)]:
            if value.is_complex():
                value.data = value.data.to(torch.complex128)
    changes = _changes(config, np.arange(2), exact, rng)
    with contextlib.suppress(Exception), _Transforms() as transforms:
        _asking(exact, False)(changes.xs, changes.ys)
        return exact, _ROUNDING[torch.float32 if transforms.single else torch.float64]
    return model, _rounding(model)


class _Transforms(TorchFunctionMode):
    """Notes whether a Fourier transform is in single precision: its rounding mixes all positions."""

    single = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if "fft" in getattr(func, "__name__", "") and isinstance(result, Tensor):
            self.single |= result.dtype in (torch.complex64, torch.float32)
        return result


def _rounding(model: Model) -> float:
    return _ROUNDING.get(next(model.parameters()).dtype, 1e-4)


def _changes(
    config: TrainingConfig,
    places: np.ndarray,
    model: Model,
    rng: np.random.Generator,
    *,
    scale: float = 1.0,
    start: int = 0,
) -> Changes:
    """A training prompt for every place and one that differs everywhere, as tensors of the model."""
    sample = config.prompts.build().sample
    prompts = sample(len(places), config.n_points, seed=config.seed, start=start, stream="training")
    inputs, labels, k = scale * prompts.xs, prompts.ys, prompts.n_classes
    if k:
        other = (labels + rng.integers(1, k, labels.shape)) % k
    else:
        labels = scale * labels
        other = labels + scale * _steps(labels.shape, rng)
    like = next(model.parameters())
    arrays = (inputs, labels, inputs + scale * _steps(inputs.shape, rng), other)
    tensors = (torch.from_numpy(np.ascontiguousarray(part)) for part in arrays)
    given = (part.to(like.device, like.dtype if part.is_floating_point() else None) for part in tensors)
    xs, ys, other_xs, other_ys = given
    return Changes(xs, ys, other_xs, other_ys, torch.from_numpy(places).to(like.device))


def _steps(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Numbers of size 1 to 2 of either sign."""
    return rng.choice([-1.0, 1.0], shape) * (1 + rng.random(shape))


def _asking(model: Model, training: bool) -> Ask:
    """What the model says, with the same random numbers every time, and left as it was."""

    def ask(*given: Tensor) -> Tensor:
        was, device = model.training, given[0].device
        model.train(training)
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else [], enabled=training):
                if training:
                    torch.manual_seed(0)
                return model(*(part.clone() for part in given))
        finally:
            model.train(was)

    return ask


def _takes_queries(model: Model) -> bool:
    return not isinstance(model, OwnModule) or model.asks


@torch.no_grad()
def _move(model: Model, seed: int) -> None:
    """Move what is trained by a tenth of its size, and off zero."""
    generator = torch.Generator().manual_seed(seed)
    for part in model.parameters():
        if part.requires_grad:
            size = 0.1 * float(part.abs().square().mean().sqrt()) + 0.02
            part.add_(size * torch.randn(part.shape, generator=generator, dtype=part.dtype).to(part.device))


@torch.no_grad()
def _check_sound(config: TrainingConfig, ask: Ask, changes: Changes) -> None:
    """Predictions are finite, and those of another call."""
    said, again = (ask(changes.xs, changes.ys) for _ in range(2))
    if not said.isfinite().all():
        raise InvalidInputError(f"{_name(config)} must predict finite numbers; NaN or infinity was returned.")
    if (again - said).abs().max() > _ROUNDING.get(said.dtype, 1e-4) * said.abs().max():
        raise InvalidInputError(
            f"{_name(config)} must predict the same from the same prompts; its predictions change from call to call."
        )


def _refuse(config: TrainingConfig, found: Leak | None, when: str) -> None:
    """Say what leaks, if anything does."""
    if found is None:
        return
    if found.position is None:
        raise InvalidInputError(
            f"{_name(config)} must predict each prompt by itself; predictions change with other prompts of the batch"
            f"{when}."
        )
    raise InvalidInputError(
        f"{_name(config)} must predict position {found.position} from the {found.position} examples before it and its "
        f"query; its prediction there changes with {found.source}{when}."
    )


def _name(config: TrainingConfig) -> str:
    return config.model.object if isinstance(config.model, OwnModel) else "the model"
