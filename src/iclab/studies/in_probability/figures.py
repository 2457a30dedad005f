"""Errors with high probability: quantiles of the layer by d, and errors of predictors prompt by prompt."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from iclab.studies.drawing import ACCENT, CYCLE, LEAST_SQUARES, LIMIT, LSA, legend_below, panels
from iclab.studies.in_probability.measure import LAYER
from iclab.studies.rows import at_last, where
from iclab.studies.study import Record

# Errors below this lie on the edge.
_FLOOR = 1e-4


def quantiles(record: Record) -> Figure:
    """Quantiles of the layer's error by d, for the shortest and for infinite contexts."""
    table = record.tables["layer"]
    with panels((8.0, 3.4), 2, sharey=True) as (figure, axes):
        for ax, ratio in zip(axes, (float(table["N_over_d"].min()), np.inf), strict=True):
            rows = where(table, N_over_d=ratio, M_over_d=ratio).sort_values("d")
            ax.fill_between(rows["d"], rows["q5"], rows["q95"], color=LSA, alpha=0.2, lw=0, label="5 % to 95 %")
            ax.fill_between(rows["d"], rows["q25"], rows["q75"], color=LSA, alpha=0.35, lw=0, label="25 % to 75 %")
            ax.plot(rows["d"], rows["q50"], color=LSA, label="median")
            ax.plot(rows["d"], rows["mean"], color=LEAST_SQUARES, linestyle="--", label="mean, exact")
            bound = rows["mean"] + rows["deviation"] * np.sqrt(0.95 / 0.05)
            ax.plot(rows["d"], bound, color=LIMIT, linestyle="-.", label="bound at 5 %, two moments")
            title = "N = M = ∞" if np.isinf(ratio) else f"N = M = {ratio:g}d"
            ax.set(title=title, xscale="log", yscale="log", xlabel="dimension d")
        axes[0].set_ylabel("error / d given Λ")
        legend_below(figure, 5)
    return figure


def by_prompt(record: Record) -> Figure:
    """Share of prompts with an error above a level, by predictor, at the longest prompts."""
    prompts = at_last(record.tables["prompts"], "M")
    with panels((8.0, 3.4)) as (figure, ax):
        for color, (name, rows) in zip(CYCLE, prompts.groupby("predictor", sort=False), strict=False):
            errors = np.sort(rows["error"].to_numpy(float)).clip(min=_FLOOR)
            share = 1 - np.arange(len(errors)) / len(errors)
            style = "-" if name == LAYER else "--"
            ax.step(errors, share, where="post", color=color, linestyle=style, label=str(name), linewidth=1.2)
        ax.set(xscale="log", yscale="log", xlabel="error / d given the prompt", ylabel="share of prompts above")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def by_trace(record: Record) -> Figure:
    """Error against tr Λ/d, prompt by prompt, of the layer and the first model."""
    prompts = at_last(record.tables["prompts"], "M")
    names = [LAYER, *record.settings["models"][:1]]
    with panels((8.0, 3.4)) as (figure, ax):
        for name, color, marker in zip(names, (LSA, ACCENT), "os", strict=False):
            rows = where(prompts, predictor=name)
            ax.plot(rows["trace"], rows["error"].clip(lower=_FLOOR), marker, color=color, markersize=2.5, label=name)
        ax.set(yscale="log", xlabel="tr Λ / d of the prompt", ylabel="error / d given the prompt")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


FIGURES = {"in-probability": quantiles, "in-probability-prompts": by_prompt, "in-probability-trace": by_trace}
