"""A training as the terminal shows it: a live panel, or a line at every tenth where nothing can be redrawn."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from iclab.training import Run, TrainingConfig
from iclab.training.cost import duration
from iclab.training.logs import Log
from iclab.training.reporting import least_squares_diverges, reference_lines, reference_of, scale_of

_HEIGHTS = "▁▂▃▄▅▆▇█"
_WIDTH = 48


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """A curve as a word of at most ``width`` letters, lowest to highest value; of logarithms if all are positive.

    More values than letters are averaged in equal parts.
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    if not len(finite):
        return ""
    levels = np.log(finite) if (finite > 0).all() else finite
    parts = np.array([part.mean() for part in np.array_split(levels, min(width, len(levels)))])
    low, high = parts.min(), parts.max()
    share = (parts - low) / (high - low) if high > low else np.zeros(len(parts))
    return "".join(_HEIGHTS[min(int(each * len(_HEIGHTS)), len(_HEIGHTS) - 1)] for each in share)


class _Watching(Log):
    """Keeps the metrics that the terminal shows."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.lines: list[Mapping[str, Any]] = []

    def begin(self, run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
        self.config, self.lines = run.config, list(lines)

    def line(self, line: Mapping[str, Any]) -> None:
        self.lines.append(line)

    def references(self) -> str:
        """The losses to read one against, in brackets."""
        zero, reference = reference_lines(self.config, [dict(line) for line in self.lines])
        named = {reference_of(self.config.architecture.labels).replace("_", " "): reference, "zero": zero}
        known = ", ".join(f"{name} {value:.3g}" for name, value in named.items() if not math.isnan(value))
        return f" ({known})" if known else ""


class Lines(_Watching):
    """A line on stderr at every tenth of the steps."""

    _tenths = -1

    def progress(self, step: int, total: int, loss: float, left: float) -> None:
        """Write it if it is due."""
        if 10 * step // total > self._tenths:
            self._tenths = 10 * step // total
            said = f"loss {loss:.4g}{self.references()}"
            sys.stderr.write(f"step {step} of {total}: {said}, {duration(left)} left\n")


class Panel(_Watching):
    """The loss so far as a sparkline, held-out errors at d and 2d examples, and the time left, drawn anew as they move.

    Parameters
    ----------
    config : TrainingConfig
        What is trained.
    console : rich.console.Console, optional
        Where; stderr when omitted.
    """

    def __init__(self, config: TrainingConfig, console: Console | None = None) -> None:
        super().__init__(config)
        self._live = Live(console=console or Console(stderr=True), auto_refresh=False)

    def begin(self, run: Run, lines: Sequence[Mapping[str, Any]]) -> None:
        """Open it."""
        super().begin(run, lines)
        self._live.start()

    def progress(self, step: int, total: int, loss: float, left: float) -> None:
        """Draw it."""
        self._live.update(self.drawn(step, total, loss, left), refresh=True)

    def end(self, *, finished: bool) -> None:
        """Leave it as it is."""
        self._live.stop()

    def drawn(self, step: int, total: int, loss: float, left: float) -> Group:
        """The panel."""
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total, step, width=_WIDTH), f"{step}/{total}", f"{duration(left)} left")
        curve = sparkline([line["loss"] for line in self.lines if "loss" in line])
        rows = [Text(f"loss {loss:.4g}{self.references()}")]
        if curve:
            rows.insert(0, Text(curve, style="cyan"))
        return Group(bar, *rows, *(Text(said) for said in self._errors()))

    def _errors(self) -> list[str]:
        """Held-out errors after d and 2d examples, or as many as there are."""
        latest = next((line for line in reversed(self.lines) if "error" in line), None)
        if latest is None:
            return []
        (scale, name), last = scale_of(self.config), len(latest["error"]) - 1
        d = self.config.architecture.dimension or max(1, last // 2)
        reference = reference_of(self.config.architecture.labels)
        said: list[str] = []
        for i in sorted({min(d, last), min(2 * d, last)}):
            text = f"{name} after {i} examples {latest['error'][i] / scale:.4g} ± {latest['stderr'][i] / scale:.1g}"
            if reference in latest and not (reference == "least_squares" and least_squares_diverges(self.config, i)):
                text += f" ({reference.replace('_', ' ')} {round(latest[reference][i] / scale, 12):.3g})"
            said.append(f"{text}, step {latest['step']}")
        return said
