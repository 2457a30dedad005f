"""From which M on models are nearer to ridge than to dMMSE, per seed and over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import mean_interval

# Half-way between the strategies.
HALF = 0.5


def crossings(models: pd.DataFrame) -> pd.DataFrame:
    """Where the relative distance falls below ½ for good, by recipe, tasks and training seed.

    Linear in log2 M between the two M around it.

    Returns
    -------
    DataFrame
        recipe, tasks, training_seed, log2_tasks (NaN where it is below ½ at every M, or not below it at the
        last), beyond (whether it is not below ½ at the last M), cells.
    """
    rows: list[dict[str, Any]] = []
    for (recipe, tasks, seed), own in models.groupby(["recipe", "tasks", "training_seed"], sort=False):
        own = own.sort_values("n_tasks")
        logs, places = np.log2(own["n_tasks"].to_numpy(dtype=float)), own["relative"].to_numpy()
        above = np.flatnonzero(places >= HALF)
        beyond, value = bool(len(above) and above[-1] == len(places) - 1), np.nan
        if len(above) and not beyond:
            last = above[-1]
            step = (places[last] - HALF) / (places[last] - places[last + 1])
            value = float(logs[last] + step * (logs[last + 1] - logs[last]))
        row = {"recipe": recipe, "tasks": tasks, "training_seed": seed, "log2_tasks": value, "beyond": beyond}
        rows.append({**row, "cells": len(own)})
    return pd.DataFrame(rows)


def thresholds(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of ``crossings``, with Student's intervals, where every seed crosses among several M.

    Returns
    -------
    DataFrame
        recipe, tasks, log2_tasks with log2_tasks_low and _high, threshold (the M itself) likewise, seeds.
    """
    rows: list[dict[str, Any]] = []
    for (recipe, tasks), own in table[table["cells"] > 1].groupby(["recipe", "tasks"], sort=False):
        values = own["log2_tasks"].to_numpy()
        mean = float(values.mean())
        low, high = mean_interval(values) if len(values) > 1 and np.isfinite(mean) else (np.nan, np.nan)
        row = {"recipe": recipe, "tasks": tasks, "threshold": 2**mean, "threshold_low": 2 ** float(low)}
        row |= {"threshold_high": 2 ** float(high), "log2_tasks": mean, "log2_tasks_low": float(low)}
        rows.append(row | {"log2_tasks_high": float(high), "seeds": len(own)})
    columns = ["recipe", "tasks", "threshold", "threshold_low", "threshold_high"]
    return pd.DataFrame(rows, columns=[*columns, "log2_tasks", "log2_tasks_low", "log2_tasks_high", "seeds"])
