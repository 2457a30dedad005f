"""The tables of claims as text for a terminal and as JSON."""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from iclab.foundations import format_number
from iclab.studies.claims.evidence import FAILS, HOLDS, ONLY_IF, UNDECIDED

_STYLES = {HOLDS: "green", ONLY_IF: "yellow", FAILS: "red", UNDECIDED: "magenta"}
_LESS = ["claim", "section"]


def as_json(tables: Mapping[str, pd.DataFrame]) -> str:
    """One object per claim, in a list, with lists of its evidence and its numbers; NaN becomes null."""
    rows = _plain(tables["claims"])
    for row in rows:
        for key in ("evidence", "numbers"):
            table = tables[key]
            own = table[table["claim"] == row["claim"]] if len(table) else table
            row[key] = _plain(own.drop(columns=_LESS) if len(own) else own)
    return json.dumps(rows, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def as_text(tables: Mapping[str, pd.DataFrame], seed: int) -> str:
    """The claims for a terminal: one row each, grouped by section, with a line of counts at the end.

    Colours appear only if standard output is a terminal.
    """
    table = tables["claims"]
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
    for heading, ratio in (("verdict", 4), ("how it is checked", 9)):
        drawn.add_column(heading, ratio=ratio, overflow="fold")
    for heading in ("deviation", "limit", "margin", "tried"):
        drawn.add_column(heading, width=9, justify="right", overflow="fold")
    drawn.add_column("obtained by", ratio=3, overflow="fold")
    for row in rows.to_dict("records"):
        verdict = Text(row["verdict"].removesuffix(" …"), style=_STYLES[row["verdict"]])
        if row["condition"]:
            verdict.append(f" {row['condition']}", style="default")
        if not row["as_expected"]:
            verdict.append(f" (on record: {row['expected']})", style="bold red")
        name = Text(row["claim"], style="bold").append(f"\n{row['source']}", style="dim not bold")
        numbers = [_number(row[key]) for key in ("deviation", "tolerance", "margin")]
        # Text, not markup: formulas are full of brackets.
        drawn.add_row(name, verdict, Text(row["computed"]), *numbers, str(row["problems"]), Text(row["method"]))
        drawn.add_section()
    return drawn


def _closing(table: pd.DataFrame, seed: int) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in table["verdict"].value_counts().items())
    wrong = table.loc[~table["as_expected"], "claim"].tolist()
    agreement = f"not as on record: {', '.join(wrong)}." if wrong else "every verdict is the one on record."
    return f"{len(table)} claims, seed {seed}: {counts}; {agreement}"


def _number(value: float) -> str:
    return "" if math.isnan(value) else format_number(value)


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of JSON values: NaN and infinity become null, NumPy scalars become Python's."""
    return [{str(key): _value(value) for key, value in row.items()} for row in table.to_dict("records")]


def _value(value: Any) -> Any:
    item = value.item() if hasattr(value, "item") else value
    return None if isinstance(item, float) and not math.isfinite(item) else item
