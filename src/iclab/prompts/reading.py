"""From plain data to frozen records, with one clear sentence where that fails."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo

from iclab.foundations import InvalidInputError

# What the records here are made of.
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
# Matrices of a dimension, and what is counted, must fit into memory.
Dimension: TypeAlias = Annotated[int, Field(ge=1, le=4096)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=2**22)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0)]
Numbers: TypeAlias = tuple[float, ...]
Rows: TypeAlias = tuple[tuple[float, ...], ...]

# Tag of what stands in a union without a kind; no sentence shows it.
UNTAGGED = "untagged"

_T = TypeVar("_T")
# What the library's types of errors mean, in words.
_MUST = {
    "greater_than_equal": "be at least {ge}",
    "greater_than": "be greater than {gt}",
    "less_than_equal": "be at most {le}",
    "less_than": "be less than {lt}",
    "finite_number": "be finite",
    "literal_error": "be {expected}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "be true or false"),
    **dict.fromkeys(("string_type", "string_sub_type"), "be a word"),
    **dict.fromkeys(("tuple_type", "list_type"), "be a list"),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "dataclass_type", "dataclass_exact_type", "model_attributes_type"),
        "be a mapping of keys to values",
    ),
    "too_long": "have at most {max_length} entries",
    "too_short": "have at least {min_length} entries",
    "none_required": "be left out",
}
# Key of the validation's context, and what a record is marked with.
_ALLOW_CODE, _CONSENT = "allow_code", "_code_allowed"


def validated(
    cls: type[_T],
    data: Mapping[str, Any],
    name: str = "the configuration",
    *,
    allow_code: bool | Collection[str] = False,
) -> _T:
    """Build the specification ``cls`` from plain data, as read from YAML or JSON.

    Parameters
    ----------
    cls : type
        A pydantic dataclass, such as ``PromptSpecification`` or one that embeds it.
    data : mapping
        Plain data.
    name : str
        What to call the whole in messages, for example a file.
    allow_code : bool or collection of str
        Whether code of your own that the data name (``module:object``) may run later, or which. Reading imports none.

    Raises
    ------
    InvalidInputError
        If anything does not fit: the sentence names the place, and the closest known key or kind.
    """
    try:
        made = TypeAdapter(cls).validate_python(dict(data), context={_ALLOW_CODE: allow_code})
    except ValidationError as error:
        raise InvalidInputError(_sentence(cls, error.errors()[0], name)) from error
    except (MemoryError, OverflowError) as error:
        raise InvalidInputError(
            f"{name} must describe what fits into memory, which it does not; lower its dimension or its counts."
        ) from error
    _check_converted(data, TypeAdapter(cls).dump_python(made), "", name)
    return made


def _check_converted(given: Any, read: Any, place: str, name: str) -> None:
    """Refuse words that were taken for numbers, truth values taken for either, and numbers that no file keeps."""
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        for key, value in cast(Mapping[str, Any], given).items():
            if key in read:
                _check_converted(value, read[key], f"{place}.{key}" if place else key, name)
    elif isinstance(given, list | tuple) and isinstance(read, list | tuple):
        for i, (one, other) in enumerate(zip(cast(list[Any], given), cast(list[Any], read), strict=False)):
            _check_converted(one, other, f"{place}.{i}", name)
    elif isinstance(given, float) and not math.isfinite(given):  # among arguments of your own code
        raise InvalidInputError(f"{place or name} must be finite; {given} was given.")
    elif isinstance(read, int | float) and (
        isinstance(given, str) or (isinstance(given, int | float) and isinstance(given, bool) != isinstance(read, bool))
    ):
        wanted = "true or false" if isinstance(read, bool) else "a number"
        raise InvalidInputError(f"{place or name} must be {wanted}; {given!r} was given.")


def plain(specification: Any) -> dict[str, Any]:
    """The specification as JSON-serialisable data; ``validated`` reads it back."""
    adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, type(specification)))
    return adapter.dump_python(specification, mode="json")


def note_consent(record: Any, target: str, info: ValidationInfo) -> None:
    """Keep with a record whether the code that it names may run; called while it is validated.

    Consent is no field, so that no file can say it, and is not taken back when a record is validated again.
    """
    allowed: Any = cast(dict[str, Any], info.context or {}).get(_ALLOW_CODE, False)
    if allowed is True or (not isinstance(allowed, bool) and target in allowed):
        vars(record)[_CONSENT] = True


def code_allowed(record: Any) -> bool:
    """Whether a record, or one within it, names code that may run."""
    if isinstance(record, tuple):
        return any(code_allowed(each) for each in cast(tuple[Any, ...], record))
    if not dataclasses.is_dataclass(record):
        return False
    return vars(record).get(_CONSENT, False) or any(code_allowed(value) for value in vars(record).values())


def allowed_code(record: Any) -> set[str]:
    """The code (``module:object``) that a record, or one within it, names and that may run."""
    if isinstance(record, tuple):
        return set[str]().union(*(allowed_code(each) for each in cast(tuple[Any, ...], record)))
    if not dataclasses.is_dataclass(record):
        return set()
    own = {str(vars(record)["object"])} if vars(record).get(_CONSENT, False) else set[str]()
    return own.union(*(allowed_code(value) for value in vars(record).values()))


def keep_consent(record: _T, given: Any) -> _T:
    """``record``, a changed copy of ``given``, with its consent."""
    if cast(dict[str, Any], vars(given)).get(_CONSENT, False):
        vars(record)[_CONSENT] = True
    return record


def allowing_code(record: _T) -> _T:
    """The same record, with consent to run the code that it names."""
    return validated(type(record), plain(record), allow_code=True)


def _sentence(cls: type, error: Any, name: str) -> str:
    location, kind = [str(part) for part in error["loc"]], error["type"]
    if kind == "unexpected_keyword_argument":
        *place, key = location
        known = known_keys(cls, place)
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
    reason = reason_of(error)
    if isinstance(error.get("ctx", {}).get("error"), InvalidInputError):
        return f"{reason} (at {_where(location, name)})."
    # What holds between keys is told with the values that do not go together, not with all of them.
    given = "" if kind == "value_error" and isinstance(error["input"], Mapping) else f"; {error['input']!r} was given"
    return f"{_where(location, name)} is not as it must be: {reason}{given}."


def reason_of(error: Any) -> str:
    """What must hold, in words of this package, of one of the errors that pydantic lists."""
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    must = _MUST.get(error["type"], "be of another form")
    return f"it must {must.format(**error.get('ctx', {}))}"


def _where(location: list[str], name: str) -> str:
    return ".".join(part for part in location if part != UNTAGGED) or name


def _hint(given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _tags(text: str) -> list[str]:
    return [tag for tag in (each.strip().strip("'") for each in text.split(",")) if tag != UNTAGGED]


def known_keys(cls: type, location: list[str]) -> list[str]:
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
