"""The spike beyond N: by kind of position, by what is done to the learned table, and by the variance of the inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.report.style import ACCENT, CYCLE, LEAST_SQUARES, SECOND, ZERO, Drawing, house_style
from iclab.studies.record import StudyRecord

_VARIANTS = {
    "learned": "learned",
    "shifted": "learned, shifted starts",
    "none": "none",
    "rotary": "rotary",
    "alibi": "ALiBi",
}
_TREATMENTS = {
    "as trained": "as trained",
    "untrained rows zero": "zero",
    "untrained rows the mean of trained ones": "mean of trained rows",
    "untrained rows the last trained": "last trained row",
    "untrained rows wrapped onto trained": "wrapped onto trained rows",
    "begun at untrained rows": "where prompts begin",
}
_OWN = {"fixed": "identity", "random": "1·Exp(1)"}
_LAWS = {"fixed": "trained and tested on Λ = I", "random": "trained and tested on diag(λ), λ ~ Exp(1)"}
_FAMILY_COLORS = {"fixed": ACCENT, "random": SECOND}
# Errors below this are drawn on the lower edge: a logarithmic axis has no zero.
_FLOOR = 1e-4


def draw(record: StudyRecord) -> list[Drawing]:
    """Curves beyond N, and how the jump changes with the variance."""
    with house_style():
        return [_beyond(record), _variance(record)]


def _beyond(record: StudyRecord) -> Drawing:
    curves, settings = record.tables["curves"], record.facts["settings"]
    n = settings["n_train"]
    figure = Figure(figsize=(9.6, 7.6))
    parts: list[Any] = np.asarray(figure.subfigures(2, 1)).tolist()
    axes = np.array([part.subplots(1, 2, sharey=True) for part in parts])
    for column, family in enumerate(("fixed", "random")):
        own = curves[curves["panel"] == _OWN[family]]
        squares = own[own["family"] == "reference"]
        for ax in axes[:, column]:
            ax.plot(squares["position"], squares["mean"].clip(lower=_FLOOR), color=LEAST_SQUARES, linewidth=1)
            ax.axhline(1, color=ZERO, linestyle=(0, (4, 2)), linewidth=1)
            ax.axvline(n, color=ZERO, linewidth=0.8)
            ax.set_yscale("log")
            ax.set_ylim(_FLOOR, 2 * float(own["mean"].max()))
            ax.set_xlim(0, float(own["position"].max()))
        models = own[own["family"] == family]
        for i, variant in enumerate(_VARIANTS):
            rows = models[(models["variant"] == variant) & (models["treatment"] == "as trained")]
            _curve(axes[0, column], rows, CYCLE[i], _VARIANTS[variant])
        for i, treatment in enumerate(_TREATMENTS):
            rows = models[(models["variant"] == "learned") & (models["treatment"] == treatment)]
            if treatment == "begun at untrained rows":
                rows = rows[rows["position"] <= n]
            _curve(axes[1, column], rows, CYCLE[i], _TREATMENTS[treatment])
        axes[0, column].set_title(_LAWS[family])
        for ax in axes[:, column]:
            ax.set_xlabel("in-context examples M")
    for part, row, title in zip(parts, axes, ("kind of positions", "learned table, its untrained rows …"), strict=True):
        row[0].set_ylabel("squared error / d")
        handles, labels = row[0].get_legend_handles_labels()
        part.legend(handles, labels, title=title, loc="outside lower center", ncols=6)
    seeds = settings["training_seeds"]
    caption = (
        f"Squared error over d = {settings['dimension']} by context length of models trained on N = {n} examples (grey "
        f"line), one line per training seed ({len(seeds)}), bands ± 1.96 standard errors over "
        f"{settings['n_prompts']:,} test prompts (seed {settings['seed']}). Top: five kinds of positions, trained "
        f"alike. "
        "Bottom: the learned table changed without retraining; the line of prompts that begin at untrained rows ends "
        "at "
        f"N. Black: least squares, exact from d examples on; values below {_FLOOR:g} lie on the edge. Dashed: the zero "
        "estimator."
    )
    return Drawing("positions", figure, caption, "Error beyond the training length by kind of position.")


def _curve(ax: Axes, rows: pd.DataFrame, color: str, label: str) -> None:
    for i, (_, one) in enumerate(rows.groupby("training_seed")):
        low, high = one["mean"] - 1.96 * one["stderr"], one["mean"] + 1.96 * one["stderr"]
        ax.plot(one["position"], one["mean"], color=color, linewidth=1.3, label="" if i else label)
        ax.fill_between(one["position"], low.clip(lower=_FLOOR), high, color=color, alpha=0.15, linewidth=0)


def _variance(record: StudyRecord) -> Drawing:
    tables, settings = record.tables, record.facts["settings"]
    variance = tables["variance"]
    figure = Figure(figsize=(10.0, 4.0))
    ratio, jump, changed = figure.subplots(1, 3)
    for family, color in _FAMILY_COLORS.items():
        for i, (_, rows) in enumerate(variance[variance["family"] == family].groupby("training_seed")):
            label = "" if i else f"trained on {'Λ = I' if family == 'fixed' else 'Exp(1)'}"
            x = rows["c"] * (1 + 0.04 * (i + 2 * (family == "random") - 1.5))
            _bars(ratio, x, rows, "ratio", color, label)
            _bars(jump, x, rows, "jump", color, label)
            jump.plot(x, rows["base"], color=color, linestyle=":", linewidth=1, label="" if i else "error at N")
    top = float(variance["jump"].max())
    grid = np.array([1.0, float(variance["c"].max())])
    jump.plot(grid, top * grid, color=ZERO, linestyle=(0, (4, 2)), linewidth=1, label="∝ c")
    for ax in (ratio, jump):
        ax.set_xscale("log")
        ax.set_yscale("log")
        ticks = sorted(variance["c"].unique())
        ax.set_xticks(ticks, [f"{c:g}" for c in ticks])
        ax.minorticks_off()
        ax.set_xlabel("test variance c")
    ratio.axhline(1, color=ZERO, linewidth=0.8)
    ratio.set_ylabel("error just beyond N / error at N")
    jump.set_ylabel("jump of the error / d, not divided by c")
    _interventions(changed, tables["interventions"])
    for ax in (jump, changed):
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2 if ax is jump else 1, fontsize="x-small")
    caption = (
        f"Learned positions, tested on c·Exp(1), d = {settings['dimension']}, N = {settings['n_train']}, "
        f"{settings['n_prompts']:,} prompts, bars: 95 % bootstrap intervals over prompts. Left: the spike as a ratio, "
        f"mean "
        "error over M in (N, 1.5 N] over that at N. Middle: the jump itself, the difference of the two (points; "
        "intervals "
        "that reach 0 end at the edge), and the error at N (dotted); dashed: growth with c. Right: the jump over c, "
        "relative to c = 1, as trained, with the table of positions multiplied by √c at c, and divided by √c at c = "
        "1: if "
        "the relative size of positions made the spike shrink, the second would be 1 and the third as the first."
    )
    return Drawing("positions-variance", figure, caption, "The spike as a ratio and as a difference by variance.")


def _bars(ax: Axes, x: pd.Series, rows: pd.DataFrame, key: str, color: str, label: str) -> None:
    value = rows[key].to_numpy(float)
    shown = value > 0
    edge = value[shown].min() / 10 if shown.any() else 1.0
    low, high = rows[f"{key}_low"].to_numpy(float).clip(min=edge), rows[f"{key}_high"].to_numpy(float)
    bars = np.clip(np.vstack([value - low, high - value]), 0, None)[:, shown]
    ax.errorbar(x[shown], value[shown], bars, color=color, marker="o", markersize=4, linewidth=1, label=label)


def _interventions(ax: Axes, table: pd.DataFrame) -> None:
    scales = sorted(table["c"].unique())
    marks = {"as trained": "o", "rows ×": "^", "rows /": "v"}
    labels = {"as trained": "as trained, at c", "rows ×": "table × √c, at c", "rows /": "table / √c, at c = 1"}
    told: set[str] = set()
    for c_index, c in enumerate(scales):
        for t_index, (start, mark) in enumerate(marks.items()):
            rows = table[(table["c"] == c) & table["treatment"].str.startswith(start)]
            for i, row in enumerate(rows.to_dict("records")):
                x = c_index + 0.25 * (t_index - 1) + 0.05 * (i - (len(rows) - 1) / 2)
                value = row["against_c1"]
                bars = np.clip([[value - row["against_c1_low"]], [row["against_c1_high"] - value]], 0, None)
                label = "" if start in told else labels[start]
                told.add(start)
                color = _FAMILY_COLORS[row["family"]]
                ax.errorbar([x], [value], bars, color=color, marker=mark, markersize=4, elinewidth=1, label=label)
    ax.axhline(1, color=ZERO, linewidth=0.8)
    ax.axhline(0, color=ZERO, linewidth=0.8)
    ax.set_xticks(range(len(scales)), [f"c = {c:g}" for c in scales])
    ax.set_ylabel("jump over c, relative to c = 1")
