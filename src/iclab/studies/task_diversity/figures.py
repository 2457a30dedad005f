"""Task diversity: errors, and places between the strategies, by the number of tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.studies.drawing import ACCENT, CYCLE, LIMIT, SECOND, ZERO, legend_below, panels
from iclab.studies.rows import where
from iclab.studies.study import Record
from iclab.studies.task_diversity.lines import FRESH, POOL
from iclab.studies.task_diversity.models import LABELS
from iclab.studies.task_diversity.thresholds import HALF

_TITLES = {FRESH: "fresh tasks", POOL: "tasks of the pool"}


def errors(record: Record) -> Figure:
    """Errors of models trained on labels, beside both strategies, on fresh tasks and on the pool's."""
    models, lines = record.tables["models"], record.tables["lines"]
    models = where(models, recipe=LABELS)
    with panels((8.0, 3.6), 2, sharey=True) as (figure, axes):
        for ax, tasks in zip(axes, (FRESH, POOL), strict=True):
            for quantity, color, style in (("dMMSE", SECOND, "-"), ("ridge", LIMIT, "--")):
                own = where(lines, setting="trained", tasks=tasks)
                own = where(own, quantity=quantity).sort_values("n_tasks")
                ax.plot(own["n_tasks"], own["mean"], color=color, linestyle=style, label=quantity)
            mine = where(models, tasks=tasks)
            ax.plot(
                mine["n_tasks"], mine["error"], color=ACCENT, marker="o", linestyle="none", markersize=4, label="model"
            )
            ax.set(xlabel="tasks M of the pool", title=_TITLES[tasks])
            ax.set_xscale("log", base=2)
        figure.axes[0].set_ylabel("squared error / d, mean over positions")
        figure.axes[0].legend()
    return figure


def places(record: Record) -> Figure:
    """Where models stand between ridge and dMMSE, by recipe."""
    models = record.tables["models"]
    with panels((8.0, 3.6), 2, sharey=True) as (figure, axes):
        for ax, tasks in zip(axes, (FRESH, POOL), strict=True):
            _places(ax, where(models, tasks=tasks))
            ax.set(xlabel="tasks M of the pool", title=_TITLES[tasks])
        figure.axes[0].set_ylabel("relative distance: 0 ridge, 1 dMMSE")
        legend_below(figure, 6)
    return figure


def _places(ax: Axes, models: pd.DataFrame) -> None:
    for i, (recipe, own) in enumerate(models.groupby("recipe", sort=False)):
        means = own.groupby("n_tasks")["relative"].agg(["mean", "min", "max"])
        # Recipes side by side, not one over the other.
        x = means.index.to_numpy(dtype=float) * 2 ** (0.12 * (i - 1))
        reach = np.array([means["mean"] - means["min"], means["max"] - means["mean"]])
        ax.errorbar(x, means["mean"], reach, color=CYCLE[i % len(CYCLE)], marker="o", markersize=3.5, label=str(recipe))
    ax.axhline(HALF, color=ZERO, linewidth=0.8)
    ax.set_xscale("log", base=2)


def along(record: Record) -> Figure:
    """Relative distance along training, by M, on fresh tasks and on the pool's."""
    table = record.tables["along"]
    table = table[table["step"] > 0]
    counts = sorted(table["n_tasks"].unique())
    with panels((8.0, 3.6), 2, sharey=True) as (figure, axes):
        for ax, tasks in zip(axes, (FRESH, POOL), strict=True):
            means = where(table, tasks=tasks).groupby(["n_tasks", "step"])["relative"].mean()
            for i, count in enumerate(counts):
                # From few tasks (light) to many (dark).
                shade = 0.25 + 0.75 * (i + 1) / len(counts)
                own = means[count]
                ax.plot(own.index, own, color=ACCENT, alpha=shade, marker=".", label=f"M = {count}")
            ax.axhline(HALF, color=ZERO, linewidth=0.8)
            ax.set(xscale="log", xlabel="step", title=_TITLES[tasks], ylim=(-0.5, 1.5))
        figure.axes[0].set_ylabel("relative distance: 0 ridge, 1 dMMSE")
        legend_below(figure, 6)
    return figure


FIGURES = {"along": along, "errors": errors, "places": places}
