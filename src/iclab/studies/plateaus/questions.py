"""What the study of plateaus asks of its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from iclab.foundations import Vector, wilson_interval
from iclab.studies.folder import questions_of
from iclab.studies.plateaus.measure import PAIR_SCALE
from iclab.studies.plateaus.problems import FIXED, NEAR
from iclab.studies.rows import where
from iclab.studies.study import Answer, Number, Tables, counted, tally

ZHANG = "Zhang et al. 2025"
# The published formula at N = 31, evaluated by others; relative distances that count as meeting a prediction.
PRINTED = (1.0, 0.6406, 0.3774, 0.2098, 0.1360)
HEIGHT, TIME = 0.02, 0.05
# Times a straight descent's share of steps near the levels, up to which plateaus count as skipped.
SKIPPED = 2.0
# A level is passed, not rested at, below this part of the time at the one before.
PASSED = 0.1
# Difference from the closed form, where labels have the variance 1.
LOGISTIC = 1e-4


def _predicted(tables: Tables) -> pd.Series[float]:
    """Predicted heights of the problem with a fixed covariance."""
    rows = where(tables["levels"], problem=FIXED, rank=1, main=True)
    return rows.groupby("level")["predicted"].first()


def _inner(levels: pd.DataFrame) -> pd.DataFrame:
    return levels[(levels["level"] > 0) & (levels["level"] < levels["level"].max())]


def printed(tables: Tables) -> Answer:
    gaps = (_predicted(tables) - np.array(PRINTED)).abs()
    return counted(gaps <= 0.5e-4 + 1e-9, largest_difference=gaps.max())


def heights(tables: Tables, *, problems: tuple[str, ...]) -> Answer:
    gaps = _inner(where(tables["levels"], rank=1, main=True, problem=problems))["gap"].abs()
    return counted(gaps < HEIGHT, largest_relative_difference=gaps.max())


def times(tables: Tables, *, problems: tuple[str, ...]) -> Answer:
    gaps = where(tables["drops"], main=True, problem=problems)["gap"].abs()
    return counted(gaps < TIME, largest_relative_difference=gaps.max())


def order_of_weights(tables: Tables) -> Answer:
    """Largest relative errors of the times by scale: the fitted power of the scale is at least one half."""
    rows = where(tables["drops"], problem=FIXED)
    by_scale = rows.assign(size=rows["gap"].abs()).pivot_table(index=["seed", "drop"], columns="scale", values="size")
    low, high = float(rows["scale"].min()), float(rows["scale"].max())
    largest = {f"largest at scale {scale:g}": by_scale[scale].max() for scale in by_scale}
    return counted(by_scale[low] < by_scale[high] * (low / high) ** 0.5, **largest)


def directions(tables: Tables) -> Answer:
    """Whether the followed flow learned the predicted directions, drop by drop, and where only two were to be told."""
    drops, followed = tables["drops"]["directions"], tables["orders"]
    met, total = int(drops.sum() + followed["as_predicted"].sum()), len(drops) + int(followed["followed"].sum())
    return tally(met, total - met)


def largest_first(tables: Tables) -> Answer:
    rows, numbers = tables["orders"], {}
    for ratio, one in where(rows, heads=2, scale=PAIR_SCALE).groupby("ratio"):
        k, n = int(one["first"].sum()), int(one["n"].sum())
        numbers[f"share at ratio {ratio:g}"] = Number(k / n, *(float(end) for end in wilson_interval(k, n)))
    return counted(rows["first"] == rows["n"], **numbers)


def scale_decides(tables: Tables) -> Answer:
    """Whether smaller starts change how often the larger is first: same draws at both scales.

    Where it is first from all of the larger ones, nothing is left to change.
    """
    rows = where(tables["orders"], heads=2)
    counts = rows.pivot_table(index="ratio", columns="scale", values=["first", "n"], aggfunc="sum")
    shares = counts["first"] / counts["n"]
    low, high = shares[shares.columns.min()], shares[shares.columns.max()]
    differences, room = low - high, high < 1
    numbers = {"smallest_difference": differences.min(), "largest_difference": differences.max()}
    return counted(room & (differences > 0), room & (differences < 0), **numbers)


def ranks(tables: Tables) -> Answer:
    """Heads of rank r: levels that are no multiple of r, against the last multiple before."""
    rows = where(tables["levels"], problem=FIXED)
    shares: list[float] = []
    for _, one in rows[rows["rank"] > 1].sort_values("level").groupby(["rank", "seed"]):
        rank, near = int(one["rank"].iloc[0]), one["near"].to_numpy()
        shares += [near[level] / near[level - level % rank] for level in range(1, len(near) - 1) if level % rank]
    return counted([share < PASSED for share in shares], longest_share=max(shares, default=0.0))


def one_drop(tables: Tables) -> Answer:
    inner = _inner(tables["merged"])
    shares = inner["near"] / inner["falling"]
    return counted(shares < PASSED, largest_share=shares.max())


def is_logistic(tables: Tables) -> Answer:
    rows = tables["logistic"]
    gaps = (rows["error"] - rows["exact"]).abs().groupby(rows["seed"]).max()
    return counted(gaps < LOGISTIC, largest_difference=gaps.max())


def skips(tables: Tables, *, rule: str) -> Answer:
    rows = where(tables["rules"], rule=rule)
    share, straight = rows["share"], rows["straight"]
    numbers = {"smallest_share": share.min(), "largest_share": share.max(), "straight": straight.iloc[0]}
    numbers["together"] = together(_predicted(tables).to_numpy(float))
    return counted(rows["arrived"] & (share / straight <= SKIPPED), **numbers)


def together(levels: Vector) -> float:
    """Share of the steps near a level if all weights grew at one speed, V as their cube: a descent without a rest."""
    weight = np.linspace(0.0, 1.0, 100_001)
    errors = levels[-1] + (levels[0] - levels[-1]) * (1 - weight**3) ** 2
    errors = errors[errors > (1 + NEAR) * levels[-1]]
    return float(np.any(np.abs(errors[:, None] / levels[:-1] - 1) <= NEAR, axis=1).mean())


def slower(tables: Tables, *, rules: tuple[str, ...]) -> Answer:
    rows = where(tables["rules"], rule=rules)
    steps = rows.pivot_table(index=["rule", "seed"], columns="scale", values="steps")
    small, large = float(rows["scale"].min()), float(rows["scale"].max())
    ratio = steps[small] / steps[large]
    means = {f"steps, smaller over larger start, {rule}": ratio[rule].mean() for rule in rules}
    return counted(ratio < (large / small) ** 0.5, **means)


QUESTIONS = questions_of(globals())
