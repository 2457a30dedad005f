"""Gradient flow: the loss beside its bound and rate, u and the entries of U beside their limits."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.studies.drawing import ACCENT, CYCLE, LIMIT, SECOND, ZERO, panels
from iclab.studies.rows import where
from iclab.studies.study import Record

_TITLES = {"fixed covariance": "fixed Λ", "random covariances": "random Λ"}
_THEOREMS = {"fixed covariance": "Theorem 4", "random covariances": "Theorem 8"}
_DASHED = (0, (4, 2))


def loss(record: Record) -> Figure:
    """L(t) − min L, the paper's bound, and a line of the exact rate, by case."""
    trajectory = record.tables["trajectory"]
    with panels((8.0, 3.2), len(_TITLES), sharey=True) as (figure, axes):
        for ax, (case, title) in zip(axes, _TITLES.items(), strict=True):
            path = where(trajectory, case=case)
            for quantity, color, style, label in (
                ("pl_bound", SECOND, "-.", "the paper's bound"),
                ("asymptote", LIMIT, _DASHED, "exact asymptotic rate"),
                ("excess", ACCENT, "-", "gradient flow"),
            ):
                rows = where(path, quantity=quantity).sort_values("t")
                ax.plot(rows["t"], rows["value"], color=color, linestyle=style, label=label)
            ax.set(title=title, xlabel="time t", yscale="log")
        excess = where(trajectory, quantity="excess")["value"]
        axes[0].set_ylim(excess.min() / 3, excess.max() * 30)
        axes[0].set_ylabel("L(t) − min L")
        axes[0].legend(loc="lower left")
    return figure


def overview(record: Record) -> Figure:
    """L(t) − min L of both cases with the paper's bounds, small."""
    trajectory = record.tables["trajectory"]
    with panels((4.0, 2.0)) as (figure, ax):
        for (case, title), color in zip(_TITLES.items(), (ACCENT, SECOND), strict=True):
            path = where(trajectory, case=case)
            for quantity, style in (("excess", "-"), ("pl_bound", "-.")):
                rows = where(path, quantity=quantity).sort_values("t")
                ax.plot(rows["t"], rows["value"], color=color, linestyle=style, label="" if style == "-." else title)
        ax.plot([], [], color=ZERO, linestyle="-.", label="the paper's bound")
        excess = where(trajectory, quantity="excess")["value"]
        ax.set(yscale="log", xlabel="time t", ylabel="L − min L", ylim=(excess.min() / 3, excess.max() * 30))
        ax.legend(loc="best")
    return figure


def parameters(record: Record) -> Figure:
    """U(t) with its bound above, the entries of U(t) below, by case, with the limits of the theorems."""
    trajectory, limits = record.tables["trajectory"], record.tables["limits"]
    bounds = record.tables["certificates"].set_index("case")["u_lower_bound"]
    with panels((8.0, 5.0), 2, len(_TITLES), sharex="col") as (figure, axes):
        for column, (case, title) in enumerate(_TITLES.items()):
            # A logarithmic axis has no 0.
            path = trajectory[(trajectory["case"] == case) & (trajectory["t"] > 0)]
            ends = where(limits, case=case)
            _scalar(axes[0, column], path, ends, float(bounds[case]), _THEOREMS[case])
            _matrix(axes[1, column], path, ends)
            axes[0, column].set_title(title)
            axes[1, column].set(xlabel="time t", xscale="log")
        axes[0, 0].set_ylabel("u(t)")
        axes[1, 0].set_ylabel("entries of U(t)")
    return figure


def _scalar(ax: Axes, path: pd.DataFrame, limits: pd.DataFrame, bound: float, theorem: str) -> None:
    rows = where(path, quantity="u").sort_values("t")
    ax.plot(rows["t"], rows["value"], color=ACCENT, label="u(t)")
    limit = float(where(limits, quantity="u")["theorem"].iloc[0])
    ax.axhline(limit, color=LIMIT, linestyle=_DASHED, linewidth=1.2, label=f"limit of {theorem}")
    ax.axhline(bound, color=ZERO, linestyle="-.", linewidth=1.2, label="the paper's lower bound")
    ax.set_ylim(bottom=0)
    ax.legend(loc=(0.02, 0.5))


def _matrix(ax: Axes, path: pd.DataFrame, limits: pd.DataFrame) -> None:
    entries = where(path, quantity="U").sort_values("t")
    for i, j in entries[["row", "col"]].drop_duplicates().to_numpy(dtype=int):
        rows = where(entries, row=i, col=j)
        style = {"color": CYCLE[i % len(CYCLE)], "zorder": 3} if i == j else {"color": "#b5b5b5", "linewidth": 0.7}
        ax.plot(rows["t"], rows["value"], **style)
    diagonal = limits[(limits["quantity"] == "U") & (limits["row"] == limits["col"])]
    for i, limit in zip(diagonal["row"], diagonal["theorem"], strict=True):
        ax.axhline(limit, color=CYCLE[i % len(CYCLE)], linestyle=_DASHED, linewidth=0.9, alpha=0.8)


FIGURES = {"gradient-flow": loss, "gradient-flow-overview": overview, "gradient-flow-parameters": parameters}
