"""Errors under shifts: an overview at M = N, and by strength and length; lines exact, points Monte Carlo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from iclab.foundations import normal_quantile
from iclab.studies.drawing import LEAST_SQUARES, LIMIT, LSA, panels
from iclab.studies.rows import where
from iclab.studies.shifts.questions import TOLERANCE
from iclab.studies.study import Record

# Light to dark with the test length M.
_SHADES = {"LSA": ("#9adfc6", "#22b589", "#00694d"), "least squares": ("#c4c4c4", "#7d7d7d", "#000000")}
_COLORS = {"LSA": LSA, "least squares": LEAST_SQUARES}
_MARKERS = {"LSA": "o", "least squares": "s"}
_PARAMETERS = {
    "label noise": "standard deviation of label noise",
    "quadratic task": "coefficient of the quadratic task",
    "cubic task": "coefficient of the cubic task",
    "query scale": "factor of the query",
    "query subspace": "dimension of the query's subspace",
    "input scale": "factor of all inputs",
    "input spectrum": "exponent t of the spectrum 1/iᵗ",
}
# Errors below this are drawn on the edge: a logarithmic axis has no zero.
_FLOOR = 1e-3
_DASHED = (0, (4, 2))


def every_shift(record: Record) -> Figure:
    """Relative errors at M = N, a row per shift, a point per parameter."""
    return _rows(record, (8.0, 3.6))


def overview(record: Record) -> Figure:
    """The same, small."""
    return _rows(record, (4.0, 2.4))


def _rows(record: Record, size: tuple[float, float]) -> Figure:
    errors, growth = record.tables["errors"], record.tables["growth"]
    at_n = where(errors, M=record.settings["n_train"])
    value = at_n["exact"].where(at_n["exact"].notna(), at_n["mean"])
    at_n = at_n.assign(relative=((value - at_n["best"]) / at_n["zero"]).clip(lower=_FLOOR))
    shifts = list(dict.fromkeys(at_n["shift"]))
    unshifted = float(where(growth, predictor="LSA")["unshifted"].iloc[0])
    with panels(size) as (figure, ax):
        ax.axvspan(unshifted, unshifted + TOLERANCE, color=LSA, alpha=0.15, linewidth=0, label="tolerated by LSA")
        for offset, (predictor, color) in zip((-0.12, 0.12), _COLORS.items(), strict=True):
            rows = at_n[(at_n["predictor"] == predictor) & np.isfinite(at_n["relative"])]
            heights = rows["shift"].map(shifts.index) + offset
            ax.plot(rows["relative"], heights, _MARKERS[predictor], color=color, markersize=4, label=predictor)
        ax.set_yticks(range(len(shifts)), ["no shift" if shift == "none" else shift for shift in shifts])
        ax.invert_yaxis()
        ax.set(xscale="log", xlabel="relative error")
        ax.legend(loc="upper right")
    return figure


def of_tasks(record: Record) -> Figure:
    """Errors by strength: labels and tasks."""
    return _panels(record, ("label noise", "quadratic task", "cubic task"), (8.0, 3.4))


def of_inputs(record: Record) -> Figure:
    """Errors by strength: queries and inputs."""
    return _panels(record, ("query scale", "query subspace", "input scale", "input spectrum"), (8.0, 5.0))


def _panels(record: Record, shifts: Sequence[str], size: tuple[float, float]) -> Figure:
    errors = record.tables["errors"]
    lengths = sorted(errors["M"].unique())
    relative = errors[["mean", "exact"]].div(errors["zero"], axis="index").to_numpy()
    unshifted = where(errors, shift="none", predictor="LSA").set_index("M")
    reference = unshifted.loc[record.settings["n_train"]]
    with panels(size, *((2, 2) if len(shifts) == 4 else (1, 3)), sharey=True) as (figure, axes):
        for ax, shift in zip(axes.ravel(), shifts, strict=True):
            _panel(ax, where(errors, shift=shift), lengths)
            ax.axhline(reference["exact"] / reference["zero"], color=_SHADES["LSA"][1], linestyle=":", linewidth=1)
            ax.set_yscale("log")
            ax.set_ylim(_FLOOR, 2 * float(relative[np.isfinite(relative)].max()))
            ax.set_xlabel(_PARAMETERS[shift])
        for ax in axes[:, 0]:
            ax.set_ylabel("error / zero predictor's")
        best = bool((errors[errors["shift"].isin(shifts)]["best"] > 0).any())
        figure.legend(handles=_legend(lengths, best=best), loc="outside lower center", ncols=4)
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, lengths: Sequence[int]) -> None:
    for predictor, shades in _SHADES.items():
        for m, color in zip(lengths, shades, strict=True):
            one = where(rows, predictor=predictor, M=m).sort_values("parameter")
            exact, mean, error = ((one[column] / one["zero"]).to_numpy(float) for column in ("exact", "mean", "stderr"))
            x, known = one["parameter"].to_numpy(float), np.isfinite(exact)
            ax.plot(x[known], exact[known].clip(min=_FLOOR), color=color)
            ends = mean + normal_quantile() * error * np.array([[-1], [1]])
            shown = mean.clip(min=_FLOOR)
            bars = np.abs(ends.clip(min=_FLOOR) - shown)
            ax.errorbar(x, shown, bars, fmt=_MARKERS[predictor], color=color, markersize=3.5, elinewidth=1)
    best = rows.drop_duplicates("parameter").sort_values("parameter")
    if (best["best"] > 0).any():
        ax.plot(best["parameter"], best["best"] / best["zero"], color=LIMIT, linestyle=_DASHED, linewidth=1.2)


def _legend(lengths: Sequence[int], *, best: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=color, marker=_MARKERS[name], markersize=3.5, label=f"{name}, M = {m}")
        for name, shades in _SHADES.items()
        for m, color in zip(lengths, shades, strict=True)
    ]
    line = Line2D([], [], color=LIMIT, linestyle=_DASHED, linewidth=1.2, label="best linear predictor")
    return [*handles, line] if best else handles


FIGURES = {"shifts": every_shift, "shifts-overview": overview, "shifts-tasks": of_tasks, "shifts-inputs": of_inputs}
