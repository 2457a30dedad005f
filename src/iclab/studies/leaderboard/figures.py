"""Steps to error: every recipe's crossings, and the held-out errors that they were read from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.studies.drawing import ACCENT, SECOND, ZERO, panels
from iclab.studies.leaderboard.recipes import GARG, OURS
from iclab.studies.rows import at_last, where
from iclab.studies.study import Record

_COLORS = {OURS: ACCENT, GARG: SECOND}
_OTHERS = "#9a9a9a"


def steps(record: Record) -> Figure:
    """Steps to each threshold, one mark per seed, recipes in their rank."""
    board = record.tables["board"]
    thresholds, order = list(board["threshold"].unique()), _order(board, record.tables["ranking"])
    with panels((8.0, 1.1 + 0.26 * len(order)), len(thresholds), sharex=True, sharey=True) as (figure, axes):
        for ax, threshold in zip(axes, thresholds, strict=True):
            group = where(board, threshold=threshold)
            for height, recipe in enumerate(order):
                _marks(ax, height, where(group, recipe=recipe), _COLORS.get(recipe, "#555555"))
            ax.set(title=f"error/d ≤ {threshold:g}", xscale="log", xlabel="steps")
        axes[0].set_yticks(range(len(order)), order)
        axes[0].invert_yaxis()
    return figure


def _marks(ax: Axes, height: int, rows: pd.DataFrame, color: str) -> None:
    # Seeds beside each other, so that equal ones are seen.
    heights = height + np.linspace(-0.2, 0.2, len(rows))
    for reached, marker, face in ((True, "o", color), (False, ">", "none")):
        which = (rows["reached"] == reached).to_numpy()
        found = rows["steps" if reached else "within"].to_numpy(dtype=float)
        ax.plot(found[which], heights[which], marker, markersize=4.5, color=color, markerfacecolor=face)


def curves(record: Record) -> Figure:
    """Held-out error by step of the longest runs; the default recipe and Garg et al.'s stand out."""
    table, d = record.tables["curves"], record.settings["dimension"]
    with panels((7.0, 4.0)) as (figure, ax):
        others = [recipe for recipe in table["recipe"].unique() if recipe not in _COLORS]
        for recipe in (*others, *_COLORS):
            rows = where(table, recipe=recipe)
            wide = at_last(rows, "length").pivot_table(index="step", columns="seed", values="error")
            color = _COLORS.get(recipe, _OTHERS)
            label = recipe if recipe in _COLORS else "other recipes" if recipe == others[0] else ""
            ax.plot(
                wide.index, wide.median(axis=1), color=color, label=label, linewidth=1.6 if recipe in _COLORS else 0.9
            )
            if recipe in _COLORS:
                ax.fill_between(wide.index, wide.min(axis=1), wide.max(axis=1), color=color, alpha=0.2, linewidth=0)
        for threshold in record.tables["board"]["threshold"].unique():
            ax.axhline(threshold, color=ZERO, linewidth=0.8, linestyle=(0, (4, 2)))
        ax.set(xscale="log", yscale="log", xlabel="steps", ylabel=f"held-out error / d at {2 * d} examples")
        ax.legend(loc="lower left")
    return figure


def _order(board: pd.DataFrame, ranking: pd.DataFrame) -> list[str]:
    """Recipes of equal lengths by median steps at the last threshold, ties by the one before; then the others."""
    medians = ranking.pivot_table(index="recipe", columns="threshold", values="median_steps", sort=False)
    ranked = list(medians.sort_values(sorted(medians.columns)).index)
    return ranked + [recipe for recipe in board["recipe"].unique() if recipe not in ranked]


FIGURES = {"leaderboard-steps": steps, "leaderboard-curves": curves}
