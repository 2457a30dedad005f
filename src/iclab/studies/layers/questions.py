"""What the study of layers asks of its tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from iclab.studies.folder import questions_of
from iclab.studies.layers.measure import best, by_model
from iclab.studies.rows import at_last, where
from iclab.studies.study import Answer, Tables, counted, tally

# Correlation of the best number of Newton's steps with the block, from which on it grows linearly.
LINEAR = 0.95
# Standard errors by which two distances, or two R², must differ.
DIFFERENCE = 2.0
# R² from which on a quantity can be read.
READABLE = 0.5
# Cosine from which on sensitivities are those of one step.
SAME = 0.95
# Relative distance below which a product is near a multiple of the identity, and that of a random matrix.
NEAR = 0.5
# Distance below which predictions are those of an algorithm, in mean squared targets.
LIKE = 0.05


def growing(tables: Tables) -> Answer:
    """Whether the best number of Newton's steps grows linearly with the blocks passed."""
    rows = best(tables["readouts"], "newton")

    def correlation(group: pd.DataFrame) -> float:
        steps = group.sort_values("block")["setting"].to_numpy(float)[1:]
        return float(np.corrcoef(steps, np.arange(len(steps)))[0, 1]) if np.ptp(steps) > 0 else 0.0

    def slope(group: pd.DataFrame) -> float:
        steps = group.sort_values("block")["setting"].to_numpy(float)[1:]
        return float(np.polyfit(np.arange(len(steps)), steps, 1)[0]) if len(steps) > 1 else math.nan

    found = by_model(rows, correlation)
    met = sum(value >= LINEAR for value in found.values())
    numbers = {f"steps per block, {model}": value for model, value in by_model(rows, slope).items()}
    return tally(met, len(found) - met, **numbers)


def _compare(near: pd.DataFrame, far: pd.DataFrame) -> Answer:
    """Cases in which one family is nearer than another."""
    key = ["model", "block"]
    both = near.merge(far, on=key, suffixes=("", "_far"))
    gap = both["distance_far"] - both["distance"]
    line = DIFFERENCE * np.hypot(both["stderr"], both["stderr_far"])
    return counted(gap > line, gap < -line)


def newton_first(tables: Tables) -> Answer:
    """Whether read-outs are nearer to Newton's method than to gradient descent."""
    rows = tables["readouts"]
    rows = rows[rows["block"] > 0]
    return _compare(best(rows, "newton"), best(rows, "gradient_descent"))


def readable(tables: Tables, *, target: str) -> Answer:
    """Whether a quantity can be read from the stream after some block, and better than from initial weights."""
    rows = where(tables["probes"], target=target, control=False).dropna(subset="r2").sort_values("r2", kind="stable")
    met, missed, numbers = [], [], {}
    for (model, position), group in rows.groupby(["model", "position"], sort=False):
        top = where(group, weights="trained").iloc[-1]
        gap, line = top["r2"] - READABLE, DIFFERENCE * top["stderr"]
        for _, other in where(group, weights="untrained").tail(1).iterrows():
            gap = min(gap, top["r2"] - other["r2"])
            line = DIFFERENCE * math.hypot(top["stderr"], other["stderr"])
        met.append(gap > line)
        missed.append(gap < -line)
        if position == rows["position"].max():
            numbers[f"R², {model}"] = float(top["r2"])
    return counted(met, missed, **numbers)


def one_step(tables: Tables) -> Answer:
    """Whether the model's sensitivity to the query is that of one step of descent."""
    rows = where(tables["descent"], measure="cosine")
    low, high = rows["mean"] - DIFFERENCE * rows["stderr"], rows["mean"] + DIFFERENCE * rows["stderr"]
    last = at_last(rows, "position")
    numbers = {f"cosine, {row['model']}": float(row["mean"]) for row in last.to_dict("records")}
    return counted(low > SAME, high < SAME, **numbers)


def near_identity(tables: Tables) -> Answer:
    """Whether both products of weights, summed over heads, are near a multiple of the identity."""
    rows = tables["products"]
    rows = rows[rows["head"].isna()] if rows["head"].isna().any() else rows
    numbers = {
        f"median distance, {product}": float(group["distance"].median()) for product, group in rows.groupby("product")
    }
    return counted(rows["distance"] <= NEAR, **numbers)


def _answers(tables: Tables) -> pd.DataFrame:
    """The nearest setting of every algorithm to each model's own predictions."""
    rows = tables["answers"]
    return rows[rows["nearest"]]


def least_squares(tables: Tables) -> Answer:
    """Whether predictions are those of least squares, up to a distance."""
    rows = where(_answers(tables), algorithm="least_squares")
    reach = DIFFERENCE * rows["stderr"]
    numbers = dict(zip(rows["model"], rows["distance"], strict=True))
    return counted(rows["distance"] + reach <= LIKE, rows["distance"] - reach > LIKE, **numbers)


def nearest(tables: Tables) -> Answer:
    """Whether no algorithm is nearer to predictions than least squares is."""
    met, numbers = [], {}
    for model, group in _answers(tables).groupby("model", sort=False):
        best = group.sort_values("distance").iloc[0]
        squares = where(group, algorithm="least_squares").iloc[0]
        line = DIFFERENCE * math.hypot(squares["stderr"], best["stderr"])
        met.append(bool(squares["distance"] - best["distance"] <= line))
        numbers[f"{model}: {best['algorithm']} {best['setting']:g}"] = float(best["distance"])
    return counted(met, **numbers)


QUESTIONS = questions_of(globals())
