"""What ``iclab evaluate`` prints: the errors at a few lengths, and which predictor the target behaves like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from iclab.cli.output import as_text
from iclab.evaluation import SCORES
from iclab.foundations import plus_minus
from iclab.foundations.errors import printable

if TYPE_CHECKING:
    import pandas as pd

# A standard error below so much of its mean is one of rounding: the mean is a constant.
_ROUNDING = 1e-12


def written_out(facts: dict[str, Any], table: pd.DataFrame, verdicts: pd.DataFrame | None) -> str:
    """The tables as text.

    Parameters
    ----------
    facts : dict
        Target, problem, dimension, prompts, seed, and the files to be written.
    table : pandas.DataFrame
        As ``evaluation.Suite.run`` returns it.
    verdicts : pandas.DataFrame, optional
        As ``evaluation.nearest_algorithm`` gives them.
    """
    scale = table["normaliser"].iloc[0]
    what = SCORES[table["score"].iloc[0]].title + ("" if scale == 1 else f" / {scale:g}")
    parts = [
        f"{what} ± standard error, {facts['prompts']} prompts, seed {facts['seed']}\n",
        as_text(_errors(table, _shown_positions(facts, table))),
    ]
    if verdicts is not None:
        classes = table["score"].iloc[0] != "squared_error"
        unit = "1 − 1/k, that of certainty from the uniform law" if classes else "mean squared targets"
        title = f"behaves like (distance in {unit}; share of bootstraps):"
        parts += [f"\n{printable(facts['target'])} {title}\n", as_text(_nearest(verdicts))]
    parts += [f"wrote {printable(path)}\n" for path in facts.get("files", [])]
    return "".join(parts)


def as_json(facts: dict[str, Any], table: pd.DataFrame, verdicts: pd.DataFrame | None) -> str:
    """Every row as one JSON object, in ASCII; a number that is unknown or infinite is null."""

    def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
        return frame.astype(object).where(frame.notna() & ~frame.isin([np.inf]), None).to_dict("records")  # type: ignore[return-value]

    content = {**facts, "errors": records(table)}
    if verdicts is not None:
        content["nearest"] = records(verdicts)
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _shown_positions(facts: dict[str, Any], table: pd.DataFrame) -> list[int]:
    """Numbers of examples that are printed, beside the last one of each shift."""
    if facts["problem"] is None:
        d = facts["dimension"]
        return [d // 2, d, 2 * d]
    last = int(table["position"].max())
    return [0, *(step * 10**power for power in range(len(str(last))) for step in (1, 2, 5))]


def _errors(table: pd.DataFrame, positions: list[int]) -> Table:
    """Rows at some positions and the last one of each shift, errors divided by the normaliser."""
    last = table.groupby("distribution")["position"].transform("max")
    rows = table[table["position"].isin(positions) | (table["position"] == last)]
    names = list(dict.fromkeys(table["predictor"]))
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    shown.add_column("shift")
    for column in ("examples", *names):
        shown.add_column(printable(column), justify="right", no_wrap=True)
    for (shift, position), group in rows.groupby(["distribution", "position"], sort=False):
        at = group.set_index("predictor")
        mean, bar = at["mean"] / at["normaliser"], at["stderr"] / at["normaliser"]
        bar = bar.where(bar > _ROUNDING * mean.abs(), 0.0)
        shown.add_row(printable(str(shift)), str(position), *(plus_minus(mean[name], bar[name]) for name in names))
    return shown


def _nearest(verdicts: pd.DataFrame) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("shift", "examples", "nearest", "closest", "distance", "share", "as near"):
        shown.add_column(column, justify="right" if column in ("examples", "distance", "share") else "left")
    for row in verdicts.to_dict("records"):
        distance = plus_minus(row["distance"], row["stderr"])
        named = (printable(str(row[key])) for key in ("nearest", "closest"))
        ties = printable(str(row["ties"] or ""))
        shown.add_row(
            printable(row["distribution"]), str(row["position"]), *named, distance, f"{row['frequency']:.0%}", ties
        )
    return shown
