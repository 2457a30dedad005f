"""``iclab evaluate``: any predictor beside the classical ones, at every context length, under every shift."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclab.cli.arguments import Whole, workers

if TYPE_CHECKING:
    import pandas as pd

    from iclab.evaluation import Suite
    from iclab.predictors import Predictor
    from iclab.predictors.limits import Limits


def evaluate(
    target: str,
    *,
    suite: str = "garg",
    against: str | None = None,
    dimension: Whole | None = None,
    n_train: Whole | None = None,
    points: Whole | None = None,
    prompts: Whole = 1280,
    seed: Whole = 0,
    jobs: Whole = 1,
    nearest: bool = False,
    beyond: float = 0.1,
    output: Path | None = None,
    figure: Path | None = None,
    json: bool = False,
    allow_code: bool = False,
) -> int:
    """Compare a predictor with the classical ones at every context length, under every shift of a suite.

    Prints the error at d/2, d, 2d and the last position, divided by the normaliser (d for linear functions), with
    standard errors; ± is one standard error.

    Parameters
    ----------
    target
        A run or a saved model (a folder), a model that ships with the package (by name), a predictor's name
        (least_squares, ridge, lsa, …), or module:object of your own Python: anything that maps prompts to predictions.
    suite
        garg (fifteen evaluations), paper (§4.2 and Figure 1), all, or names of shifts separated by commas.
    against
        What to compare with, separated by commas, each given like the target: predictors, folders of other models,
        module:object; "none" for none. The fast predictors when omitted. A folder has the name of its last part, or
        its whole path where that name is taken.
    dimension
        d of the prompts: the model's when omitted, else 20.
    n_train
        N of trained layers such as lsa: 2d when omitted.
    points
        Positions, for 0 … points − 1 examples: 2d + 1 when omitted, or as many as the model has.
    prompts
        Prompts per shift.
    seed
        Seed of the prompts.
    jobs
        Processes, -1 for as many as there are cores; results do not depend on it.
    nearest
        Also say which of the compared predictors the target behaves like.
    beyond
        Distance (in mean squared targets) above which no predictor is called nearest.
    output
        Parquet or CSV file for the whole table.
    figure
        PNG, SVG or PDF file for the curves, with bands of two standard errors.
    json
        Print one JSON object instead of text.
    allow_code
        Run the code that a folder names (a module of your own, kind: own). What you name as module:object runs without.
    """
    from iclab.evaluation import nearest_algorithm
    from iclab.foundations import (
        InvalidInputError,
        check_integer,
        check_real,
        require_writable_file,
    )
    from iclab.predictors import FAST
    from iclab.predictors.limits import limits_of

    check_integer(prompts, "prompts", minimum=2)
    jobs = workers(jobs)
    check_integer(seed, "seed", minimum=0)
    check_real(beyond, "beyond", above=0.0)
    if output is not None:
        require_writable_file(output, "table", (".parquet", ".csv"))
    if figure is not None:
        require_writable_file(figure, "figure", (".png", ".svg", ".pdf"))
    given = list(FAST) if against is None else [] if against == "none" else _parts(against, "--against")
    targets = list(dict.fromkeys([*(each for each in given if each != target), target]))
    if nearest and len(targets) == 1:
        raise InvalidInputError("--nearest must have predictors to compare with; name some with --against.")
    found = _load(targets, allow_code=allow_code)
    stated = [limits_of(each) for each in found.values()]
    d = _dimension(dimension, dict(zip(found, stated, strict=True)))
    length = check_integer(n_train if n_train is not None else 2 * d, "n_train", minimum=1)
    most = min((each.max_points for each in stated if each.max_points is not None), default=2 * d + 1)
    n_points = check_integer(points if points is not None else min(2 * d + 1, most), "points", minimum=1)
    chosen = {name: _made(each, d, length) for name, each in found.items()}
    name = list(chosen)[-1]
    members = _suite(suite, d)
    seconds = members.estimated_seconds(list(chosen), n_points, prompts)
    if seconds > 20:
        _say(f"predictors fitted at every prefix take about {seconds / 60:.0f} min on one core")
    table = members.run(chosen, n_points, n_prompts=prompts, seed=seed, n_jobs=jobs, progress=_progress)
    facts: dict[str, Any] = {"suite": members.name, "target": name, "dimension": d, "prompts": prompts, "seed": seed}
    verdicts = None
    if nearest:
        others = {key: value for key, value in chosen.items() if key != name}
        verdicts = nearest_algorithm(
            chosen[name],
            others,
            _distributions(members, n_points),
            n_points,
            n_prompts=prompts,
            seed=seed,
            beyond=beyond,
            progress=_progress,
        ).verdicts
    _finish(facts, table, verdicts, output=output, figure=figure, json=json)
    return 0


def _finish(
    facts: dict[str, Any],
    table: pd.DataFrame,
    verdicts: pd.DataFrame | None,
    *,
    output: Path | None,
    figure: Path | None,
    json: bool,
) -> None:
    """Write the table, print it, and only then draw: nothing that drawing needs can cost the numbers."""
    from iclab.cli.error_tables import as_json, written_out
    from iclab.foundations import atomic_path
    from iclab.foundations.tables import write_table

    files = [str(path) for path in (output, figure) if path is not None]
    if files:
        facts["files"] = files
    if output is not None:
        write_table(table, output)
    sys.stdout.write((as_json if json else written_out)(facts, table, verdicts))
    sys.stdout.flush()
    if figure is not None:
        from iclab.report.error_curves import draw_error_curves
        from iclab.studies.drawing import house_style

        with house_style(), atomic_path(figure) as temporary:
            draw_error_curves(table, [facts["target"]]).savefig(temporary, format=figure.suffix[1:])


def _parts(text: str, option: str) -> list[str]:
    from iclab.cli.arguments import listed

    return listed([text], option)


def _load(targets: Sequence[str], *, allow_code: bool) -> dict[str, str | Predictor]:
    """What the targets name, by the columns that they get; module:object was asked for, what a folder names was not."""
    from iclab.cli.progress import plain_warnings
    from iclab.foundations import user_path
    from iclab.predictors import REGISTRY
    from iclab.targets import column_names, resolve

    with plain_warnings():
        found = [
            resolve(each, REGISTRY, what="target", device="auto", allow_code=allow_code or not user_path(each).exists())
            for each in targets
        ]
    return dict(zip(column_names(targets, REGISTRY), found, strict=True))


def _made(found: str | Predictor, dimension: int, n_train: int) -> Predictor:
    from iclab.predictors import predictor

    return predictor(found, dimension, n_train) if isinstance(found, str) else found


def _dimension(given: int | None, stated: dict[str, Limits]) -> int:
    """Dimension of the prompts: as given, or the one that all that have one share."""
    from iclab.foundations import InvalidInputError, check_integer

    if given is not None:
        return check_integer(given, "dimension", minimum=1)
    own = {name: each.dimension for name, each in stated.items() if each.dimension is not None}
    if len(set(own.values())) > 1:
        raise InvalidInputError(
            "what is compared must take prompts of one dimension; "
            f"{', '.join(f'{name} takes {d}' for name, d in own.items())}: leave out the others."
        )
    return next(iter(own.values()), 20)


def _distributions(members: Suite, n_points: int) -> dict[str, Any]:
    """The laws of a suite that reach so many positions."""
    from iclab.prompts import shift

    reach = {name: shift(name).max_points(members.base.dimension) or n_points for name in members.shifts}
    return {name: shift(name).apply(members.base) for name, most in reach.items() if most >= n_points}


def _suite(name: str, dimension: int) -> Suite:
    from iclab.evaluation import SUITES, Suite
    from iclab.foundations import InvalidInputError
    from iclab.prompts import SHIFTS, Gaussian, Linear, PromptDistribution, shift

    if name in SUITES:
        return Suite.named(name, dimension)
    members = tuple(part.strip() for part in name.split(","))
    try:
        for member in members:
            shift(member)
    except InvalidInputError as error:
        if len(members) > 1 or "=" in name or "+" in name:
            raise
        from iclab.foundations import check_choice

        check_choice(name, "suite", (*SUITES, *SHIFTS))
        raise error
    return Suite("shifts", PromptDistribution(Gaussian.isotropic(dimension), Linear()), members)


def _progress(label: str, done: int, total: int) -> None:
    if done == total:
        _say(f"{label}: {total} prompts")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
