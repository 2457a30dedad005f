"""Varying covariances: what the linear layer leaves by law and treatment, GPT-2 by law, scale and scaling."""

from __future__ import annotations

import numpy as np
import pandas as pd
from iclab.report.style import ACCENT, CYCLE, LSA, SECOND, THIRD, ZERO, Drawing, house_style, label_short_log
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# (trained, scaling): label, colour, line.
_TREATMENTS = {
    ("on this law", "none"): ("trained on the law", LSA, "-"),
    ("on this law", "trace"): ("… tr Λ̂ matched at test", LSA, "--"),
    ("on this law", "coordinates"): ("… coordinates matched at test", LSA, ":"),
    ("on Λ = I", "none"): ("trained on Λ = I", SECOND, "-"),
    ("on Λ = I", "coordinates"): ("… coordinates matched at test", SECOND, ":"),
    ("on scaled prompts", "trace"): ("trained with tr Λ̂ matched", ACCENT, "--"),
    ("on scaled prompts", "coordinates"): ("trained with coordinates matched", ACCENT, ":"),
}
_SCALINGS = {"inputs": ("inputs", THIRD, "^"), "trace": ("inputs and labels", ACCENT, "o"), "coordinates": (
    "coordinates, labels", SECOND, "s")}  # fmt: skip
_TOP = 10.0
_FLOOR = 1e-4


def draw(record: StudyRecord) -> list[Drawing]:
    """Two figures: the layer, exact; and GPT-2 beside it."""
    return [_layer(record), _transformers(record)]


def _layer(record: StudyRecord) -> Drawing:
    layer, settings = record.tables["layer"], record.facts["settings"]
    n = settings["n_train"]
    independent = layer[layer["coupling"] == "one λ per coordinate"]
    with house_style():
        figure = Figure(figsize=(10.0, 3.6))
        axes = figure.subplots(1, 3)
        _families(axes[0], independent, "cv2", "cv² of λ")
        _families(axes[1], independent, "biased_cv2", "cv_λ² of λ weighted by itself")
        grid = np.geomspace(0.02, 30, 100)
        axes[1].plot(grid, grid / (1 + grid), color=ZERO, linewidth=4, alpha=0.35, zorder=0, label="cv_λ²/(1 + cv_λ²)")
        axes[1].set_xscale("log")
        axes[1].set_ylabel("")
        axes[1].legend(loc="upper left")
        _treatments(axes[2], independent[(independent["family"] == "gamma") & (independent["n"] == n)])
        # Where no curve runs: beyond the steep one, above the flat ones.
        axes[2].legend(fontsize="x-small", loc="center right", bbox_to_anchor=(1.02, 0.53))
    caption = (
        "The linear layer of Theorem 8 on new prompts of its own law, exact. Left: error over the zero estimator's as "
        f"M, N → ∞ against the squared coefficient of variation of λ, by family (thin: N = M = {n}, "
        f"d = {settings['dimension']}). Middle: the limits fall on one curve when λ is weighted by itself. Right: "
        f"Gamma laws at N = M = {n}: trained on the law or on Λ = I, as it is and with prompts scaled at test so that "
        "tr Λ̂, or every Λ̂_ii, is its training mean; and trained on prompts scaled so."
    )
    return Drawing(
        "covariances-layer", figure, caption, "Exact errors of the linear layer by the law of the eigenvalues."
    )


def _families(ax: Axes, rows: pd.DataFrame, x: str, label: str) -> None:
    own = rows[(rows["trained"] == "on this law") & (rows["scaling"] == "none")]
    finite = own["n"].min()
    for i, (family, part) in enumerate(own.groupby("family", sort=False)):
        part = part[part[x] > 0] if x == "biased_cv2" else part
        limit = part[np.isinf(part["n"])].sort_values(x)
        short = part[part["n"] == finite].sort_values(x)
        ax.plot(limit[x], limit["error"], color=CYCLE[i], marker="osD^"[i], markersize=3.5, label=str(family))
        if x == "cv2":
            ax.plot(short[x], short["error"], color=CYCLE[i], linewidth=0.8, linestyle=(0, (4, 2)))
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(label)
    ax.set_ylabel("error / zero estimator's")
    if x == "cv2":
        ax.legend(loc="lower right")


def _treatments(ax: Axes, rows: pd.DataFrame) -> None:
    for (trained, scaling), (label, color, line) in _TREATMENTS.items():
        own = rows[(rows["trained"] == trained) & (rows["scaling"] == scaling)].sort_values("cv2")
        shown = own[own["error"] <= _TOP]
        ax.plot(shown["cv2"], shown["error"], color=color, linestyle=line, label=label)
    ax.set_yscale("log")
    ax.set_ylim(top=4 * _TOP)
    ax.set_xlabel("cv² of λ (Gamma)")


def _transformers(record: StudyRecord) -> Drawing:
    means, settings = record.tables["means"], record.facts["settings"]
    m = max(settings["lengths"])
    rows = means[means["position"] == m]
    laws = list(rows["law"].unique())
    with house_style():
        figure = Figure(figsize=(10.0, 3.8))
        axes = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
        _own_law(axes[0], rows, laws)
        _scales(axes[1], rows, laws)
        _scaled(axes[2], rows)
    seeds = len(settings["training_seeds"])
    caption = (
        f"GPT-2 (preset {settings['preset']}, {record.facts['steps']:,} steps, d = {settings['dimension']}, N = "
        f"{settings['n_train']}, {seeds} training seed{'s' if seeds > 1 else ''}) at M = {m}; errors over the zero "
        f"estimator's on {settings['n_prompts']:,} prompts (seed {settings['seed']}). Left: on its own law and on "
        "Λ = I, beside the layer trained on that law (exact); bars: range over training seeds widened by 1.96 standard "
        "errors. Middle: on its own law with covariances multiplied by c, solid as it is, dashed with inputs and "
        "labels scaled by the context. Right: every pair of training and test law, error with prompts scaled at test "
        "against the error without; below the diagonal scaling helps."
    )
    return Drawing("covariances-gpt2", figure, caption, "GPT-2 by training law, test scale and scaling at test time.")


def _own_law(ax: Axes, rows: pd.DataFrame, laws: list[str]) -> None:
    plain = rows[rows["scaling"] == "none"]
    places = np.arange(len(laws))
    for i, (predictor, test, label, color, marker) in enumerate(
        (
            ("GPT-2", "own law, c = 1", "GPT-2, own law", ACCENT, "o"),
            ("GPT-2", "Λ = I", "GPT-2, on Λ = I", THIRD, "D"),
            ("LSA", "own law, c = 1", "linear layer, own law", LSA, "s"),
            ("LSA", "Λ = I", "linear layer, on Λ = I", SECOND, "^"),
        )
    ):
        own = plain[(plain["predictor"] == predictor) & (plain["test"] == test)].set_index("law")
        at = places[[laws.index(law) for law in own.index]] + 0.12 * (i - 1.5)
        reach = 1.96 * own["stderr"].fillna(0.0)
        low, high = (own["low"] - reach).clip(lower=_FLOOR), own["high"] + reach
        bars = np.clip([own["error"] - low, high - own["error"]], 0, None)
        ax.errorbar(at, own["error"], bars, color=color, marker=marker, markersize=4, linestyle="none", label=label)
    ax.set_yscale("log")
    ax.set_xticks(places, [law.replace(", cv²", "\ncv²") for law in laws], rotation=30, ha="right", fontsize="x-small")
    ax.set_ylabel("error / zero estimator's")
    ax.legend(fontsize="x-small")


def _scales(ax: Axes, rows: pd.DataFrame, laws: list[str]) -> None:
    own = rows[(rows["predictor"] == "GPT-2") & (rows["test"] != "Λ = I")]
    for i, law in enumerate(laws):
        for scaling, line in (("none", "-"), ("trace", "--")):
            part = own[(own["law"] == law) & (own["scaling"] == scaling)].sort_values("scale")
            label = law if scaling == "none" else None
            ax.plot(part["scale"], part["error"], color=CYCLE[i], linestyle=line, marker="o", markersize=3, label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    scales = sorted(own["scale"].unique())
    ax.set_xticks(scales, [f"{c:g}" for c in scales])
    ax.minorticks_off()
    label_short_log(ax.yaxis)
    ax.set_xlabel("factor c of the covariances at test")
    ax.legend(fontsize="x-small")


def _scaled(ax: Axes, rows: pd.DataFrame) -> None:
    keys = ["law", "test"]
    gpt2 = rows[rows["predictor"] == "GPT-2"]
    before = gpt2[gpt2["scaling"] == "none"].set_index(keys)["error"]
    values = [before]
    for scaling, (label, color, marker) in _SCALINGS.items():
        after = gpt2[gpt2["scaling"] == scaling].set_index(keys)["error"].loc[before.index]
        ax.plot(before, after, color=color, marker=marker, markersize=4, linestyle="none", label=label, alpha=0.85)
        values.append(after)
    low, high = float(min(v.min() for v in values)), float(max(v.max() for v in values))
    span = np.array([low / 1.3, high * 1.3])
    ax.plot(span, span, color=ZERO, linewidth=1, zorder=0)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        label_short_log(axis)
    ax.set_xlabel("error as it is")
    ax.set_ylabel("error with prompts scaled at test")
    ax.legend(title="scaled", fontsize="x-small", title_fontsize="x-small")
