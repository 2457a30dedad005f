"""SIGINT, SIGTERM, SIGHUP and SIGUSR1 as a request to stop after the current step, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

# An interruption, a scheduler's end, a terminal that closes, a scheduler's warning; Windows has the first two.
_ASKING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


def asking() -> list[signal.Signals]:
    """Signals that ask a training to stop; one that is ignored, as SIGHUP is under nohup, does not."""
    return [number for number in _ASKING if signal.getsignal(number) is not signal.SIG_IGN]


class Signals:
    """While entered, notes these signals in ``received``; a second one acts as usual.

    A signal that was ignored before, as SIGHUP is under nohup, stays ignored.

    Outside the main thread Python delivers no signals, and nothing is changed.
    """

    def __init__(self) -> None:
        self.received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in asking():
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
