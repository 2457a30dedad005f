"""Steps to error: every recipe's crossings, and the held-out errors that they were read from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from iclab.report.style import ACCENT, CYCLE, SECOND, ZERO, Drawing, house_style
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# The two recipes that are compared have a colour of their own everywhere.
_OWN = {"fast": ACCENT, "garg": SECOND}
_OTHERS = tuple(color for color in CYCLE if color not in _OWN.values())
_STYLES = ("-", "--", ":")


def draw(record: StudyRecord) -> list[Drawing]:
    """Crossings by threshold, and errors by step."""
    board, curves = record.tables["board"], record.tables["curves"]
    return [_crossings(record, board), _curves(record, board, curves)]


def _crossings(record: StudyRecord, board: pd.DataFrame) -> Drawing:
    thresholds, order = list(board["threshold"].unique()), _order(board, record.tables["ranking"])
    with house_style():
        figure = Figure(figsize=(10.0, 1.1 + 0.28 * len(order)))
        axes = figure.subplots(1, len(thresholds), sharex=True, sharey=True, squeeze=False)[0]
        for ax, threshold in zip(axes, thresholds, strict=True):
            group = board[board["threshold"] == threshold]
            for height, recipe in enumerate(order):
                _recipe(ax, height, group[group["recipe"] == recipe], _OWN.get(recipe, "#555555"))
            ax.set(title=f"error/d ≤ {threshold:g}", xscale="log", xlabel="steps")
        axes[0].set_yticks(range(len(order)), order)
        axes[0].invert_yaxis()
    d, seeds = record.facts["settings"]["dimension"], board["seed"].nunique()
    caption = (
        f"Steps until the held-out error at {2 * d} examples (d = {d}) was first at or below a threshold, one mark per "
        f"seed ({seeds} seeds). Triangles are censored: not within that many steps. Best recipe on top, by the median "
        "over seeds in runs of equal lengths, at the least threshold that it reached; then those run at other lengths. "
        "fast in blue, Garg et al. in orange."
    )
    return Drawing(f"{record.name}-steps", figure, caption, "Steps to three errors for every recipe and seed.")


def _recipe(ax: Axes, height: int, rows: pd.DataFrame, color: str) -> None:
    # Seeds beside each other, so that equal ones are seen.
    heights = height + np.linspace(-0.2, 0.2, len(rows))
    for reached, marker, face in ((True, "o", color), (False, ">", "none")):
        which = (rows["reached"] == reached).to_numpy()
        steps = rows["steps" if reached else "within"].to_numpy(dtype=float)
        ax.plot(steps[which], heights[which], marker, markersize=4.5, color=color, markerfacecolor=face)


def _curves(record: StudyRecord, board: pd.DataFrame, curves: pd.DataFrame) -> Drawing:
    recipes = list(curves["recipe"].unique())
    others = [recipe for recipe in recipes if recipe not in _OWN]
    with house_style():
        figure = Figure(figsize=(10.0, 4.2))
        ax = figure.subplots()
        for recipe in recipes:
            longest = curves[curves["recipe"] == recipe]
            longest = longest[longest["length"] == longest["length"].max()]
            wide = longest.pivot_table(index="step", columns="seed", values="error")
            index = others.index(recipe) if recipe in others else 0
            color = _OWN.get(recipe, _OTHERS[index % len(_OTHERS)])
            style = "-" if recipe in _OWN else _STYLES[index // len(_OTHERS) % len(_STYLES)]
            ax.plot(wide.index, wide.median(axis=1), linestyle=style, color=color, label=recipe)
            if recipe in _OWN:
                ax.fill_between(wide.index, wide.min(axis=1), wide.max(axis=1), color=color, alpha=0.2, linewidth=0)
        for threshold in board["threshold"].unique():
            ax.axhline(threshold, color=ZERO, linewidth=0.8, linestyle=(0, (4, 2)))
        d = record.facts["settings"]["dimension"]
        ax.set(xscale="log", yscale="log", xlabel="steps", ylabel=f"held-out error/d at {2 * d} examples")
        figure.legend(loc="outside right upper")
    caption = (
        f"Held-out error by step, d = {d}: median over seeds of each recipe's longest runs, with the range over seeds "
        "for fast and for Garg et al. Runs end where they reach the last threshold; dashed grey: the thresholds."
    )
    return Drawing(f"{record.name}-curves", figure, caption, "Held-out error against steps, one line per recipe.")


def _order(board: pd.DataFrame, ranking: pd.DataFrame) -> list[str]:
    """Recipes of equal lengths by median steps at the last threshold, ties by the one before; then the others."""
    medians = ranking.pivot_table(index="recipe", columns="threshold", values="median_steps", sort=False)
    ranked = list(medians.sort_values(sorted(medians.columns)).index)
    return ranked + [recipe for recipe in board["recipe"].unique() if recipe not in ranked]
