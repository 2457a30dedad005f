"""Error against the number of loops, and against the number of examples."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from iclab.studies.drawing import ACCENT, CYCLE, LEAST_SQUARES, LSA, ZERO, label_short_log, panels
from iclab.studies.rows import where
from iclab.studies.study import Record


def by_loops(record: Record) -> Figure:
    """Error at N by the number of loops at test, a line for each training seed, beside tied GD++."""
    rows, trained = record.tables["loops"], record.tables["trained"].iloc[0]
    with panels((5.4, 3.4)) as (figure, ax):
        first = int(trained["loops"] - trained["window"])
        ax.axvspan(first, trained["loops"], color=ACCENT, alpha=0.1, linewidth=0, label="loops that are trained")
        for i, (_, line) in enumerate(where(rows, predictor="model").groupby("training_seed")):
            ax.plot(line["loops"], line["mean"], ".-", color=ACCENT, linewidth=1, label=None if i else "looped block")
        exact = where(rows, predictor="GD++")
        ax.plot(exact["loops"], exact["mean"], "--", color=LSA, label="tied GD++")
        ax.set(xscale="log", yscale="log", xlabel="loops at test", ylabel="squared error at N")
        label_short_log(ax.xaxis)
        ax.legend()
    return figure


def by_examples(record: Record) -> Figure:
    """Error by the number of examples: looped, untied, one layer, least squares."""
    errors = record.tables["errors"]
    with panels((5.4, 3.4)) as (figure, ax):
        own = where(errors, predictor="model")
        for color, (case, rows) in zip(CYCLE, own.groupby("case", sort=False), strict=False):
            for i, (_, line) in enumerate(rows.groupby("training_seed")):
                ax.plot(line["position"], line["mean"], color=color, linewidth=1, label=None if i else case)
        squares = errors[(errors["predictor"] == "least squares") & (errors["mean"] > 1e-9)]
        squares = squares.drop_duplicates("position")
        ax.plot(squares["position"], squares["mean"], "--", color=LEAST_SQUARES, label="least squares")
        ax.axhline(record.settings["dimension"], color=ZERO, linewidth=0.8, label="predicting 0")
        ax.set(yscale="log", xlabel="examples", ylabel="squared error")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
    return figure


FIGURES = {"loops": by_loops, "loops-examples": by_examples}
