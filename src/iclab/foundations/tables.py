"""Tables of numbers from files, and tables to files: one reader with one rule.

Every cell that is used must be a finite number, every row as long as the first, every column named once or none. What
breaks the rule is named with its line and column; nothing is shifted, filled in or converted. A column that holds words
only is no column of numbers, and left out unless it was asked for; the result says which ones.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Float64

from iclab.foundations.documents import read_text
from iclab.foundations.errors import InvalidInputError
from iclab.foundations.files import atomic_path, user_path
from iclab.foundations.validation import check_choice

if TYPE_CHECKING:
    import pandas as pd

# Bytes of a file, and of the arrays that a compressed one may grow to.
_BYTES = 1 << 28
_NUMBER = re.compile(r"[ \t]*[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?[ \t\n]*")
# How numbers that are none are written.
# As pandas and Arrow call what had no name.
_UNNAMED = re.compile(r"(?:Unnamed: \d+(?:_level_\d+)?|__index_level_\d+__)?")
_MISSING = {"nan", "na", "n/a", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity", "-", "?", "nat"}
SUFFIXES = (".csv", ".npy", ".parquet")


@dataclass(frozen=True, eq=False)
class NumberTable:
    """Numbers in rows and columns.

    Attributes
    ----------
    values : ndarray, shape (rows, columns)
        Finite.
    names : list of str, optional
        Of the columns, where the file names them.
    left_out : tuple of str
        Columns that hold words only.
    """

    values: Float64[np.ndarray, "rows columns"]
    names: list[str] | None
    left_out: tuple[str, ...] = ()


def read_numbers(path: Path, *, header: bool, columns: list[str] | None = None) -> NumberTable:
    """Read the numbers of a CSV, NPY or Parquet file.

    Parameters
    ----------
    path : Path
        Its suffix says what it is. CSV is UTF-8 with commas.
    header : bool
        Whether the first row of a CSV file names the columns.
    columns : list of str, optional
        Which columns to read, and in which order; all when omitted. Others may hold anything.

    Raises
    ------
    InvalidInputError
        If the file is missing, of another kind, or breaks the rule of this module.
    """
    path = user_path(path)
    suffix = check_choice(path.suffix.lower(), f"the suffix of {path}", SUFFIXES)
    if not path.exists():
        raise InvalidInputError(f"{path} must exist; no such file was found.")
    if not path.is_file() or path.stat().st_size > _BYTES:
        raise InvalidInputError(f"{path} must be a regular file of at most {_BYTES >> 20} MiB; it is not.")
    if suffix == ".csv":
        return _read_csv(path, header=header, columns=columns)
    if suffix == ".parquet":
        return _read_parquet(path, columns)
    if columns is not None:
        raise InvalidInputError(f"columns can be chosen by name from CSV and Parquet; {path} names none.")
    return NumberTable(_array(_load(path), str(path)), None)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of real numbers in an NPZ file, by name.

    Raises
    ------
    InvalidInputError
        If it is missing, no NPZ file, holds anything but real numbers, or would grow beyond 256 MiB.
    """
    path = user_path(path)
    if not path.is_file():
        raise InvalidInputError(f"{path} must exist as a regular file; no such file was found.")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _BYTES:
                raise InvalidInputError(f"{path} must hold at most {_BYTES >> 20} MiB of arrays; it holds more.")
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except InvalidInputError:
        raise
    except Exception as error:  # the headers are parsed as Python
        raise InvalidInputError(f"{path} must be an NPZ file of numeric arrays.") from error
    for name, array in held.items():
        _check_kind(array.dtype, f"{name} in {path}")
    return held


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by the suffix, atomically.

    In CSV a word that a spreadsheet would take for a formula gets an apostrophe in front, and control characters are
    replaced.
    """
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            temporary.write_text(as_csv(table), encoding="utf-8")
        else:
            table.to_parquet(temporary)


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV that no spreadsheet executes."""
    words = table.select_dtypes(exclude="number").columns
    safe = table.assign(**{str(name): table[name].map(_harmless) for name in words})
    return safe.rename(columns={name: _harmless(name) for name in safe.columns}).to_csv(index=False)


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = "".join(sign if sign.isprintable() else "�" for sign in value)
    return f"'{shown}" if shown.lstrip()[:1] in ("=", "+", "-", "@") and not _NUMBER.fullmatch(shown) else shown


def _read_csv(path: Path, *, header: bool, columns: list[str] | None) -> NumberTable:
    try:
        # Lines end where files end them, and at no other sign that Unicode knows for it.
        reader = csv.reader(io.StringIO(read_text(path, most=_BYTES), newline=""), strict=True)
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise InvalidInputError(f"{path} must be a CSV file; {error}.") from error
    while lines and not any(cell.strip() for cell in lines[-1][1]):
        lines.pop()
    names = None
    if header and lines:
        names = [cell.strip() for cell in lines.pop(0)[1]]
        _check_names(names, path, columns)
    if not lines:
        raise InvalidInputError(f"{path} must hold rows of numbers; it is empty.")
    width = len(lines[0][1]) if names is None else len(names)
    for number, cells in lines:
        if len(cells) != width:
            raise InvalidInputError(
                f"every row of {path} must have {width} cells; line {number} has {len(cells)}: separate them by commas."
            )
    chosen, left_out = list(range(width)), list[int]()
    if names is not None and columns is not None:
        chosen = [names.index(each) for each in columns]
    elif names is not None:
        left_out = [each for each in chosen if all(_is_word(cells[each]) for _, cells in lines)]
        chosen = [each for each in chosen if each not in left_out]
    values = np.empty((len(lines), len(chosen)))
    for row, (number, cells) in enumerate(lines):
        for place, column in enumerate(chosen):
            values[row, place] = _number(cells[column], path, number, names[column] if names else str(column + 1))
    if not values.size:
        raise InvalidInputError(f"{path} must hold at least one column of numbers; none was found.")
    if names is None:
        return NumberTable(values, None)
    return NumberTable(values, [names[each] for each in chosen], tuple(names[each] for each in left_out))


def _is_word(cell: str) -> bool:
    """Whether a cell holds something that no one would take for a number, even a missing one."""
    shown = cell.strip()
    return bool(shown) and not _NUMBER.fullmatch(shown) and shown.lower() not in _MISSING


def _check_names(names: list[str], path: Path, columns: list[str] | None) -> None:
    if columns is not None:
        for name in columns:
            check_choice(name, f"a column of {path}", names)
            if columns.count(name) > 1 or names.count(name) > 1:
                raise InvalidInputError(f"a column must be named once; {name!r} stands there more often.")
        return
    unnamed = next((i for i, name in enumerate(names) if _UNNAMED.fullmatch(name)), None)
    if unnamed is not None:
        raise InvalidInputError(
            f"every column of {path} must have a name; column {unnamed + 1} has none, as a written index has none: "
            "name those to use with --columns."
        )
    if len(set(names)) < len(names):
        raise InvalidInputError(f"every column of {path} must have a name of its own; some are the same.")
    if names and all(_NUMBER.fullmatch(name) for name in names):
        raise InvalidInputError(f"the first line of {path} must name the columns; it holds numbers.")


def _number(cell: str, path: Path, line: int, column: str) -> float:
    if _NUMBER.fullmatch(cell):
        value = float(cell)
        # Whoever writes 1e400 or 1e-400 means neither infinity nor 0.
        if np.isfinite(value) and (value != 0 or not re.search("[1-9]", re.split("[eE]", cell)[0])):
            return value
    given = "nothing" if not cell.strip() else repr(cell[:40])
    raise InvalidInputError(
        f"{path} must hold finite numbers only; {given} stands in line {line}, column {column}: mend it, or choose "
        "other columns."
    )


def _read_parquet(path: Path, columns: list[str] | None) -> NumberTable:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} must be a Parquet file; it cannot be read as one.") from error
    names, left_out = [str(name) for name in table.columns], ()
    _check_names(names, path, columns)
    if columns is not None:
        table = table[columns]
    else:
        words = [name for name in table.columns if table[name].map(lambda cell: isinstance(cell, str)).all()]
        table, left_out = table.drop(columns=words), tuple(map(str, words))
    for name in table.columns:
        dtype: Any = table[name].dtype
        _check_kind(getattr(dtype, "numpy_dtype", dtype), f"column {name} of {path}")
        if table[name].isna().any():
            raise InvalidInputError(f"{path} must hold finite numbers only; column {name} has gaps.")
    if table.empty:
        raise InvalidInputError(f"{path} must hold at least one column of numbers; none was found.")
    values = _array(table.to_numpy(dtype=np.float64), str(path))
    return NumberTable(values, [str(name) for name in table.columns], left_out)


def _load(path: Path) -> np.ndarray:
    try:
        # Mapped: a header cannot promise more than the file holds.
        found: Any = np.load(path, allow_pickle=False, mmap_mode="r")
    except Exception as error:  # the header is parsed as Python
        raise InvalidInputError(f"{path} must be an NPY file of numbers; it cannot be read as one.") from error
    if not isinstance(found, np.ndarray):
        raise InvalidInputError(f"{path} must hold one array; it holds several.")
    return cast("np.ndarray", found)


def _array(found: np.ndarray, name: str) -> np.ndarray:
    _check_kind(found.dtype, name)
    if found.ndim not in (1, 2):
        raise InvalidInputError(f"{name} must hold rows and columns; an array of shape {found.shape} was found.")
    if not found.size:
        raise InvalidInputError(f"{name} must hold numbers; an array of shape {found.shape} was found.")
    with np.errstate(over="ignore"):  # of longer kinds of numbers
        values = np.array(found, dtype=np.float64, ndmin=2)
    if not np.isfinite(values).all():
        raise InvalidInputError(f"{name} must hold finite numbers; NaN or infinity was found.")
    return values


def _check_kind(dtype: Any, name: str) -> None:
    if getattr(dtype, "kind", "O") not in "fiu":
        raise InvalidInputError(f"{name} must hold real numbers; {dtype} was found.")
