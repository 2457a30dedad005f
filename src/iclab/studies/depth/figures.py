"""Depth: error by layers, what layers implement, scale shifts, long contexts and remedies."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from iclab.flow.deep import GD_PLUS
from iclab.foundations import normal_quantile
from iclab.studies.depth.contexts import ANISOTROPIC, IDENTITY, PLAIN, RANDOM, TRACE
from iclab.studies.depth.models import MAIN, tying
from iclab.studies.depth.references import DESCENT_BEST, DESCENT_ONE, NEWTON, PRECONDITIONED
from iclab.studies.drawing import ACCENT, LEAST_SQUARES, LIMIT, LSA, SECOND, THIRD, ZERO, legend_below, panels, tick_at
from iclab.studies.rows import where
from iclab.studies.study import Record

_TITLES = {IDENTITY: "Λ = I", ANISOTROPIC: "Λ of condition 10", RANDOM: "random Λ"}
_STYLES = {
    ("linear", False): (ACCENT, "-", "o"),
    ("linear", True): ("#56b4e9", (0, (4, 2)), "s"),
    ("softmax", False): (SECOND, "-", "D"),
    ("softmax", True): (THIRD, (0, (4, 2)), "^"),
}
_CLASSICAL = {
    DESCENT_ONE: (ZERO, (0, (1, 1))),
    DESCENT_BEST: (LSA, (0, (1, 1))),
    NEWTON: (LIMIT, (0, (3, 1, 1, 1))),
}
_FAMILIES = {
    "none": "#ffffff",
    "zero": "#d9d9d9",
    "averaging": "#f0e442",
    "exact layer": LSA,
    DESCENT_ONE: "#8fd3bf",
    PRECONDITIONED: "#c7e9df",
    "GD++": "#56b4e9",
    NEWTON: LIMIT,
    "ridge": THIRD,
    "least squares": "#4d4d4d",
}
# Errors beyond are drawn on the edge.
_TOP, _BOTTOM = 1e6, 1e-9


def by_layers(record: Record) -> Figure:
    """Error by number of layers, one panel per distribution of inputs."""
    models, errors = record.tables["models"], record.tables["errors"]
    home = where(errors, test="own", c=1)
    laws = list(models["inputs"].unique())
    with panels((8.0, 4.4), len(laws), sharey=True) as (figure, axes):
        for ax, inputs in zip(axes, laws, strict=True):
            _law(ax, where(models, inputs=inputs), where(home, inputs=inputs))
            ax.set_title(_TITLES[inputs])
        shown = models[["test", "median"]].to_numpy()
        axes[0].set_ylim(max(0.3 * _BOTTOM, 0.3 * float(shown.min())), min(3 * _TOP, max(10.0, 3 * float(shown.max()))))
        axes[0].set_ylabel("error / zero predictor's")
        legend_below(figure, 4)
    return figure


def _law(ax: Axes, models: pd.DataFrame, errors: pd.DataFrame) -> None:
    main = models[models["form"] == models["attention"].map(MAIN)]
    for (attention, tied), (color, line, marker) in _STYLES.items():
        rows = where(main, attention=attention, tied=tied).sort_values("layers")
        if rows.empty:
            continue
        mean, bars = _bars(rows["test"], rows["test_stderr"])
        look = {"color": color, "marker": marker}
        label = f"{attention}, {tying(tied)}"
        ax.errorbar(rows["layers"], mean, bars, linestyle=line, markersize=5, elinewidth=0.9, label=label, **look)
        median = rows["median"].clip(_BOTTOM, _TOP)
        ax.plot(rows["layers"], median, linestyle="none", markersize=3.5, markerfacecolor="white", **look)
    for family, (color, line) in _CLASSICAL.items():
        rows = where(errors, learner=family).sort_values("layers")
        ax.plot(rows["layers"], rows["error"].clip(_BOTTOM, _TOP), color=color, linestyle=line, label=family)
    exact = models["exact"].dropna()
    if len(exact):
        ax.axhline(float(exact.iloc[0]), color=LEAST_SQUARES, linewidth=0.9, label="one layer, exact")
    ax.set(yscale="log", xlabel="layers L")
    ax.set_xticks(sorted(main["layers"].unique()))


def _bars(mean: pd.Series, stderr: pd.Series) -> tuple[pd.Series, list[pd.Series]]:
    """Means and the lengths of their bars, both cut where the axis ends; none at a mean that is cut."""
    inside = (mean < _TOP) & (mean > _BOTTOM)
    reach = (normal_quantile() * stderr).where(inside, 0.0)
    return mean.clip(_BOTTOM, _TOP), [np.minimum(reach, 0.9 * mean).where(inside, 0.0), np.minimum(reach, _TOP)]


def limit(record: Record) -> Figure:
    """What depth leaves of the error as N → ∞ under random covariances."""
    table = record.tables["limit"]
    with panels((5.6, 3.6)) as (figure, ax):
        layers = np.arange(1, max(int(table["layers"].max()), 2) + 1)
        ax.plot(layers, 2 / ((layers + 1) * (layers + 2)), color=LSA, linewidth=1, label="2/((L + 1)(L + 2))")
        for form, tied, color, marker, label in (
            ("descent", False, LSA, "o", "descent, best rates"),
            ("descent", True, ZERO, "s", "descent, one rate"),
            (GD_PLUS, False, ACCENT, "o", "linear, untied"),
            (GD_PLUS, True, "#56b4e9", "s", "linear, tied"),
        ):
            rows = where(table, form=form, tied=tied).sort_values("layers")
            line = "none" if (form, tied) == ("descent", False) else "-"
            ax.plot(rows["layers"], rows["error"], color=color, marker=marker, linestyle=line, label=label)
        ax.set(yscale="log", xlabel="layers L", ylabel="error / zero predictor's")
        ax.set_xticks(layers)
        ax.legend()
    return figure


def scales(record: Record) -> Figure:
    """Error on inputs of covariance cΛ, by c and depth."""
    errors, remedies = record.tables["errors"], record.tables["remedies"]
    shown = [inputs for inputs in (IDENTITY, RANDOM) if inputs in set(errors["inputs"])]
    with panels((8.0, 4.4), len(shown), sharey=True) as (figure, axes):
        for ax, inputs in zip(axes, shown, strict=True):
            own = where(errors, inputs=inputs, test="own", tied=False)
            for attention, base in (("linear", ACCENT), ("softmax", SECOND)):
                rows = where(own, learner=attention, form=MAIN[attention])
                depths = sorted(rows["layers"].unique())
                for i, depth in enumerate(depths):
                    part = where(rows, layers=depth).sort_values("c")
                    share = 0.25 + 0.75 * (i + 1) / len(depths)
                    color = tuple(1 - share * (1 - channel) for channel in to_rgb(base))
                    mean, bars = _bars(part["error"], part["stderr"])
                    look = {"marker": "o" if attention == "linear" else "D", "markersize": 3.5, "linewidth": 1.1}
                    ax.errorbar(part["c"], mean, bars, color=color, label=f"{attention}, L = {depth}", **look)
            two = where(remedies, inputs=inputs, noise=0, remedy=TRACE, layers=2).sort_values("scale")
            ax.plot(two["scale"], two["error"], color=LSA, linestyle=":", label="L = 2, trace normalised")
            ax.axhline(1, color=ZERO, linewidth=0.9, linestyle=(0, (4, 2)))
            ax.set(
                xscale="log", yscale="log", xlabel="factor c of the covariance", title=f"trained on {_TITLES[inputs]}"
            )
            tick_at(ax, own["c"])
        axes[0].set_ylabel("error / zero predictor's")
        legend_below(figure, 4)
    return figure


def remedies(record: Record) -> Figure:
    """Error of one or two layers on inputs that were normalised or whitened by their context."""
    table = record.tables["remedies"]
    rows = table[(table["inputs"] == (RANDOM if RANDOM in set(table["inputs"]) else IDENTITY)) & (table["scale"] == 1)]
    kinds = list(rows[["remedy", "layers"]].drop_duplicates().itertuples(index=False, name=None))
    places = np.arange(len(kinds))[::-1]
    with panels((6.4, 3.4)) as (figure, ax):
        for i, (noise, part) in enumerate(rows.groupby("noise")):
            error, reach = part["error"].clip(lower=1e-4), normal_quantile() * part["stderr"]
            look = {"linestyle": "none", "marker": "os"[i % 2], "markersize": 5, "color": (ACCENT, SECOND)[i % 2]}
            bars = [np.minimum(reach, 0.9 * error), reach]
            ax.errorbar(error, places + 0.12 - 0.24 * i, xerr=bars, label=f"label noise {noise:g}", **look)
        ax.set_yticks(places, [f"{'plain' if kind == PLAIN else kind}, L = {layers}" for kind, layers in kinds])
        ax.set(xscale="log", xlabel="error / zero predictor's")
        ax.legend()
    return figure


def algorithms(record: Record) -> Figure:
    """The nearest classical algorithm of every model by position."""
    nearest = record.tables["nearest"]
    laws = list(nearest["inputs"].unique())
    models = list(nearest[["learner", "tied", "layers"]].drop_duplicates().itertuples(index=False, name=None))
    with panels((8.0, 1.8 + 0.2 * len(models)), len(laws), sharey=True) as (figure, axes):
        used: set[str] = set()
        for ax, inputs in zip(axes, laws, strict=True):
            used |= _grid(ax, where(nearest, inputs=inputs), models)
            ax.set_title(_TITLES[inputs])
        axes[0].set_yticks(range(len(models)), [f"{a}, {tying(t)}, L = {n}" for a, t, n in models])
        patches = [Patch(facecolor=c, edgecolor=ZERO, label=name) for name, c in _FAMILIES.items() if name in used]
        figure.legend(handles=patches, loc="outside lower center", ncols=5)
    return figure


def _grid(ax: Axes, rows: pd.DataFrame, models: list[tuple[str, bool, int]]) -> set[str]:
    places = sorted(rows["position"].unique())
    image = np.ones((len(models), len(places), 3))
    for row in rows.to_dict("records"):
        y, x = models.index((row["learner"], row["tied"], row["layers"])), places.index(row["position"])
        image[y, x] = to_rgb(_FAMILIES[row["nearest"]])
        if row["frequency"] < 0.95 and row["nearest"] != "none":
            ax.plot(x, y, marker="x", color="black", markersize=3.5)
    ax.imshow(image, aspect="auto", interpolation="none")
    ax.grid(visible=False)
    step = max(1, len(places) // 5)
    ax.set_xticks(range(0, len(places), step), [str(place) for place in places[::step]])
    ax.set_xlabel("examples i")
    return set(rows["nearest"])


FIGURES = {
    "depth": by_layers,
    "depth-limit": limit,
    "depth-scales": scales,
    "depth-remedies": remedies,
    "depth-algorithms": algorithms,
}
