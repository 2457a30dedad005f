"""Errors with and without shifts, by recipe; and what each factor changes of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.studies.drawing import ACCENT, CYCLE, SECOND, ZERO, label_short_log, panels
from iclab.studies.robustness.recipes import MIXER, PRIOR, RECIPE, SIZE
from iclab.studies.study import Record

_COLORS = {RECIPE: ACCENT, MIXER: CYCLE[3], SIZE: CYCLE[2], PRIOR: SECOND}
_LABELS = {RECIPE: "recipe", MIXER: "layers", SIZE: "size", PRIOR: "law of prompts"}


def errors(record: Record) -> Figure:
    """Geometric mean of the errors under the judged shifts against the error on Λ = I; one mark per recipe."""
    board, judged = record.tables["board"], list(record.settings["judged"])
    under = np.exp(np.log(board[judged]).mean(axis=1))
    with panels((7.0, 4.6)) as (figure, ax):
        for group, color in _COLORS.items():
            which = board["group"] == group
            ax.plot(board["standard"][which], under[which], "o", color=color, markersize=5, label=_LABELS[group])
        for place, i in enumerate(np.argsort(board["standard"])):
            where, left = (board["standard"][i], under[i]), place % 2 == 1  # neighbours keep clear of each other
            offset, side = ((-5, 3), "right") if left else ((5, -8), "left")
            ax.annotate(board["factor"][i], where, offset, textcoords="offset points", ha=side, fontsize=8)
        ax.set(
            xscale="log", yscale="log", xlabel="error / d without a shift", ylabel="error / d under the judged shifts"
        )
        for axis in (ax.xaxis, ax.yaxis):
            label_short_log(axis)
        ax.legend(loc="lower right")
    return figure


def effects(record: Record) -> Figure:
    """Every recipe's errors over those of columns, with and without shifts, with intervals over seeds."""
    table = record.tables["effects"]
    parts = {"own": "without a shift", "shifted": "under the judged shifts"}
    with panels((8.0, 1.0 + 0.24 * len(table)), len(parts), sharex=True, sharey=True) as (figure, axes):
        for ax, (name, title) in zip(axes, parts.items(), strict=True):
            for height, row in enumerate(table.to_dict("records")):
                _bar(ax, height, row, name)
            ax.axvline(1, color=ZERO, linewidth=0.8)
            ax.set(title=title, xscale="log", xlabel="error over that of columns")
            label_short_log(ax.xaxis)
        axes[0].set_yticks(range(len(table)), table["factor"])
        axes[0].invert_yaxis()
    return figure


def _bar(ax: Axes, height: int, row: Mapping[Hashable, Any], name: str) -> None:
    color = _COLORS[row["group"]]
    ax.plot([row[f"{name}_low"], row[f"{name}_high"]], [height, height], color=color, linewidth=1.2)
    ax.plot(row[name], height, "o", markersize=4.5, color=color)


FIGURES = {"robustness": errors, "robustness-effects": effects}
