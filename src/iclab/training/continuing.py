"""More steps for a run than it was configured for, and trainings that begin from given weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from iclab.foundations import InvalidInputError, check_integer, exclusive, user_path, write_text
from iclab.foundations.seals import sealed
from iclab.models import Architecture, Transformer, load
from iclab.models.own import make
from iclab.prompts.reading import code_allowed
from iclab.training.config import TrainingConfig, write_yaml
from iclab.training.run import CONFIG, Run
from iclab.training.series import Series


def extend(directory: str | Path, steps: int, *, allow_code: bool = False) -> Run:
    """Let a run in a folder go on to more steps than it was configured for; ``train`` then does them.

    The weights are those of a run that was configured for so many steps from the start. So it is refused where the
    learning rate of a step that is done depends on the number of steps: once the rate has begun to fall.

    Parameters
    ----------
    directory : str or Path
        The run's folder.
    steps : int
        Steps in all.
    allow_code : bool
        As in ``Run.open``.

    Returns
    -------
    Run
        With its new configuration, which is written.

    Raises
    ------
    InvalidInputError
        If there is no run, it has done as many steps already, or its schedule does not allow it.
    """
    directory = user_path(directory)
    run = Run.open(directory, allow_code=allow_code)
    config, done = run.config, run.step
    steps = check_integer(steps, "steps", minimum=1)
    if steps < done:
        raise InvalidInputError(f"steps must be at least the {done} that {directory} has done; {steps} was given.")
    if steps == config.steps:
        return run
    schedule = config.schedule
    changed = next((s for s in range(done) if schedule.at(s, config.steps) != schedule.at(s, steps)), None)
    if changed is not None:
        raise InvalidInputError(
            f"the learning rate of {directory} must not have begun to fall; it fell from step {changed} on, towards "
            f"its end at step {config.steps}: train a new run of {steps} steps."
        )
    # Intervals that follow from the number of steps stay as they were, so that what is logged goes on evenly.
    intervals = {
        "log_every": config.log_interval,
        "evaluate_every": config.evaluation_interval,
        "checkpoint_every": config.checkpoint_interval,
    }
    longer = replace(config, steps=steps, checkpoints=_longer(config.checkpoints, config.steps, steps), **intervals)
    with exclusive(directory):
        write_text(directory / CONFIG, sealed(write_yaml(longer)))
    return Run.open(directory, allow_code=allow_code)


def _longer(series: Series | None, before: int, after: int) -> Series | None:
    """The steps at which weights were to be kept, and those of the longer training beyond them."""
    if series is None or series.steps is not None:
        return series
    return replace(series, steps=(*series.at(before), *(step for step in series.at(after) if step > before)))


def initial_weights(config: TrainingConfig) -> dict[str, Tensor]:
    """The weights that a training begins from: those of the model that ``init_from`` names, or the mean of several.

    A model of fewer layers is grown: see ``grown``.

    Raises
    ------
    InvalidInputError
        If there is no such model, or its weights are not those of the configuration's architecture.
    """
    given = config.init_from or ""
    names = (given,) if isinstance(given, str) else given
    fresh = make(config.architecture, config.seed).state_dict()
    several = [_weights(name, config, fresh) for name in names]
    # In float64, so that the mean of equal weights is these weights.
    return {key: torch.stack([each[key].double() for each in several]).mean(0).to(fresh[key].dtype) for key in fresh}


def _weights(name: str, config: TrainingConfig, fresh: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Those of a model, grown to the configuration's depth."""
    try:
        model = load(name, allow_code=code_allowed(config.model)).model
    except InvalidInputError as error:
        raise InvalidInputError(f"init_from must name models that are there: {error}") from error
    weights = model.state_dict()
    if isinstance(model, Transformer) and _shallower(model.architecture, config.architecture):
        weights = grown(weights, model.architecture.layers, fresh, config.architecture.layers)
    found, wanted = ({key: tuple(value.shape) for key, value in each.items()} for each in (weights, fresh))
    for key in [*wanted, *found]:
        if wanted.get(key) != found.get(key):
            raise InvalidInputError(
                "init_from must name a model of the same architecture, or of fewer layers whose blocks have residuals; "
                f"{key!r} has the shape {found.get(key, 'of nothing')} in {name} and "
                f"{wanted.get(key, 'of nothing')} here."
            )
    return weights


def grown(weights: Mapping[str, Tensor], layers: int, fresh: Mapping[str, Tensor], more: int) -> dict[str, Tensor]:
    """The weights of a deeper model that predicts what a shallower one does.

    Its blocks are evenly spread over the layers: block i becomes block ⌊i · more / layers⌋. The others begin from
    fresh weights but add nothing to the residual stream, as their output matrices and biases are 0. It is what Chen,
    Goodfellow and Shlens (2016), "Net2Net: Accelerating learning via knowledge transfer", do to deepen a network.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Of a transformer with ``layers`` blocks.
    layers : int
        Their number.
    fresh : mapping of str to Tensor
        Of one with ``more`` blocks, of the same parts.
    more : int
        At least ``layers``.

    Returns
    -------
    dict of str to Tensor
        Named as ``fresh`` is.
    """
    places = _places(layers, more)
    found = dict[str, Tensor]()
    for name, value in weights.items():
        part, block, rest = name.split(".", 2) if name.startswith("blocks.") else (name, "", "")
        found[f"{part}.{places[int(block)]}.{rest}" if rest else part] = value
    for name, value in fresh.items():
        if name.startswith("blocks.") and int(name.split(".")[1]) not in places:
            found[name] = torch.zeros_like(value) if name.endswith(_ADDED) else value
    return found


# What a block adds to the residual stream ends in one of these.
_ADDED = ("out.weight", "out.bias", "mlp.2.weight", "mlp.2.bias", "w_pv")


def _places(layers: int, more: int) -> list[int]:
    """Where the blocks of a model go in a deeper one."""
    return [block * more // layers for block in range(layers)]


def _shallower(given: Architecture, wanted: object) -> bool:
    """Whether an architecture has fewer layers than another one, between which new ones can begin by adding nothing."""
    if not isinstance(wanted, Architecture) or given.layers >= wanted.layers:
        return False
    if not wanted.residual or wanted.tied:
        return False
    kinds = [wanted.kinds[place] for place in _places(given.layers, wanted.layers)]
    # What "lstm" and "gru" add is their state, of which no matrix can be 0.
    return kinds == list(given.kinds) and not {"lstm", "gru"} & set(wanted.kinds)
