"""Figure 1: error by context length, beside the linear layer, and by the variance of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from iclab.foundations import normal_interval
from iclab.studies.drawing import (
    LEAST_SQUARES,
    LIMIT,
    LSA,
    ZERO,
    bars,
    figure_style,
    label_short_log,
    panels,
    shade,
    tick_at,
)
from iclab.studies.figure1.questions import MATCH, SPIKE, SUCCESS
from iclab.studies.measuring import TOKENS
from iclab.studies.rows import where
from iclab.studies.study import Record

FAMILIES = ("fixed", "random")
_DASHES = {"fixed": (0, (6, 2)), "random": (0, (2, 1.5))}
_ZERO = (0, (4, 2))
# Errors below this are drawn on the lower edge: a logarithmic axis has no zero.
_FLOOR = 1e-4


def errors(record: Record) -> Figure:
    """Error by context length: six models, least squares and the zero predictor, one panel per distribution."""
    curves, bands = record.tables["curves"], record.tables["bands"]
    with figure_style():
        figure, axes = _panels(record)
        for ax, (_, here), (_, models) in zip(axes, _by_panel(curves), _by_panel(curves, bands), strict=True):
            for family, n, color in _models(record):
                _model(ax, where(models, family=family, n_train=n), n, color)
            squares = where(here, family="least squares")
            ax.plot(squares["position"], squares["mean"].clip(lower=_FLOOR), color=LEAST_SQUARES, linewidth=1.2)
            ax.set_ylim(_FLOOR, 3 * max([here["c"].iloc[0], *models["mean"]]))
        handles = [Line2D([], [], color=color, label=_label(record, f, n)) for f, n, color in _models(record)]
        squares = Line2D([], [], color=LEAST_SQUARES, linewidth=1.2, label="least squares")
        figure.legend(handles=[*handles, squares, _zero_line()], loc="outside lower center", ncols=3)
    return figure


def beside_layer(record: Record) -> Figure:
    """The longest-trained models beside the exact error of the linear layer of the same training, and its limit."""
    curves, bands, lsa = record.tables["curves"], record.tables["bands"], record.tables["lsa"]
    n = max(record.settings["n_train"])
    with figure_style():
        figure, axes = _panels(record)
        for ax, (_, models), (_, layer) in zip(axes, _by_panel(curves, bands), _by_panel(curves, lsa), strict=True):
            for family in FAMILIES:
                _model(ax, where(models, family=family, n_train=n), n, shade(family, 1, 3))
                exact = where(layer, family=family, n_train=n)
                ax.plot(exact["position"], exact["error"], color=LSA, linestyle=_DASHES[family])
                limit = layer[(layer["family"] == family) & np.isinf(layer["n_train"])]["error"].iloc[0]
                ax.axhline(max(limit, _FLOOR), color=LIMIT, linestyle=_DASHES[family], linewidth=1.2)
            ax.set_ylim(bottom=_FLOOR)
        handles = [Line2D([], [], color=shade(f, 1, 3), label=_label(record, f, n)) for f in FAMILIES]
        for color, label in ((LSA, f"linear layer, {{}} Λ, N = {n}"), (LIMIT, "its limit M, N → ∞, {} Λ")):
            handles += [Line2D([], [], color=color, linestyle=_DASHES[f], label=label.format(f)) for f in FAMILIES]
        figure.legend(handles=[*handles, _zero_line()], loc="outside lower center", ncols=3)
    return figure


def by_variance(record: Record) -> Figure:
    """Error at N over the zero predictor's, and error just beyond N over that at N, by the variance of the inputs."""
    bands, checks = (record.tables[key] for key in ("bands", "checks"))
    at_n = bands[(bands["inputs"] == "random-exponential") & (bands["position"] == bands["n_train"])]
    rises = where(checks, inputs="random-exponential", observation="rises")
    with panels((8.0, 3.8), 2) as (figure, (left, right)):
        for i, (family, n, color) in enumerate(_models(record)):
            apart = 1 + 0.03 * (i - 2.5)
            rows = where(at_n, family=family, n_train=n)
            low, high = normal_interval(rows["mean"], rows["stderr"])
            _bars(left, rows["c"], apart, [each / rows["c"] for each in (rows["mean"], low, high)], color)
            rows = where(rises, family=family, n_train=n)
            _bars(right, rows["c"], apart, [rows[key] for key in ("value", "value_low", "value_high")], color)
        for ax, lines in ((left, (SUCCESS, MATCH)), (right, (1.0, SPIKE))):
            for line in lines:
                ax.axhline(line, color=ZERO, linestyle=_ZERO, linewidth=1)
            ax.set(xscale="log", yscale="log", xlabel="variance c of the test inputs")
            tick_at(ax, at_n["c"])
        label_short_log(right.yaxis)
        left.set(title="error at M = N", ylabel="share of the zero predictor's error")
        right.set(title="rise beyond N", ylabel="error over (N, 1.5 N] / error at N")
        handles = [Line2D([], [], color=color, label=_label(record, f, n)) for f, n, color in _models(record)]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


FIGURES = {"errors": errors, "layer": beside_layer, "variance": by_variance}


def _panels(record: Record) -> tuple[Figure, list[Axes]]:
    """A panel per distribution, with the zero predictor's error in each."""
    here = list(_by_panel(record.tables["curves"]))
    figure = Figure(figsize=(8.0, 5.0))
    axes = list(figure.subplots(-(-len(here) // 2), 2, sharex=True, squeeze=False).ravel())
    for ax, ((inputs, c), rows) in zip(axes, here, strict=False):
        ax.set(yscale="log", title="Λ = I" if inputs == "identity" else f"random Λ, c = {c:g}")
        ax.set_xlim(0, int(rows["position"].max()))
        ax.axhline(c, color=ZERO, linestyle=_ZERO, linewidth=1.2)
    for ax in axes[-2:]:
        ax.set_xlabel("in-context examples M")
    for ax in axes[::2]:
        ax.set_ylabel("squared error / d")
    return figure, axes[: len(here)]


def _by_panel(curves: pd.DataFrame, table: pd.DataFrame | None = None) -> list[tuple[tuple[str, float], pd.DataFrame]]:
    """The rows of a table by distribution, in the order of the curves."""
    table = curves if table is None else table
    order = dict.fromkeys(zip(curves["inputs"], curves["c"], strict=True))
    return [(key, where(table, inputs=key[0], c=key[1])) for key in order]


def _models(record: Record) -> list[tuple[str, int, str]]:
    """Family, N and colour of every model."""
    lengths = record.settings["n_train"]
    return [(family, n, shade(family, i, len(lengths))) for family in FAMILIES for i, n in enumerate(lengths)]


def _model(ax: Axes, rows: pd.DataFrame, n: int, color: str) -> None:
    """Mean over seeds with its bands: solid where positions were trained, thin dotted beyond."""
    mean = rows["mean"].clip(lower=_FLOOR)
    for part, style, width in ((rows["position"] <= n, "-", 1.5), (rows["position"] >= n, ":", 1.1)):
        ax.plot(rows["position"][part], mean[part], color=color, linestyle=style, linewidth=width)
    over_prompts = normal_interval(rows["mean"], rows["stderr"])
    for (low, high), alpha in (((rows["lowest"], rows["highest"]), 0.16), (over_prompts, 0.3)) if len(rows) else ():
        low, high = (np.clip(np.asarray(end, float), _FLOOR, None) for end in (low, high))
        ax.fill_between(rows["position"], low, high, color=color, alpha=alpha, linewidth=0)
    at = rows["position"] == n
    ax.plot(rows["position"][at], mean[at], "o", color=color, markersize=3.5, clip_on=False)


def _bars(ax: Axes, x: pd.Series, apart: float, ends: Sequence[Any], color: str) -> None:
    ax.errorbar(x * apart, ends[0], bars(*ends), color=color, marker="o", markersize=3.5, linewidth=1)


def _label(record: Record, family: str, n: int) -> str:
    """What a legend says of a model, and what is wrong with it."""
    models = record.tables["models"]
    rows = where(models, family=family, n_train=n)
    kind = "GPT-2" if (models["embedding"] == TOKENS).all() else "GPT-2 on columns"
    missed = int((~rows["learned"].astype(bool)).sum())
    fault = "no model" if rows.empty else "" if not missed else "not learned"
    if 0 < missed < len(rows):
        fault = f"{missed} of {len(rows)} not learned"
    return f"{kind}, {family} Λ, N = {n}" + (f" ({fault})" if fault else "")


def _zero_line() -> Line2D:
    return Line2D([], [], color=ZERO, linestyle=_ZERO, linewidth=1.2, label="zero predictor")
