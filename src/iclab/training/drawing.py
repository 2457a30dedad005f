"""Loss curves of a run, also while it is being trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from iclab.foundations import InvalidInputError, atomic_path
from iclab.training.losses import LOSSES
from iclab.training.reporting import reference_of, scale_of
from iclab.training.run import Run

_NOTHING = {"mean": "predicting 0", "mean_variance": "predicting N(0, 1)", "classes": "all classes alike"}


def draw_losses(run: Run, path: Path) -> None:
    """Draw the training loss beside that of having learned nothing, and the held-out error by context length.

    Parameters
    ----------
    run : Run
        Finished or not; what is on disk is drawn.
    path : Path
        Ends in .svg, .png or .pdf.

    Raises
    ------
    InvalidInputError
        If nothing was logged yet, or the file's ending is another one.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise InvalidInputError(f"the drawing must end in .svg, .png or .pdf; {path.name!r} was given.")
    losses = run.losses()
    if losses.empty:
        raise InvalidInputError(
            f"{run.directory} must hold at least one line of metrics; wait for the training's first."
        )
    scale, error = scale_of(run.config)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(losses["step"], losses["loss"], label="model")
    left.plot(losses["step"], losses["zero"], color="0.6", label=_NOTHING[run.config.architecture.head])
    signed = run.config.architecture.head == "mean_variance"
    left.set(xlabel="step", ylabel=_loss_name(run), yscale="linear" if signed else "log")
    left.legend(frameon=False)
    evaluations = [line for line in run.metrics if "error" in line]
    for line in evaluations:
        share = line["step"] / run.config.steps
        right.plot(np.array(line["error"]) / scale, color=(0.1, 0.3, 0.6, 0.15 + 0.85 * share))
    if evaluations:
        last = evaluations[-1]
        name = reference_of(run.config.architecture.labels)
        if name in last:
            right.plot(np.array(last[name]) / scale, "k--", label=name.replace("_", " "))
        right.plot([], [], color=(0.1, 0.3, 0.6), label=f"model, darkest at step {last['step']}")
        right.legend(frameon=False)
    right.set(xlabel="in-context examples", ylabel=f"held-out {error}", ylim=(0, None))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _loss_name(run: Run) -> str:
    name = (
        "excess over the posterior mean"
        if run.config.targets == "posterior_mean"
        else LOSSES[run.config.architecture.head].name
    )
    return f"training loss ({name}{' / d' if run.config.per_dimension else ''})"
