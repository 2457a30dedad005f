"""Depth and nonlinearity: error by layers, what they implement by position, shifts, long contexts and remedies."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from iclab.report.style import ACCENT, LEAST_SQUARES, LIMIT, LSA, SECOND, THIRD, ZERO, Drawing, house_style
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from iclab.foundations import format_number

_FIXED, _RANDOM = "Λ = I", "Λ = diag Exp(1)"
# Attention, tied: colour, line, marker.
_STYLES = {
    ("linear", False): (ACCENT, "-", "o"),
    ("linear", True): ("#56b4e9", (0, (4, 2)), "s"),
    ("softmax", False): (SECOND, "-", "D"),
    ("softmax", True): (THIRD, (0, (4, 2)), "^"),
}
_CLASSICAL = {
    "descent, one rate": (ZERO, (0, (1, 1))),
    "descent, best rates": (LSA, (0, (1, 1))),
    "preconditioned descent": (LSA, (0, (3, 1, 1, 1))),
    "Newton": (LIMIT, (0, (3, 1, 1, 1))),
}
_FAMILIES = {
    "none": "#ffffff",
    "zero": "#d9d9d9",
    "averaging": "#f0e442",
    "one layer": LSA,
    "descent": "#8fd3bf",
    "preconditioned descent": "#c7e9df",
    "GD++": "#56b4e9",
    "Newton": LIMIT,
    "ridge": THIRD,
    "least squares": "#4d4d4d",
}
_WIDTH = 1.96
# Errors beyond are drawn on the edge.
_TOP, _BOTTOM = 1e6, 1e-9


def draw(record: StudyRecord) -> list[Drawing]:
    """Error by layers and law; the nearest algorithm by position; shifts, long contexts, remedies."""
    return [_by_layers(record), _beyond(record), _algorithms(record)]


def _by_layers(record: StudyRecord) -> Drawing:
    tables, laws = record.tables, record.facts["settings"]["laws"]
    with house_style():
        figure = Figure(figsize=(max(8.0, 4.0 * len(laws)), 4.6))
        axes = np.atleast_1d(figure.subplots(1, len(laws), sharey=True))
        for ax, law in zip(axes, laws, strict=True):
            _law(ax, tables["models"].query("law == @law"), tables["errors"].query("law == @law and test == 'c = 1'"))
            ax.set_title(law)
        shown = tables["models"][["test", "median"]].to_numpy()
        axes[0].set_ylim(max(0.3 * _BOTTOM, 0.3 * float(shown.min())), min(3 * _TOP, max(10.0, 3 * float(shown.max()))))
        axes[0].set_ylabel("E(ŷ − y)² / E tr Λ on fresh prompts")
        handles, labels = axes[-1].get_legend_handles_labels()
        for ax in axes:
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
                if label not in labels:
                    handles.append(handle)
                    labels.append(label)
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    settings = record.facts["settings"]
    caption = (
        "Error by number of layers L for linear attention in the GD++ form and for softmax attention, every point the "
        f"best found from {settings['n_starts']} starts on {settings['n_prompts']:,} training contexts "
        f"({settings['n_softmax_prompts']:,} for softmax), tested on {settings['n_test']:,} fresh prompts (d = "
        f"{settings['dimension']}, N = {settings['n_train']}, seed {settings['seed']}). Filled: mean, bars ± 1.96 "
        "standard errors; small open markers: median prompt; where a mean lies far above its median, few prompts carry "
        f"it. What is below {format_number(_BOTTOM)} or above {format_number(_TOP)} is drawn there. Without markers: L "
        "steps of classical algorithms on the same prompts; horizontal: the exact minimum of one layer, Theorems 4 "
        "and 8. Least squares is exact here, as labels have no noise."
    )
    return Drawing("depth", figure, caption, "Error against number of layers for linear and softmax attention.")


def _law(ax: Axes, models: pd.DataFrame, errors: pd.DataFrame) -> None:
    main = models[models["form"] == models["attention"].map({"linear": "GD++ form", "softmax": "invariant"})]
    for (attention, tied), (color, line, marker) in _STYLES.items():
        rows = main[(main["attention"] == attention) & (main["tied"] == tied)].sort_values("layers")
        if rows.empty:
            continue
        label = f"{attention}, {'tied' if tied else 'untied'}"
        ax.errorbar(
            rows["layers"],
            *_bars(rows["test"], rows["test_stderr"]),
            color=color,
            linestyle=line,
            marker=marker,
            markersize=5,
            elinewidth=0.9,
            label=label,
        )
        ax.plot(
            rows["layers"],
            rows["median"].clip(_BOTTOM, _TOP),
            color=color,
            linestyle="none",
            marker=marker,
            markersize=3.5,
            markerfacecolor="white",
        )
    for family, (color, line) in _CLASSICAL.items():
        rows = errors[errors["name"].str.startswith(f"{family}, k = ")]
        if rows.empty:
            continue
        steps = rows["name"].str.extract(r"k = (\d+)$")[0].astype(int)
        ax.plot(steps, rows["error"].clip(_BOTTOM, _TOP), color=color, linestyle=line, label=f"{family}, k = L")
    exact = models["exact"].dropna()
    if len(exact):
        ax.axhline(float(exact.iloc[0]), color=LEAST_SQUARES, linewidth=0.9, label="one layer, exact minimum")
    ax.set_yscale("log")
    ax.set_xticks(sorted(main["layers"].unique()))
    ax.set_xlabel("layers L")


def _bars(mean: pd.Series, stderr: pd.Series) -> tuple[pd.Series, list[pd.Series]]:
    """Means and the lengths of their bars, both cut where the axis ends; none at a mean that is cut."""
    inside = (mean < _TOP) & (mean > _BOTTOM)
    reach = (_WIDTH * stderr).where(inside, 0.0)
    return mean.clip(_BOTTOM, _TOP), [np.minimum(reach, 0.9 * mean).where(inside, 0.0), np.minimum(reach, _TOP)]


def _beyond(record: StudyRecord) -> Drawing:
    tables, settings = record.tables, record.facts["settings"]
    shown = [law for law in (_FIXED, _RANDOM) if law in settings["laws"]] or settings["laws"][:1]
    with house_style():
        figure = Figure(figsize=(9.6, 7.6))
        axes = figure.subplots(2, 2)
        for ax, law in zip(axes[0], shown, strict=False):
            _scales(ax, tables["errors"].query("law == @law"), tables["remedies"].query("law == @law and noise == 0"))
            ax.set_title(f"trained on {law}")
        axes[0, 0].set_ylabel("E(ŷ − y)² / (c E tr Λ)")
        axes[0, len(shown) - 1].legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.02, 0.5))
        for ax in axes[0, len(shown) :]:
            ax.set_axis_off()
        _limit(axes[1, 0], tables["limit"])
        _remedies(axes[1, 1], tables["remedies"].query("law == @_RANDOM and scale == 1"))
    caption = (
        "Above: error of untied models on inputs of covariance cΛ, by c (bars ± 1.96 standard errors; what is above "
        f"{format_number(_TOP)} is drawn there; dotted: two layers on inputs normalised by tr Λ̂, the same at every c). "
        "Below left: what remains for N → ∞ under Λ = diag Exp(1), by exact quadrature: descent with best rates is "
        "2/((L + 1)(L + 2)) (line). Below right: remedies under Λ = diag Exp(1) at N = "
        f"{settings['n_train']}, without and with label noise of standard deviation 0.5: one or two layers, plain, on "
        "inputs normalised by their context, or whitened, which is ridge regression."
    )
    return Drawing("depth_beyond", figure, caption, "Scale shifts, long contexts and remedies by depth.")


def _scales(ax: Axes, errors: pd.DataFrame, remedies: pd.DataFrame) -> None:
    scaled = errors[errors["test"].str.startswith("c = ")].copy()
    scaled["c"] = scaled["test"].str.removeprefix("c = ").astype(float)
    for attention, form, base in (("linear", "GD++ form", ACCENT), ("softmax", "invariant", SECOND)):
        layers = scaled["name"].str.extract(rf"^{re.escape(f'{attention}, {form}, untied')}, L = (\d+)$")[0]
        depths = sorted(layers.dropna().astype(int).unique())
        for i, depth in enumerate(depths):
            rows = scaled[layers == str(depth)].sort_values("c")
            part = 0.25 + 0.75 * (i + 1) / len(depths)
            color = tuple(1 - part * (1 - channel) for channel in to_rgb(base))
            ax.errorbar(
                rows["c"],
                *_bars(rows["error"], rows["stderr"]),
                color=color,
                marker="o" if attention == "linear" else "D",
                markersize=3.5,
                elinewidth=0.8,
                linewidth=1.1,
                label=f"{attention}, L = {depth}",
            )
    two = remedies[(remedies["remedy"] == "tr Λ̂") & (remedies["layers"] == 2)].sort_values("scale")
    ax.plot(two["scale"], two["error"], color=LSA, linestyle=":", label="L = 2, tr Λ̂ normalised")
    ax.axhline(1, color=ZERO, linewidth=0.9, linestyle=(0, (4, 2)), label="zero")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ticks = sorted(scaled["c"].unique())
    ax.set_xticks(ticks, [f"{c:g}" for c in ticks])
    ax.minorticks_off()
    ax.set_ylim(
        max(0.3 * _BOTTOM, 0.3 * float(scaled.loc[scaled["name"].str.contains("L = "), "error"].min())), 3 * _TOP
    )
    ax.set_xlabel("scale c of the covariance")


def _limit(ax: Axes, limit: pd.DataFrame) -> None:
    deepest = max(int(limit["layers"].max()), 2)
    layers = np.arange(1, deepest + 1)
    ax.plot(layers, 2 / ((layers + 1) * (layers + 2)), color=LSA, linewidth=1, label="2/((L + 1)(L + 2))")
    shown = (
        ("descent", False, LSA, "o", "descent, best rates"),
        ("descent", True, ZERO, "s", "descent, one rate"),
        ("GD++ form", False, ACCENT, "o", "linear, untied"),
        ("GD++ form", True, "#56b4e9", "s", "linear, tied"),
    )
    for form, tied, color, marker, label in shown:
        rows = limit[(limit["form"] == form) & (limit["tied"] == tied)].sort_values("layers")
        line = "none" if (form, tied) == ("descent", False) else "-"
        ax.plot(rows["layers"], rows["error"], color=color, marker=marker, markersize=5, linestyle=line, label=label)
    ax.set_yscale("log")
    ax.set_xticks(layers)
    ax.set_xlabel("layers L")
    ax.set_title("N → ∞, Λ = diag Exp(1)")
    ax.legend(fontsize="x-small")


def _remedies(ax: Axes, remedies: pd.DataFrame) -> None:
    if remedies.empty:
        ax.set_axis_off()
        return
    names = [
        f"{'whitened' if remedy == 'whitened' else 'plain' if remedy == 'none' else remedy}, L = {layers}"
        for remedy, layers in remedies[["remedy", "layers"]].drop_duplicates().itertuples(index=False)
    ]
    places = np.arange(len(names))[::-1]
    for i, (noise, rows) in enumerate(remedies.groupby("noise")):
        error = rows["error"].clip(lower=1e-4)
        ax.errorbar(
            error,
            places + 0.12 - 0.24 * i,
            xerr=[np.minimum(_WIDTH * rows["stderr"], 0.9 * error), _WIDTH * rows["stderr"]],
            linestyle="none",
            marker="os"[i % 2],
            markersize=5,
            color=(ACCENT, SECOND)[i % 2],
            label=f"label noise {noise:g}",
        )
    ax.set_xscale("log")
    ax.set_yticks(places, names)
    ax.set_xlabel("E(ŷ − y)² / E tr Λ (at most 10⁻⁴: on the edge)")
    ax.set_title("remedies, Λ = diag Exp(1)")
    ax.legend(fontsize="x-small", loc="upper left")


def _algorithms(record: StudyRecord) -> Drawing:
    nearest, settings = record.tables["nearest"], record.facts["settings"]
    laws = settings["laws"]
    with house_style():
        count = nearest["model"].nunique()
        figure = Figure(figsize=(max(8.0, 4.3 * len(laws)), 1.6 + 0.26 * count))
        axes = np.atleast_1d(figure.subplots(1, len(laws), sharey=True))
        used: set[str] = set()
        for ax, law in zip(axes, laws, strict=True):
            used |= _grid(ax, nearest[nearest["law"] == law])
            ax.set_title(law)
        handles = [
            Patch(facecolor=color, edgecolor=ZERO, label=family)
            for family, color in _FAMILIES.items()
            if family in used
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    caption = (
        "Nearest classical algorithm of every model by position i (number of examples), on its own law; numbers are "
        "the steps k. White: none within a tenth of the mean squared target. A cross: less than 95 % of bootstrap "
        f"samples of the {settings['n_nearest']} prompts agree. Tied linear layers with scalar weights are GD++ with "
        "two constants and find themselves."
    )
    return Drawing("depth_algorithms", figure, caption, "Nearest classical algorithm by position and model.")


def _grid(ax: Axes, rows: pd.DataFrame) -> set[str]:
    models = list(dict.fromkeys(rows["model"]))
    places = sorted(rows["position"].unique())
    image, used = np.ones((len(models), len(places), 3)), set()
    for _, row in rows.iterrows():
        y, x = models.index(row["model"]), places.index(row["position"])
        family = _family(str(row["nearest"]))
        used.add(family)
        image[y, x] = to_rgb(_FAMILIES[family])
        dark = family == "least squares"
        steps = str(row["nearest"]).rpartition("k = ")[2] if "k = " in row["nearest"] else ""
        text = steps + ("×" if row["frequency"] < 0.95 and family != "none" else "")
        ax.text(x, y, text, ha="center", va="center", fontsize=5.5, color="white" if dark else "black")
    ax.imshow(image, aspect="auto", interpolation="none")
    ax.grid(visible=False)
    short = [name.replace(", GD++ form", "").replace(", invariant", "") for name in models]
    ax.set_yticks(range(len(models)), short)
    step = max(1, len(places) // 7)
    ax.set_xticks(range(0, len(places), step), [str(place) for place in places[::step]])
    ax.set_xlabel("examples i")
    return used


def _family(name: str) -> str:
    return next((family for family in sorted(_FAMILIES, key=len, reverse=True) if name.startswith(family)), "none")
