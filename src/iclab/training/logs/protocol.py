"""What a log is told of a training."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from iclab.foundations import InvalidInputError
from iclab.training.run import Run


class Log:
    """Receives the metrics of a training while it runs; a log of your own derives from it and overrides what it needs.

    Under ``torchrun`` only the leading process logs. What a method raises ends the training; its last checkpoint
    stays.
    """

    def check(self) -> None:
        """Called before anything is written: raise here if the log cannot be kept."""

    def begin(self, run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
        """The training of a run begins, or resumes after ``lines`` of metrics, which were logged before.

        What was logged after these is void: the steps are done, and logged, again.
        """

    def line(self, line: Mapping[str, Any]) -> None:
        """A line of metrics, as it stands in ``metrics.jsonl``: losses, or held-out errors (with ``error``)."""

    def progress(self, step: int, total: int, loss: float, left: float) -> None:
        """About twice a second, and at the end: steps done, steps in all, loss, seconds left (NaN if unknown)."""

    def end(self, *, finished: bool) -> None:
        """The training ends: at its last step, or earlier, whatever ends it."""


def scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """All numbers of a line of metrics but its step, by name: ``loss``, ``learning_rates/muon``, ``error/05``.

    Positions of curves have as many digits as the last one, so that they sort as they should.
    """
    found: dict[str, float] = {}
    for key, value in line.items():
        if isinstance(value, Mapping):
            found |= {f"{key}/{name}": number for name, number in scalars(value).items()}
        elif isinstance(value, list) and all(isinstance(each, int | float) for each in value):
            digits = len(str(len(value) - 1))
            found |= {f"{key}/{i:0{digits}d}": float(number) for i, number in enumerate(value)}
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "step":
            found[key] = float(value)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def require(module: str, log: str) -> Any:
    """Import a package that a log needs.

    Raises
    ------
    InvalidInputError
        If it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidInputError(
            f"the log {log!r} must have its package; it is not installed: run `pip install 'iclab[log]'`."
        ) from error
