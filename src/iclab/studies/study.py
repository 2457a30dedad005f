"""The terms of a study.

A *study* is a folder. It *measures* tidy tables, asks *questions* of them, draws figures, and has a page written by
hand. An *answer* is a verdict with the counts and numbers behind it; text is no part of it. A *record* is what a
finished study leaves behind: settings, tables and answers, from which its page is made without measuring again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from iclab.foundations import (
    InvalidInputError,
    atomic_path,
    check_choice,
    check_integer,
    check_real,
    mean_interval,
    read_json,
    write_json,
)
from iclab.studies.rows import at_last
from iclab.studies.rows import where as rows_where

if TYPE_CHECKING:
    import pandas as pd

# Raised when the form of a record changes, so that older ones are not misread.
SCHEMA = 1
Tables: TypeAlias = "Mapping[str, pd.DataFrame]"


class Verdict(StrEnum):
    """What an answer says, in the order in which a page lists them."""

    CONFIRMED = "confirmed"
    IN_PART = "in part"
    REFUTED = "refuted"
    MEASURED = "measured"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Number:
    """A number of an answer, with what is known of its error.

    Attributes
    ----------
    value : float
        The number; NaN if there is none.
    low, high : float
        Ends of its interval, NaN without one.
    stderr : float
        Its standard error, NaN without one.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    stderr: float = math.nan


@dataclass(frozen=True)
class Answer:
    """What the tables say to a question.

    Attributes
    ----------
    verdict : Verdict
        What follows from the numbers.
    met, missed, undecided : int
        Cases that meet the criterion, miss it, and whose interval contains the line.
    numbers : mapping
        Name to number, as floats or with their uncertainty.
    """

    verdict: Verdict
    met: int = 0
    missed: int = 0
    undecided: int = 0
    numbers: Mapping[str, float | Number] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Counts and numbers are often sums of columns, of NumPy's own types.
        object.__setattr__(self, "verdict", Verdict(check_choice(str(self.verdict), "verdict", list(Verdict))))
        for name in ("met", "missed", "undecided"):
            object.__setattr__(self, name, check_integer(getattr(self, name), name, minimum=0))
        for name, value in self.numbers.items():
            try:
                as_number(value)
            except (TypeError, ValueError) as error:
                raise InvalidInputError(f"the number {name} of an answer must be a number; it is {value!r}.") from error

    @property
    def total(self) -> int:
        """All cases."""
        return self.met + self.missed + self.undecided

    def as_dict(self) -> dict[str, Any]:
        """The answer for a JSON file; numbers that are none, or not finite, are null."""
        numbers = {
            key: {name: _finite(part) for name, part in asdict(as_number(value)).items()}
            for key, value in self.numbers.items()
        }
        counts = {"met": self.met, "missed": self.missed, "undecided": self.undecided}
        return {"verdict": str(self.verdict), **counts, "numbers": numbers}


@dataclass(frozen=True)
class Question:
    """One assertion about the tables of a study.

    Attributes
    ----------
    name : str
        Identifier within the study.
    asked : str
        The assertion, as one sentence.
    criterion : str
        When numbers meet it, in words that name the thresholds.
    ask : callable
        From tables to the answer.
    source : str
        Who asserts it, and where; empty if nobody does.
    lead : bool
        Whether the first page of a report shows it.
    thresholds : mapping
        Name to number: what the criterion compares with, shown beside it.
    """

    name: str
    asked: str
    criterion: str
    ask: Callable[[Tables], Answer]
    source: str = ""
    lead: bool = False
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.thresholds.items():
            check_real(value, f"threshold {name} of the question {self.name}")
        for name in ("name", "asked", "criterion"):
            if not isinstance(getattr(self, name), str):
                raise InvalidInputError(f"{name} of a question must be text; it is {getattr(self, name)!r}.")
        if not callable(self.ask):
            raise InvalidInputError(f"ask of the question {self.name} must be a function; it is {self.ask!r}.")


@dataclass(frozen=True)
class Record:
    """What a finished study leaves behind.

    Attributes
    ----------
    name, title : str
        Of the study.
    settings : mapping
        What it was run with, as JSON has it.
    tables : mapping
        Tidy tables: figures, answers and pages are made from these alone.
    answers : mapping
        Question's name to answer.
    code : str
        Digest of the code that measured.
    """

    name: str
    title: str
    settings: Mapping[str, Any]
    tables: Tables
    answers: Mapping[str, Answer]
    code: str = ""

    def save(self, folder: Path) -> None:
        """Write ``record.json`` and every table as Parquet and CSV; tables of an earlier record go."""
        folder = Path(folder)
        earlier: list[str] = []
        with suppress(InvalidInputError, KeyError, TypeError):
            earlier = list(read_json(folder / "record.json")["tables"])
        for key, table in self.tables.items():
            with atomic_path(folder / f"{key}.parquet") as temporary:
                table.to_parquet(temporary)
            with atomic_path(folder / f"{key}.csv") as temporary:
                table.to_csv(temporary, index=False)
        # Last: a folder with a record is complete.
        write_json(
            folder / "record.json",
            {
                "schema": SCHEMA,
                "code": self.code,
                "name": self.name,
                "title": self.title,
                "settings": plain(self.settings),
                "tables": list(self.tables),
                "answers": {name: answer.as_dict() for name, answer in self.answers.items()},
            },
        )
        for key in set(earlier) - set(self.tables):
            for ending in ("parquet", "csv"):
                (folder / f"{key}.{ending}").unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path, code: str, questions: tuple[Question, ...]) -> Self | None:
        """Read what ``save`` wrote, and ask its tables the questions of today.

        Returns
        -------
        Record or None
            None if there is no whole record, or other code than ``code`` measured it.
        """
        import pandas as pd
        import pyarrow as pa

        try:
            content = read_json(Path(folder) / "record.json")
            if not isinstance(content, dict) or (content.get("schema"), content.get("code")) != (SCHEMA, code):
                return None
            tables = {key: pd.read_parquet(Path(folder) / f"{key}.parquet") for key in content["tables"]}
            settings, name, title = content["settings"], content["name"], content["title"]
        except (InvalidInputError, KeyError, TypeError, OSError, pa.ArrowException):
            return None
        return cls(name, title, settings, tables, ask(questions, tables), code)


def ask(questions: tuple[Question, ...], tables: Tables) -> dict[str, Answer]:
    """The answer to every question.

    Raises
    ------
    InvalidInputError
        If a question asks for a table or a column that the study has not measured.
    """
    answers: dict[str, Answer] = {}
    for question in questions:
        try:
            answer = question.ask(tables)
        except KeyError as error:
            raise InvalidInputError(
                f"the question {question.name} must ask for tables and columns that were measured; there is no "
                f"{error.args[0] if error.args else error!r}: the tables are {columns_of(tables)}."
            ) from error
        if not isinstance(answer, Answer):
            raise InvalidInputError(
                f"the question {question.name} must return an Answer; it returned {type(answer).__name__}."
            )
        answers[question.name] = answer
    return answers


def columns_of(tables: Tables) -> str:
    """Tables with their columns, for a sentence."""
    return "; ".join(f"{name} ({', '.join(map(str, table.columns))})" for name, table in tables.items())


def get_table(tables: Tables, name: str, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table by name, with those columns.

    Raises
    ------
    InvalidInputError
        If there is no such table or column.
    """
    check_choice(name, "table", tables)
    table = tables[name]
    for column in columns:
        check_choice(column, f"column of {name}", [str(known) for known in table.columns])
    return table[list(columns)] if columns else table


def as_number(value: float | Number) -> Number:
    """A number with its uncertainty, unknown for a plain one."""
    return value if isinstance(value, Number) else Number(float(value))


def number_in(row: Mapping[Any, Any], name: str) -> Number:
    """A statistic x of a row with its interval, from ``x``, ``x_low`` and ``x_high``."""
    return Number(*(float(row[f"{name}{end}"]) for end in ("", "_low", "_high")))


def mean_over(values: pd.Series) -> Number:
    """A mean, such as over seeds, with Student's 95 % interval; one value has none."""
    if len(values) < 2:
        return Number(float(values.mean()))
    return Number(float(values.mean()), *map(float, mean_interval(values.to_numpy())))


def cases(rows: pd.DataFrame, statistic: str, line: float, *, above: bool = True, **numbers: float | Number) -> Answer:
    """Hold the intervals of a statistic against a line, one case per row.

    Parameters
    ----------
    rows : DataFrame
        With columns ``x``, ``x_low`` and ``x_high`` for the statistic x.
    statistic : str
        Name of x.
    line : float
        What it is compared with.
    above : bool
        Whether the criterion is met above the line or below.
    **numbers
        Further numbers of the answer; the smallest and the largest value of the statistic are among them anyway.

    Returns
    -------
    Answer
        Confirmed if every case meets the criterion, in part if some do, refuted if none does and at least one misses
        it, undecided without a case that lies on one side.
    """
    low, high = rows[f"{statistic}_low"], rows[f"{statistic}_high"]
    over, under = int((low > line).sum()), int((high < line).sum())
    met, missed = (over, under) if above else (under, over)
    undecided = len(rows) - met - missed
    spread = {"lowest": float(rows[statistic].min()), "highest": float(rows[statistic].max())} if len(rows) else {}
    return Answer(verdict_of(met, missed, undecided), met, missed, undecided, {**spread, **numbers})


def cases_of(
    tables: Tables,
    *,
    table: str,
    statistic: str,
    line: float,
    below: bool = False,
    where: Mapping[str, Any] | None = None,
    last: str = "",
) -> Answer:
    """Hold the intervals of a statistic against a line, one case per row of a table; see ``cases``.

    Parameters
    ----------
    tables : mapping
        Of a study.
    table, statistic : str
        Name of the table, and of the statistic in it.
    line : float
        What it is compared with.
    below : bool
        Whether the criterion is met below the line instead of above.
    where : mapping, optional
        Column to the value, or the list of values, of the rows that count.
    last : str
        Column of whose values only the largest counts.
    """
    rows = rows_where(tables[table], **(where or {}))
    return cases(at_last(rows, last) if last else rows, statistic, line, above=not below)


def counted(
    met: Collection[Any] | pd.Series, missed: Iterable[Any] | None = None, /, **numbers: float | Number
) -> Answer:
    """The answer of cases.

    Parameters
    ----------
    met, missed : collections of bool
        Whether each case meets the criterion, and whether it misses it; cases that do neither are undecided. Without
        ``missed``, those that do not meet it miss it.
    **numbers
        Numbers of the answer.
    """
    right = int(sum(met))
    wrong = len(met) - right if missed is None else int(sum(missed))
    return tally(right, wrong, len(met) - right - wrong, **numbers)


def tally(met: int, missed: int, undecided: int = 0, /, **numbers: float | Number) -> Answer:
    """The answer of numbers of cases that meet the criterion, miss it, or are undecided."""
    return Answer(verdict_of(met, missed, undecided), met, missed, undecided, numbers)


def verdict_of(met: int, missed: int, undecided: int = 0) -> Verdict:
    """The verdict of counted cases."""
    if not met and not missed:
        return Verdict.UNDECIDED
    if not missed and not undecided:
        return Verdict.CONFIRMED
    return Verdict.IN_PART if met else Verdict.REFUTED


def plain(value: Any) -> Any:
    """Settings as JSON has them: mappings, lists, numbers, strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return _finite(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
