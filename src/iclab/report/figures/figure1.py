"""Figure 1: error by context length on four panels, and each model beside its linear counterpart."""

from __future__ import annotations

import numpy as np
import pandas as pd
from iclab.report.style import LEAST_SQUARES, LIMIT, LSA, ZERO, Drawing, house_style, shade
from iclab.studies.record import StudyRecord
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

FAMILIES = ("fixed", "random")
_LIMIT_STYLES = {"fixed": (0, (6, 2)), "random": (0, (2, 1.5))}
# Errors below this are drawn on the lower edge: a logarithmic axis has no zero.
_FLOOR = 1e-4
_WARNING = "#b00020"


def draw(record: StudyRecord) -> list[Drawing]:
    """The four panels, and one panel per model and law with the exact LSA curve."""
    with house_style():
        return [_panels(record), _against_lsa(record)]


def _panels(record: StudyRecord) -> Drawing:
    curves, bands, lsa = record.tables["curves"], record.tables["bands"], record.tables["lsa"]
    d = record.facts["settings"]["dimension"]
    lengths = record.facts["settings"]["n_train"]
    panels = list(curves["panel"].unique())
    figure = Figure(figsize=(8.4, 7.4))
    axes = figure.subplots(2, 2, sharex=True).ravel()
    for ax, panel in zip(axes, panels, strict=True):
        here = curves[curves["panel"] == panel]
        zero = float(here["zero"].iloc[0])
        models = bands[bands["panel"] == panel]
        for i, n in enumerate(lengths):
            for family in FAMILIES:
                rows = models[(models["family"] == family) & (models["n_train"] == n)]
                _model_curve(ax, rows, n, shade(family, i, len(lengths)))
        squares = here[here["predictor"] == "least squares"]
        ax.plot(squares["position"], squares["mean"].clip(lower=_FLOOR), color=LEAST_SQUARES, linewidth=1.2)
        ax.axhline(zero, color=ZERO, linestyle=(0, (4, 2)), linewidth=1.2)
        limits: dict[str, float] = {}
        for family in FAMILIES:
            of_family = lsa[(lsa["panel"] == panel) & (lsa["family"] == family)]
            limits[family] = float(of_family[np.isinf(of_family["n_train"])]["error"].iloc[0])
            if limits[family] > _FLOOR:
                ax.axhline(limits[family], color=LIMIT, linestyle=_LIMIT_STYLES[family], linewidth=1.2)
            finite = of_family[of_family["n_train"] == max(lengths)]
            ax.plot(finite["position"], finite["error"], color=LSA, linestyle=_LIMIT_STYLES[family], linewidth=1.2)
        ax.set_title(_title(panel))
        ax.set_yscale("log")
        top = 3 * max([zero, limits["random"], *models["mean"]])
        ax.set_ylim(_FLOOR, top)
        if limits["fixed"] > top:
            note = f"LSA limit, fixed: {limits['fixed']:.4g} ↑"
            ax.text(0.98, 0.985, note, transform=ax.transAxes, ha="right", va="top", fontsize=8, color=LIMIT)
        failed = record.tables["models"]
        failed = failed[(failed["own_law"] == panel) & ~failed["learned"].astype(bool)]
        if len(failed):
            names = ", ".join(f"N = {n}" for n in sorted(failed["n_train"].unique()))
            note = f"not learned ({failed['family'].iloc[0]}cov): {names}"
            ax.text(0.98, 0.02, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=8, color=_WARNING)
        ax.set_xlim(0, int(curves["position"].max()))
    for ax in axes[2:]:
        ax.set_xlabel("in-context examples M")
    for ax in axes[::2]:
        ax.set_ylabel("squared error / d")
    figure.legend(handles=_legend(record), loc="outside lower center", ncols=4)
    seeds = len(record.facts["settings"]["training_seeds"])
    caption = (
        f"Squared error divided by d = {d} of trained transformers by context length M, on "
        f"{int(curves['n'].iloc[0]):,} test prompts (the same for all). Bands: {record.facts['bands']}. Thin dotted "
        "continuation: contexts longer than the training length N, whose positions were never trained (● marks "
        f"M = N). {_targets(record)} Least squares "
        f"is exact from M = d on and leaves the logarithmic axis; values below {_FLOOR:g} are drawn on its edge. LSA "
        f"exact: the trained linear self-attention layer at N = {max(lengths)} and test length M in closed form; LSA "
        "limit: M, N → ∞; where it lies above the panel its value is written there. "
        f"Here c multiplies the covariance. {'One training seed.' if seeds == 1 else f'{seeds} training seeds.'} A "
        f"model has learned when {record.facts['learned']}; the others are marked “not learned”."
    )
    names = "transformers on fixed and random covariances"
    return Drawing(record.name, figure, caption, f"Error by context length of {names} on four covariate laws.")


def _against_lsa(record: StudyRecord) -> Drawing:
    curves, bands, lsa = record.tables["curves"], record.tables["bands"], record.tables["lsa"]
    lengths = record.facts["settings"]["n_train"]
    panels = list(curves["panel"].unique())
    figure = Figure(figsize=(10.0, 8.0))
    axes = figure.subplots(len(panels), 2 * len(lengths), sharex=True, sharey="row")
    for r, panel in enumerate(panels):
        here = curves[curves["panel"] == panel]
        models = bands[bands["panel"] == panel]
        for c, (family, n) in enumerate((family, n) for family in FAMILIES for n in lengths):
            ax = axes[r, c]
            color = shade(family, lengths.index(n), len(lengths))
            _model_curve(ax, models[(models["family"] == family) & (models["n_train"] == n)], n, color)
            exact = lsa[(lsa["panel"] == panel) & (lsa["family"] == family) & (lsa["n_train"] == n)]
            ax.plot(exact["position"], exact["error"], color=LSA, linewidth=1.2)
            ax.axhline(float(here["zero"].iloc[0]), color=ZERO, linestyle=(0, (4, 2)), linewidth=1.0)
            ax.set_yscale("log")
            ax.set_ylim(bottom=_FLOOR)
            ax.minorticks_off()
            if r == 0:
                ax.set_title(f"{family}, N = {n}")
            if note := _remark(record, family, n):
                style = {"ha": "center", "va": "bottom", "color": _WARNING, "fontsize": 8}
                ax.text(0.5, 0.05, note, transform=ax.transAxes, **style)
            if r == len(panels) - 1:
                ax.set_xlabel("examples M")
            if c == 0:
                ax.set_ylabel(f"{_title(panel, short=True)}\nsquared error / d")
    handles = [
        Line2D([], [], color=shade("fixed", 1, 3), label="transformer, trained on the fixed covariance"),
        Line2D([], [], color=shade("random", 1, 3), label="transformer, trained on random covariances"),
        Line2D([], [], color=LSA, label="LSA exact, same training law and N"),
        Line2D([], [], color=ZERO, linestyle=(0, (4, 2)), label="zero estimator"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    caption = (
        "The same models, each beside the exact error of the linear self-attention layer trained on the same law with "
        "the same N (closed form at every M). Columns: training law and length; rows: test law. Models that missed the "
        "learning criterion are marked."
    )
    return Drawing(
        f"{record.name}-against-lsa", figure, caption, "Each transformer beside the exact curve of the linear layer."
    )


def _model_curve(ax: Axes, rows: pd.DataFrame, n: int, color: str) -> None:
    """Mean over seeds with its bands: solid where positions were trained, thin dotted beyond."""
    if rows.empty:
        return
    for part, style, width in ((rows[rows["position"] <= n], "-", 1.5), (rows[rows["position"] >= n], ":", 1.1)):
        ax.plot(part["position"], part["mean"].clip(lower=_FLOOR), color=color, linestyle=style, linewidth=width)
    over_prompts = (rows["mean"] - 1.96 * rows["stderr"], rows["mean"] + 1.96 * rows["stderr"])
    over_seeds = (rows["lowest"], rows["highest"])
    for (low, high), alpha in ((over_seeds, 0.16), (over_prompts, 0.3)):
        low, high = low.clip(lower=_FLOOR), high.clip(lower=_FLOOR)
        ax.fill_between(rows["position"], low, high, color=color, alpha=alpha, linewidth=0)
    at = rows[rows["position"] == n]
    ax.plot(at["position"], at["mean"].clip(lower=_FLOOR), "o", color=color, markersize=3.5)


def _remark(record: StudyRecord, family: str, n: int) -> str:
    """What is wrong with a model, in two words; empty if nothing is."""
    models = record.tables["models"]
    rows = models[(models["family"] == family) & (models["n_train"] == n)]
    if not len(rows):
        return "no model"
    missed = int((~rows["learned"].astype(bool)).sum())
    if not missed:
        return ""
    return "not learned" if missed == len(rows) else f"not learned: {missed} of {len(rows)} seeds"


def _legend(record: StudyRecord) -> list[Line2D]:
    lengths = record.facts["settings"]["n_train"]
    longest = max(lengths)
    handles = [
        Line2D(
            [],
            [],
            color=shade(family, i, len(lengths)),
            label=f"{family}cov_N{n}" + (f" ({note})" if (note := _remark(record, family, n)) else ""),
        )
        for family in FAMILIES
        for i, n in enumerate(lengths)
    ]
    return [
        *handles,
        Line2D([], [], color=LEAST_SQUARES, linewidth=1.2, label="least squares"),
        Line2D([], [], color=ZERO, linestyle=(0, (4, 2)), linewidth=1.2, label="zero estimator"),
        *(
            Line2D([], [], color=LSA, linestyle=_LIMIT_STYLES[f], linewidth=1.2, label=f"LSA exact, {f}, N = {longest}")
            for f in FAMILIES
        ),
        *(
            Line2D([], [], color=LIMIT, linestyle=_LIMIT_STYLES[f], linewidth=1.2, label=f"LSA limit, {f}")
            for f in FAMILIES
        ),
    ]


def _title(panel: str, *, short: bool = False) -> str:
    if panel == "identity":
        return "Λ = I" if short else "Fixed covariance, Λ = I"
    scale = panel.split("·", maxsplit=1)[0]
    return f"c = {scale}" if short else f"Random covariance c·diag(λ), λ ~ Exp(1), c = {scale}"


def _targets(record: StudyRecord) -> str:
    if len(record.facts["targets"]) > 1:
        return "Some trained on labels, some on their posterior means given the context (the table says which)."
    if record.facts["targets"] == ["labels"]:
        return "Trained on labels."
    return (
        "Trained on Rao-Blackwell targets (the posterior mean of each label given its context: the same population "
        "objective up to a constant, with less gradient noise), not on labels."
    )
