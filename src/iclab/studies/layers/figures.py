"""Best number of steps by block, and what can be read from the stream, by block."""

from __future__ import annotations

from matplotlib.figure import Figure

from iclab.foundations import normal_quantile
from iclab.studies.drawing import CYCLE, legend_below, panels
from iclab.studies.layers.measure import best
from iclab.studies.rows import at_last, where
from iclab.studies.study import Record

_FAMILIES = {"newton": "Newton", "gradient_descent": "gradient descent"}


def steps(record: Record) -> Figure:
    """The number of steps that a read-out is nearest to, a panel for each algorithm, a line for each model."""
    rows = record.tables["readouts"]
    with panels((7.2, 3.6), len(_FAMILIES)) as (figure, axes):
        for ax, (family, title) in zip(axes, _FAMILIES.items(), strict=True):
            for i, (model, group) in enumerate(best(rows, family).groupby("model", sort=False)):
                ordered = group[group["block"] > 0].sort_values("block")
                color = CYCLE[i % len(CYCLE)]
                ax.plot(ordered["block"], ordered["setting"], "o-", color=color, markersize=3.5, label=model)
            ax.set(title=title, xlabel="blocks passed", yscale="linear" if family == "newton" else "log")
        figure.axes[0].set_ylabel("nearest number of steps")
        legend_below(figure, 2)
    return figure


def probes(record: Record) -> Figure:
    """R² of ridge probes after each block at the last position, a panel for each quantity."""
    rows = where(at_last(record.tables["probes"], "position"), control=False)
    targets = list(dict.fromkeys(rows["target"]))
    names = {"moment": "X'y/i", "least_squares": "least squares", "norm": "‖w‖"}
    with panels((1.6 + 2.3 * len(targets), 3.4), len(targets), sharey=True) as (figure, axes):
        for ax, target in zip(axes, targets, strict=True):
            for i, (model, group) in enumerate(where(rows, target=target).groupby("model", sort=False)):
                for weights, style in (("trained", "-"), ("untrained", ":")):
                    line = where(group, weights=weights).sort_values("block")
                    color = CYCLE[i % len(CYCLE)]
                    ax.plot(line["block"] + 1, line["r2"], style, color=color, label=model if style == "-" else None)
                    reach = normal_quantile() * line["stderr"]
                    ax.fill_between(line["block"] + 1, line["r2"] - reach, line["r2"] + reach, color=color, alpha=0.15)
            ax.set(title=names.get(target, target), xlabel="blocks passed", ylim=(-0.1, 1.02))
        axes[0].set_ylabel("R² on prompts left out")
        legend_below(figure, 2)
    return figure


FIGURES = {"layers": steps, "layers-probes": probes}
