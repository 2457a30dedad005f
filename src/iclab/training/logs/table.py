"""A training's metrics as two CSV files, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iclab.foundations import write_text
from iclab.training.logs.protocol import Log, scalars
from iclab.training.run import Run


class TableLog(Log):
    """Writes ``losses.csv``, a row per line of losses, and ``errors.csv``, a row per step and position held out.

    Both lie in the run's folder. A resumed run leaves no row twice.
    """

    def begin(self, run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write what is known so far."""
        self._losses, self._errors = _Table(run.directory / "losses.csv"), _Table(run.directory / "errors.csv")
        self._losses.begin(_losses_row(line) for line in lines if "loss" in line)
        self._errors.begin(row for line in lines if "error" in line for row in _error_rows(line))

    def line(self, line: Mapping[str, Any]) -> None:
        """Append its rows."""
        if "loss" in line:
            self._losses.add([_losses_row(line)])
        if "error" in line:
            self._errors.add(_error_rows(line))


class _Table:
    """A CSV file whose columns are those of its first row."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] = []

    def begin(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Start anew with these rows."""
        write_text(self._path, self._text(list(rows)))

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows."""
        text = self._text(rows)
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)

    def _text(self, rows: Sequence[Mapping[str, Any]]) -> str:
        if not rows:
            return ""
        content = io.StringIO(newline="")
        writer = csv.DictWriter(content, self._columns or list(rows[0]), extrasaction="ignore", lineterminator="\n")
        if not self._columns:
            self._columns = list(rows[0])
            writer.writeheader()
        writer.writerows(rows)
        return content.getvalue()


def _losses_row(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"step": line["step"], **scalars(line)}


def _error_rows(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    curves = {name: values for name, values in line.items() if isinstance(values, list)}
    return [
        {"step": line["step"], "position": i, **{name: values[i] for name, values in curves.items()}}
        for i in range(len(line["error"]))
    ]
