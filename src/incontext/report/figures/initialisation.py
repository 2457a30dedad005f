"""Initialisation, step size and noise: where starts end, and discrete training beside the flow."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from incontext.report.style import CYCLE, ZERO, Drawing, house_style
from incontext.studies.record import StudyRecord

_MARKERS = "osD^vP"
# Relative excesses below this are drawn on the lower edge of a logarithmic axis.
_FLOOR = 1e-16


def draw(record: StudyRecord) -> list[Drawing]:
    """Five panels: failures, their error, σ above the threshold, step sizes, SGD."""
    with house_style():
        figure = Figure(figsize=(10.0, 6.2))
        axes = figure.subplots(2, 3).ravel()
        _failures(axes[0], axes[1], record.tables["ends"])
        _scales(axes[2], record.tables["scales"])
        _rates(axes[3], record.tables["rates"])
        _sgd(axes[4], record.tables["sgd"])
        axes[5].set_axis_off()
        axes[5].legend(*axes[0].get_legend_handles_labels(), loc="center", title="left and middle, top")
    settings = record.facts["settings"]
    caption = (
        "Top left: share of starts that end away from the global minimum, by the size of a Gaussian perturbation of "
        f"all parameters around Assumption 3 in units of σ ({settings['n_starts']} starts each, seed "
        f"{settings['seed']}, bars: 95 % Wilson intervals; ends are classified by the Hessian). Top middle: median "
        "error over tr Λ of those that fail. Top right: time to 99 % of the gain from Assumption 3 with σ below and "
        "above the paper's threshold (dashed). Bottom left: excess loss at which gradient descent ends, over the whole "
        "gain, by its step size η as a part of the stability limit on all parameters; dashed: that limit and the one "
        "on (u, U) alone; × marks runs that diverged. Bottom middle: root mean square distance between SGD on B fresh "
        f"prompts and the flow at a fixed time ({settings['n_seeds']} runs each, bars ± 1.96 standard errors); dashed: "
        "descent without noise."
    )
    return [Drawing("initialisation", figure, caption, "Failures by initialisation; step sizes; SGD against flow.")]


def _failures(rate: Axes, error: Axes, ends: pd.DataFrame) -> None:
    problems = ends.groupby(["law", "dimension", "n_train", "condition"], sort=False)
    for i, ((law, d, n, condition), rows) in enumerate(problems):
        style = {"color": CYCLE[i % len(CYCLE)], "marker": _MARKERS[i % len(_MARKERS)], "markersize": 4}
        kind = f"condition {condition:g}" if str(law).startswith("fixed") else "Exp(1)"
        x = rows["size"].to_numpy() * (1 + 0.04 * (i - 2.5))  # side by side, so that bars do not hide one another
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
    for i, (law, rows) in enumerate(scales.groupby("law", sort=False)):
        ax.plot(rows["ratio"], rows["time_to_99"], color=CYCLE[i], marker=_MARKERS[i], markersize=4, label=str(law))
    ax.axvline(1, color=ZERO, linestyle=(0, (4, 2)), linewidth=1)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("σ / threshold")
    ax.set_ylabel("median time to 99 % of the gain")
    failures, total = int(scales["failures"].sum()), int(scales["n"].sum())
    ax.set_title(f"{failures} of {total} starts fail")
    ax.legend()


def _rates(ax: Axes, rates: pd.DataFrame) -> None:
    top = 10.0
    for i, (start, rows) in enumerate(rates.groupby("start", sort=False)):
        rows = rows.sort_values("part")
        settled = rows[~rows["diverged"]]
        style = {"color": CYCLE[i], "linestyle": "none"}
        ax.plot(settled["part"], settled["excess"].clip(lower=_FLOOR), marker=_MARKERS[i], label=str(start), **style)
        lost = rows[rows["diverged"]]
        ax.plot(lost["part"] * (1 + 0.05 * i), np.full(len(lost), top), marker="x", **style)
    for limit in (1.0, float((rates["limit_u_U"] / rates["limit_all"]).iloc[0])):
        ax.axvline(limit, color=ZERO, linestyle=(0, (4, 2)), linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(_FLOOR / 3, top * 5)
    ax.set_xlabel("step size η / limit on all parameters")
    ax.set_ylabel("excess at the end / gain")
    ax.legend(loc="center right")


def _sgd(ax: Axes, sgd: pd.DataFrame) -> None:
    for i, (size, rows) in enumerate(sgd.groupby("batch_size", sort=True)):
        rows = rows.sort_values("rate")
        ax.errorbar(
            rows["rate"],
            rows["gap"],
            1.96 * rows["stderr"],
            color=CYCLE[i],
            marker=_MARKERS[i],
            markersize=4,
            label=f"SGD, B = {size}",
        )
    descent = sgd.drop_duplicates("rate").sort_values("rate")
    ax.plot(descent["rate"], descent["descent_gap"], color=ZERO, linestyle=(0, (4, 2)), label="descent, no noise")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("step size η")
    ax.set_ylabel("distance to the flow")
    ax.legend()
