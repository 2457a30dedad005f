"""Progress on stderr: a live bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Seconds between lines where there is no terminal to redraw.
_INTERVAL = 15.0


class Reporter:
    """Shows (what is being done, done, total) with the time left; call it as often as you like.

    Used as a context manager. A label "group: detail" of a new group opens a new bar; the one before stays as it is.
    """

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._label = self._line = ""
        self._started = self._printed = 0.0
        self._first = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` units of ``label`` are finished."""
        # What follows the last colon may change within one bar, such as the claim being checked.
        group = label.rsplit(":", maxsplit=1)[0]
        now = time.monotonic()
        if group != self._label:
            self._label, self._started, self._first, self._printed = group, now, done, 0.0
            if self._live:
                self._task = self._bars.add_task(label, total=total, completed=done)
        if self._live and self._task is not None:
            self._bars.update(self._task, description=label, completed=done, total=total)
        elif now - self._printed > _INTERVAL or done >= total:
            self._printed = now
            line = f"{label}: {done} of {total}{self._left(now, done, total)}\n"
            if line != self._line:  # the last unit may be told of more than once
                self._line = line
                sys.stderr.write(line)
                sys.stderr.flush()

    def _left(self, now: float, done: int, total: int) -> str:
        if done <= self._first or done >= total:
            return ""
        seconds = (now - self._started) / (done - self._first) * (total - done)
        return f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"


@contextmanager
def plain_warnings() -> Generator[None]:
    """Warnings as sentences on stderr, each once, without the place in the code."""
    said: set[str] = set()

    def show(message: Warning | str, *_: object) -> None:
        if str(message) not in said:
            said.add(str(message))
            sys.stderr.write(f"{message}\n")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
