"""All logs of a training at once, and its own file of metrics."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from iclab.training.logs.protocol import Log
from iclab.training.metrics import METRICS, Written, append_metrics
from iclab.training.run import Run

# Called with (steps done, steps in all, loss, seconds left); the last two are NaN before they are known.
Progress = Callable[[int, int, float, float], None]


class Called(Log):
    """A function that is called with the progress, as a log."""

    def __init__(self, function: Progress) -> None:
        self._function = function

    def progress(self, step: int, total: int, loss: float, left: float) -> None:
        """Call it."""
        self._function(step, total, loss, left)


class Told:
    """Tells the metrics file and every log of a run; ``written`` says what is in the file."""

    def __init__(self, run: Run, logs: Sequence[Log], written: Written) -> None:
        self._metrics, self._logs, self.written = run.directory / METRICS, logs, written

    def line(self, line: Mapping[str, Any]) -> None:
        """A line of metrics."""
        append_metrics(self._metrics, line)
        self.written = self.written.after(line)
        for log in self._logs:
            log.line(line)

    @property
    def progress(self) -> Progress | None:
        """What to call with the progress, if anybody asks for it."""
        return self._report if self._logs else None

    def _report(self, step: int, total: int, loss: float, left: float) -> None:
        for log in self._logs:
            log.progress(step, total, loss, left)


@contextmanager
def telling(run: Run, logs: Sequence[Log], written: Written) -> Generator[Told]:
    """A training that begins, or goes on after the metrics that are there, and its end, whatever ends it."""
    lines = run.metrics if logs else []
    finished = False
    with ExitStack() as stack:
        for log in logs:
            stack.callback(lambda log=log: log.end(finished=finished))
            log.begin(run, lines)
        yield Told(run, logs, written)
        finished = True
