"""``metrics.jsonl``: a line of JSON per thing that was measured, each with its digest.

A checkpoint says how many lines there are up to its step and what their digest is, so that lines that are gone are
noticed too. Only what stands behind the last checkpoint may be torn or missing: it is written again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from iclab.foundations import InvalidInputError, read_json, write_text
from iclab.foundations.seals import chained, read_sealed_line, sealed_line
from iclab.models.predictor import last_whole

METRICS = "metrics.jsonl"
# The counters of a checkpoint, and their entry for what is recorded here.
STATE, _ENTRY = "state.json", "metrics"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """How many lines there are, and their digest.

    Attributes
    ----------
    lines : int
        Their number.
    sha256 : str
        Of all of them in their order; empty for none.
    """

    lines: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, lines: Sequence[Mapping[str, Any]]) -> Self:
        """The record of these lines."""
        found = cls()
        for line in lines:
            found = found.after(line)
        return found

    def after(self, line: Mapping[str, Any]) -> Self:
        """The record with one more line."""
        return type(self)(self.lines + 1, chained(self.sha256, line))

    def entry(self) -> dict[str, Any]:
        """As an entry of a checkpoint's counters."""
        return {_ENTRY: {"lines": self.lines, "sha256": self.sha256}}


def _recorded(checkpoint: Path | None) -> tuple[int, Written] | None:
    """The step of a whole checkpoint and its record of metrics; None if there is none."""
    if checkpoint is None:
        return None
    found = read_json(checkpoint / STATE).get(_ENTRY)  # none of a version that kept no record
    return None if found is None else (int(checkpoint.name), Written(int(found["lines"]), str(found["sha256"])))


def metrics_of(run: Path) -> list[dict[str, Any]]:
    """All whole lines of a run's metrics, also while it is trained; a torn last line is left out.

    Raises
    ------
    InvalidInputError
        If a line is damaged, or lines that its latest checkpoint knows of are missing.
    """
    return _checked(run, last_whole(run)[0])


def _checked(run: Path, checkpoint: Path | None) -> list[dict[str, Any]]:
    known = _recorded(checkpoint)  # read before the lines: later lines may be there, earlier ones must be
    lines, torn = _read(run / METRICS)
    if known is not None:
        _check(run / METRICS, lines, torn, *known)
    return lines


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a metrics file.

    Raises
    ------
    InvalidInputError
        If a line before the last one is damaged, by its digest; the last one may be torn, and is left out.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """Whole lines, and whether something torn stands behind them."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return [], False
    lines: list[dict[str, Any]] = []
    *written, last = text.split("\n")
    for number, line in enumerate(written, start=1):
        content = read_sealed_line(line)
        if content is None or not isinstance(content.get("step"), int):
            raise InvalidInputError(
                f"{path} must hold a line of JSON per step; line {number} is damaged: restore the file, or delete it "
                "to continue without the earlier lines."
            )
        lines.append(content)
    content = read_sealed_line(last) if last else None
    if content is not None and isinstance(content.get("step"), int):
        return [*lines, content], False
    return lines, bool(last)


def _check(path: Path, lines: Sequence[Mapping[str, Any]], torn: bool, step: int, known: Written) -> None:
    """Compare lines up to a step with the record of them; the last one may be torn.

    Raises
    ------
    InvalidInputError
        If lines are missing or others than those that were written.
    """
    found = [line for line in lines if line["step"] <= step]
    if not path.exists():
        if known.lines:
            _log.warning("%s is gone, with the %d lines that were written up to step %d.", path, known.lines, step)
        return
    if Written.of(found) == known or (torn and len(found) == len(lines) == known.lines - 1):
        return
    holds = "others" if len(found) == known.lines else str(len(found))
    raise InvalidInputError(
        f"{path} must hold the {known.lines} lines that were written up to step {step}; it holds {holds}: restore the "
        "file, or delete it to continue without the earlier lines."
    )


def rewind_metrics(run: Path, checkpoint: Path | None) -> Written:
    """Drop the lines after a checkpoint, which a training resumed there writes again; all if there is none.

    Returns
    -------
    Written
        Of the lines that are left.

    Raises
    ------
    InvalidInputError
        As ``metrics_of``.
    """
    step = 0 if checkpoint is None else int(checkpoint.name)
    left = [line for line in _checked(run, checkpoint) if line["step"] <= step]
    write_text(run / METRICS, "".join(sealed_line(line) + "\n" for line in left))
    return Written.of(left)


def append_metrics(path: Path, line: Mapping[str, Any]) -> None:
    """Append one line and its digest; it is on disk when this returns.

    Raises
    ------
    InvalidInputError
        If the file is gone: one that was deleted while a training runs is not begun anew.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8") as file:
            file.write(sealed_line(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError as error:
        raise deleted(path) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def deleted(path: Path) -> InvalidInputError:
    """The refusal to go on where a file of a running training is gone."""
    return InvalidInputError(
        f"{path} must stay where it is while the training runs; it was deleted or moved: put it back and resume, "
        "or start anew."
    )
