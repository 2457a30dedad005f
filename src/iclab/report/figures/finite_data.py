"""Finite data: excess by the number of prompts, errors by the number of tasks, errors by the lengths N and M."""

from __future__ import annotations

import numpy as np
import pandas as pd
from iclab.report.style import ACCENT, CYCLE, LEAST_SQUARES, LIMIT, LSA, SECOND, ZERO, Drawing, house_style
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

_COLORS = {
    "GPT-2": ACCENT,
    "dMMSE": SECOND,
    "ridge": LIMIT,
    "least squares": LEAST_SQUARES,
    "LSA": LSA,
}
_MARKERS = {"GPT-2": "o", "dMMSE": "s", "ridge": "D", "least squares": "x", "LSA": "^"}
_GUIDE = {"color": ZERO, "linestyle": (0, (4, 2)), "linewidth": 1.0}


def draw(record: StudyRecord) -> list[Drawing]:
    """Three figures: prompts, tasks, lengths."""
    return [_prompts(record), _tasks(record), _lengths(record)]


def _prompts(record: StudyRecord) -> Drawing:
    tables, settings = record.tables, record.facts["settings"]
    with house_style():
        figure = Figure(figsize=(10.0, 3.5))
        axes = figure.subplots(1, 3)
        _empirical(axes[0], tables["empirical"], tables["one_pass"], tables["leading"])
        _noise(axes[1], tables["noise"])
        _pooled(axes[2], tables["pooled_layer"], settings)
    caption = (
        f"Left: excess over the minimum of the population loss of layers trained on B prompts (d = "
        f"{settings['layer_dimension']}, N = {settings['layer_n_train']}): the empirical minimiser with w21^PV = "
        "w21^KQ = 0, its leading term (dashed), the same minimised over all parameters (open markers), and SGD that "
        "sees each prompt once, with the best of its choices in hindsight (dotted); means over "
        f"{settings['n_samples']} samples (half as many over all parameters and for SGD), bars ± 1.96 standard errors. "
        "Middle: SGD with fresh prompts at every step, Λ = I: squared distance to the flow at a fixed time and the "
        "excess at which it wanders around the minimum, against η over the batch size, means over "
        f"{max(2, settings['n_samples'] // 2)} runs (dashed: slope 1, of small noise). Right: the layer trained on a "
        f"pool of K tasks, exact (d = {settings['dimension']}, N = M = {settings['n_train']}): its excess error on "
        f"fresh tasks, mean and quartiles over {settings['n_pools']} pools (guide: slope −1). Seed {settings['seed']}."
    )
    return Drawing("finite-data-prompts", figure, caption, "Excess against the number of prompts and of tasks.")


def _empirical(ax: Axes, empirical: pd.DataFrame, one_pass: pd.DataFrame, leading: pd.DataFrame) -> None:
    for i, (law, rows) in enumerate(empirical.groupby("law", sort=False)):
        for kind, own in rows.groupby("kind", sort=False):
            whole = kind == "all parameters"
            means = own.groupby("n_prompts")["excess"].agg(["mean", "sem"])
            ax.errorbar(
                means.index,
                means["mean"],
                np.minimum(1.96 * means["sem"], 0.95 * means["mean"]),
                color=CYCLE[i],
                marker="o",
                markersize=5 if whole else 3.5,
                markerfacecolor="none" if whole else CYCLE[i],
                linestyle="none" if whole else "-",
                elinewidth=0.9,
                label=None if whole else str(law),
            )
            if not whole:
                coefficient = float(leading[leading["law"] == law]["value"].iloc[0])
                ax.plot(means.index, coefficient / means.index, **{**_GUIDE, "color": CYCLE[i]})
        choices = ["n_prompts", "batch", "rate", "iterate"]
        best = one_pass[one_pass["law"] == law].groupby(choices)["excess"].mean().groupby("n_prompts").min()
        best = best[np.isfinite(best)]
        ax.plot(best.index, best, color=CYCLE[i], linestyle=":", marker=".", markersize=4)
    _ticks(ax, empirical["n_prompts"])
    ax.set_yscale("log")
    ax.set_xlabel("prompts B")
    ax.set_ylabel("excess of the population loss")
    ax.legend()


def _noise(ax: Axes, noise: pd.DataFrame) -> None:
    means = noise.groupby(["rate", "batch_size"])[["squared_gap", "excess"]].mean()
    rates = sorted(noise["rate"].unique())
    values = means.to_numpy()
    for j, (column, label, marker) in enumerate(
        (("squared_gap", "squared distance to the flow", "o"), ("excess", "excess around the minimum", "s"))
    ):
        for i, rate in enumerate(rates):
            own = means.loc[rate]
            own = own[np.isfinite(own[column])]
            shade = 0.35 + 0.65 * (i + 1) / len(rates)
            ax.plot(
                rate / own.index.to_numpy(),
                own[column],
                color=(ACCENT, SECOND)[j],
                alpha=shade,
                marker=marker,
                markersize=4,
                linestyle="none",
                label=label if i == len(rates) - 1 else None,
            )
    finite = values[np.isfinite(values) & (values > 0)]
    x = np.array([rate / size for rate, size in means.index])
    if finite.size:
        guide = np.array([x.min(), x.max()])
        ax.plot(guide, np.median(finite) * guide / np.median(x), **_GUIDE)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("η / batch size (darker: larger η)")
    ax.legend()


def _pooled(ax: Axes, pooled: pd.DataFrame, settings: dict[str, float]) -> None:
    d = settings["dimension"]
    table = (pooled.set_index("n_tasks")["excess"] / d).groupby("n_tasks")
    mean, low, high = table.mean(), table.quantile(0.25), table.quantile(0.75)
    ax.fill_between(mean.index, low, high, color=LSA, alpha=0.2, linewidth=0)
    ax.plot(mean.index, mean, color=LSA, marker="o", markersize=3.5)
    ax.plot(mean.index, float(mean.iloc[-1]) * mean.index[-1] / mean.index, **_GUIDE)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    floor = float(low[low > 0].min()) if (low > 0).any() else float(mean.min())
    ax.set_ylim(floor / 2, 2 * float(high.max()))
    ax.set_xlabel("tasks K")
    ax.set_ylabel("excess error/d on fresh tasks")


def _tasks(record: StudyRecord) -> Drawing:
    table, settings = record.tables["transformers"], record.facts["settings"]
    at = table[table["position"] == settings["n_train"]]
    finite = at["n_tasks"].dropna()
    # Endless tasks are drawn as one more K, two octaves beyond the last.
    endless = 4 * float(finite.max()) if len(finite) else 1.0
    at = at.assign(x=at["n_tasks"].fillna(endless))
    with house_style():
        figure = Figure(figsize=(10.0, 3.5))
        axes = figure.subplots(1, 3)
        for ax, tasks in zip(axes, ("pool", "fresh"), strict=False):
            _by_tasks(ax, at[at["tasks"] == tasks], "error", "stderr")
            ax.set_title("on tasks of the pool" if tasks == "pool" else "on fresh tasks")
        axes[0].set_ylabel("error / d")
        _by_tasks(axes[2], at[(at["tasks"] == "fresh") & (at["predictor"] != "GPT-2")], "distance", "distance_stderr")
        axes[2].set_title("distance from GPT-2 on fresh tasks")
        axes[1].legend(fontsize="x-small")
        ticks = sorted(at["x"].unique())
        for ax in axes:
            ax.set_xticks(ticks, [f"{x:g}" if x < endless else "∞" for x in ticks])
            ax.minorticks_off()
            ax.set_xlabel("training tasks K")
    seeds = len(settings["training_seeds"])
    caption = (
        f"GPT-2 (preset {settings['preset']}, {record.facts['steps']:,} steps, {seeds} training seed"
        f"{'s' if seeds > 1 else ''}) trained on pools of K tasks with label noise of standard deviation "
        f"{settings['noise']:g} (d = {settings['dimension']}, N = M = {settings['n_train']}), beside the pool's Bayes "
        "predictor (dMMSE), ridge (Bayes for endless tasks), least squares, and the linear layer trained on the same "
        "pool. Right: mean squared difference of predictions on fresh tasks over the mean squared target. Bars ± 1.96 "
        f"standard errors over {settings['n_prompts']:,} prompts (seed {settings['seed']}). ∞: fresh tasks in training."
    )
    return Drawing("finite-data-tasks", figure, caption, "Errors and nearest algorithms by the number of tasks.")


def _by_tasks(ax: Axes, rows: pd.DataFrame, value: str, error: str) -> None:
    for predictor, own in rows.groupby("predictor", sort=False):
        means = own.groupby("x").agg(value=(value, "mean"), error=(error, "max"))
        means = means[means["value"] > 0]
        ax.errorbar(
            means.index,
            means["value"],
            np.minimum(1.96 * means["error"], 0.95 * means["value"]),
            color=_COLORS[str(predictor)],
            marker=_MARKERS[str(predictor)],
            markersize=4,
            elinewidth=0.9,
            label=str(predictor),
        )
    ax.set_xscale("log")
    ax.set_yscale("log")


def _lengths(record: StudyRecord) -> Drawing:
    tables, settings = record.tables, record.facts["settings"]
    with house_style():
        figure = Figure(figsize=(10.0, 3.5))
        axes = figure.subplots(1, 3)
        _slopes(axes[0], tables["slopes"], settings["dimension"])
        _fixed_m(axes[1], tables["exact"], tables["measured"], settings["dimension"])
        _diagonal(axes[2], tables["exact"], tables["measured"], settings["dimension"])
    caption = (
        f"Train length N and test length M (d = {settings['dimension']}). Left: local exponents of the floor (M = ∞), "
        "less its limit, in N (solid) and along N = M (dotted), by law; −2 and −1 are Corollary 6's. Middle: error/d "
        "for Λ = I against N at several M, exact; points: layers trained by gradient descent, Monte Carlo over "
        f"{settings['n_prompts']:,} prompts (seed {settings['seed']}), bars ± 1.96 standard errors; crosses: the best "
        "N, which is M. Right: error less its limit along N = M; dashed: (d + 1)tr Λ/M, the leading term of fixed Λ."
    )
    return Drawing("finite-data-lengths", figure, caption, "Exponents and errors by training and test length.")


def _slopes(ax: Axes, slopes: pd.DataFrame, dimension: int) -> None:
    for i, (law, rows) in enumerate(slopes.groupby("law", sort=False)):
        for what, line in (("floor in N", "-"), ("N = M", ":")):
            own = rows[(rows["what"] == what) & rows["slope"].notna()]
            label = str(law) if line == "-" else None
            ax.plot(own["x"], own["slope"], color=CYCLE[i], linestyle=line, marker="o", markersize=3, label=label)
    for level in (-2.0, -1.0):
        ax.axhline(level, **_GUIDE)
    ax.axvline(dimension, color=ZERO, linewidth=0.8)
    _ticks(ax, slopes["x"])
    ax.set_xlabel("N")
    ax.set_ylabel("local exponent")
    ax.legend(fontsize="x-small")


def _fixed_m(ax: Axes, exact: pd.DataFrame, measured: pd.DataFrame, d: int) -> None:
    own = exact[exact["law"] == "Λ = I"]
    lengths = [m for m in sorted(measured["M"].unique()) if m in set(own["M"])][::2]
    for i, m in enumerate(lengths):
        line = own[own["M"] == m].sort_values("N")
        ax.plot(line["N"], line["error"] / d, color=CYCLE[i], label=f"M = {m}")
        points = measured[measured["M"] == m].groupby("N")["mean"].agg(["mean", "sem"])
        ax.errorbar(points.index, points["mean"] / d, 1.96 * points["sem"] / d, color=CYCLE[i], fmt="o", markersize=3.5)
        best = line.loc[line["error"].idxmin()]
        ax.plot(best["N"], best["error"] / d, color="black", marker="x", markersize=7, linestyle="none", zorder=5)
    _ticks(ax, own["N"])
    ax.set_yscale("log")
    ax.set_xlabel("training length N")
    ax.set_ylabel("error / d")
    ax.legend(fontsize="x-small")


def _diagonal(ax: Axes, exact: pd.DataFrame, measured: pd.DataFrame, d: int) -> None:
    for i, (law, rows) in enumerate(exact.groupby("law", sort=False)):
        own = rows[rows["N"] == rows["M"]].sort_values("N")
        ax.plot(own["N"], own["excess"] / d, color=CYCLE[i], label=str(law))
        if law == "Λ = I":
            ax.plot(own["N"], (d + 1) / own["N"], **_GUIDE)
            points = measured[measured["N"] == measured["M"]].groupby("N")["mean"].agg(["mean", "sem"])
            ax.errorbar(
                points.index, points["mean"] / d, 1.96 * points["sem"] / d, color=CYCLE[i], fmt="o", markersize=3.5
            )
    _ticks(ax, exact["N"])
    ax.set_yscale("log")
    ax.set_xlabel("N = M")
    ax.set_ylabel("(error − limit) / d")
    ax.legend(fontsize="x-small")


def _ticks(ax: Axes, values: pd.Series) -> None:
    """A logarithmic axis with ticks at the values used, at most six of them."""
    used = sorted(set(values))
    shown = used[:: -(-len(used) // 6)]
    ax.set_xscale("log")
    ax.set_xticks(shown, [f"{value:g}" for value in shown])
    ax.minorticks_off()
