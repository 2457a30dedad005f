"""Errors by number of examples, a panel for each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from iclab.studies.contests import BAYES
from iclab.studies.drawing import ACCENT, CYCLE, LEAST_SQUARES, SECOND, ZERO, figure_style, legend_below
from iclab.studies.function_classes.measure import CLASSES, LABELS, POSTERIOR
from iclab.studies.study import Record

_COLORS = {LABELS: SECOND, POSTERIOR: ACCENT}


def _panels(names: Sequence[str]) -> Callable[[Record], Figure]:
    def draw(record: Record) -> Figure:
        errors = record.tables["errors"]
        shown = [name for name in names if errors["case"].str.startswith(f"{name},").any()]
        with figure_style():
            figure = Figure(figsize=(8.2, 3.0))
            if not shown:
                return figure
            for ax, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
                for targets, color in _COLORS.items():
                    rows = errors[errors["case"] == f"{name}, {targets}"]
                    for i, (_, line) in enumerate(rows[rows["predictor"] == "model"].groupby("training_seed")):
                        label = f"trained on {targets}" if i == 0 else None
                        ax.plot(line["position"], line["mean"], color=color, linewidth=1, label=label)
                rows = errors[errors["case"] == f"{name}, {LABELS}"]
                for reference, color in (("bayes", LEAST_SQUARES), ("ridge", ZERO)):
                    line = rows[rows["predictor"] == reference]
                    ax.plot(line["position"], line["mean"], "--", color=color, linewidth=1, label=reference)
                ax.set(title=name, yscale="log", xlabel="examples")
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            figure.axes[0].set_ylabel("squared error")
            legend_below(figure, 4)
        return figure

    return draw


def read_outs(record: Record) -> Figure:
    """Distance of read-outs to learners by block, the answer last; means over seeds, a panel for each class."""
    table = record.tables["readouts"]
    names = list(dict.fromkeys(table["class"]))
    with figure_style():
        figure = Figure(figsize=(8.2, 3.4))
        if not names:
            return figure
        learners = list(dict.fromkeys(table["algorithm"]))
        for ax, name in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
            rows = table[table["class"] == name]
            for i, learner in enumerate(sorted(learners)):
                means = rows[rows["algorithm"] == learner].groupby("block")["distance"].mean()
                color = LEAST_SQUARES if learner == BAYES else CYCLE[i % len(CYCLE)]
                ax.plot(means.index, means, ".-", color=color, linewidth=1.2, label=learner.replace("_", " "))
            last = int(rows["block"].max())
            ax.set(title=name, yscale="log", xlabel="blocks passed")
            ax.set_xticks(range(last + 1), [*map(str, range(last)), "answer"])
        figure.axes[0].set_ylabel("distance / mean squared target")
        legend_below(figure, 6)
    return figure


_ORDER = tuple(CLASSES)
FIGURES = {
    "function-classes-real": _panels(_ORDER[:4]),
    "function-classes-other": _panels((_ORDER[4], _ORDER[5], _ORDER[9])),
    "function-classes-boolean": _panels(_ORDER[6:9]),
    "function-classes-readouts": read_outs,
}
