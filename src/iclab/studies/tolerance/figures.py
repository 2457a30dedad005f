"""Which shifts are tolerated: a map of predictors and shifts, and errors by the strength of four of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from iclab.foundations import normal_interval
from iclab.studies.drawing import PREDICTORS, ZERO, bars, panels, shade, tick_at
from iclab.studies.rows import at_last, where
from iclab.studies.study import Record
from iclab.studies.tolerance.questions import TOLERANCE

# One hue from light to dark: the order survives grey print and every kind of colour blindness.
_SHADES = ("#ffffff", "#cfe1f2", "#93c3df", "#4a90c4", "#08457f")
_BOUNDS = (TOLERANCE, 0.25, 0.5, 1.0)
_KINDS = ("task", "labels", "query", "inputs")
_LABELS = {
    "standard": "Λ = I",
    "random-covariance": "random Λ",
    "random-covariance+covariance=4": "random Λ, c = 4",
    "random-covariance+covariance=9": "random Λ, c = 9",
    "orthogonal_train_test": "orthogonal",
    "overlapping_train_test": "overlapping",
}
_UNSHIFTED = "unshifted"
_MARKS = {"undecided": "?", _UNSHIFTED: "•"}
# Shifts by strength: their names, or no shift, to the factor that they stand for.
_STRENGTHS: Mapping[str, Mapping[str, float]] = {
    "inputs times": {"scale-x=1/3": 1 / 3, "scale-x=0.5": 0.5, _UNSHIFTED: 1, "scale-x=2": 2, "scale-x=3": 3},
    "labels times": {"scale-y=1/3": 1 / 3, "scale-y=0.5": 0.5, _UNSHIFTED: 1, "scale-y=2": 2, "scale-y=3": 3},
    "c of random covariances c·diag(λ)": {
        "random-covariance": 1,
        "random-covariance+covariance=4": 4,
        "random-covariance+covariance=9": 9,
    },
    "standard deviation of label noise": {_UNSHIFTED: 0, "noise=0.5": 0.5, "noise=1": 1},
}
# Errors below this are drawn on the lower edge, what diverges on the upper one.
_FLOOR, _CEILING = 1e-3, 1e3


def growth(record: Record) -> Figure:
    """Growth of the excess error: a row per predictor, a column per shift."""
    cells = record.tables["cells"]
    shifts = [name for kind in _KINDS for name in where(cells, kind=kind)["shift"].unique()]
    names = list(cells["predictor"].unique())
    by_cell = cells.set_index(["predictor", "shift"])
    values = np.array([[float(by_cell["growth"][row, column]) for column in shifts] for row in names])
    with panels((8.0, 5.0)) as (figure, ax):
        norm = BoundaryNorm([-1e300, *_BOUNDS, 1e300], len(_SHADES))
        ax.pcolormesh(values, cmap=ListedColormap(list(_SHADES)), norm=norm, edgecolors="#d0d0d0", linewidth=0.5)
        for (r, c), value in np.ndenumerate(values):
            mark = _MARKS.get(str(by_cell["verdict"][names[r], shifts[c]]), "")
            ink = "white" if value > _BOUNDS[2] else "black"
            ax.text(c + 0.5, r + 0.5, mark, ha="center", va="center", fontsize=8, color=ink)
        labels = [_LABELS.get(name) or str(name).replace("_", " ") for name in shifts]
        ax.set_xticks(np.arange(len(shifts)) + 0.5, labels, rotation=55, ha="right", rotation_mode="anchor")
        idle = set(cells.loc[~cells["learned"], "predictor"])
        ax.set_yticks(np.arange(len(names)) + 0.5, [f"{name} *" if name in idle else name for name in names])
        ax.invert_yaxis()
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        _separators(ax, cells, shifts, names)
        labels = [f"at most {TOLERANCE:g}", *(f"to {bound:g}" for bound in _BOUNDS[1:]), f"above {_BOUNDS[-1]:g}"]
        patches = [Patch(facecolor=f, edgecolor="#888888", label=x) for f, x in zip(_SHADES, labels, strict=True)]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), title="growth of the excess")
    return figure


def _separators(ax: Axes, cells: pd.DataFrame, shifts: list[str], names: list[str]) -> None:
    """Rules between kinds of shifts, with their names above, and between kinds of predictors."""
    kinds = cells.drop_duplicates("shift").set_index("shift")["kind"].loc[shifts].to_list()
    groups = cells.drop_duplicates("predictor").set_index("predictor")["group"].loc[names].to_list()
    for c in (c for c in range(1, len(kinds)) if kinds[c] != kinds[c - 1]):
        ax.axvline(c, color="black", linewidth=1)
    for r in (r for r in range(1, len(groups)) if groups[r] != groups[r - 1]):
        ax.axhline(r, color="black", linewidth=1)
    for kind in dict.fromkeys(kinds):
        places = [c for c, own in enumerate(kinds) if own == kind]
        ax.text(float(np.mean(places)) + 0.5, -0.15, kind, ha="center", va="bottom", fontsize=8.5, fontweight="bold")


def strength(record: Record) -> Figure:
    """Error over the zero predictor's by the strength of four shifts."""
    cells = record.tables["cells"]
    colors = _colors(cells)
    with panels((8.0, 5.0), 2, 2, sharey=True) as (figure, axes):
        for ax, (label, members) in zip(axes.ravel(), _STRENGTHS.items(), strict=True):
            for name, color in colors.items():
                _line(ax, _by_strength(where(cells, predictor=name), members), color)
            ax.axhline(1, color=ZERO, linestyle=(0, (4, 2)), linewidth=1)
            values = members.values()
            ax.set(yscale="log", xscale="log" if min(values) > 0 else "linear", xlabel=label)
            tick_at(ax, values, ".2g")
        for ax in axes[:, 0]:
            ax.set_ylabel("error / zero predictor's")
        mark = {"marker": "o", "markersize": 3.5}
        handles = [Line2D([], [], color=color, label=name, **mark) for name, color in colors.items()]
        handles.append(Line2D([], [], color=ZERO, linestyle=(0, (4, 2)), label="zero predictor"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _colors(cells: pd.DataFrame) -> dict[str, str]:
    """Two classical learners, the layers, and of the first kind of transformers the longest-trained of each family."""
    names = ("least squares", "ridge", "linear layer, fixed Λ", "linear layer, random Λ")
    colors = {name: PREDICTORS[name] for name in names}
    models = where(cells, group="transformer")
    for family, own in models[models["embedding"] == models["embedding"].head(1).squeeze()].groupby("family"):
        colors[at_last(own, "n_train")["predictor"].iloc[0]] = shade(str(family), 1, 3)
    return colors


def _by_strength(own: pd.DataFrame, members: Mapping[str, float]) -> pd.DataFrame:
    named = own["shift"].where(own["shift"].isin(members) | (own["verdict"] != _UNSHIFTED), _UNSHIFTED)
    return own[named.isin(members)].assign(strength=named.map(members)).sort_values("strength")


def _line(ax: Axes, rows: pd.DataFrame, color: str) -> None:
    """Measurements with their bars, joined where no exact error is known."""
    exact = rows[np.isfinite(rows["exact"])]
    # What diverges has no scale, and so no bar.
    errors = (rows["stderr"] / rows["zero"]).where(rows["relative"] <= _CEILING, 0.0)
    low, high = normal_interval(rows["relative"], errors)
    mean, low, high = (np.clip(np.asarray(end, float), _FLOOR, _CEILING) for end in (rows["relative"], low, high))
    style = "none" if len(exact) == len(rows) else "-"
    look = {"color": color, "marker": "o", "markersize": 3.5, "linestyle": style, "linewidth": 1}
    ax.errorbar(rows["strength"], mean, bars(mean, low, high), **look)
    line = (exact["exact"] / exact["zero"]).clip(_FLOOR, _CEILING)
    ax.plot(exact["strength"], line, color=color, linewidth=1.4)


FIGURES = {"growth": growth, "strength": strength}
