"""One look for every figure: fixed colours per predictor, readable in print, safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from iclab.foundations import atomic_path, check_choice, normal_quantile

if TYPE_CHECKING:
    import pandas as pd

# Okabe and Ito's palette; shades within a family run from light (short training) to dark (long training).
LEAST_SQUARES = "#000000"
ZERO = "#8c8c8c"
LSA = "#009e73"
LIMIT = "#cc79a7"
ACCENT = "#0072b2"
SECOND = "#d55e00"
THIRD = "#e69f00"
FAMILY_SHADES = {
    "fixed": ("#8fc5ea", "#2f8fcd", "#0a4f82"),
    "random": ("#f6bd8b", "#e0762a", "#93400a"),
}
# Predictors in figures that show many; markers tell apart what a colour-blind reader may confuse.
PREDICTORS: Mapping[str, str] = {
    "zero": ZERO,
    "least squares": LEAST_SQUARES,
    "ridge": "#5b3fb5",
    "averaging": "#e2d25c",
    "3-NN": "#882255",
    "gradient descent": "#9000f0",
    "linear layer, fixed Λ": LSA,
    "linear layer, random Λ": "#5fd0ae",
}
CYCLE = (ACCENT, SECOND, LSA, LIMIT, THIRD, "#56b4e9", LEAST_SQUARES)
"""Colours for lines without one of their own, in the order of use."""

_PARAMETERS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    # Element names in the SVG would otherwise be random, and a redrawn figure would differ.
    "svg.hashsalt": "iclab",
}

# Powers of ten do on a logarithmic axis from this ratio of its ends on, and 1, 2 and 5 of each decade from that.
_SHORT, _LESS = 100.0, 5.0

# Files of a figure, each without what would tell two drawings of the same figure apart.
FORMATS: Mapping[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def label_short_log(axis: Axis) -> None:
    """Label a logarithmic axis that spans too few decades for their powers alone: 1, 2 and 5 of each, or even steps."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(MaxNLocator(5) if high < _LESS * low else LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def tick_at(ax: Axes, values: Iterable[float], form: str = "g") -> None:
    """Ticks of the horizontal axis at the values that were used, as numbers, and none between."""
    used = sorted(set(values))
    ax.set_xticks(used, [f"{value:{form}}" for value in used])
    ax.minorticks_off()


def bars(value: Any, low: Any, high: Any) -> Any:
    """Lengths of the bars from values to the ends of their intervals; none where an end lies on the wrong side."""
    value, low, high = (np.asarray(each, float) for each in (value, low, high))
    return np.clip([value - low, high - value], 0, None)


def save_figure(figure: Figure, name: str, directory: Path) -> None:
    """Write ``name.svg``, ``name.pdf`` and ``name.png``; the same figure gives the same bytes."""
    with figure_style():
        lay_out(figure)
        for suffix, metadata in FORMATS.items():
            with atomic_path(directory / f"{name}.{suffix}") as temporary:
                figure.savefig(temporary, format=suffix, metadata=metadata)


def lay_out(figure: Figure) -> None:
    """Lay a figure out within :func:`figure_style`, for all files it is saved to: half of the work, and they agree."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        # No engine at all: with one, even one that does nothing, matplotlib draws twice for every file. The setting
        # stays, as after each file the engine is restored by it.
        mpl.rcParams["figure.constrained_layout.use"] = False
        figure.set_layout_engine(None)


def curves(
    table: pd.DataFrame,
    *,
    x: str = "position",
    y: str = "mean",
    error: str = "stderr",
    lines: Sequence[str] = (),
    panels: str = "",
    labels: Mapping[str, str] | None = None,
    scale: str = "log",
) -> Figure:
    """A plain figure of a tidy table: a line for every combination of some columns, a panel for every value of one.

    Parameters
    ----------
    table : DataFrame
        Tidy.
    x, y, error : str
        Columns drawn along the axes, and standard errors of ``y`` (bands of ± 1.96); without such a column no bands.
    lines : sequence of str
        Columns that tell lines apart.
    panels : str
        Column that tells panels apart; empty for one panel.
    labels : mapping, optional
        What axes are called, by column.
    scale : str
        Of the vertical axis: "log" or "linear".

    Raises
    ------
    InvalidInputError
        If the table has no such column.
    """
    named = {
        "x": x,
        "y": y,
        **{f"lines {i}": column for i, column in enumerate(lines)},
        **({"panels": panels} if panels else {}),
    }
    for use, column in named.items():
        check_choice(column, f"column for {use.split()[0]}", [str(known) for known in table.columns])
    from pandas.api.types import is_integer_dtype

    spoken = labels or {}
    values = list(dict.fromkeys(table[panels])) if panels else [None]
    with figure_style():
        figure = Figure(figsize=(min(3.4 * len(values), 10.2) + 0.6, 3.4))
        axes = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
        for axis, value in zip(axes, values, strict=True):
            rows = table if value is None else table[table[panels] == value]
            groups = rows.groupby(list(lines), sort=False, dropna=False) if lines else [((), rows)]
            for i, (key, group) in enumerate(groups):
                ordered, color = group.sort_values(x), CYCLE[i % len(CYCLE)]
                label = ", ".join(f"{spoken.get(c, c)} {k}" for c, k in zip(lines, key if lines else (), strict=True))
                axis.plot(ordered[x], ordered[y], color=color, label=label, marker="." if len(ordered) < 12 else None)
                if error in ordered:
                    reach = normal_quantile() * ordered[error]
                    axis.fill_between(ordered[x], ordered[y] - reach, ordered[y] + reach, color=color, alpha=0.2, lw=0)
            axis.set_yscale(scale)
            axis.set_xlabel(spoken.get(x, x))
            if is_integer_dtype(table[x]):
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            if value is not None:
                axis.set_title(f"{spoken.get(panels, panels)} {value}")
        axes[0].set_ylabel(spoken.get(y, y))
        low, high = axes[0].get_ylim()
        if scale == "log" and high < _SHORT * low:
            label_short_log(axes[0].yaxis)
        if lines:
            legend_below(figure, 3)
    return figure


def legend_below(figure: Figure, columns: int, **options: Any) -> None:
    """One legend below all panels, with every label once: panels need not show the same lines."""
    known: dict[str, Any] = {}
    for ax in figure.axes:
        for line, label in zip(*ax.get_legend_handles_labels(), strict=True):
            known.setdefault(label, line)
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=columns, **options)


@contextmanager
def figure_style() -> Generator[None]:
    """Draw with matplotlib's defaults and the package's own settings; the user's have no effect and are restored."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_PARAMETERS)
        yield


@contextmanager
def panels(size: tuple[float, float], *shape: int, **shared: Any) -> Generator[tuple[Figure, Any]]:
    """Draw on a figure of ``size`` inches within :func:`figure_style`: one axes, a row of them, or rows and columns.

    Parameters
    ----------
    size : (float, float)
        Width and height.
    *shape : int
        Nothing for one axes, their number for a list of them, or the numbers of rows and of columns for an array.
    **shared
        What axes share, as for ``Figure.subplots``.
    """
    with figure_style():
        figure = Figure(figsize=size)
        axes: Any = figure.subplots(*((1, *shape) if len(shape) < 2 else shape), squeeze=False, **shared)
        yield figure, axes if len(shape) == 2 else list(axes[0]) if shape else axes[0, 0]


def shade(family: str, index: int, count: int) -> str:
    """Colour of the ``index``-th of ``count`` training lengths of a family."""
    shades = FAMILY_SHADES[family]
    if count == 1:
        return shades[1]
    return shades[round(index * (len(shades) - 1) / (count - 1))]
