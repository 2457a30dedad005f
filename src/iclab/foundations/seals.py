"""Digests within text files that are read again: a flipped bit or a missing end is noticed, wherever they are read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, cast

from iclab.foundations.errors import InvalidInputError

_SEAL = re.compile(r"# sha256 ([0-9a-f]{64})")
# Name and length of the digest of a line.
_KEY, _DIGITS = "sha256", 16


def sealed(text: str) -> str:
    """A text behind a comment that holds its digest, for YAML files that a program writes and reads again."""
    rest = f" of what follows\n{text}"
    return f"# sha256 {_digest(rest)}{rest}"


def check_seal(text: str, name: str) -> None:
    """Raise if a text begins with a digest and is not what it was the digest of; a text without one is taken as it is.

    Raises
    ------
    InvalidInputError
        If they differ.
    """
    found = _SEAL.match(text)
    # Line ends are those of the system that wrote it.
    if found is not None and _digest(text[found.end() :].replace("\r\n", "\n")) != found[1]:
        raise InvalidInputError(
            f"{name} must be as it was written; it does not have the digest in its first line: restore it, or remove "
            "that line if you changed it yourself."
        )


def sealed_line(content: Mapping[str, Any]) -> str:
    """A line of JSON whose last member is the digest of the others.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(content, allow_nan=False)
    return json.dumps({**content, _KEY: _digest(text)[:_DIGITS]}, allow_nan=False)


def read_sealed_line(line: str) -> dict[str, Any] | None:
    """What a line holds, without its digest, or None if it is damaged; a line without a digest is taken as it is."""
    try:
        loaded: Any = json.loads(line)
        if not isinstance(loaded, dict):
            return None
        content = cast(dict[str, Any], loaded)
        found = content.pop(_KEY, None)
        whole = found is None or bool(found == _digest(json.dumps(content))[:_DIGITS])
    except (ValueError, RecursionError):
        return None
    return content if whole else None


def chained(before: str, content: Mapping[str, Any]) -> str:
    """The digest of lines with one more behind them, from the digest of those before; empty is that of none.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    return _digest(before + json.dumps(content, allow_nan=False))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
