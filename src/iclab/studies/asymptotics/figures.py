"""Asymptotics: the double descent beside simulations, lines in 1/d, the pool of tasks, mismatch, and depth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.foundations import normal_quantile
from iclab.studies.asymptotics.measure import BEST, FIXED, RIDGELESS
from iclab.studies.asymptotics.simulations import Cell
from iclab.studies.drawing import ACCENT, CYCLE, LEAST_SQUARES, LIMIT, SECOND, label_short_log, legend_below, panels
from iclab.studies.rows import where
from iclab.studies.study import Record

_PENALTIES = {
    RIDGELESS: (ACCENT, "-", "no penalty"),
    FIXED: (SECOND, "-.", "λ = 0.1"),
    BEST: (LEAST_SQUARES, "--", "best λ"),
}
_ERRORS = {"icl": "new tasks (ICL)", "idg": "tasks of the pool (IDG)"}
# Infinite errors, and those beyond, are on the edge.
_HIGHEST = 10.0
KAPPA = 0.5


def double_descent(record: Record) -> Figure:
    """ICL and IDG by τ at κ = .5: three penalties as lines, simulations as points."""
    curves, points = record.tables["curves"], where(record.tables["simulations"], kappa=KAPPA, penalty=0)
    points = points[points["training"].isna()]
    with panels((8.0, 3.4), 2, sharey=True) as (figure, axes):
        for ax, (name, title) in zip(axes, _ERRORS.items(), strict=True):
            for penalty, (color, style, label) in _PENALTIES.items():
                rows = where(curves, kappa=KAPPA, penalty=penalty).sort_values("tau")
                ax.plot(rows["tau"], rows[name].clip(upper=_HIGHEST), color=color, linestyle=style, label=label)
            _simulated(ax, where(points, error=name))
            ax.set(title=title, xlabel="prompts over d², τ", xscale="log", yscale="log", ylim=(0.04, _HIGHEST))
            label_short_log(ax.yaxis)
        axes[0].set_ylabel("E(ŷ − y)²")
        legend_below(figure, 6)
    return figure


def _simulated(ax: Axes, rows: pd.DataFrame) -> None:
    for d, fill in ((rows["dimension"].min(), "white"), (rows["dimension"].max(), LIMIT)):
        one = where(rows, dimension=d)
        reach = normal_quantile() * one["stderr"]
        ax.errorbar(one["tau"], one["value"], reach, fmt="o", color=LIMIT, mfc=fill, markersize=5, label=f"d = {d}")


def lines(record: Record) -> Figure:
    """Simulated error over its limit by 1/d, with the line through it, for ICL and IDG."""
    rows, ends = record.tables["simulations"], record.tables["intercepts"]
    with panels((8.0, 3.8), 2, sharey=True) as (figure, axes):
        for ax, (name, title) in zip(axes, _ERRORS.items(), strict=True):
            fitted = where(ends, error=name).reset_index(drop=True)
            groups = where(rows, error=name).groupby(list(Cell._fields), sort=False, dropna=False)
            for i, (_, one) in enumerate(groups):
                color, unit = CYCLE[i % len(CYCLE)], float(one["limit"].iloc[0])
                x, y = 1 / one["dimension"].to_numpy(), one["value"].to_numpy() / unit
                marks = {"fmt": "os^v"[i // len(CYCLE)], "color": color, "markersize": 3.5, "label": _label(one)}
                ax.errorbar(x, y, normal_quantile() * one["stderr"] / unit, **marks)
                intercept = float(fitted["intercept"].iloc[i]) / unit
                slope = float(np.average((y - intercept) / x, weights=x))
                ax.plot([0, x.max()], [intercept, intercept + slope * x.max()], color=color, lw=0.8)
            ax.axhline(1, color=LEAST_SQUARES, linewidth=1, linestyle=":")
            ax.set(title=title, xlabel="1/d")
            ax.set_xlim(left=0)
        axes[0].set_ylabel("error over its limit")
        legend_below(figure, 3)
    return figure


def _label(rows: pd.DataFrame) -> str:
    """A problem's ratios, penalty and exponents."""
    cell = Cell(*(float(rows[name].iloc[0]) for name in Cell._fields))
    kappa = "∞" if math.isinf(cell.kappa) else f"{cell.kappa:g}"
    label = f"α {cell.alpha:g}, τ {cell.tau:g}, κ {kappa}" + (f", λ {cell.penalty:g}" if cell.penalty else "")
    return label if math.isnan(cell.training) else f"{label}, tasks {cell.training:g} → {cell.test:g}"


def pools(record: Record) -> Figure:
    """What is lost on new tasks, by the number of tasks, for several lengths of prompts."""
    gaps = record.tables["gaps"]
    with panels((8.0, 3.4)) as (figure, ax):
        for color, (alpha, rows) in zip(CYCLE, gaps.groupby("alpha"), strict=False):
            ax.plot(rows["kappa"], rows["gap"].clip(lower=1e-6), ".-", color=color, label=f"α = {alpha:g}")
        ax.axvline(1, color=LEAST_SQUARES, linestyle=":", linewidth=1)
        ax.set(xscale="log", yscale="log", xlabel="tasks in the pool over d, κ", ylabel="ICL − IDG", ylim=(1e-6, 1))
        label_short_log(ax.xaxis)
        ax.legend(loc="lower left")
    return figure


def mismatch(record: Record) -> Figure:
    """ICL by the exponent of training tasks, a line for each test, for two sizes of data."""
    table = record.tables["mismatch"]
    groups = list(table.groupby(["alpha", "tau", "kappa"], sort=False))
    with panels((8.0, 3.2), len(groups)) as (figure, axes):
        for ax, ((alpha, tau, kappa), rows) in zip(axes, groups, strict=True):
            for color, (test, one) in zip(CYCLE, rows.groupby("test", sort=False), strict=False):
                ax.plot(one["training"], one["icl"], ".-", color=color, label=f"test {test:g}".replace("-", "−"))
                same = where(one, training=test)
                ax.plot(same["training"], same["icl"], "o", color=color, markersize=9, mfc="none")
            ax.set(title=f"α = {alpha:g}, τ = {tau:g}, κ = {kappa:g}", ylabel="ICL")
            ax.set_xlabel("exponent of training tasks")
            ax.legend(loc="best")
    return figure


def depth(record: Record) -> Figure:
    """Error by the number of layers, untied and tied, for several α."""
    table = record.tables["depth"]
    with panels((8.0, 3.4)) as (figure, ax):
        for color, (alpha, rows) in zip(CYCLE, table.groupby("alpha"), strict=False):
            untied, tied = rows["untied"].clip(lower=1e-6), rows["tied"].clip(lower=1e-6)
            ax.plot(rows["layers"], untied, "o-", color=color, label=f"α = {alpha:g}", markersize=4)
            ax.plot(rows["layers"], tied, "s--", color=color, mfc="white", markersize=4)
        ax.set(xscale="log", yscale="log", xlabel="layers L", ylabel="E(ŷ − w'x)²", ylim=(1e-6, 1))
        label_short_log(ax.xaxis)
        ax.legend(loc="lower left")
    return figure


FIGURES = {
    "asymptotics": double_descent,
    "asymptotics-lines": lines,
    "asymptotics-pools": pools,
    "asymptotics-mismatch": mismatch,
    "asymptotics-depth": depth,
}
