"""From plain data to frozen records, with one clear sentence where that fails."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from iclab.foundations import InvalidInputError

# What records of this room are made of.
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Dimension: TypeAlias = Annotated[int, Field(ge=1)]
Count: TypeAlias = Dimension
Positive: TypeAlias = Annotated[float, Field(gt=0)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0)]
Numbers: TypeAlias = tuple[float, ...]
Rows: TypeAlias = tuple[tuple[float, ...], ...]

# Tag of what stands in a union without a kind; no sentence shows it.
UNTAGGED = "untagged"

_T = TypeVar("_T")


def validated(cls: type[_T], data: Mapping[str, Any], name: str = "the configuration") -> _T:
    """Build the specification ``cls`` from plain data, as read from YAML or JSON.

    Parameters
    ----------
    cls : type
        A pydantic dataclass, such as ``PromptSpecification`` or one that embeds it.
    data : mapping
        Plain data.
    name : str
        What to call the whole in messages, for example a file.

    Raises
    ------
    InvalidInputError
        If anything does not fit: the sentence names the place, and the closest known key or kind.
    """
    try:
        return TypeAdapter(cls).validate_python(dict(data))
    except ValidationError as error:
        raise InvalidInputError(_sentence(cls, error.errors()[0], name)) from error


def plain(specification: Any) -> dict[str, Any]:
    """The specification as JSON-serialisable data; ``validated`` reads it back."""
    adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, type(specification)))
    return adapter.dump_python(specification, mode="json")


def _sentence(cls: type, error: Any, name: str) -> str:
    location, kind = [str(part) for part in error["loc"]], error["type"]
    if kind == "unexpected_keyword_argument":
        *place, key = location
        known = _known_keys(cls, place)
        return (
            f"{_where(place, name)} must have only the keys {', '.join(known)}; {key!r} was given.{_hint(key, known)}"
        )
    if kind == "union_tag_invalid":
        given, known = (
            str(error["ctx"]["tag"]),
            [tag for tag in _tags(error["ctx"]["expected_tags"]) if tag != UNTAGGED],
        )
        return (
            f"the kind of {_where(location, name)} must be one of {', '.join(known)}; {given!r} was given."
            f"{_hint(given, known)}"
        )
    if kind == "union_tag_not_found":
        return f"{_where(location, name)} must have a kind; none was given."
    if kind == "missing":
        *place, key = location
        return f"{_where(place, name)} must have the key {key!r}; it is missing."
    reason = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    if isinstance(error.get("ctx", {}).get("error"), InvalidInputError):
        return f"{reason} (at {_where(location, name)})."
    return f"{_where(location, name)} is not as it must be: {reason}; {error['input']!r} was given."


def _where(location: list[str], name: str) -> str:
    return ".".join(part for part in location if part != UNTAGGED) or name


def _hint(given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _tags(text: str) -> list[str]:
    return [tag for tag in (each.strip().strip("'") for each in text.split(",")) if tag != UNTAGGED]


def _known_keys(cls: type, location: list[str]) -> list[str]:
    """Fields of the dataclass at ``location``, following field names, list indices and the tags of unions."""
    here: list[Any] = [cls]
    for part in location:
        members = [member for annotation in here for member in _members(annotation)]
        tagged = [member for member in members if _tag(member) == (None if part == UNTAGGED else part)]
        fields = [get_type_hints(member)[part] for member in members if part in _names(member)]
        here = tagged or fields or here
    return sorted({name for annotation in here for member in _members(annotation) for name in _names(member)})


def _members(annotation: Any) -> list[type]:
    """The dataclasses within an annotation such as ``Annotated[A | B, …]`` or ``tuple[A, ...] | None``."""
    if dataclasses.is_dataclass(annotation):
        return [annotation]  # type: ignore[list-item]
    return (
        [member for argument in get_args(annotation) for member in _members(argument)] if get_origin(annotation) else []
    )


def _names(member: type) -> list[str]:
    return [field.name for field in dataclasses.fields(member)]  # type: ignore[arg-type]


def _tag(member: type) -> str | None:
    for field in dataclasses.fields(member):  # type: ignore[arg-type]
        if field.name == "kind":
            return str(field.default)
    return None
