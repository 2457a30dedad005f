"""Shifts (§4.2): error against the strength of each shift, exact lines and Monte Carlo points."""

from __future__ import annotations

import numpy as np
import pandas as pd
from iclab.report.style import Drawing, house_style
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Light to dark with the test length M.
_SHADES = {"LSA": ("#9adfc6", "#22b589", "#00694d"), "least squares": ("#c4c4c4", "#7d7d7d", "#000000")}
_BEST = "#cc79a7"
_MARKERS = {"LSA": "o", "least squares": "s"}
# Errors below this are drawn on the lower edge: a logarithmic axis has no zero.
_FLOOR = 1e-3
_COLUMNS = 4


def draw(record: StudyRecord) -> list[Drawing]:
    """One panel per shift."""
    errors = record.tables["errors"]
    with house_style():
        shifts = [shift for shift in errors["shift"].unique() if shift != "none"]
        lengths = sorted(errors["M"].unique())
        unshifted = errors[(errors["shift"] == "none") & (errors["predictor"] == "LSA")]
        rows = -(-(len(shifts) + 1) // _COLUMNS)
        relative = errors[["mean", "exact"]].div(errors["zero"], axis="index").to_numpy()
        top = 2 * float(relative[np.isfinite(relative)].max())
        figure = Figure(figsize=(10.0, 2.7 * rows))
        axes = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False)
        for ax, shift in zip(axes.ravel(), shifts, strict=False):
            _panel(ax, errors[errors["shift"] == shift], lengths)
            reference = unshifted[unshifted["M"] == _middle(lengths)].iloc[0]
            ax.axhline(reference["exact"] / reference["zero"], color=_SHADES["LSA"][1], linestyle=":", linewidth=1)
            ax.set_yscale("log")
            ax.set_ylim(_FLOOR, top)
            ax.set_xlabel(_label(shift))
        for ax in axes[:, 0]:
            ax.set_ylabel("error / zero estimator's")
        for ax in axes.ravel()[len(shifts) :]:
            ax.set_axis_off()
        axes.ravel()[len(shifts)].legend(
            handles=_legend(lengths), loc="center", title="lines exact, points Monte Carlo"
        )
    settings = record.facts["settings"]
    n = int(errors["n"].iloc[0])
    caption = (
        f"Error of the trained linear self-attention layer (d = {settings['dimension']}, N = {settings['n_train']}, "
        "trained on x, w ~ N(0, I) without noise) and of least squares, divided by the zero estimator's, against the "
        "strength of the shift. Lines: exact values where they are known in closed form. Points: Monte Carlo over "
        f"{n:,} prompts (seed {settings['seed']}), bars ± 1.96 standard errors. Dotted: the layer without a shift at M "
        f"= {_middle(lengths)}. Values below {_FLOOR:g} lie on the lower edge: noiseless least squares has error 0 "
        "from d examples on."
    )
    if np.isinf(errors["exact"]).any():
        caption += " No line where noisy least squares has an infinite mean error (|M − d| ≤ 1)."
    return [Drawing("shifts", figure, caption, "Errors under task, query and covariate shifts and label noise.")]


def _panel(ax: Axes, rows: pd.DataFrame, lengths: list[int]) -> None:
    for predictor, shades in _SHADES.items():
        for i, m in enumerate(lengths):
            own = rows[(rows["predictor"] == predictor) & (rows["M"] == m)].sort_values("parameter")
            color = shades[min(i, len(shades) - 1)]
            x = own["parameter"].to_numpy()
            exact = (own["exact"] / own["zero"]).to_numpy()
            finite = np.isfinite(exact)
            ax.plot(x[finite], exact[finite].clip(min=_FLOOR), color=color)
            mean = (own["mean"] / own["zero"]).to_numpy()
            bar = 1.96 * (own["stderr"] / own["zero"]).to_numpy()
            low, high = (mean - bar).clip(min=_FLOOR), (mean + bar).clip(min=_FLOOR)
            mean = mean.clip(min=_FLOOR)
            bars = np.vstack([mean - low, high - mean]).clip(min=0)
            ax.errorbar(x, mean, bars, fmt=_MARKERS[predictor], color=color, markersize=3.5, elinewidth=1)
    best = rows.drop_duplicates("parameter").sort_values("parameter")
    if (best["best"] > 0).any():
        ax.plot(best["parameter"], best["best"] / best["zero"], color=_BEST, linestyle=(0, (4, 2)), linewidth=1.2)


def _label(shift: str) -> str:
    """The shift's name as an axis label."""
    return "input spectrum ∝ 1/iᵗ, exponent t" if shift.startswith("input spectrum") else shift


def _middle(lengths: list[int]) -> int:
    return int(lengths[len(lengths) // 2])


def _legend(lengths: list[int]) -> list[Line2D]:
    handles = [
        Line2D(
            [],
            [],
            color=shades[min(i, len(shades) - 1)],
            marker=_MARKERS[name],
            markersize=3.5,
            label=f"{name}, M = {m}",
        )
        for name, shades in _SHADES.items()
        for i, m in enumerate(lengths)
    ]
    return [*handles, Line2D([], [], color=_BEST, linestyle=(0, (4, 2)), linewidth=1.2, label="best linear predictor")]
