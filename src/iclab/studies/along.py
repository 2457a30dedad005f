"""One measure at every checkpoint of a training, in one call and one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isfunction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclab.evaluation.streaming import SamplesPrompts
from iclab.foundations import InvalidInputError, check_choice, check_integer
from iclab.inspect.along import MEASURES, Measure
from iclab.studies.executors import workplace
from iclab.studies.lab import Lab, Progress
from iclab.studies.store import Unit
from iclab.training import Checkpoint, Run

if TYPE_CHECKING:
    import pandas as pd


def along(
    run: Run,
    measure: str | Measure = "error",
    *,
    distributions: Mapping[str, SamplesPrompts] | None = None,
    n_points: int | None = None,
    n_prompts: int = 512,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    directory: str | Path | None = None,
    progress: Progress | None = None,
    **arguments: Any,
) -> pd.DataFrame:
    """Measure every checkpoint that a run has kept (``checkpoints`` of its configuration), in one tidy table.

    What is measured is kept in the run's folder, so that the same call again computes nothing, and one after more
    steps only what is new. Results depend on neither the number of processes nor the cluster.

    Parameters
    ----------
    run : Run
        With ``run.checkpoints()``.
    measure : str or callable
        "error", "nearest", "strategy", "probes", "readouts", "attention" (``iclab.inspect.along.MEASURES``), or a
        function at the top of a module of your own: ``(predictor, distributions, n_points, *, n_prompts, seed, …)`` to
        a DataFrame.
    distributions : dict of str to PromptDistribution, optional
        Where; the prompts that the run is trained on, called "training", when omitted.
    n_points : int, optional
        Positions; those of training when omitted.
    n_prompts, seed : int
        Evaluation prompts and their seed, the same at every checkpoint.
    workers : int
        Processes on this machine.
    dask : str, optional
        A Dask cluster instead: address, scheduler file, or a YAML file of a job queue, as in ``iclab study --dask``.
    directory : str or Path, optional
        Where tables are kept; ``along/`` in the run's folder when omitted.
    progress : callable, optional
        Called with (what is being done, checkpoints done, checkpoints in all).
    **arguments
        Of the measure, such as ``candidates`` of "nearest".

    Returns
    -------
    pandas.DataFrame
        Columns step, and those of the measure, such as distribution, position, mean, stderr, n.

    Raises
    ------
    InvalidInputError
        If the run has kept no checkpoints, there is no such measure, or as the measure.
    """
    kept = run.checkpoints()
    if not kept:
        raise InvalidInputError(
            f"{run.directory} must have checkpoints to measure along; it has kept none: train with "
            "checkpoints: {spacing: log, count: 50} in the configuration."
        )
    function = MEASURES[check_choice(measure, "measure", MEASURES)] if isinstance(measure, str) else measure
    if not isfunction(function):
        raise InvalidInputError(f"measure must be a name ({', '.join(MEASURES)}) or a function; {measure!r} was given.")
    given = {
        "distributions": dict(distributions or {"training": run.config.prompts.build()}),
        "n_points": check_integer(n_points or run.config.n_points, "n_points", minimum=1),
        "n_prompts": check_integer(n_prompts, "n_prompts", minimum=1),
        "seed": check_integer(seed, "seed", minimum=0),
        **arguments,
    }
    units = [
        Unit(measured, {"checkpoint": each, "measure": function, "given": given}, f"step {each.step}") for each in kept
    ]
    where = run.directory / "along" if directory is None else Path(directory)
    (where / "units").mkdir(parents=True, exist_ok=True)
    with workplace(check_integer(workers, "workers", minimum=1), dask) as place:
        lab = Lab(where, progress or (lambda *_: None), place)
        return lab.rows(units, f"{function.__name__} along {run.directory.name}")


def measured(checkpoint: Checkpoint, measure: Callable[..., pd.DataFrame], given: Mapping[str, Any]) -> pd.DataFrame:
    """The table of one checkpoint, with its step as the first column."""
    table = measure(checkpoint.predictor(), **given)
    table.insert(0, "step", checkpoint.step)
    return table
