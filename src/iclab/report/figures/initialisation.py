"""Initialisation, step size and noise: where starts end, discrete training beside the flow, and two layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from iclab.report.style import CYCLE, ZERO, Drawing, house_style
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.studies.initialisation_words import above_threshold

_MARKERS = "osD^vPX<>"
# Relative excesses below this are drawn on the lower edge of a logarithmic axis.
_FLOOR = 1e-16


def draw(record: StudyRecord) -> list[Drawing]:
    """Seven panels: failures, their error, σ above the threshold, step sizes, SGD, paths and ends of two layers."""
    tables = record.tables
    with house_style():
        figure = Figure(figsize=(13.0, 6.2))
        axes = figure.subplots(2, 4).ravel()
        _failures(axes[0], axes[1], tables["ends"])
        axes[2].set_axis_off()
        axes[2].legend(*axes[0].get_legend_handles_labels(), loc="center left", title="two panels on the left")
        _scales(axes[3], tables["scales"])
        _rates(axes[4], tables["rates"])
        _sgd(axes[5], tables["sgd"])
        _two_layers(axes[6], tables["two_layer_paths"], tables["two_layer_references"])
        _two_layer_ends(axes[7], tables["two_layer"], tables["two_layer_runs"])
    settings = record.facts["settings"]
    caption = (
        "Top, from the left: share of starts that end away from the global minimum, by the size of a Gaussian "
        f"perturbation of all parameters around Assumption 3 in units of σ ({settings['n_starts']} starts each, seed "
        f"{settings['seed']}, bars: 95 % Wilson intervals; ends are classified by the Hessian). Median "
        "error over tr Λ of those that fail. Time to 99 % of the gain from Assumption 3 with σ below and "
        "above the paper's threshold (dashed), and how many of the starts above it fail, without and with a "
        "perturbation of 0.3σ. Bottom, from the left: excess loss at which gradient descent ends, over the whole gain, "
        "by its step size η as a part of the stability limit on all parameters; dashed: that limit and the one on (u, "
        "U) alone "
        "for the fixed covariance; × marks runs that diverged. Root mean square distance between SGD on fresh "
        f"prompts and the flow at a fixed time ({settings['n_seeds']} runs each, bars ± 1.96 standard errors; solid: "
        "fixed, dotted: random covariances); dashed: descent without noise. Risk of two layers along the flow on "
        f"{settings['n_prompts']} prompts, one line per start, beside one layer's minimum and two steps of descent "
        "with their best rates. Share of starts of two layers that end within 10 % of two steps, by the standard "
        "deviation of their weights (bars: 95 % Wilson intervals); crosses: risk on fresh prompts of every end."
    )
    return [
        Drawing(
            "initialisation", figure, caption, "Failures by initialisation; step sizes; SGD against flow; two layers."
        )
    ]


def _failures(rate: Axes, error: Axes, ends: pd.DataFrame) -> None:
    problems = ends.groupby(["law", "dimension", "n_train", "condition"], sort=False)
    for i, ((law, d, n, condition), rows) in enumerate(problems):
        style = {"color": CYCLE[i % len(CYCLE)], "marker": _MARKERS[i % len(_MARKERS)], "markersize": 4}
        kind = f"condition {condition:g}" if str(law).startswith("fixed") else "Exp(1)"
        x = rows["size"].to_numpy() * (1 + 0.04 * (i - 4))  # side by side, so that bars do not hide one another
        bars = [rows["rate"] - rows["low"], rows["high"] - rows["rate"]]
        bars = np.clip(np.array(bars), 0, None)
        rate.errorbar(x, rows["rate"], bars, label=f"d = {d}, N = {n}, {kind}", linewidth=1, elinewidth=0.9, **style)
        failed = rows[rows["failures"] > 0]
        error.plot(failed["size"], failed["failed_error"], linewidth=1, **style)
    for ax in (rate, error):
        ax.set_xscale("log")
        ax.set_xlabel("perturbation / σ")
    rate.set_ylim(-0.03, 1.03)
    rate.set_ylabel("share of failures")
    error.set_ylabel("median error of failures / tr Λ")


def _scales(ax: Axes, scales: pd.DataFrame) -> None:
    exact = scales[scales["size"] == 0]
    for i, ((law, d, n, condition), rows) in enumerate(
        exact.groupby(["law", "dimension", "n_train", "condition"], sort=False)
    ):
        kind = f"condition {condition:g}" if str(law).startswith("fixed") else "Exp(1)"
        label = f"d = {d}, N = {n}, {kind}"
        ax.plot(
            rows["ratio"],
            rows["time_to_99"],
            color=CYCLE[i % len(CYCLE)],
            marker=_MARKERS[i],
            markersize=4,
            label=label,
        )
    ax.axvline(1, color=ZERO, linestyle=(0, (4, 2)), linewidth=1)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("σ / threshold")
    ax.set_ylabel("median time to 99 % of the gain")
    counts = [f"{int(rows['failures'].sum())} of {int(rows['n'].sum())}" for rows in above_threshold(scales)]
    ax.set_title(f"above 1: {counts[0]} fail, moved: {counts[1]}")
    ax.legend(fontsize="x-small")


def _rates(ax: Axes, rates: pd.DataFrame) -> None:
    top = 10.0
    for i, ((law, start), rows) in enumerate(rates.groupby(["law", "start"], sort=False)):
        rows = rows.sort_values("part")
        settled = rows[~rows["diverged"]]
        style = {"color": CYCLE[i], "linestyle": "none", "markersize": 4}
        label = f"{start}, {str(law).split()[0]}"
        ax.plot(settled["part"], settled["excess"].clip(lower=_FLOOR), marker=_MARKERS[i], label=label, **style)
        lost = rows[rows["diverged"]]
        ax.plot(lost["part"] * (1 + 0.05 * i), np.full(len(lost), top), marker="x", **style)
    for limit in (1.0, float((rates["limit_u_U"] / rates["limit_all"]).iloc[0])):
        ax.axvline(limit, color=ZERO, linestyle=(0, (4, 2)), linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(_FLOOR / 3, top * 5)
    ax.set_xlabel("step size η / limit on all parameters")
    ax.set_ylabel("excess at the end / gain")
    ax.legend(loc="center right", fontsize="x-small")


def _sgd(ax: Axes, sgd: pd.DataFrame) -> None:
    for j, (_, of_law) in enumerate(sgd.groupby("law", sort=False)):
        for i, (size, rows) in enumerate(of_law.groupby("batch_size", sort=True)):
            rows = rows.sort_values("rate")
            ax.errorbar(
                rows["rate"],
                rows["gap"],
                1.96 * rows["stderr"],
                color=CYCLE[i],
                marker=_MARKERS[i],
                markersize=4,
                linestyle=("-", ":")[j],
                label="" if j else f"SGD, batches of {size}",
            )
        descent = of_law.drop_duplicates("rate").sort_values("rate")
        label = "" if j else "descent, no noise"
        ax.plot(descent["rate"], descent["descent_gap"], color=ZERO, linestyle=(0, (4, 2)), label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    _ticks(ax, sorted(sgd["rate"].unique()))
    ax.set_xlabel("step size η")
    ax.set_ylabel("distance to the flow")
    ax.legend(fontsize="x-small")


def _two_layers(ax: Axes, paths: pd.DataFrame, references: pd.DataFrame) -> None:
    for i, (scale, of_scale) in enumerate(paths.groupby("scale")):
        for j, (_, rows) in enumerate(of_scale.groupby("start")):
            label = "" if j else f"weights {scale:g}"
            later = rows[rows["t"] > 0]
            ax.plot(later["t"], later["loss"], color=CYCLE[i % len(CYCLE)], linewidth=0.7, alpha=0.7, label=label)
    loss = references.set_index("name")["loss"]
    for name, dashes in (("one layer, its minimum", (4, 2)), ("2 steps of descent", (1, 1))):
        ax.axhline(float(loss[name]), color=ZERO, linestyle=(0, dashes), linewidth=1, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    top = float(paths.groupby(["scale", "start"])["loss"].first().min())
    ax.set_ylim(0.7 * float(paths["loss"].min()), 3 * top)
    ax.set_xlim(left=0.1)
    ax.set_xlabel("t")
    ax.set_ylabel("risk of two layers")
    ax.legend(fontsize="x-small")


def _two_layer_ends(ax: Axes, counts: pd.DataFrame, runs: pd.DataFrame) -> None:
    bars = np.clip(np.array([counts["rate"] - counts["low"], counts["high"] - counts["rate"]]), 0, None)
    ax.errorbar(counts["scale"], counts["rate"], bars, color=CYCLE[0], marker="o", markersize=4)
    ax.set_xscale("log")
    _ticks(ax, list(counts["scale"]))
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("standard deviation of the weights at t = 0")
    ax.set_ylabel("share within 10 % of two steps")
    risks = ax.twinx()
    risks.plot(runs["scale"], runs["loss"], color=ZERO, marker="x", linestyle="none", markersize=4)
    risks.set_yscale("log")
    risks.set_ylabel("risk of an end")
    risks.grid(visible=False)


def _ticks(ax: Axes, values: list[float]) -> None:
    """Ticks at the values used, where a decade would leave one or none."""
    ax.set_xticks(values, [f"{value:g}" for value in values], rotation=45 if len(values) > 4 else 0)
    ax.minorticks_off()
