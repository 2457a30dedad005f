"""The spike beyond N: by kind of positions, by what is done to the learned table, and by the variance of the inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.foundations import normal_interval
from iclab.studies.drawing import ACCENT, CYCLE, LEAST_SQUARES, SECOND, ZERO, bars, legend_below, panels, tick_at
from iclab.studies.measuring import OWN
from iclab.studies.rows import where
from iclab.studies.study import Record

_VARIANTS = {
    "learned": "learned",
    "shifted": "learned, shifted starts",
    "none": "none",
    "rotary": "rotary",
    "alibi": "ALiBi",
}
_TREATMENTS = {
    "none": "as trained",
    "zero": "zero",
    "mean": "mean of trained rows",
    "last": "last trained row",
    "wrapped": "trained rows in turn",
    "late": "prompts begin there",
}
_INPUTS = {"fixed": "trained and tested on Λ = I", "random": "trained and tested on random Λ"}
_COLORS = {"fixed": ACCENT, "random": SECOND}
_TABLES = {
    "none": ("o", "as trained, at c"),
    "multiplied": ("^", "table × √c, at c"),
    "divided": ("v", "table / √c, at c = 1"),
}
# Errors below this are drawn on the lower edge: a logarithmic axis has no zero.
_FLOOR = 1e-4


def by_kind(record: Record) -> Figure:
    """Error by context length, one line per kind of positions and training seed."""
    return _two(record, "variant", _VARIANTS, "positions")


def by_treatment(record: Record) -> Figure:
    """Error by context length, one line per change of the learned table and training seed."""
    return _two(record, "treatment", _TREATMENTS, "untrained rows")


def _two(record: Record, key: str, labels: Mapping[str, str], title: str) -> Figure:
    curves, n = record.tables["curves"], record.settings["n_train"]
    fixed = {"treatment": "none"} if key == "variant" else {"variant": "learned"}
    with panels((8.0, 3.8), 2, sharey=True) as (figure, axes):
        for ax, (family, own) in zip(axes, OWN.items(), strict=True):
            there = where(curves, **own._asdict(), factor=1)
            models = where(there, family=family, **fixed)
            squares = where(there, family="reference")
            ax.plot(squares["position"], squares["mean"].clip(lower=_FLOOR), color=LEAST_SQUARES, linewidth=1)
            ax.axhline(1, color=ZERO, linestyle=(0, (4, 2)), linewidth=1)
            ax.axvline(n, color=ZERO, linewidth=0.8)
            for i, (value, label) in enumerate(labels.items()):
                rows = where(models, **{key: value})
                _lines(ax, rows[rows["position"] <= n] if value == "late" else rows, CYCLE[i], label)
            ax.set(yscale="log", title=_INPUTS[family], xlabel="in-context examples M")
            ax.set_xlim(0, float(curves["position"].max()))
        axes[0].set_ylim(bottom=_FLOOR)
        axes[0].set_ylabel("squared error / d")
        legend_below(figure, 6, title=title)
    return figure


def _lines(ax: Axes, rows: pd.DataFrame, color: str, label: str) -> None:
    for i, (_, one) in enumerate(rows.groupby("training_seed")):
        low, high = normal_interval(one["mean"].to_numpy(), one["stderr"].to_numpy())
        ax.plot(one["position"], one["mean"].clip(lower=_FLOOR), color=color, linewidth=1.3, label="" if i else label)
        ax.fill_between(one["position"], np.clip(low, _FLOOR, None), high, color=color, alpha=0.15, linewidth=0)


def by_variance(record: Record) -> Figure:
    """The spike as a ratio, and as a difference, by the variance of the inputs."""
    variance = record.tables["variance"]
    with panels((8.0, 3.8), 2) as (figure, (ratio, jump)):
        for family, color in _COLORS.items():
            for i, (_, rows) in enumerate(where(variance, family=family).groupby("training_seed")):
                label = "" if i else f"trained on {'Λ = I' if family == 'fixed' else 'random Λ'}"
                x = rows["c"] * (1 + 0.04 * (i + 2 * (family == "random") - 1.5))
                _bars(ratio, x, rows, "ratio", color, label)
                _bars(jump, x, rows, "jump", color, "")
                jump.plot(x, rows["base"], color=color, linestyle=":", linewidth=1, label="" if i else "error at N")
        grid = np.array([1.0, float(variance["c"].max())])
        jump.plot(grid, float(variance["jump"].max()) * grid, color=ZERO, linestyle=(0, (4, 2)), label="∝ c")
        for ax in (ratio, jump):
            ax.set(xscale="log", yscale="log", xlabel="variance c of the test inputs")
            tick_at(ax, variance["c"])
            ax.legend(loc="best")
        ratio.axhline(1, color=ZERO, linewidth=0.8)
        ratio.set(title="ratio", ylabel="error just beyond N / error at N")
        jump.set(title="difference", ylabel="error just beyond N − error at N, / d")
    return figure


def _bars(ax: Axes, x: pd.Series, rows: pd.DataFrame, key: str, color: str, label: str) -> None:
    value = rows[key].to_numpy(float)
    shown = value > 0
    edge = value[shown].min() / 10 if shown.any() else 1.0
    low, high = rows[f"{key}_low"].to_numpy(float).clip(min=edge), rows[f"{key}_high"].to_numpy(float)
    look = {"color": color, "marker": "o", "markersize": 4, "linewidth": 1, "label": label}
    ax.errorbar(x[shown], value[shown], bars(value, low, high)[:, shown], **look)


def by_table(record: Record) -> Figure:
    """The jump over c with the table of positions multiplied, relative to the jump at c = 1."""
    table = record.tables["interventions"]
    scales = sorted(table["c"].unique())
    with panels((6.4, 3.6)) as (figure, ax):
        for t, (treatment, (mark, label)) in enumerate(_TABLES.items()):
            rows = where(table, treatment=treatment)
            for i, row in enumerate(rows.to_dict("records")):
                x = scales.index(row["c"]) + 0.25 * (t - 1) + 0.02 * (i % 4 - 1.5)
                ends = ([row[f"against_c1{end}"]] for end in ("", "_low", "_high"))
                look = {"color": _COLORS[row["family"]], "marker": mark, "markersize": 4, "elinewidth": 1}
                ax.errorbar([x], [row["against_c1"]], bars(*ends), **look)
            ax.plot([], [], color=ZERO, marker=mark, linestyle="", label=label)
        for family, color in _COLORS.items():
            ax.plot([], [], color=color, label=f"trained on {'Λ = I' if family == 'fixed' else 'random Λ'}")
        for line in (0, 1):
            ax.axhline(line, color=ZERO, linewidth=0.8)
        ax.set_xticks(range(len(scales)), [f"c = {c:g}" for c in scales])
        ax.set_ylabel("difference over c, relative to c = 1")
        ax.legend(loc="best", ncols=2)
    return figure


FIGURES = {
    "positions": by_kind,
    "positions-table": by_treatment,
    "positions-variance": by_variance,
    "positions-mechanism": by_table,
}
