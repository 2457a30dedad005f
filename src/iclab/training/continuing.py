"""More steps for a run than it was configured for, and trainings that begin from given weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from iclab.foundations import InvalidInputError, check_integer, exclusive, user_path, write_text
from iclab.foundations.seals import sealed
from iclab.models import load
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
    """The weights that a training begins from, those of the model that ``config.init_from`` names.

    Raises
    ------
    InvalidInputError
        If there is no such model, or its weights are not those of the configuration's architecture.
    """
    model = load(config.init_from or "", allow_code=code_allowed(config.model)).model
    found = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    wanted = {name: tuple(value.shape) for name, value in make(config.architecture, config.seed).state_dict().items()}
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise InvalidInputError(
                f"init_from must name a model of the same architecture; {name!r} has the shape "
                f"{found.get(name, 'of nothing')} in {config.init_from} and {wanted.get(name, 'of nothing')} here."
            )
    return model.state_dict()
