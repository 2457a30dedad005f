"""Sample complexity: excess by the number of prompts, errors by the number of tasks, errors by the lengths N and M."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from iclab.foundations import normal_quantile
from iclab.studies.drawing import ACCENT, CYCLE, LEAST_SQUARES, LIMIT, LSA, SECOND, ZERO, legend_below, panels, tick_at
from iclab.studies.rows import where
from iclab.studies.study import Record

_STYLES = {
    "GPT-2": (ACCENT, "o"),
    "dMMSE": (SECOND, "s"),
    "ridge": (LIMIT, "D"),
    "least squares": (LEAST_SQUARES, "x"),
    "linear layer": (LSA, "^"),
}
_INPUTS = {"identity": "Λ = I", "random-exponential": "random Λ"}
_GUIDE = {"color": ZERO, "linestyle": (0, (4, 2)), "linewidth": 1.0}


def prompts(record: Record) -> Figure:
    """Excess over the least population loss by the number of training prompts; SGD's noise."""
    tables = record.tables
    with panels((8.0, 3.6), 2) as (figure, (left, right)):
        _empirical(left, tables["empirical"], tables["one_pass"], tables["leading"])
        _noise(right, tables["noise"])
    return figure


def _empirical(ax: Axes, empirical: pd.DataFrame, one_pass: pd.DataFrame, leading: pd.DataFrame) -> None:
    for i, (inputs, rows) in enumerate(empirical.groupby("inputs", sort=False)):
        for kind, own in rows.groupby("kind", sort=False):
            whole = kind == "all"
            means = own.groupby("n_prompts")["excess"].agg(["mean", "sem"])
            reach = np.minimum(normal_quantile() * means["sem"], 0.95 * means["mean"])
            look: dict[str, Any] = (
                {"markersize": 5, "markerfacecolor": "none", "linestyle": "none"} if whole else {"markersize": 3.5}
            )
            label = None if whole else _INPUTS[str(inputs)]
            ax.errorbar(
                means.index, means["mean"], reach, color=CYCLE[i], marker="o", elinewidth=0.9, label=label, **look
            )
            if not whole:
                coefficient = float(where(leading, inputs=inputs)["value"].iloc[0])
                ax.plot(means.index, coefficient / means.index, **{**_GUIDE, "color": CYCLE[i]})
        choices = ["n_prompts", "batch", "rate", "iterate"]
        best = where(one_pass, inputs=inputs).groupby(choices)["excess"].mean().groupby("n_prompts").min()
        best = best[np.isfinite(best)]
        ax.plot(best.index, best, color=CYCLE[i], linestyle=":", marker=".", markersize=4)
    _ticks(ax, empirical["n_prompts"])
    ax.set(yscale="log", xlabel="training prompts B", ylabel="excess of the population loss", title="number of prompts")
    ax.legend()


def _noise(ax: Axes, noise: pd.DataFrame) -> None:
    means = noise.groupby(["rate", "batch_size"])[["squared_gap", "excess"]].mean()
    rates = sorted(noise["rate"].unique())
    for column, label, marker, color in (
        ("squared_gap", "squared distance to the flow", "o", ACCENT),
        ("excess", "excess around the minimum", "s", SECOND),
    ):
        for i, rate in enumerate(rates):
            own = means.loc[rate]
            own = own[np.isfinite(own[column])]
            x = rate / own.index.to_numpy()
            look = {"alpha": 0.35 + 0.65 * (i + 1) / len(rates), "marker": marker, "markersize": 4, "linestyle": "none"}
            ax.plot(x, own[column], color=color, label=label if i == len(rates) - 1 else None, **look)
    values = means.to_numpy()
    finite = values[np.isfinite(values) & (values > 0)]
    x = np.array([rate / size for rate, size in means.index])
    if finite.size:
        guide = np.array([x.min(), x.max()])
        ax.plot(guide, np.median(finite) * guide / np.median(x), **_GUIDE)
    ax.set(xscale="log", yscale="log", xlabel="step size / batch size", title="noise of SGD, Λ = I")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend()


def pooled(record: Record) -> Figure:
    """The layer trained on a pool of K tasks: its excess error on fresh tasks."""
    table, d = record.tables["pooled_layer"], record.settings["dimension"]
    groups = (table.set_index("n_tasks")["excess"] / d).groupby("n_tasks")
    mean, low, high = groups.mean(), groups.quantile(0.25), groups.quantile(0.75)
    with panels((5.6, 3.4)) as (figure, ax):
        ax.fill_between(mean.index, low, high, color=LSA, alpha=0.2, linewidth=0)
        ax.plot(mean.index, mean, color=LSA, marker="o", markersize=3.5)
        ax.plot(mean.index, float(mean.iloc[-1]) * mean.index[-1] / mean.index, **_GUIDE)
        ax.axvline(d, color=ZERO, linewidth=0.8)
        ax.set_xscale("log", base=2)
        ax.set(yscale="log", xlabel="training tasks K", ylabel="excess error / d on fresh tasks")
        floor = float(low[low > 0].min()) if (low > 0).any() else float(mean.min())
        ax.set_ylim(floor / 2, 2 * float(high.max()))
    return figure


def tasks(record: Record) -> Figure:
    """GPT-2 trained on K tasks, on its pool and on fresh tasks, and its distance from classical learners."""
    table = record.tables["transformers"]
    at = where(table, position=record.settings["n_train"])
    finite = at["n_tasks"].dropna()
    # Fresh tasks throughout are drawn as one more K, two octaves beyond the last.
    endless = 4 * float(finite.max()) if len(finite) else 1.0
    at = at.assign(x=at["n_tasks"].fillna(endless))
    with panels((8.0, 3.8), 3) as (figure, axes):
        for ax, tasks, title in zip(axes, ("pool", "fresh"), ("on tasks of the pool", "on fresh tasks"), strict=False):
            _by_tasks(ax, where(at, tasks=tasks), "error", "stderr")
            ax.set_title(title)
        axes[0].set_ylabel("error / d")
        _by_tasks(axes[2], at[(at["tasks"] == "fresh") & (at["predictor"] != "GPT-2")], "distance", "distance_stderr")
        axes[2].set_title("distance from GPT-2")
        ticks = sorted(at["x"].unique())
        for ax in axes:
            ax.set_xticks(ticks, [f"{x:g}" if x < endless else "∞" for x in ticks], rotation=60)
            ax.minorticks_off()
            ax.set_xlabel("training tasks K")
        legend_below(figure, 5)
    return figure


def _by_tasks(ax: Axes, rows: pd.DataFrame, value: str, error: str) -> None:
    for predictor, own in rows.groupby("predictor", sort=False):
        means = own.groupby("x").agg(value=(value, "mean"), error=(error, "max"))
        means = means[means["value"] > 0]
        color, marker = _STYLES[str(predictor)]
        reach = np.minimum(normal_quantile() * means["error"], 0.95 * means["value"])
        look = {"color": color, "marker": marker, "markersize": 4, "elinewidth": 0.9}
        ax.errorbar(means.index, means["value"], reach, label=str(predictor), **look)
    ax.set(xscale="log", yscale="log")


def lengths(record: Record) -> Figure:
    """Exact errors by training length at several test lengths, with layers trained by descent; and along N = M."""
    tables, d = record.tables, record.settings["dimension"]
    with panels((8.0, 3.6), 2) as (figure, (left, right)):
        _fixed_m(left, tables["exact"], tables["measured"], d)
        for i, (key, rows) in enumerate(tables["exact"].groupby(["inputs", "condition"], sort=False, dropna=False)):
            condition = float(key[1])  # type: ignore[index]
            own = rows[rows["N"] == rows["M"]].sort_values("N")
            label = f"fixed Λ, condition {condition:g}" if np.isfinite(condition) else "random Λ"
            right.plot(own["N"], own["excess"] / d, color=CYCLE[i], label=label)
        diagonal = sorted(set(tables["exact"]["N"]))
        right.plot(diagonal, [(d + 1) / n for n in diagonal], **_GUIDE)
        _ticks(right, tables["exact"]["N"])
        right.set(yscale="log", xlabel="N = M", ylabel="(error − limit) / d", title="test as long as training")
        right.legend()
    return figure


def _fixed_m(ax: Axes, exact: pd.DataFrame, measured: pd.DataFrame, d: int) -> None:
    own = where(exact, inputs="identity", condition=1)
    for i, m in enumerate([m for m in sorted(measured["M"].unique()) if m in set(own["M"])][::2]):
        line = where(own, M=m).sort_values("N")
        ax.plot(line["N"], line["error"] / d, color=CYCLE[i], label=f"M = {m}")
        points = where(measured, M=m).groupby("N")["mean"].agg(["mean", "sem"]) / d
        reach = normal_quantile() * points["sem"]
        ax.errorbar(points.index, points["mean"], reach, color=CYCLE[i], fmt="o", markersize=3.5)
        best = line.sort_values("error", kind="stable").iloc[0]
        ax.plot(best["N"], best["error"] / d, color="black", marker="x", markersize=7, linestyle="none", zorder=5)
    _ticks(ax, own["N"])
    ax.set(yscale="log", xlabel="training length N", ylabel="error / d", title="Λ = I: the best N is M")
    ax.legend()


def _ticks(ax: Axes, values: pd.Series) -> None:
    """A logarithmic axis with ticks at the values used, at most six of them."""
    used = sorted(set(values))
    ax.set_xscale("log")
    tick_at(ax, used[:: -(-len(used) // 6)])


FIGURES = {
    "sample-complexity-lengths": lengths,
    "sample-complexity-prompts": prompts,
    "sample-complexity-pool": pooled,
    "sample-complexity-tasks": tasks,
}
