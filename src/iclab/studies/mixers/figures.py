"""One layer beside its exact learner, and the scores of every mixer on every problem."""

from __future__ import annotations

from matplotlib.figure import Figure

from iclab.studies.drawing import ACCENT, CYCLE, LEAST_SQUARES, panels
from iclab.studies.study import Record


def layers(record: Record) -> Figure:
    """Errors of trained layers by position, a line for each training seed, over the exact one."""
    rows = record.tables["layers"]
    names = list(dict.fromkeys(rows["layer"]))
    with panels((0.6 + 2.7 * len(names), 3.0), len(names)) as (figure, axes):
        for ax, name in zip(axes, names, strict=True):
            group = rows[rows["layer"] == name]
            for seed, line in group.groupby("training_seed"):
                label = "trained" if seed == group["training_seed"].min() else None
                ax.plot(line["position"], line["mean"], color=ACCENT, linewidth=1, label=label)
            exact = group.drop_duplicates("position")
            exact = exact[exact["exact"] > 0]
            ax.plot(exact["position"], exact["exact"], "--", color=LEAST_SQUARES, label="exact learner")
            ax.set(title=name, yscale="log", xlabel="examples")
        figure.axes[0].set_ylabel("squared error")
        figure.axes[0].legend()
    return figure


def problems(record: Record) -> Figure:
    """Scores at N: a panel for each problem, a mark with its interval for each mixer, references as lines."""
    rows = record.tables["board"]
    names = list(dict.fromkeys(rows["problem"]))
    models = list(dict.fromkeys(rows["model"]))
    with panels((0.8 + 1.9 * len(names), 0.9 + 0.28 * len(models) + 0.5), len(names), sharey=True) as (figure, axes):
        for ax, name in zip(axes, names, strict=True):
            group = rows[rows["problem"] == name]
            own = group[group["predictor"] == "model"]
            heights = own["model"].map(models.index)
            ax.hlines(heights, own["score_low"], own["score_high"], color=ACCENT, linewidth=1.2)
            ax.plot(own["score"], heights, "o", color=ACCENT, markersize=4)
            for i, (reference, line) in enumerate(
                group[group["predictor"] != "model"].groupby("predictor", sort=False)
            ):
                if line["score"].iloc[0] > 1e-9:
                    ax.axvline(line["score"].iloc[0], color=CYCLE[(i + 1) % len(CYCLE)], linewidth=1, label=reference)
            ax.set(title=name, xscale="log", xlabel="score at N")
            ax.legend(fontsize=8, loc="upper right")
        figure.axes[0].set_yticks(range(len(models)), models)
        figure.axes[0].invert_yaxis()
    return figure


FIGURES = {"mixers-layers": layers, "mixers": problems}
