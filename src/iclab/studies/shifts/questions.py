"""What the study of shifts asks of its tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from iclab.studies.folder import questions_of
from iclab.studies.rows import where
from iclab.studies.shifts.measure import LEAST_SQUARES, LSA, UNSHIFTED
from iclab.studies.study import Answer, Tables, counted

# A learner tolerates a shift when its error, less what no linear predictor can avoid and divided by the zero
# estimator's error, exceeds the unshifted one by at most this, at M = N and every parameter.
TOLERANCE = 0.1
# Standard errors within which exact and Monte Carlo errors agree, and beyond which two measured errors differ.
AGREEMENT, DIFFERENCE = 4.0, 2.0
TOLERATED, INPUTS = ("labels", "tasks", "queries"), ("inputs",)


def layer(tables: Tables, *changed: str) -> pd.DataFrame:
    """How much the error of the trained layer grows under shifts of some kinds."""
    growth = tables["growth"]
    return where(growth, predictor=LSA, changed=changed)


def as_stated(tables: Tables) -> Answer:
    """Shifts of labels, tasks and queries are tolerated, and shifts of inputs are not."""
    others, inputs = (layer(tables, *changed)["growth"] <= TOLERANCE for changed in (TOLERATED, INPUTS))
    numbers = {"of labels, tasks, queries tolerated": int(others.sum()), "of inputs tolerated": int(inputs.sum())}
    return counted([*others, *~inputs], **numbers)


def tolerated(tables: Tables, *, changed: tuple[str, ...], holds: bool = True) -> Answer:
    """Whether shifts of these kinds are tolerated, or are not."""
    rows = layer(tables, *changed)
    numbers = {f"growth, {row['shift']}": float(row["growth"]) for row in rows.to_dict("records")}
    if "labels" in changed:
        numbers |= noise_limits(tables)
    return counted((rows["growth"] <= TOLERANCE) == holds, **numbers)


def noise_limits(tables: Tables) -> dict[str, float]:
    """The label noise that each learner still tolerates: its error grows in proportion to the variance of the noise."""
    growth = tables["growth"]
    noisy = where(growth, shift="label noise").set_index("predictor")
    return {
        f"largest noise, {name}": float(row["parameter"] * math.sqrt(TOLERANCE / row["growth"]))
        for name, row in noisy.iterrows()
        if 0 < row["growth"] < math.inf
    }


def steady(tables: Tables) -> Answer:
    """Shifts under which the layer's relative error does not rise with the parameter."""
    rows = layer(tables, *TOLERATED)
    rows = rows[rows["parameters"] > 1]
    return counted(~rows["rises"].astype(bool))


def smaller(tables: Tables) -> Answer:
    """Where least squares has the smaller error: exact errors, else those measured on the same prompts."""
    errors = tables["errors"]
    shifted = errors[errors["shift"] != UNSHIFTED].set_index(["shift", "parameter", "M"])
    trained, squares = (where(shifted, predictor=name) for name in (LSA, LEAST_SQUARES))
    squares = squares.loc[trained.index]
    exact = trained["exact"].notna() & squares["exact"].notna()
    difference = (trained["exact"] - squares["exact"]).where(exact, trained["mean"] - squares["mean"])
    line = np.where(exact, 0.0, DIFFERENCE * np.hypot(trained["stderr"], squares["stderr"]))
    return counted(difference > line, difference < -line)


def agreement(tables: Tables) -> Answer:
    """Distances of Monte Carlo means from exact errors, in standard errors."""
    errors = tables["errors"]
    # An error of zero is no comparison, and one that only scales with the shift is no second one.
    scores = errors[np.isfinite(errors["z"]) & (errors["exact"] > 0)]["z"]
    scores = scores[~scores.round(6).duplicated()].abs()
    return counted(scores <= AGREEMENT, **{"largest": float(scores.max())})


QUESTIONS = questions_of(globals())
