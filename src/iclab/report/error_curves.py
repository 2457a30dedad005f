"""Error curves of several predictors, one panel per shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from iclab.evaluation import SCORES
from iclab.foundations.errors import printable

if TYPE_CHECKING:
    import pandas as pd


def draw_error_curves(table: pd.DataFrame, accented: Sequence[str]) -> Figure:
    """Score by number of examples, squared errors over the normaliser, with bands of two standard errors.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``evaluation.Suite.run`` returns it.
    accented : sequence of str
        Predictors that are drawn with a heavier line.

    Returns
    -------
    Figure
        To be saved within ``figure_style``.
    """
    shifts = list(dict.fromkeys(table["distribution"]))
    columns = min(3, len(shifts))
    rows = -(-len(shifts) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.5 * rows + 0.5), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, sharex=True)).ravel()
    for ax, name in zip(axes, shifts, strict=False):
        own = table[table["distribution"] == name]
        top = _top(own)
        for predictor, curve in own.groupby("predictor", sort=False):
            mean, bar = curve["mean"] / curve["normaliser"], 2 * curve["stderr"] / curve["normaliser"]
            width = 2.2 if predictor in accented else 1.1
            [line] = ax.plot(curve["position"], mean, label=_shown(str(predictor)), lw=width)
            # A band around a mean beyond the frame would only flood it.
            seen = mean.to_numpy() <= top
            ax.fill_between(
                curve["position"], mean - bar, mean + bar, where=seen, color=line.get_color(), alpha=0.2, lw=0
            )
        ax.set_ylim(0, top)
        ax.set_title(_shown(name), fontsize=8)
    for ax in axes[len(shifts) :]:
        ax.set_axis_off()
    axes[0].legend(fontsize=6)
    figure.supxlabel("examples in context", fontsize=8)
    scale = table["normaliser"].iloc[0]
    title = SCORES[table["score"].iloc[0]].title
    figure.supylabel(title if scale == 1 else f"{title} / {scale:g}", fontsize=8)
    return figure


def _top(own: pd.DataFrame) -> float:
    """Where a panel ends: what lies beyond is worse than anyone would accept."""
    kind = own["score"].iloc[0]
    if "accuracy" in kind:
        return 1.02
    blind = float(own["zero"].iloc[0] / own["normaliser"].iloc[0])
    if kind == "squared_error":  # twice the zero estimator's
        return 2 * blind if np.isfinite(blind) else 2.0
    # A quarter above the uniform law's, or above what is best at the beginning.
    first = own[own["position"] == own["position"].min()]["mean"].min()
    return 1.25 * (blind if np.isfinite(blind) else float(first)) or 1.0


def _shown(name: str) -> str:
    """A name as it stands: dollars would make it a formula, an underscore in front would hide it.

    Control characters, which no font has, are replaced.
    """
    escaped = printable(name).replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped
