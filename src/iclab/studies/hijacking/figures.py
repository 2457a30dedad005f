"""Hijacking: sizes by number and position of labels, the table of transfer, robustness against accuracy."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from iclab.foundations import normal_quantile
from iclab.studies.drawing import (
    ACCENT,
    CYCLE,
    LEAST_SQUARES,
    LSA,
    SECOND,
    THIRD,
    label_short_log,
    legend_below,
    panels,
)
from iclab.studies.hijacking.exact import CLASSICAL
from iclab.studies.rows import where
from iclab.studies.study import Record


def sizes(record: Record) -> Figure:
    """Median size of an attack by the number of changed labels, and by the position of one."""
    numbers, positions = record.tables["numbers"], record.tables["positions"]
    with panels((8.0, 3.6), 2, sharey=True) as (figure, (left, right)):
        for color, name in zip(CYCLE, CLASSICAL, strict=False):
            one = where(numbers, learner=name)
            left.plot(one["labels"], one["size_l2"], color=color, label=name)
            at = where(positions, learner=name)
            right.plot(at["position"], at["size"].replace(np.inf, np.nan), ".", color=color, markersize=4)
        trained = positions[~positions["learner"].isin(CLASSICAL)]
        for i, (_, at) in enumerate(trained.groupby("learner")):
            right.plot(at["position"], at["size"], color="#b0b0b0", linewidth=0.7, label="" if i else "shipped models")
        left.set(xlabel="changed labels", ylabel="size / standard deviation of a label", xscale="log", yscale="log")
        label_short_log(left.xaxis)
        right.set(xlabel="position of the one changed label")
        legend_below(figure, 4)
    return figure


def transfer(record: Record) -> Figure:
    """How far an attack on one learner moves another, all labels free."""
    table = where(record.tables["transfer"], kind="all")
    names = list(dict.fromkeys(table["source"]))
    moved = table.pivot_table(index="source", columns="target", values="moved").loc[names, names]
    side = 2.6 + 0.27 * len(names)
    with panels((side + 0.6, side)) as (figure, ax):
        image = ax.imshow(moved.clip(-0.2, 1.2), cmap="viridis", vmin=0, vmax=1)
        ax.set_xticks(range(len(names)), names, rotation=90)
        ax.set_yticks(range(len(names)), names)
        ax.grid(visible=False)
        ax.set(xlabel="asked", ylabel="attacked")
        figure.colorbar(image, ax=ax, label="moved / wanted, median", shrink=0.7)
    return figure


def robustness(record: Record) -> Figure:
    """Error under attack by budget: the layers, least squares, and GPT-2 with and without adversarial training."""
    layers, squares, hard = (record.tables[name] for name in ("layers", "squares", "hardened"))
    shades = (ACCENT, SECOND, THIRD, "#882255")
    with panels((8.0, 3.6), 2, sharey=True) as (figure, (left, right)):
        for color, trained in zip(shades, hard["trained"].unique(), strict=False):
            one = where(layers, trained=trained)
            left.plot(one["budget"], one["error"], ".-", color=color, label=f"trained for ε = {trained:g}")
            rows = where(hard, trained=trained)
            right.errorbar(rows["budget"], rows["error"], normal_quantile() * rows["stderr"], fmt=".-", color=color)
        best = layers[layers["trained"] == layers["budget"]]
        left.plot(best["budget"], best["error"], color=LSA, linestyle=":", label="best layer at each ε")
        for ax, title in ((left, "one linear layer, exact"), (right, "GPT-2, attacked by gradients")):
            ax.plot(squares["budget"], squares["error"], color=LEAST_SQUARES, linestyle="--", label="least squares")
            ax.set(title=title, xlabel="budget ε of the attacker", yscale="log", ylim=(5e-3, 20))
        left.set_ylabel("error / d under attack")
        legend_below(figure, 3)
    return figure


FIGURES = {"hijacking": sizes, "hijacking-transfer": transfer, "hijacking-robustness": robustness}
