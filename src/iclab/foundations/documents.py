"""YAML as the core schema of YAML 1.2 reads it, within limits, and without constructing anything but plain data.

``yes`` and ``1:30`` are words, ``017`` is seventeen, ``1e6`` is a number. Merge keys and anchors work; tags do not. A
text that is too long, too deep or grows beyond bounds through its anchors is refused before it costs anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, cast

import yaml

from iclab.foundations.errors import InvalidInputError
from iclab.foundations.seals import check_seal

# Bytes of a text, brackets within brackets, values once anchors are written out, and digits of a whole number.
_BYTES, _DEPTH, _VALUES, _DIGITS = 1 << 20, 60, 200_000, 300
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_NULL = re.compile(r"(?:~|null|Null|NULL|)")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WHOLE: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"[-+]?[0-9]+"), 10),
    (re.compile(r"0o[0-7]+"), 8),
    (re.compile(r"0x[0-9a-fA-F]+"), 16),
)


def read_yaml(path: Path, name: str | None = None, *, ignored_tags: Collection[str] = ()) -> Any:
    """The plain data in a YAML (or JSON) file.

    Parameters
    ----------
    path : Path
        The file.
    name : str, optional
        What to call it in messages; its path when omitted.
    ignored_tags : collection of str
        As in ``parse_yaml``.

    Raises
    ------
    InvalidInputError
        If it is missing, no regular file, not UTF-8, not what the digest in its first line is of, or as in
        ``parse_yaml``.
    """
    name = str(path) if name is None else name
    text = read_text(path, name)
    check_seal(text, name)
    return parse_yaml(text, name, ignored_tags=ignored_tags)


def read_document(path: Path, name: str | None = None, *, most: int = _BYTES) -> Any:
    """The plain data in a JSON file.

    Raises
    ------
    InvalidInputError
        If it is missing, no regular file, too long, not UTF-8, no JSON, or nests too deep.
    """
    name = str(path) if name is None else name
    return parse_json(read_text(path, name, most=most), name)


def parse_json(text: str, name: str) -> Any:
    """The plain data that a JSON text describes; a key given twice, NaN and infinity are refused.

    Raises
    ------
    InvalidInputError
        If it is none, or goes beyond a limit.
    """
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):  # those within words count too: no harm
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEPTH:
        raise InvalidInputError(f"{name} must nest at most {_DEPTH} levels; it nests deeper.")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key is given twice")
        return found

    def refused(word: str) -> Any:
        raise ValueError(f"{word} is no number of JSON")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name} must be readable JSON; {error}.") from error


def read_text(path: Path, name: str | None = None, *, most: int = _BYTES) -> str:
    """The text of a regular file of at most ``most`` bytes, UTF-8 with or without a byte-order mark.

    Raises
    ------
    InvalidInputError
        If it is missing, no regular file, longer, or not UTF-8.
    """
    name = str(path) if name is None else name
    try:
        if not path.exists():
            raise InvalidInputError(f"{name} must exist; no such file was found.")
        # A device or a pipe would never end.
        if not path.is_file():
            raise InvalidInputError(f"{name} must be a regular file; it is none.")
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InvalidInputError(f"{name} must be readable; {error.strerror}.") from error
    if len(content) > most:
        raise InvalidInputError(f"{name} must have at most {most} bytes; it has more.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name} must be UTF-8 text; byte {error.start} is not.") from error


def parse_yaml(text: str, name: str, *, ignored_tags: Collection[str] = ()) -> Any:
    """The plain data that a YAML text describes: mappings with words as keys, lists, words, numbers, true, false, null.

    Parameters
    ----------
    text : str
        One document.
    name : str
        What to call it in messages.
    ignored_tags : collection of str
        Tags that other programs write and that say nothing; any other is refused, and none has an effect.

    Raises
    ------
    InvalidInputError
        If it is no YAML, gives a key twice, uses tags or what is no word as a key, or goes beyond a limit.
    """
    try:
        if len(text.encode()) > _BYTES:
            raise InvalidInputError(f"{name} must have at most {_BYTES} bytes; it has more.")
        _check_events(text, name, ignored_tags)
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = "" if mark is None else f" (line {mark.line + 1})"
        raise InvalidInputError(f"{name} must be readable YAML; {error.problem or error.context}{at}.") from error
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{name} must be readable YAML; {' '.join(str(error).split())}.") from error
    if node is None:
        return None
    try:
        if _size(node, {}, name) > _VALUES:
            raise InvalidInputError(f"{name} must describe at most {_VALUES} values; its anchors multiply to more.")
        return _value(node, name)
    except RecursionError as error:  # anchors within anchors
        raise InvalidInputError(f"{name} must nest at most {_DEPTH} levels; it nests deeper.") from error


def _check_events(text: str, name: str, ignored_tags: Collection[str]) -> None:
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > _DEPTH:
            raise InvalidInputError(f"{name} must nest at most {_DEPTH} levels; it nests deeper.")
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in ignored_tags:
            raise InvalidInputError(f"{name} must have no tags; {tag.rpartition(':')[2]!r} was found{_line(event)}.")


def _line(marked: Any) -> str:
    mark = getattr(marked, "start_mark", None)
    return "" if mark is None else f" (line {mark.line + 1})"


def _size(node: yaml.Node, known: dict[int, int | None], name: str) -> int:
    """Values under a node with every anchor written out; each node is counted once."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise InvalidInputError(f"{name} must not contain itself; an anchor does{_line(node)}.")
        return size
    known[id(node)] = None
    parts: list[Any] = []
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    size = known[id(node)] = 1 + sum(_size(part, known, name) for part in parts)
    return size


def _value(node: yaml.Node, name: str) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, name) for each in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, name)
    scalar: Any = node  # the stubs know no style of nodes
    text = str(scalar.value)
    return text if scalar.style else _plain(text, lambda: f"{name}{_line(node)}")


def _mapping(node: yaml.MappingNode, name: str) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.value == "<<" and not key_node.style:
            given = _value(value_node, name)
            several = cast("list[Any]", given if isinstance(given, list) else [given])
            for each in several:
                if not isinstance(each, dict):
                    raise InvalidInputError(f"{name} must merge mappings only; another value follows <<{_line(node)}.")
                merged = {**each, **merged}
            continue
        key = _value(key_node, name)
        if not isinstance(key, str):
            raise InvalidInputError(f"{name} must have strings as keys; {key!r} was given{_line(key_node)}.")
        if key in own:
            raise InvalidInputError(f"a key must be given once; {key!r} is given twice{_line(key_node)}.")
        own[key] = _value(value_node, name)
    return {**merged, **own}


def _plain(text: str, where: Callable[[], str]) -> Any:
    """What an unquoted scalar means in the core schema."""
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    for pattern, base in _WHOLE:
        if pattern.fullmatch(text):
            if len(text) > _DIGITS:
                raise InvalidInputError(f"{where()} must have numbers of at most {_DIGITS} digits; one is longer.")
            return int(text, base)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", "").lower())
    if not _FLOAT.fullmatch(text):
        return text
    value = float(text)
    # Whoever writes 1e400 or 1e-400 means neither infinity nor 0.
    if value in (float("inf"), float("-inf")) or (value == 0 and re.search("[1-9]", re.split("[eE]", text)[0])):
        raise InvalidInputError(f"{where()} must have numbers within double precision, finite; {text[:40]} is not.")
    return value
