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
from iclab.studies.rows import where

_STYLES = {HOLDS: "green", ONLY_IF: "yellow", FAILS: "red", UNDECIDED: "magenta"}
_LESS = ["claim", "section"]
# Column of the evidence to its heading and its width.
_COLUMNS = {
    "part": ("as", 6),
    "deviation": ("deviation", 9),
    "tolerance": ("limit", 7),
    "margin": ("margin", 9),
    "problems": ("tried", 5),
    "obtained": ("obtained by", 12),
}
# Columns of a terminal from which on all of them are shown.
_WIDE = 120


def as_json(tables: Mapping[str, pd.DataFrame]) -> str:
    """One object per claim, in a list, with lists of its evidence and its numbers; NaN becomes null."""
    rows = _plain(tables["claims"])
    for row in rows:
        for key in ("evidence", "numbers"):
            table = tables[key]
            own = where(table, claim=row["claim"]) if len(table) else table
            row[key] = _plain(own.drop(columns=_LESS) if len(own) else own)
    return json.dumps(rows, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def as_text(tables: Mapping[str, pd.DataFrame], seed: int) -> str:
    """The claims for a terminal: a row per comparison, grouped by claim and section, and a line of counts at the end.

    Colours appear only if standard output is a terminal.
    """
    live = sys.stdout.isatty()
    width = max(shutil.get_terminal_size((140, 24)).columns, 80)
    console = Console(file=io.StringIO(), width=width, force_terminal=live, highlight=False, color_system="auto")
    for section, rows in tables["claims"].groupby("section", sort=False):
        console.print(_section(str(section), rows, tables["evidence"], width))
    console.print(_closing(tables["claims"], seed))
    stream = console.file
    return stream.getvalue() if isinstance(stream, io.StringIO) else ""


def _section(title: str, rows: pd.DataFrame, evidence: pd.DataFrame, width: int) -> Table:
    drawn = Table(title=title, title_justify="left", title_style="bold", width=width, show_lines=False, pad_edge=False)
    drawn.add_column("claim", width=28 if width >= _WIDE else 22, overflow="fold")  # the longest name
    drawn.add_column("verdict", ratio=4, overflow="fold")
    drawn.add_column("what is compared", ratio=6, overflow="fold")
    # A narrow terminal leaves out the columns that do not judge.
    shown = _COLUMNS if width >= _WIDE else {key: _COLUMNS[key] for key in ("deviation", "tolerance")}
    for heading, size in shown.values():
        drawn.add_column(heading, width=size, overflow="fold")
    for row in rows.to_dict("records"):
        verdict = Text(row["verdict"].removesuffix(" …"), style=_STYLES[row["verdict"]])
        if row["condition"]:
            verdict.append(f" {row['condition']}", style="default")
        if not row["as_expected"]:
            verdict.append(f" (on record: {row['expected']})", style="bold red")
        name = Text(row["claim"], style="bold").append(f"\n{row['source']}", style="dim not bold")
        for piece in where(evidence, claim=row["claim"]).to_dict("records"):
            # Text, not markup: formulas are full of brackets.
            drawn.add_row(name, verdict, Text(piece["compared"]), *(_cell(piece[key]) for key in shown))
            name, verdict = Text(""), Text("")
        drawn.add_section()
    return drawn


def _closing(table: pd.DataFrame, seed: int) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in table["verdict"].value_counts().items())
    wrong = table.loc[~table["as_expected"], "claim"].tolist()
    agreement = f"not as on record: {', '.join(wrong)}." if wrong else "every verdict is the one on record."
    return f"{len(table)} claims, seed {seed}: {counts}; {agreement}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else format_number(value)
    return str(value)


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of JSON values: NaN and infinity become null, NumPy scalars become Python's."""
    return [{str(key): _value(value) for key, value in row.items()} for row in table.to_dict("records")]


def _value(value: Any) -> Any:
    item = value.item() if hasattr(value, "item") else value
    return None if isinstance(item, float) and not math.isfinite(item) else item
