"""``iclab sweep``: a grid of trainings with one table at the end."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from iclab.cli.arguments import Whole, listed
from iclab.cli.output import say

_Texts = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]


def sweep(
    config: str,
    *,
    over: Annotated[list[str], Parameter(consume_multiple=True)],
    directory: Path,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative=(), show_default=False)] = (),
    evaluate: list[str] | None = None,
    beside: list[str] | None = None,
    prompts: Whole = 1_280,
    points: Whole | None = None,
    seed: Whole = 0,
    workers: Whole | None = None,
    dask: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    plot: Path | None = None,
    allow_code: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train every combination of some values of a configuration, and evaluate all in one table.

    Interrupt it at any moment; the same command resumes where it stopped. Axes may grow: finished cells are kept. The
    folder gets table.csv and table.parquet (axes as columns, predictor, shift, position, mean squared error, standard
    error, n) and failed.csv. The exit code is 1 if a cell failed.

    Parameters
    ----------
    config
        A YAML file, or the name of a preset, as for `iclab train`.
    over
        Axes: KEY=VALUE,VALUE,… or KEY=FIRST..LAST, as in --over n_train=10,20,40 seed=0..4
        optimizer.learning_rate=1e-3,3e-3.
    directory
        Folder of the sweep.
    set_
        Change a field in every cell, as for `iclab train`.
    evaluate
        Shifts of the prompts to evaluate on; "standard", the prompts as in training, when omitted. Repeat the option or
        separate names by commas.
    beside
        Classical predictors to evaluate on the same prompts, such as least_squares, or "bayes" for the exact one.
    prompts
        Test prompts per cell and shift.
    points
        Length of the test prompts; N + 1 of each cell when omitted.
    seed
        Seed of the test prompts.
    workers
        Processes at a time; as many as there are cores when omitted.
    dask
        A Dask cluster instead: an address, a scheduler file, or a YAML file for dask-jobqueue.
    dry_run
        Say what it will cost, and do nothing.
    plot
        Draw errors by context length into this file (SVG, PNG or PDF): one panel per value of the first axis, one line
        per combination of the others.
    allow_code
        Let code of your own that the configuration names run (docs/security.md).
    json
        Print where the results are as JSON.
    """
    import joblib

    from iclab.cli import EXIT_CHECK_FAILED
    from iclab.cli.progress import Reporter
    from iclab.cli.train import configuration_source
    from iclab.foundations import (
        InvalidInputError,
        atomic_path,
        check_integer,
        exclusive,
        require_writable,
        require_writable_file,
    )
    from iclab.studies.executors import workplace
    from iclab.studies.grid import STANDARD, Grid, Judging, claim, parse_axis
    from iclab.studies.grid import sweep as run
    from iclab.studies.lab import Lab

    axes = [parse_axis(text) for text in over]
    repeated = [key for key in dict(axes) if sum(key == other for other, _ in axes) > 1]
    if repeated:
        raise InvalidInputError(f"an axis must be given once; {repeated[0]} was given more often.")
    source, changes = configuration_source(config, set_)
    grid = Grid(source, dict(axes), changes, allow_code)
    judging = Judging(
        tuple(dict.fromkeys(listed(evaluate, "--evaluate"))) or (STANDARD,),
        tuple(dict.fromkeys(listed(beside, "--beside"))),
        check_integer(prompts, "--prompts", minimum=2),
        seed,
        None if points is None else check_integer(points, "--points", minimum=1),
    )
    if plot is not None:
        plot = require_writable_file(plot, "plot", (".svg", ".png", ".pdf"))
    cells = grid.cells  # every value is checked before anything begins
    judging.check_length(cells)
    count = joblib.cpu_count() if workers is None else check_integer(workers, "--workers", minimum=1)
    if dry_run:
        return _dry_run(cells)
    directory = require_writable(directory)
    with exclusive(directory), workplace(count, dask) as place, Reporter() as progress:
        claim(directory, grid, judging)
        result = run(grid, Lab(directory, progress, place), judging)
        for name, table in (("table", result.table), ("failed", result.failed)):
            with atomic_path(directory / f"{name}.csv") as temporary:
                table.to_csv(temporary, index=False)
        with atomic_path(directory / "table.parquet") as temporary:
            result.table.to_parquet(temporary)
    if plot is not None and len(result.table):
        _draw(result.table, list(grid.axes), plot)
    for row in result.failed.to_dict("records"):
        where = ", ".join(f"{key} = {value}" for key, value in row.items() if key != "reason")
        sys.stderr.write(f"iclab: failed: {where}: {row['reason']}\n")
    if json:
        content = {"table": str(directory / "table.csv"), "cells": len(cells), "failed": len(result.failed)}
        sys.stdout.write(jsonlib.dumps(content) + "\n")
    else:
        _print(result.table, list(grid.axes))
        say(directory / "table.csv")
    return EXIT_CHECK_FAILED if len(result.failed) else 0


def _dry_run(cells: list) -> int:  # type: ignore[type-arg]
    from iclab.studies.grid import cost
    from iclab.training.cost import duration

    costs = cost(cells)
    seconds = sum(each.seconds for _, each in costs)
    for cell, each in costs:
        where = ", ".join(f"{key} = {value}" for key, value in cell.axes.items())
        say(f"{where}: {each}")
    sys.stdout.write(f"{len(cells)} trainings, {duration(seconds)} of one core, evaluation aside\n")
    return 0


def _draw(table, axes: list[str], path: Path) -> None:  # type: ignore[no-untyped-def]
    from iclab.foundations import atomic_path
    from iclab.studies.drawing import curves, figure_style, lay_out

    models = table[table["predictor"] == "model"]
    panels, *lines = axes
    lines = [*lines, *(["shift"] if models["shift"].nunique() > 1 else [])]
    labels = {"position": "in-context examples", "mean": "squared error"}
    figure = curves(models, lines=lines, panels=panels, labels=labels)
    with figure_style(), atomic_path(path) as temporary:
        lay_out(figure)
        figure.savefig(temporary, format=path.suffix.removeprefix("."))


def _print(table, axes: list[str]) -> None:  # type: ignore[no-untyped-def]
    """The error at the last position of every cell, predictor and shift."""
    from rich.console import Console
    from rich.table import Table

    from iclab.foundations import plus_minus

    shown = Table(box=None)
    columns = [*axes, "predictor", "shift", "position"]
    for column in (*columns, "squared error"):
        shown.add_column(column)
    last = (
        table.groupby(columns[:-1], sort=False)["position"].transform("max") == table["position"] if len(table) else []
    )
    for row in table[last].to_dict("records") if len(table) else []:
        shown.add_row(*(str(row[column]) for column in columns), plus_minus(row["mean"], row["stderr"]))
    Console(width=None if sys.stdout.isatty() else 200).print(shown)
