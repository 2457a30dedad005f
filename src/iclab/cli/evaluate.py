"""``iclab evaluate``: any predictor beside the classical ones, at every context length, under every shift."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclab.cli.arguments import Whole, workers
from iclab.cli.evaluation_inputs import Field, Question, field_of

if TYPE_CHECKING:
    import pandas as pd

    from iclab.evaluation import Suite


def evaluate(
    target: str,
    *,
    suite: str | None = None,
    problem: str | None = None,
    score: str | None = None,
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
    standard errors; ± is one standard error. A model of vectors, classes or tokens is evaluated on the problem that it
    was trained on, by that problem's score, beside its references and its floor: bayes where the posterior is known,
    true_law for the law that the prompt was drawn from.

    Parameters
    ----------
    target
        A run or a saved model (a folder), a model that ships with the package (by name), a predictor's name
        (least_squares, ridge, lsa, …), or module:object of your own Python: anything that maps prompts to predictions.
    suite
        garg (fifteen evaluations), paper (§4.2 and Figure 1), all, or names of shifts separated by commas. garg when
        omitted; standard, which shifts nothing, with a problem.
    problem
        The law of the prompts as in a configuration, '{kind: markov_chains, n_symbols: 3}' or a YAML file of it, or
        own: the one that the target was trained on. Linear functions of standard normal inputs when omitted; own for
        models of vectors, classes or tokens.
    score
        squared_error, or of classes cross_entropy, kl_divergence, accuracy, target_accuracy; the first of these that
        fits the labels when omitted.
    against
        What to compare with, separated by commas, each given like the target: predictors, folders of other models,
        module:object; "none" for none. The fast predictors when omitted, with a problem its references and floors. A
        folder has the name of its last part, or its whole path where that name is taken.
    dimension
        d of the prompts: the model's when omitted, else 20.
    n_train
        N of trained layers such as lsa: with a problem that of the target, else 2d when omitted.
    points
        Positions, for 0 … points − 1 examples: 2d + 1 when omitted, with a problem n_train + 1, or as many as the model
        has.
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
    from iclab.foundations import check_integer, check_real, require_writable_file

    check_integer(prompts, "prompts", minimum=2)
    jobs = workers(jobs)
    check_integer(seed, "seed", minimum=0)
    check_real(beyond, "beyond", above=0.0)
    if output is not None:
        require_writable_file(output, "table", (".parquet", ".csv"))
    if figure is not None:
        require_writable_file(figure, "figure", (".png", ".svg", ".pdf"))
    asked = Question(target, suite, problem, against, dimension, n_train, points, allow_code)
    field = field_of(asked)
    if nearest and len(field.predictors) == 1:
        from iclab.foundations import InvalidInputError

        raise InvalidInputError("--nearest must have predictors to compare with; name some with --against.")
    table, verdicts = _judged(field, prompts, seed, score, jobs, beyond if nearest else None)
    facts = {
        "suite": field.suite.name,
        "problem": field.problem,
        "target": field.target,
        "dimension": field.suite.base.dimension,
        "score": str(table["score"].iloc[0]),
        "prompts": prompts,
        "seed": seed,
    }
    _finish(facts, table, verdicts, output=output, figure=figure, json=json)
    return 0


def _judged(
    field: Field, prompts: int, seed: int, score: str | None, jobs: int, beyond: float | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The scores and, if asked for by a distance, whom the target behaves like."""
    from iclab.evaluation import nearest_algorithm

    seconds = field.suite.estimated_seconds(list(field.predictors), field.points, prompts)
    if seconds > 20:
        _say(f"predictors fitted at every prefix take about {seconds / 60:.0f} min on one core")
    table = field.suite.run(
        field.predictors, field.points, n_prompts=prompts, seed=seed, score=score, n_jobs=jobs, progress=_progress
    )
    if beyond is None:
        return table, None
    others = {name: each for name, each in field.predictors.items() if name != field.target}
    found = nearest_algorithm(
        field.predictors[field.target],
        others,
        _distributions(field.suite, field.points),
        field.points,
        n_prompts=prompts,
        seed=seed,
        beyond=beyond,
        progress=_progress,
    )
    return table, found.verdicts


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
        from iclab.studies.drawing import figure_style, lay_out

        with figure_style(), atomic_path(figure) as temporary:
            drawn = draw_error_curves(table, [facts["target"]])
            lay_out(drawn)
            drawn.savefig(temporary, format=figure.suffix[1:])


def _distributions(members: Suite, n_points: int) -> dict[str, Any]:
    """The laws of a suite that reach so many positions."""
    from iclab.prompts import shift

    reach = {name: shift(name).max_points(members.base.dimension) or n_points for name in members.shifts}
    return {name: shift(name).apply(members.base) for name, most in reach.items() if most >= n_points}


def _progress(label: str, done: int, total: int) -> None:
    if done == total:
        _say(f"{label}: {total} prompts")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
