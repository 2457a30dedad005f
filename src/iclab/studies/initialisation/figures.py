"""Initialisation, step size and noise: where starts end, discrete training beside the flow, and two layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.foundations import normal_quantile
from iclab.studies.drawing import CYCLE, ZERO, panels, tick_at
from iclab.studies.initialisation.two_layer import DESCENT, ONE_LAYER
from iclab.studies.rows import where
from iclab.studies.study import Record

_MARKERS = "osD^vPX<>"
_DASHED = (0, (4, 2))
_PROBLEM = ["covariances", "dimension", "n_train", "condition"]
# Relative excesses below this are drawn on the lower edge of a logarithmic axis, and runs that diverged at the top.
_FLOOR, _TOP = 1e-16, 10.0


def failures(record: Record) -> Figure:
    """Share of starts that fail, by size of the perturbation and problem; a panel per d."""

    def draw(ax: Axes, rows: pd.DataFrame, i: int, label: str) -> None:
        # Side by side, so that bars do not hide one another.
        x, bars = (
            rows["size"] * (1 + 0.05 * (i - 2)),
            np.abs(rows[["low", "high"]].to_numpy().T - rows["rate"].to_numpy()),
        )
        ax.errorbar(x, rows["rate"], bars, label=label, elinewidth=0.9, **_style(i))
        ax.set_ylim(-0.03, 1.03)

    return _by_dimension(record, draw, "share of failures", "upper left")


def failed_errors(record: Record) -> Figure:
    """Median error of the starts that fail, by size of the perturbation and problem; a panel per d."""

    def draw(ax: Axes, rows: pd.DataFrame, i: int, label: str) -> None:
        failed = rows[rows["failures"] > 0]
        ax.plot(failed["size"], failed["failed_error"], label=label, **_style(i))

    return _by_dimension(record, draw, "median error of failures / tr Λ", "best")


def _by_dimension(
    record: Record, draw: Callable[[Axes, pd.DataFrame, int, str], None], ylabel: str, legend: str
) -> Figure:
    by_d = list(record.tables["ends"].groupby("dimension"))
    with panels((8.0, 3.4), len(by_d), sharey=True) as (figure, axes):
        for ax, (d, rows) in zip(axes, by_d, strict=True):
            ax.set(title=f"d = {d}", xscale="log", xlabel="perturbation / σ")
            for i, (_, problem) in enumerate(rows.groupby(_PROBLEM, sort=False)):
                draw(ax, problem, i, _label(problem))
            ax.legend(loc=legend)
        axes[0].set_ylabel(ylabel)
    return figure


def overview(record: Record) -> Figure:
    """Share of starts that fail by size of the perturbation, over all problems and on each, small."""
    ends = record.tables["ends"]
    with panels((4.0, 2.0)) as (figure, ax):
        for i, (_, rows) in enumerate(ends.groupby(_PROBLEM)):
            ax.plot(rows["size"], rows["rate"], color="#b5b5b5", linewidth=0.8, label="" if i else "one problem")
        pooled = ends.groupby("size")[["failures", "n"]].sum()
        ax.plot(pooled.index, pooled["failures"] / pooled["n"], color=CYCLE[0], marker="o", label="all problems")
        ax.set(xscale="log", ylim=(-0.03, 1.03), xlabel="perturbation / σ", ylabel="share of failures")
        ax.legend(loc="upper left")
    return figure


def _label(rows: pd.DataFrame, *, dimension: bool = False) -> str:
    one = rows.iloc[0]
    kind = "random Λ" if one["covariances"] == "random" else f"condition {one['condition']:g}"
    return (f"d = {one['dimension']}, " if dimension else "") + f"N = {one['n_train']}, {kind}"


def _style(i: int) -> dict[str, Any]:
    return {"color": CYCLE[i % len(CYCLE)], "marker": _MARKERS[i], "markersize": 4, "linewidth": 1}


def times(record: Record) -> Figure:
    """Time to 99 % of the gain from Assumption 3, by σ over the threshold."""
    scales = record.tables["scales"]
    with panels((6.0, 3.4)) as (figure, ax):
        for i, (_, rows) in enumerate(where(scales, size=0).groupby(_PROBLEM, sort=False)):
            ax.plot(rows["ratio"], rows["time_to_99"], label=_label(rows, dimension=True), **_style(i))
        ax.axvline(1, color=ZERO, linestyle=_DASHED, linewidth=1)
        ax.set_xscale("log", base=2)
        ax.set(yscale="log", xlabel="σ / threshold", ylabel="median time to 99 % of the gain")
        ax.legend()
    return figure


def step_sizes(record: Record) -> Figure:
    """Excess at the end of descent by step size; a panel per kind of covariances."""
    rates = record.tables["rates"]
    with panels((8.0, 3.4), 2, sharey=True) as (figure, axes):
        for ax, (covariances, rows) in zip(axes, rates.groupby("covariances"), strict=True):
            for i, (perturbation, runs) in enumerate(rows.groupby("perturbation")):
                name = f"perturbed by {perturbation:g}" if perturbation else "Assumption 3"
                style = {"color": CYCLE[i], "linestyle": "none", "markersize": 5}
                settled, lost = where(runs, diverged=False), runs[runs["diverged"]]
                excess = settled["excess"].clip(lower=_FLOOR)
                ax.plot(settled["part"], excess, marker=_MARKERS[i], label=name, **style)
                ax.plot(lost["part"] * (1 + 0.05 * i), np.full(len(lost), _TOP), marker="x", **style)
            for limit in (1.0, float((rows["limit_u_U"] / rows["limit_all"]).iloc[0])):
                ax.axvline(limit, color=ZERO, linestyle=_DASHED, linewidth=1)
            ax.set(xscale="log", yscale="log", title=f"{covariances} Λ", xlabel="step size η / limit on all parameters")
        axes[0].set_ylim(_FLOOR / 3, _TOP * 5)
        axes[0].set_ylabel("excess at the end / gain")
        axes[0].legend(loc="center left")
    return figure


def sgd(record: Record) -> Figure:
    """Distance of SGD from the flow by step and batch size; a panel per kind of covariances."""
    table = record.tables["sgd"]
    with panels((8.0, 3.4), 2, sharey=True) as (figure, axes):
        for ax, (covariances, runs) in zip(axes, table.groupby("covariances"), strict=True):
            for i, (size, rows) in enumerate(runs.groupby("batch_size")):
                rows = rows.sort_values("rate")
                bars = normal_quantile() * rows["stderr"]
                ax.errorbar(rows["rate"], rows["gap"], bars, label=f"batches of {size}", **_style(i))
            descent = runs.drop_duplicates("rate").sort_values("rate")
            ax.plot(descent["rate"], descent["descent_gap"], color=ZERO, linestyle=_DASHED, label="no noise")
            ax.set(xscale="log", yscale="log", title=f"{covariances} Λ", xlabel="step size η")
            tick_at(ax, runs["rate"])
        axes[0].set_ylabel("distance from the flow")
        axes[0].legend()
    return figure


def layers(record: Record) -> Figure:
    """Risk of two layers over time, a line per start, a panel per size of the weights."""
    paths, references = record.tables["two_layer_paths"], record.tables["two_layer_references"]
    loss = references.set_index(["predictor", "steps"])["loss"]
    lines = (("one layer, minimum", (ONE_LAYER, 0), (4, 2)), ("two steps of descent", (DESCENT, 2), (1, 1)))
    by_scale = list(paths[paths["t"] > 0].groupby("scale"))
    with panels((8.0, 3.2), len(by_scale), sharey=True) as (figure, axes):
        for ax, (scale, runs) in zip(axes, by_scale, strict=True):
            for _, rows in runs.groupby("start"):
                ax.plot(rows["t"], rows["loss"], color=CYCLE[0], linewidth=0.7, alpha=0.6)
            for name, key, dashes in lines:
                ax.axhline(float(loss[key]), color=CYCLE[1], linestyle=(0, dashes), linewidth=1.2, label=name)
            ax.set(xscale="log", yscale="log", xlabel="t", title=f"weights {scale:g}")
            ax.set_xlim(left=0.1)
        # A few starts begin far above the others.
        axes[0].set_ylim(0.7 * float(paths["loss"].min()), 3 * float(where(paths, t=0)["loss"].min()))
        axes[0].set_ylabel("risk of two layers")
        axes[0].legend(loc="lower left")
    return figure


FIGURES = {
    "initialisation": failures,
    "initialisation-overview": overview,
    "initialisation-error": failed_errors,
    "initialisation-threshold": times,
    "initialisation-steps": step_sizes,
    "initialisation-sgd": sgd,
    "initialisation-layers": layers,
}
