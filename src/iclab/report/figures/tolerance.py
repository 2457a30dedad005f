"""Who tolerates which shift: a map of predictors and shifts, and errors by the strength of four of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from iclab.report.style import Drawing, color_of, house_style
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

# One hue from light to dark: the order survives grey print and every kind of colour blindness.
_SHADES = ("#ffffff", "#cfe1f2", "#93c3df", "#4a90c4", "#08457f")
_BOUNDS = (0.1, 0.25, 0.5, 1.0)
_OWN = "own law"
_KINDS = ("task", "labels", "query", "inputs")
# Families of shifts by strength: shift names, or the predictor's own law, to the factor that they stand for.
_STRENGTHS: Mapping[str, Mapping[str, float]] = {
    "inputs times": {"scale-x=1/3": 1 / 3, "scale-x=0.5": 0.5, _OWN: 1, "scale-x=2": 2, "scale-x=3": 3},
    "labels times": {"scale-y=1/3": 1 / 3, "scale-y=0.5": 0.5, _OWN: 1, "scale-y=2": 2, "scale-y=3": 3},
    "c of the random covariances c·diag(λ)": {
        "random-covariance": 1,
        "random-covariance+covariance=4": 4,
        "random-covariance+covariance=9": 9,
    },
    "standard deviation of label noise": {_OWN: 0, "noise=0.5": 0.5, "noise=1": 1},
}
_MARKERS = "osD^vP<>X"
# Errors below this are drawn on the lower edge: a logarithmic axis has no zero.
_FLOOR, _CEILING = 1e-3, 1e3


def draw(record: StudyRecord) -> list[Drawing]:
    """The map, and the lines."""
    with house_style():
        return [_map(record), _lines(record)]


def _map(record: StudyRecord) -> Drawing:
    cells = record.tables["cells"]
    shifts = [name for kind in _KINDS for name in cells[cells["kind"] == kind]["shift"].unique()]
    names = list(cells["predictor"].unique())
    growth = cells.pivot_table(index="predictor", columns="shift", values="growth", sort=False)
    verdict_of = cells.pivot_table(index="predictor", columns="shift", values="verdict", aggfunc="first", sort=False)
    values = growth.loc[names, shifts].to_numpy(dtype=float)
    verdicts = verdict_of.loc[names, shifts].to_numpy()
    figure = Figure(figsize=(11.5, 2.6 + 0.31 * len(names)))
    ax = figure.subplots()
    norm = BoundaryNorm([-1e300, *_BOUNDS, 1e300], len(_SHADES))
    ax.pcolormesh(values, cmap=ListedColormap(list(_SHADES)), norm=norm, edgecolors="#d0d0d0", linewidth=0.5)
    for (r, c), value in np.ndenumerate(values):
        text = "own" if verdicts[r, c] == _OWN else _short(value) + ("?" if verdicts[r, c] == "undecided" else "")
        ink = "white" if value > _BOUNDS[2] else "black"
        ax.text(c + 0.5, r + 0.5, text, ha="center", va="center", fontsize=7, color=ink)
    ax.set_xticks(np.arange(len(shifts)) + 0.5, [_label(shift) for shift in shifts], rotation=55, ha="right")
    idle = record.facts["not_learned"]
    labels = [f"{name} (not learned)" if name in idle else name for name in names]
    ax.set_yticks(np.arange(len(names)) + 0.5, labels)
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    _separators(ax, cells, shifts, names)
    steps = [
        f"at most {_BOUNDS[0]:g}: tolerated",
        *(f"to {bound:g}" for bound in _BOUNDS[1:]),
        f"above {_BOUNDS[-1]:g}",
    ]
    handles = [
        Patch(facecolor=shade, edgecolor="#888888", label=label) for shade, label in zip(_SHADES, steps, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title="growth of the excess")
    settings = record.facts["settings"]
    caption = (
        f"Growth of the excess error under each shift over that on the law which the predictor was made for (d = "
        f"{settings['dimension']}, M = {min(settings['n_train'])} examples, {int(cells['n'].iloc[0]):,} "
        "prompts, the same for all). Excess: error less that of the best predictor for the shifted problem (the best "
        "one linear in x where labels are quadratic), over the zero estimator's error. White: tolerated, at most "
        f"{record.facts['tolerance']:g}. “?”: "
        "the 95 % interval (bootstrap over prompts, paired) does not decide. “own”: that law itself, N(0, I) or random "
        "covariances. Shifts are applied to it, except standard and random-covariance, which are laws themselves and "
        "the same for all. Rules across separate classical learners, LSA and trained models; upright ones what is "
        "shifted."
    )
    alt = "Table of predictors by shifts with the growth of the excess."
    return Drawing(f"{_file(record)}-map", figure, caption, alt)


def _separators(ax: Axes, cells: pd.DataFrame, shifts: list[str], names: list[str]) -> None:
    kinds = cells.drop_duplicates("shift").set_index("shift")["kind"].loc[shifts].to_list()
    groups = cells.drop_duplicates("predictor").set_index("predictor")["group"].loc[names].to_list()
    for c in range(1, len(kinds)):
        if kinds[c] != kinds[c - 1]:
            ax.axvline(c, color="black", linewidth=1)
    for r in range(1, len(groups)):
        if groups[r] != groups[r - 1]:
            ax.axhline(r, color="black", linewidth=1)
    for kind in dict.fromkeys(kinds):
        places = [c for c, own in enumerate(kinds) if own == kind]
        ax.text(float(np.mean(places)) + 0.5, -0.15, kind, ha="center", va="bottom", fontsize=8.5, fontweight="bold")


def _lines(record: StudyRecord) -> Drawing:
    cells = record.tables["cells"]
    names = list(cells["predictor"].unique())
    figure = Figure(figsize=(10.5, 6.6))
    axes = figure.subplots(2, 2, sharey=True).ravel()
    for ax, (label, members) in zip(axes, _STRENGTHS.items(), strict=True):
        named = cells["shift"].where(cells["shift"].isin(members) | (cells["verdict"] != _OWN), _OWN)
        here = cells[named.isin(members)].assign(strength=named.map(members)).sort_values("strength")
        here = here[here["M"] == here["M"].max()]
        here = here.assign(bar=1.96 * here["stderr"] / here["zero"], line=here["exact"] / here["zero"])
        for name in names:
            own = here[here["predictor"] == name]
            style = {"color": color_of(name, names), "markersize": 3.6, "marker": _marker(name, cells)}
            mean = own["relative"].clip(_FLOOR, _CEILING)
            # What diverges has no scale, and so no bar.
            bar = own["bar"].where(own["relative"] <= _CEILING, 0.0)
            low, high = ((own["relative"] + sign * bar).clip(_FLOOR, _CEILING) for sign in (-1, 1))
            exact = own[np.isfinite(own["line"])]
            style |= {"linestyle": "none" if len(exact) == len(own) else "-", "linewidth": 1, "elinewidth": 0.8}
            ax.errorbar(own["strength"], mean, [mean - low, high - mean], **style)
            ax.plot(exact["strength"], exact["line"].clip(_FLOOR, _CEILING), color=style["color"], linewidth=1.4)
        ax.axhline(1, color=color_of("zero", names), linestyle=(0, (4, 2)), linewidth=1)
        ax.set_yscale("log")
        values = sorted(set(members.values()))
        if min(values) > 0:
            ax.set_xscale("log")
        ax.set_xticks(values, [f"{value:.2g}" for value in values])
        ax.minorticks_off()
        ax.set_xlabel(label)
    for ax in axes[::2]:
        ax.set_ylabel("error / zero estimator's")
    handles = [
        Line2D([], [], color=color_of(name, names), marker=_marker(name, cells), markersize=3.6, label=name)
        for name in names
    ]
    handles.append(Line2D([], [], color=color_of("zero", names), linestyle=(0, (4, 2)), label="zero estimator"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    settings = record.facts["settings"]
    caption = (
        f"Error over the zero estimator's by the strength of four shifts (d = {settings['dimension']}, M = "
        f"{min(settings['n_train'])}, {int(cells['n'].iloc[0]):,} prompts, bars ± 1.96 standard errors), each applied "
        "to the law that the predictor was made for; c is a law itself. Lines of LSA are exact, its markers measured; "
        f"other lines join measurements. Values below {_FLOOR:g} (noiseless least squares has error 0) and above "
        f"{_CEILING:g} lie on the edges, the latter without bars."
    )
    alt = "Errors of all predictors by the strength of four shifts."
    return Drawing(f"{_file(record)}-strength", figure, caption, alt)


def _marker(name: str, cells: pd.DataFrame) -> str:
    """Models of one law share shades of one colour, so their markers differ; so do those of all others."""
    family = cells["family"].where(cells["group"] == "transformer", "")
    alike = cells[family == family[cells["predictor"] == name].iloc[0]]["predictor"].unique()
    return _MARKERS[list(alike).index(name) % len(_MARKERS)]


def _short(value: float) -> str:
    if abs(value) >= 1e4:
        return f"1e{int(np.floor(np.log10(abs(value))))}"
    if abs(value) >= 10:
        return f"{value:.0f}"
    text = f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def _label(shift: str) -> str:
    """The shift's name, shortened where it is a chain."""
    return shift.replace("random-covariance+covariance", "random-cov., c").replace("_train_test", "")


def _file(record: StudyRecord) -> str:
    return record.name.replace("_", "-")
