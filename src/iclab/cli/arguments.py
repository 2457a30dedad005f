"""Types of the command line's arguments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, TypeAlias

from cyclopts import Parameter, Token


def _whole(type_: object, tokens: Sequence[Token]) -> int:
    """A whole number as people write it, ``1280`` or ``1e6``; cyclopts would round ``2.5``."""
    text = tokens[0].value
    for number in (int, float):
        try:
            value = number(text)
        except ValueError:
            continue
        if float(value).is_integer():
            return int(value)
    raise ValueError(f"it must be a whole number; {text!r} was given.")


Whole: TypeAlias = Annotated[int, Parameter(converter=_whole)]


def workers(jobs: int) -> int:
    """The number of processes that ``--jobs`` asks for: −1 for as many as there are cores.

    Raises
    ------
    InvalidInputError
        If it is neither −1 nor at least 1.
    """
    from iclab.foundations import InvalidInputError

    if jobs == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if jobs < 1:
        raise InvalidInputError(f"--jobs must be at least 1, or -1 for all cores; {jobs} was given.")
    return jobs


def listed(entries: Sequence[str] | None, option: str) -> list[str]:
    """The names in a repeatable option, separated by commas too; none only if the option was omitted.

    Raises
    ------
    InvalidInputError
        If the option was given without a name, as an unset variable of a shell does: that is not "everything".
    """
    found = [name.strip() for entry in entries or () for name in entry.split(",") if name.strip()]
    if entries is not None and not found:
        from iclab.foundations import InvalidInputError

        raise InvalidInputError(f"{option} must name at least one; nothing was given: leave the option out for all.")
    return found
