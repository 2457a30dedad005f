"""One layer beside its exact learner, and the scores of every mixer on every problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.studies.drawing import ACCENT, LEAST_SQUARES, LSA, SECOND, THIRD, ZERO, legend_below, panels
from iclab.studies.study import Record

_COLORS = {"bayes": SECOND, "least squares": LEAST_SQUARES, "lsa": LSA, "lasso-0.1": THIRD}


def layers(record: Record) -> Figure:
    """Errors by position of trained layers, a line for each training seed, and of their learner on the same prompts."""
    rows = record.tables["layers"]
    names = list(dict.fromkeys(rows["layer"]))
    with panels((0.6 + 2.7 * max(1, len(names)), 3.0), len(names) or 1) as (figure, axes):
        for ax, name in zip(axes, names, strict=bool(names)):
            group = rows[rows["layer"] == name]
            for seed, line in group.groupby("training_seed"):
                label = "trained" if seed == group["training_seed"].min() else None
                ax.plot(line["position"], line["mean"], color=ACCENT, linewidth=1, label=label)
            exact = group.drop_duplicates("position")
            exact = exact[exact["exact"] > 0]
            ax.plot(exact["position"], exact["learner"], "--", color=LEAST_SQUARES, label="exact learner")
            ax.set(title=name, yscale="log", xlabel="examples")
        if names:
            axes[0].set_ylabel("squared error")
            axes[0].legend()
    return figure


def _problems(wanted: Sequence[str]) -> Callable[[Record], Figure]:
    """Scores at N: a panel for each problem, a mark with its interval for each mixer, references as lines."""

    def draw(record: Record) -> Figure:
        rows = record.tables["board"]
        names = [name for name in wanted if (rows["problem"] == name).any()]
        models = list(dict.fromkeys(rows.loc[rows["problem"].isin(names), "model"]))
        size = (0.9 + 2.6 * max(1, len(names)), 1.6 + 0.28 * len(models))
        with panels(size, len(names) or 1, sharey=True) as (figure, axes):
            for ax, name in zip(axes, names, strict=bool(names)):
                _problem(ax, rows[rows["problem"] == name], models)
                ax.set(title=name, xscale="log", xlabel="score at N")
            axes[0].set_yticks(range(len(models)), models)
            axes[0].invert_yaxis()
            legend_below(figure, 4)
        return figure

    return draw


def _problem(ax: Axes, group: pd.DataFrame, models: list[str]) -> None:
    own = group[group["predictor"] == "model"]
    heights = own["model"].map(models.index)
    ax.hlines(heights, own["score_low"], own["score_high"], color=ACCENT, linewidth=1.2)
    ax.plot(own["score"], heights, "o", color=ACCENT, markersize=4)
    lines = group[group["predictor"] != "model"].drop_duplicates("predictor")
    for name, score in zip(lines["predictor"], lines["score"], strict=True):
        if score > 1e-9:
            label = name.replace("_", " ")
            ax.axvline(score, color=_COLORS.get(label, ZERO), linestyle="--", linewidth=1, label=label)


FIGURES = {
    "mixers-layers": layers,
    "mixers": _problems(("linear", "sparse", "outliers")),
    "mixers-discrete": _problems(("parity", "recall")),
}
