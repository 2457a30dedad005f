"""Errors by number of examples, a panel for each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from iclab.studies.drawing import ACCENT, LEAST_SQUARES, SECOND, ZERO, figure_style
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
            figure.axes[0].set_ylabel("squared error")
            figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure

    return draw


_ORDER = tuple(CLASSES)
FIGURES = {
    "function-classes-real": _panels(_ORDER[:4]),
    "function-classes-other": _panels((_ORDER[4], _ORDER[5], _ORDER[9])),
    "function-classes-boolean": _panels(_ORDER[6:9]),
}
