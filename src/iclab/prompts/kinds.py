"""Records of a configuration from a table: kind → what it makes, and the fields that it is given by."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NamedTuple, Union, cast

from pydantic import Field
from pydantic.dataclasses import dataclass

from iclab.foundations.own_code import CodeNotAllowedError
from iclab.prompts.reading import STRICT


class Row(NamedTuple):
    """What is called with the fields, and of each field its type and, if it has one, its default."""

    make: Callable[..., Any]
    fields: dict[str, tuple[Any, ...]]


def row(make: Callable[..., Any], /, **given: Any) -> Row:
    """A row of a table; of each field the type, or (type, default): ``row(SparseLinear, nonzeros=(Count, 3))``."""
    return Row(make, {name: each if isinstance(each, tuple) else (each,) for name, each in given.items()})


class Record:
    """A checked, frozen record; its fields are those of its row."""

    kind: str
    _make: Callable[..., Any]

    def __post_init__(self) -> None:
        # Numbers that do not go together are refused where they stand, not where they are used.
        with suppress(CodeNotAllowedError):  # what nobody allowed to run is not tried
            self.build()

    def build(self) -> Any:
        """What it describes; records within it are built first."""
        names = [field.name for field in fields(cast(Any, self)) if field.name != "kind"]
        return self._make(**{name: _built(getattr(self, name)) for name in names})


def _built(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_built(each) for each in cast(tuple[Any, ...], value))
    return value.build() if hasattr(value, "build") else value


def record(place: str, module: str, kind: str, given: Row) -> Any:
    """The dataclass of one row.

    Parameters
    ----------
    place, module : str
        What it can be imported as, and from where: records travel between processes.
    kind : str
        Value of its field ``kind``.
    given : Row
        What it makes of which fields.
    """
    typed = {"kind": (Literal[kind], kind), **given.fields}
    body: dict[str, Any] = {name: each[1] for name, each in typed.items() if len(each) > 1}
    body["__annotations__"] = {name: each[0] for name, each in typed.items()}
    body |= {"__module__": module, "__qualname__": place, "_make": staticmethod(given.make)}
    return dataclass(frozen=True, kw_only=True, config=STRICT)(type(place.rpartition(".")[2], (Record,), body))


def records(place: str, module: str, rows: dict[str, Row]) -> SimpleNamespace:
    """The dataclass of every kind, an attribute each of what ``module`` calls ``place``."""
    return SimpleNamespace(**{kind: record(f"{place}.{kind}", module, kind, each) for kind, each in rows.items()})


def one_of(*kinds: Any) -> Any:
    """The annotation for a record of any of these dataclasses, told apart by ``kind``."""
    return Annotated[cast(Any, Union[kinds]), Field(discriminator="kind")]  # noqa: UP007
