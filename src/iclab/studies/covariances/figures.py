"""Varying covariances: what the linear layer keeps by distribution and by scaling; GPT-2 by distribution and scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iclab.foundations import normal_quantile
from iclab.studies.drawing import ACCENT, CYCLE, LSA, SECOND, THIRD, ZERO, bars, label_short_log, panels, tick_at
from iclab.studies.rows import at_last, where
from iclab.studies.study import Record

_TREATMENTS = {
    ("own", "none"): ("as trained", LSA, "-"),
    ("own", "trace"): ("trace matched at test", LSA, "--"),
    ("own", "coordinates"): ("coordinates matched at test", LSA, ":"),
    ("identity", "none"): ("trained on Λ = I", SECOND, "-"),
    ("identity", "coordinates"): ("Λ = I, coordinates matched at test", SECOND, ":"),
    ("scaled", "trace"): ("trained with trace matched", ACCENT, "--"),
    ("scaled", "coordinates"): ("trained with coordinates matched", ACCENT, ":"),
}
_SCALINGS = {
    "inputs": ("inputs", THIRD, "^"),
    "trace": ("inputs, labels", ACCENT, "o"),
    "coordinates": ("coordinates, labels", SECOND, "s"),
}
_PREDICTORS = (
    ("GPT-2", "own", "GPT-2, inputs as in training", ACCENT, "o"),
    ("GPT-2", "identity", "GPT-2, Λ = I", THIRD, "D"),
    ("linear layer", "own", "linear layer, inputs as in training", LSA, "s"),
    ("linear layer", "identity", "linear layer, Λ = I", SECOND, "^"),
)
_TOP, _FLOOR = 10.0, 1e-4


def limits(record: Record) -> Figure:
    """What the layer keeps, against cv² of λ and against cv² of λ weighted by itself."""
    layer = record.tables["layer"]
    own = where(layer, coupling="independent", trained="own", scaling="none")
    finite = own["n"].min()
    with panels((8.0, 3.6), 2, sharey=True) as (figure, axes):
        for i, (family, part) in enumerate(own.groupby("family", sort=False)):
            for ax, x in zip(axes, ("cv2", "biased_cv2"), strict=True):
                rows = part[part[x] > 0] if x == "biased_cv2" else part
                limit = rows[np.isinf(rows["n"])].sort_values(x)
                ax.plot(limit[x], limit["error"], color=CYCLE[i], marker="osD^"[i], markersize=3.5, label=str(family))
            short = where(part, n=finite).sort_values("cv2")
            axes[0].plot(short["cv2"], short["error"], color=CYCLE[i], linewidth=0.8, linestyle=(0, (4, 2)))
        grid = np.geomspace(0.02, 30, 100)
        axes[1].plot(grid, grid / (1 + grid), color=ZERO, linewidth=4, alpha=0.35, zorder=0, label="c²/(1 + c²)")
        axes[0].set(ylim=(-0.02, 1.02), xlabel="cv² of λ", ylabel="error / zero predictor's", title="by variance")
        axes[1].set(xscale="log", xlabel="cv² of λ weighted by itself", title="weighted by λ: one curve")
        axes[1].legend(loc="upper left")
    return figure


def treatments(record: Record) -> Figure:
    """The layer on Gamma-distributed eigenvalues at N = M, by training and scaling."""
    layer = record.tables["layer"]
    rows = where(layer, coupling="independent", family="gamma", n=layer["n"].min())
    with panels((7.2, 3.6)) as (figure, ax):
        for (trained, scaling), (label, color, line) in _TREATMENTS.items():
            part = where(rows, trained=trained, scaling=scaling).sort_values("cv2")
            shown = part[part["error"] <= _TOP]
            ax.plot(shown["cv2"], shown["error"], color=color, linestyle=line, label=label)
        ax.set(yscale="log", xlabel="cv² of λ (Gamma; 1 is Exp(1))", ylabel="error / d")
        figure.legend(loc="outside right center")
    return figure


def transformers(record: Record) -> Figure:
    """GPT-2 and the layer, by what they were trained on."""
    rows = _longest(record)
    plain = where(rows, scaling="none")
    laws = _distributions(rows)
    with panels((7.2, 3.8)) as (figure, ax):
        for i, (predictor, inputs, label, color, marker) in enumerate(_PREDICTORS):
            part = where(plain, predictor=predictor, inputs=inputs, scale=1)
            at = np.array([laws.index(key) for key in zip(part["family"], part["cv2"], strict=True)]) + 0.12 * (i - 1.5)
            reach = normal_quantile() * part["stderr"].fillna(0.0)
            low, high = (part["error_low"] - reach).clip(lower=_FLOOR), part["error_high"] + reach
            look = {"color": color, "marker": marker, "markersize": 4, "linestyle": "none", "label": label}
            ax.errorbar(at, part["error"], bars(part["error"], low, high), **look)
        ax.set_yscale("log")
        ax.set_xticks(range(len(laws)), [_name(*key) for key in laws])
        ax.set_ylabel("error / zero predictor's")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def scales(record: Record) -> Figure:
    """GPT-2 at other scales of its inputs; and what scaling prompts at test does to every error."""
    rows = _longest(record)
    gpt2 = where(rows, predictor="GPT-2")
    with panels((8.0, 3.8), 2) as (figure, (left, right)):
        own = where(gpt2, inputs="own")
        for i, key in enumerate(_distributions(rows)):
            part = where(own, family=key[0], cv2=key[1])
            for scaling, line in (("none", "-"), ("trace", "--")):
                shown = where(part, scaling=scaling).sort_values("scale")
                label = _name(*key) if scaling == "none" else None
                left.plot(shown["scale"], shown["error"], color=CYCLE[i], linestyle=line, marker=".", label=label)
        left.set(xscale="log", yscale="log", xlabel="factor c of the covariances", ylabel="error / zero predictor's")
        tick_at(left, own["scale"])
        label_short_log(left.yaxis)
        left.legend()
        _scaled(right, gpt2)
    return figure


def _scaled(ax: Axes, gpt2: pd.DataFrame) -> None:
    keys = ["family", "cv2", "inputs", "scale"]
    before = where(gpt2, scaling="none").set_index(keys)["error"]
    values = [before]
    for scaling, (label, color, marker) in _SCALINGS.items():
        after = where(gpt2, scaling=scaling).set_index(keys)["error"].loc[before.index]
        ax.plot(before, after, color=color, marker=marker, markersize=4, linestyle="none", label=label, alpha=0.85)
        values.append(after)
    span = np.array([np.min(values) / 1.3, np.max(values) * 1.3])
    ax.plot(span, span, color=ZERO, linewidth=1, zorder=0)
    ax.set(xscale="log", yscale="log", xlabel="error as it is", ylabel="error with prompts scaled")
    for axis in (ax.xaxis, ax.yaxis):
        label_short_log(axis)
    ax.legend(title="scaled")


def _longest(record: Record) -> pd.DataFrame:
    return at_last(record.tables["means"], "position")


def _distributions(rows: pd.DataFrame) -> list[tuple[str, float]]:
    return list(dict.fromkeys(zip(rows["family"], rows["cv2"], strict=True)))


def _name(family: str, cv2: float) -> str:
    if cv2 == 0:
        return "point mass"
    return "Exp(1)" if (family, cv2) == ("gamma", 1.0) else f"{family},\ncv² = {cv2:g}"


FIGURES = {
    "covariances-limit": limits,
    "covariances-scaling": treatments,
    "covariances-gpt2": transformers,
    "covariances-scales": scales,
}
