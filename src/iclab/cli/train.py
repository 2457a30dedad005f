"""``iclab train``: a model from a configuration."""

from __future__ import annotations

import json as jsonlib
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from iclab.cli.arguments import listed
from iclab.cli.output import say

if TYPE_CHECKING:
    from iclab.training import Run, TrainingConfig

_Text = Annotated[str | None, Parameter(show_default=False)]


def train(
    config: _Text = None,
    *,
    directory: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative=(), show_default=False)] = (),
    processes: int = 1,
    check: Annotated[bool, Parameter(negative=())] = False,
    curve: Path | None = None,
    log: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    json: Annotated[bool, Parameter(negative=())] = False,
    allow_code: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train a model from a configuration, or resume a run.

    Interrupt it at any moment; with --resume the training ends as if it had never been interrupted.

    Parameters
    ----------
    config
        A YAML file, or the name of a preset: lsa, deep-linear, tiny, small, base, columns, mixture, fast, robust,
        garg-linear. Not needed to resume.
    directory
        Folder of the run; runs/NAME when omitted, NAME being the file's or preset's.
    resume
        Resume the run in the folder.
    set_
        Change a field, as in --set steps=2000 --set optimizer.clip=null; with a preset also dimension, n_train,
        covariates (identity, random-exponential or a law such as {kind: gaussian, matrix: [[1, 0.5], [0.5, 1]]}, whose
        spectrum or matrix replaces the preset's dimension) and max_points. Repeat the option for more. Without a
        configuration, --directory RUN --set steps=N trains a run for more steps, where its schedule allows.
    processes
        How many processes of this machine share every batch: on as many cores that nobody else uses, large
        trainings are faster so. On several machines start the command by torchrun.
    check
        Say what the training will cost in one process, in which precision it will multiply and why, and what looks odd
        about it, and train nothing.
    curve
        Draw the losses of the run in the folder so far into this file (SVG, PNG or PDF), and train nothing.
    log
        Keep the metrics elsewhere too, in the folder of the run: csv, tensorboard, wandb (offline: nothing leaves this
        machine), wandb-online; several separated by commas. A resumed run continues its logs.
    json
        Print the result as JSON.
    allow_code
        Run code of your own that the file or folder names (kind: own). What --set names runs without it.
    """
    from iclab.cli.processes import end_with_starter, in_processes, started_here
    from iclab.foundations import InvalidInputError
    from iclab.training import Run, TrainingDivergedError
    from iclab.training.distributed import ProcessLostError
    from iclab.training.run import CONFIG
    from iclab.training.threads import gaining_threads

    more = None
    if set_ and config is None:
        more = _more_steps(set_, directory)
    chosen = _configuration(config, set_, allow_code=allow_code) if config is not None else None
    if directory is None:
        if config is None:
            raise InvalidInputError("a configuration or a --directory must be given; neither was.")
        directory = Path("runs") / Path(config).stem
    if curve is not None:
        from iclab.training.drawing import draw_losses

        draw_losses(Run.open(directory), curve)
        say(curve)
        return 0
    if more is not None and directory is not None:
        from iclab.training.continuing import extend

        held = Run.open(directory, allow_code=allow_code).config
        _check_processes(processes, held)
        if check:
            chosen = held.with_(steps=more)
        else:
            chosen, resume = extend(directory, more, allow_code=allow_code).config, True
    if chosen is None:
        if not resume:
            raise InvalidInputError("a configuration must be given to start a training; to resume one, add --resume.")
        chosen = Run.open(directory, allow_code=allow_code).config
    _check_processes(processes, chosen)
    if check:
        return _check(chosen, as_json=json)
    if processes > 1:
        source = [] if config is None or more is not None else [config, *(f"--set={change}" for change in set_)]
        options = [f"--log={each}" for each in log] + ["--json"] * json + ["--allow-code"] * allow_code
        return in_processes(
            processes, ["train", *source, f"--directory={directory}", *(["--resume"] * resume), *options]
        )
    if started_here():
        end_with_starter()
    leads = int(os.environ.get("RANK", "0")) == 0  # set by torchrun
    try:
        # What a run has decided, it keeps.
        held = Run.open(directory, allow_code=allow_code).config if resume and (directory / CONFIG).exists() else chosen
        with gaining_threads(held):
            run = _train(chosen, directory, resume=resume, loud=leads, logs=listed(log or None, "--log"))
    except (TrainingDivergedError, ProcessLostError) as error:
        if not (isinstance(error, ProcessLostError) and started_here()):
            sys.stderr.write(f"iclab: {error}\n")
        return 1
    if leads:
        _print_result(run, as_json=json)
    return 0


def _check_processes(count: int, config: TrainingConfig) -> None:
    from iclab.foundations import InvalidInputError, check_integer
    from iclab.training.distributed import World

    smallest = min(config.batch_size_at(0), config.batch_size_at(config.steps - 1))
    World(0, check_integer(count, "--processes", minimum=1)).share(smallest)
    if count > 1 and "WORLD_SIZE" in os.environ:
        raise InvalidInputError(
            "--processes must be left out under torchrun, which starts the processes itself; it was given."
        )


def _more_steps(changes: tuple[str, ...], directory: Path | None) -> int:
    """The number of steps that a run in a folder is to be trained for; nothing else of it can be changed."""
    from iclab.foundations import InvalidInputError, check_integer
    from iclab.training.reading import parse_value

    given: dict[str, str] = {}
    for change in changes:
        key, _, value = change.partition("=")
        given[key] = value
    if directory is None or set(given) != {"steps"}:
        raise InvalidInputError(
            "--set must go with the configuration that it changes, and a run is resumed as it was configured, but for "
            f"its steps; {changes[0]!r} was given: drop it, or train a changed configuration in another directory."
        )
    return check_integer(parse_value(given["steps"]), "steps", minimum=1)


def _configuration(config: str, changes: tuple[str, ...], *, allow_code: bool) -> TrainingConfig:
    from iclab.training import read_config

    source, overrides = configuration_source(config, changes)
    return read_config(source, overrides, allow_code=allow_code or set(_words(list(overrides.values()))))


def configuration_source(config: str, changes: tuple[str, ...]) -> tuple[Path | dict[str, Any], dict[str, Any]]:
    """What ``read_config`` takes for a file's or a preset's name with options ``--set``."""
    from iclab.foundations import InvalidInputError, check_choice, user_path
    from iclab.training import PRESETS
    from iclab.training.reading import parse_value

    overrides: dict[str, Any] = {}  # of one key given twice the last holds, as of any option
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise InvalidInputError(f"--set must be given as key=value; {change!r} was given.")
        overrides[key] = parse_value(value)
    path = user_path(config)
    # A bare word is a preset, whatever folders are called, unless there is such a file.
    if path.is_file() or path.name != config or path.suffix:
        return path, overrides
    return {"preset": check_choice(config, "the configuration, if no YAML file,", PRESETS)}, overrides


def _words(value: Any) -> Iterator[str]:
    """All words of the command line's own changes: code that these name was asked for."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _words(each)
    elif isinstance(value, str):
        yield value


def _check(config: TrainingConfig, *, as_json: bool) -> int:
    from dataclasses import asdict

    from iclab.models import OwnModel
    from iclab.training.causality import check_causal
    from iclab.training.continuing import initial_weights
    from iclab.training.cost import estimate_cost
    from iclab.training.linting import lint
    from iclab.training.precision import choices, decided
    from iclab.training.threads import gaining_threads

    if isinstance(config.model, OwnModel):  # ours are, by construction
        check_causal(config)
    if config.init_from is not None:
        initial_weights(config)
    with gaining_threads(config) as threads:
        chosen, cost, remarks = choices(config), estimate_cost(config), lint(config)
    first = {"threads": threads, "targets": config.targets}
    last = {"kernels": decided(config).kernels} if config.kerneled else {}
    if as_json:
        precision = {field: asdict(choice) for field, choice in chosen.items()}
        figures = {name: None if math.isnan(value) else value for name, value in asdict(cost).items()}
        content = {"cost": figures, **first, "precision": precision, **last, "remarks": remarks}
        sys.stdout.write(jsonlib.dumps(content, indent=2) + "\n")
    else:
        fields = [f"{field}: {choice}." for field, choice in (first | chosen | last).items()]
        sys.stdout.write("\n".join([f"Cost: {cost}.", *fields, *remarks]) + "\n")
    return 0


def _train(config: TrainingConfig, directory: Path, *, resume: bool, loud: bool, logs: list[str]) -> Run:
    from iclab.training import train as fit
    from iclab.training.linting import lint
    from iclab.training.logs import Log, logs_of

    told: list[Log] = logs_of(logs)
    if loud:
        from iclab.cli.live import Lines, Panel

        if not resume:
            for remark in lint(config):
                sys.stderr.write(f"{remark}\n")
        told.append(Panel(config) if sys.stderr.isatty() else Lines(config))
    return fit(config, directory, resume=resume, log=told)


def _print_result(run: Run, *, as_json: bool) -> None:
    from iclab.training.reporting import least_squares_diverges, reference_of, scale_of

    errors = run.evaluations()
    last = errors[errors["step"] == errors["step"].max()] if len(errors) else errors
    if as_json:
        content = {
            "directory": str(run.directory),
            "steps": run.config.steps,
            "targets": run.config.targets,
            "evaluation": last.to_dict("records"),
        }
        sys.stdout.write(jsonlib.dumps(content, indent=2) + "\n")
        return
    (scale, error_name), name = scale_of(run.config), reference_of(run.config.architecture.labels)
    say(f"{run.directory}: {run.config.steps} steps on {run.config.targets.replace('_', ' ')} targets")
    if name == "least_squares":
        sys.stdout.write("examples  error/d  ± s.e.   least squares/d\n")
    else:
        sys.stdout.write(f"examples  {error_name}  ± s.e.   {name.replace('_', ' ')}\n")
    for row in last.to_dict("records"):
        error, bar, reference = (row[key] / scale for key in ("mean", "stderr", name))
        # A sample's mean says nothing where the law's is infinite.
        diverges = name == "least_squares" and least_squares_diverges(run.config, row["position"])
        known = "infinite" if diverges else f"{reference:.4f}"
        sys.stdout.write(f"{row['position']:8d}  {error:.4f}   {bar:.4f}   {known}\n")
