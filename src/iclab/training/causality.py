"""Whether a model looks ahead: no prediction may know its own label, or what comes after its query."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from iclab.foundations import InvalidInputError
from iclab.models import Model, OwnModel, make
from iclab.training.config import TrainingConfig

# Positions from which on a prompt is changed; of long prompts as many, spread over them.
_MOST = 64
# Of the largest prediction; rounding lies below.
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def check_causal(config: TrainingConfig, model: Model | None = None) -> None:
    """Compare predictions on a training prompt with those where labels from a position on, or inputs after it, differ.

    All changed prompts are one batch and the unchanged ones another of the same shape, so that a module that mixes the
    prompts of a batch is found too. It must look at nothing ahead both as it predicts and as it is trained, where what
    is random, such as dropout, is the same for both batches. One with the attribute ``adversarial = True`` changes its
    prompts to raise its error while it is trained, and is checked as it predicts.

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
    if model is None:
        model = make(config.architecture, config.seed)
    like = next(model.parameters())
    prompts = config.prompts.build().sample(1, config.n_points, seed=config.seed, stream="training")
    n_points, n_classes = prompts.n_points, prompts.n_classes
    places = np.unique(np.linspace(0, n_points - 1, min(n_points, _MOST)).round().astype(int))
    xs, ys = (np.repeat(part, len(places), axis=0) for part in (prompts.xs, prompts.ys))
    rng = np.random.default_rng(config.seed)
    later = np.arange(n_points) >= places[:, None]
    changed = (ys + 1) % n_classes if n_classes else ys + 1 + rng.random(ys.shape)
    labels = np.where(later.reshape(later.shape + (1,) * (ys.ndim - 2)), changed, ys)
    inputs = np.where(np.arange(n_points)[:, None] > places[:, None, None], xs + 1 + rng.random(xs.shape), xs)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attacked = any(getattr(part, "adversarial", False) for part in model.modules())
    for training in (False,) if attacked else (False, True):
        said = _said(model, xs, ys, like, training)
        bound = _TOLERANCE.get(like.dtype, 1e-4) * np.abs(said).max()
        _check_sound(config, said, _said(model, xs, ys, like, training), bound)
        for name, found in (
            ("its own label or one after it", _said(model, xs, labels, like, training)),
            ("inputs after its query", _said(model, inputs, ys, like, training)),
        ):
            gaps = np.abs(found - said).reshape(len(places), n_points, -1).max(axis=2)
            leaks = (gaps > bound) & (np.arange(n_points) <= places[:, None])
            if leaks.any():
                place = int(np.argwhere(leaks.any(axis=0))[0, 0])
                when = " while it is trained" if training else ""
                raise InvalidInputError(
                    f"{_name(config)} must predict position {place} from the {place} examples before it and its "
                    f"query; its prediction there changes with {name}{when}."
                )
    model.load_state_dict(before)  # statistics of batches that it may keep


def _check_sound(config: TrainingConfig, said: np.ndarray, again: np.ndarray, bound: float) -> None:
    """Predictions are finite, and those of another call."""
    if not np.isfinite(said).all():
        raise InvalidInputError(f"{_name(config)} must predict finite numbers; NaN or infinity was returned.")
    if np.abs(again - said).max() > bound:
        raise InvalidInputError(
            f"{_name(config)} must predict the same from the same prompts; its predictions change from call to call."
        )


def _name(config: TrainingConfig) -> str:
    return config.model.object if isinstance(config.model, OwnModel) else "the model"


def _said(model: Model, xs: np.ndarray, ys: np.ndarray, like: Tensor, training: bool) -> np.ndarray:
    was = model.training
    model.train(training)
    given = (torch.from_numpy(np.ascontiguousarray(part)) for part in (xs, ys))
    tensors = (part.to(like.device, like.dtype if part.is_floating_point() else None) for part in given)
    with torch.no_grad(), torch.random.fork_rng([like.device] if like.is_cuda else [], enabled=training):
        if training:
            torch.manual_seed(0)
        said = model(*tensors).double().cpu().numpy()
    model.train(was)
    return said
