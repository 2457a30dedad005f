"""How the error of small transformers after N examples depends on N and on the kind of attention."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from iclab.foundations import normal_interval
from iclab.studies.grid import Grid, Judging, sweep
from iclab.studies.lab import Lab

TITLE = "Error by context length and attention"


@dataclass(frozen=True)
class Settings:
    """What may be changed by ``iclab study run FOLDER --set KEY=VALUE``, with its defaults.

    Attributes
    ----------
    dimension : int
        d, the length of an input.
    n_train : tuple of int
        Context lengths N to train on.
    attention : tuple of str
        Kinds of attention.
    seeds : tuple of int
        One training of each cell per seed.
    steps : int
        Training steps.
    n_prompts : int
        Test prompts.
    """

    dimension: int = 2
    n_train: tuple[int, ...] = (4, 8)
    attention: tuple[str, ...] = ("linear", "softmax")
    seeds: tuple[int, ...] = (0,)
    steps: int = 300
    n_prompts: int = 500


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train the grid, and judge every model on prompts that it has not seen.

    Returns
    -------
    dict of DataFrame
        ``errors``: squared error / d by position; ``at_N``: the same after N examples, with its 95 % interval.
    """
    columns = {"embedding": "stacked"}  # an example is one token (x, y), which is learned in fewer steps
    base = {"preset": "tiny", "dimension": settings.dimension, "steps": settings.steps, "model": columns}
    axes = {"n_train": settings.n_train, "model.attention": settings.attention, "seed": settings.seeds}
    errors = sweep(Grid(base, axes), lab, Judging(n_prompts=settings.n_prompts)).complete()
    errors = errors.rename(columns={"model.attention": "attention"})
    errors[["mean", "stderr"]] /= settings.dimension
    at_n = errors[(errors["predictor"] == "model") & (errors["position"] == errors["n_train"])].copy()
    at_n["mean_low"], at_n["mean_high"] = normal_interval(at_n["mean"], at_n["stderr"])
    return {"errors": errors, "at_N": at_n}
