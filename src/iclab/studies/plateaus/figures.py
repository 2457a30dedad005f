"""Plateaus: the loss with its predicted heights and times, the order, ranks, and other rules of descent."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.foundations import wilson_interval
from iclab.studies.drawing import ACCENT, CYCLE, LEAST_SQUARES, LIMIT, SECOND, ZERO, legend_below, panels
from iclab.studies.plateaus.measure import RATES
from iclab.studies.plateaus.problems import FIXED, NARROW, NOISY, WIDE
from iclab.studies.rows import where
from iclab.studies.study import Record

_TITLES = {FIXED: "fixed Λ", NOISY: "fixed Λ, label noise", NARROW: "random Λ, narrow", WIDE: "random Λ, wide"}


def _heights(ax: Axes, record: Record, problem: str) -> None:
    levels = where(record.tables["levels"], problem=problem).groupby("level")["predicted"].first()
    for level in levels:
        ax.axhline(level, color=ZERO, linewidth=0.8, linestyle=":")


def loss(record: Record) -> Figure:
    """Error over time of one start for four problems, with predicted heights and times."""
    tables = record.tables
    with panels((8.0, 5.4), 2, 2) as (figure, axes):
        for ax, (problem, title) in zip(axes.ravel(), _TITLES.items(), strict=True):
            path = where(tables["path"], problem=problem, rank=1, main=True)
            _heights(ax, record, problem)
            ax.plot(path["t"], path["error"], color=ACCENT, label="keys and queries apart")
            for time in where(tables["drops"], problem=problem, main=True, seed=0)["predicted"]:
                ax.axvline(time, color=LIMIT, linewidth=1, linestyle="--")
            if problem == FIXED:
                merged = where(tables["merged_path"], seed=0)
                ax.plot(merged["t"], merged["error"], color=SECOND, linestyle="-.", label="merged")
            ax.set(title=title, xscale="log", xlabel="time t")
            ax.set_xlim(left=30)
        for ax in figure.axes[::2]:
            ax.set_ylabel("E(ŷ − w'x)²")
        figure.axes[0].plot([], [], color=LIMIT, linestyle="--", label="predicted time")
        figure.axes[0].plot([], [], color=ZERO, linestyle=":", label="predicted height")
        legend_below(figure, 4)
    return figure


def order(record: Record) -> Figure:
    """Share of starts from which the larger eigenvalue is learned first."""
    table = record.tables["orders"]
    with panels((8.0, 3.4)) as (figure, ax):
        for i, ((heads, scale), rows) in enumerate(table.groupby(["heads", "scale"], sort=False)):
            ordered = rows.sort_values("ratio")
            share = ordered["first"] / ordered["n"]
            counts = zip(ordered["first"], ordered["n"], strict=True)
            ends = np.array([[float(end) for end in wilson_interval(int(k), int(n))] for k, n in counts]).T
            bars = np.abs(ends - share.to_numpy())
            label = f"{heads} heads, start {scale:g}"
            x = ordered["ratio"] * (1 + 0.006 * (i - 1))
            ax.errorbar(x, share, bars, fmt="os^"[i % 3] + "-", color=CYCLE[i], label=label, markersize=4, linewidth=1)
        ax.set(xlabel="λ₁/λ₂", ylabel="share that learns λ₁ first", ylim=(0.3, 1.02))
        ax.legend(loc="lower right")
    return figure


def ranks(record: Record) -> Figure:
    """Error over time by the rank of the heads."""
    tables = record.tables
    with panels((8.0, 3.4)) as (figure, ax):
        _heights(ax, record, FIXED)
        paths = where(tables["path"], problem=FIXED, main=True)
        for color, (rank, path) in zip(CYCLE, paths.groupby("rank"), strict=False):
            ax.plot(path["t"], path["error"], color=color, label=f"rank {rank}")
        ax.set(xscale="log", xlabel="time t", ylabel="E(ŷ − w'x)²")
        ax.set_xlim(left=100)
        ax.legend(loc="upper right")
    return figure


def rules(record: Record) -> Figure:
    """Error by step, as a part of all steps that a rule takes, for two sizes of the start."""
    tables = record.tables
    scales = sorted(tables["rule_path"]["scale"].unique(), reverse=True)[:2]
    colors = dict(zip(RATES, (LEAST_SQUARES, ZERO, ACCENT, SECOND), strict=True))
    with panels((8.0, 3.4), len(scales), sharey=True) as (figure, axes):
        for ax, scale in zip(axes, scales, strict=True):
            _heights(ax, record, FIXED)
            for rule, color in colors.items():
                path = where(tables["rule_path"], rule=rule, scale=scale)
                ax.plot(path["step"] + 1, path["error"], color=color, label=rule)
            ax.set(title=f"start {scale:g}", xscale="log", xlabel="step")
        figure.axes[0].set_ylabel("E(ŷ − w'x)²")
        figure.axes[0].legend(loc="lower left")
    return figure


FIGURES = {"plateaus": loss, "plateaus-order": order, "plateaus-ranks": ranks, "plateaus-rules": rules}
