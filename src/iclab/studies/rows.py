"""Which rows of a table count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def where(table: pd.DataFrame, /, **values: Any) -> pd.DataFrame:
    """The rows whose columns have the given values, or one of the given values.

    Parameters
    ----------
    table : DataFrame
        Any.
    **values
        Column to its value, or to a list or tuple of values.
    """
    for column, value in values.items():
        known = table[column]
        table = table[known.isin(value) if isinstance(value, list | tuple) else known == value]
    return table


def at_last(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows with the largest value of a column, such as the longest prompts."""
    return table[table[column] == table[column].max()]
