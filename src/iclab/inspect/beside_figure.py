"""A run of a linear self-attention layer and its gradient flow, drawn over one another."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from iclab.foundations import atomic_path, check_choice
from iclab.inspect.beside import flow_beside
from iclab.training import Run


def draw_beside(run: Run, path: str | Path) -> None:
    """Draw ``inspect.flow_beside``: the excess error of the run and of its flow over the time of the flow.

    Parameters
    ----------
    run : Run
        As in ``flow_beside``.
    path : str or Path
        Ends in .svg, .png or .pdf.
    """
    path = Path(path)
    check_choice(path.suffix, "the drawing's suffix", (".svg", ".png", ".pdf"))
    table = flow_beside(run)
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(table["time"], table["run"] - table["minimum"], "o", ms=3, label="run")
    axes.plot(table["time"], table["flow"] - table["minimum"], color="0.4", zorder=0, label="gradient flow")
    axes.set(xlabel="time of the flow", ylabel="E(ŷ − w'x)² above its minimum", yscale="log")
    axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
