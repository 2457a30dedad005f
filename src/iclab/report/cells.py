"""Tables for the page: columns of numbers, values with their uncertainty in one cell, cells as text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import pandas as pd

from iclab.foundations import format_number, plus_minus


@dataclass(frozen=True)
class Measured:
    """A mean with its standard error."""

    value: float
    stderr: float

    def __str__(self) -> str:
        return plus_minus(self.value, self.stderr)


@dataclass(frozen=True)
class Interval:
    """Ends of an interval."""

    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.low) and math.isnan(self.high):
            return "–"
        return f"{format_cell(float(self.low))} … {format_cell(float(self.high))}"


@dataclass(frozen=True)
class Bounded:
    """A value with the ends of its interval."""

    value: float
    interval: Interval

    def __str__(self) -> str:
        if math.isnan(self.interval.low) and math.isnan(self.interval.high):
            return format_cell(self.value)
        return f"{format_cell(self.value)} ({self.interval})"


@dataclass(frozen=True)
class Table:
    """What the template needs: headings, whether a column holds numbers, rows of cells."""

    columns: list[str]
    numeric: list[bool]
    rows: list[list[Any]]


# A column of standard errors is shown in the cell of the column before it; a pair of ends in one cell.
_ERRORS = {"stderr": "± standard error", "standard error": "± standard error"}
# Whole numbers below this are written out.
_COUNTS = 1e7
_ENDS = {("low", "high"), ("lower", "upper")}


def table_of(frame: pd.DataFrame) -> Table:
    """A DataFrame as a table of the page.

    A column ``stderr`` (or ``standard error``) after a column of numbers joins it as value ± error; ``low, high`` or
    ``lower, upper`` become one column of intervals, and ``x_low, x_high`` after ``x`` join it as value (interval).
    """
    names = [str(column) for column in frame.columns]
    cells = frame.astype(object).to_numpy().T.tolist() if len(names) else []
    columns: list[str] = []
    values: list[list[Any]] = []
    for name, column in zip(names, cells, strict=True):
        if name.strip() in _ERRORS and values and _is_numeric(values[-1]):
            columns[-1] += f" {_ERRORS[name.strip()]}"
            values[-1] = [Measured(_float(v), _float(e)) for v, e in zip(values[-1], column, strict=True)]
        elif columns and (columns[-1], name) in _ENDS:
            columns[-1] = "interval"
            values[-1] = [Interval(_float(low), _float(high)) for low, high in zip(values[-1], column, strict=True)]
        elif len(columns) > 1 and (columns[-1], name) == (f"{columns[-2]}_low", f"{columns[-2]}_high"):
            columns.pop()
            ends = [Interval(_float(low), _float(high)) for low, high in zip(values.pop(), column, strict=True)]
            values[-1] = [Bounded(_float(value), end) for value, end in zip(values[-1], ends, strict=True)]
        else:
            columns.append(name)
            values.append(column)
    numeric = [_is_numeric(column) for column in values]
    return Table(columns, numeric, [list(row) for row in zip(*values, strict=True)])


def format_cell(value: Any) -> str:
    """A table cell: numbers to four significant digits, truth as yes or no, missing values as a dash; HTML as it is."""
    if hasattr(value, "__html__"):
        return value
    if isinstance(value, Measured | Interval | Bounded):
        return str(value)
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if isinstance(value, float) or hasattr(value, "dtype"):
        number = float(value)
        # Counts that a missing value elsewhere in their column made floats.
        if number.is_integer() and abs(number) < _COUNTS:
            return f"{int(number)}".replace("-", "−")
        return format_number(number)
    return "–" if value is None or value is pd.NA else str(value)


def _float(value: Any) -> float:
    return math.nan if value is None or value is pd.NA else float(value)


def _is_numeric(column: list[Any]) -> bool:
    return bool(column) and all(
        value is None
        or value is pd.NA
        or (isinstance(value, Real | Measured | Interval | Bounded) and not isinstance(value, bool))
        for value in column
    )
