"""Streams that lose no work: a reader that has gone, a closed stream, a locale that lacks a sign."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class Tolerant:
    """A text stream that goes on in silence once its reader has gone; everything else is the stream's own.

    Parameters
    ----------
    stream : text stream
        What is written to.
    result : bool
        Whether results go there. Of these a full disk is an error; progress is lost without a word.
    """

    def __init__(self, stream: TextIO, *, result: bool) -> None:
        self._stream, self._result, self._gone = stream, result, False

    def write(self, text: str) -> int:
        """Write, or drop what nobody can read any more."""
        if not self._gone:
            self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, likewise."""
        if not self._gone:
            self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, act: Any) -> None:
        try:
            act()
        except (OSError, ValueError) as error:
            closed = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
            gone = closed or getattr(error, "errno", None) in (errno.EPIPE, errno.EBADF, errno.ESHUTDOWN)
            if isinstance(error, UnicodeError) or (self._result and not gone):
                raise
            self._gone = True


@contextmanager
def tolerant_streams() -> Generator[bool]:
    """Standard output and error that lose no work for the length of the block; whether there is a standard output.

    Signs that the locale lacks are replaced. A stream that was closed before the start is opened on nothing, so that
    no file of ours takes its place.
    """
    before = sys.stdout, sys.stderr
    _fill_descriptors()
    for name, stream in zip(("stdout", "stderr"), before, strict=True):
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 it lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")
        setattr(sys, name, cast(TextIO, Tolerant(stream, result=name == "stdout")))
    try:
        yield before[0] is not None
    finally:
        sys.stdout, sys.stderr = before
        for number, stream in enumerate(before, start=1):
            # What is left in the buffer of a reader that has gone would end the interpreter with code 120.
            try:
                if stream is not None:
                    stream.flush()
            except (OSError, ValueError):
                with suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _fill_descriptors() -> None:
    """Open what was closed of descriptors 0, 1 and 2 on nothing."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one


def say(line: object) -> None:
    """Write a line of the result, such as where it is; control characters are replaced."""
    from iclab.foundations.errors import printable

    sys.stdout.write(f"{printable(str(line))}\n")


def as_text(table: Any) -> str:
    """A rich table as plain text, as wide as it needs."""
    from rich.console import Console

    page = io.StringIO()
    console = Console(file=page, width=100_000, no_color=True, force_terminal=False, legacy_windows=False)
    console.print(table, highlight=False, markup=False)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines() if line.strip()) + "\n"
