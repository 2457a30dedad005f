"""The table of claims as text for a terminal and as JSON."""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from iclab.studies.claims.evidence import FAILS, HOLDS, ONLY_IF, UNDECIDED

_STYLES = {HOLDS: "green", ONLY_IF: "yellow", FAILS: "red", UNDECIDED: "magenta"}


def as_json(table: pd.DataFrame) -> str:
    """One object per claim, in a list; NaN becomes null."""
    rows = [{key: _plain(value) for key, value in row.items()} for row in table.to_dict("records")]
    return json.dumps(rows, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def as_text(table: pd.DataFrame, seed: int) -> str:
    """The table for a terminal: one row per claim, grouped by section, with a line of counts at the end.

    Colours appear only if standard output is a terminal.
    """
    live = sys.stdout.isatty()
    width = max(shutil.get_terminal_size((140, 24)).columns, 80)
    console = Console(file=io.StringIO(), width=width, force_terminal=live, highlight=False, color_system="auto")
    for section, rows in table.groupby("section", sort=False):
        console.print(_section(str(section), rows, width))
    console.print(_closing(table, seed))
    stream = console.file
    return stream.getvalue() if isinstance(stream, io.StringIO) else ""


def _section(title: str, rows: pd.DataFrame, width: int) -> Table:
    drawn = Table(title=title, title_justify="left", title_style="bold", width=width, show_lines=False, pad_edge=False)
    drawn.add_column("claim", width=28, overflow="fold")  # the longest name
    for heading, ratio in (("verdict", 4), ("what was computed", 9), ("deviation", 4), ("method", 5)):
        drawn.add_column(heading, ratio=ratio, overflow="fold")
    for row in rows.to_dict("records"):
        verdict = Text(row["verdict"].removesuffix(" …"), style=_STYLES[row["verdict"]])
        if row["condition"]:
            verdict.append(f" {row['condition']}", style="default")
        if not row["as_expected"]:
            verdict.append(f" (on record: {row['expected']})", style="bold red")
        name = Text(row["claim"], style="bold").append(f"\n{row['source']}", style="dim not bold")
        method = f"{row['method']}; {row['problems']} tried"
        # Text, not markup: formulas are full of brackets.
        drawn.add_row(name, verdict, Text(row["computed"]), Text(row["deviation_text"]), Text(method))
        drawn.add_section()
    return drawn


def _closing(table: pd.DataFrame, seed: int) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in table["verdict"].value_counts().items())
    wrong = table.loc[~table["as_expected"], "claim"].tolist()
    agreement = f"not as on record: {', '.join(wrong)}." if wrong else "every verdict is the one on record."
    return f"{len(table)} claims, seed {seed}: {counts}; {agreement}"


def _plain(value: Any) -> Any:
    """A JSON value: NaN and infinity become null, NumPy scalars become Python's."""
    item = value.item() if hasattr(value, "item") else value
    return None if isinstance(item, float) and not math.isfinite(item) else item
