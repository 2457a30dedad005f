"""Exponents of the study of sample complexity, fitted to its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations.exponents import exponents
from iclab.prompts import Gaussian
from iclab.studies.rows import where
from iclab.theory import expected_risk

# Excess over the gain of the minimiser above which the leading term does not speak yet.
SMALL = 0.2
_NAME, _FITTED = ("quantity", "inputs", "kind", "variable"), ("expected", "fitted_from", "fitted_to")


def small_sizes(rows: pd.DataFrame) -> list[int]:
    """B at which the mean excess is small, over which an exponent is fitted."""
    means = rows.groupby("n_prompts")["relative"].mean()
    return [int(size) for size in means.index[means < SMALL]]


def best_rates(one_pass: pd.DataFrame) -> pd.DataFrame:
    """Per inputs and B the batch, rate and iterate of least mean excess, in hindsight, with all samples."""
    keys = ["inputs", "n_prompts", "batch", "rate", "iterate"]
    means = one_pass.groupby(keys, sort=False)["excess"].mean().reset_index()
    best = means.loc[means.groupby(["inputs", "n_prompts"])["excess"].idxmin(), keys]
    return one_pass.merge(best, on=keys)


def measured_exponents(tables: Mapping[str, pd.DataFrame], dimension: int) -> pd.DataFrame:
    """Every exponent with its interval over replicates, and what it should be where that is known.

    Returns
    -------
    DataFrame
        quantity, inputs, kind, variable (the base of the power), value, low, high, n (replicates), expected,
        fitted_from and fitted_to (of the variable).
    """
    rows: list[dict[str, Any]] = []
    for (inputs, kind), part in tables["empirical"].groupby(["inputs", "kind"], sort=False):
        small = part[part["n_prompts"].isin(small_sizes(part))]
        name = {"quantity": "empirical minimiser", "inputs": inputs, "kind": kind, "variable": "B"}
        rows += _fit(name, small, "n_prompts", "excess", "sample", -1.0)
    for inputs, part in best_rates(tables["one_pass"]).groupby("inputs", sort=False):
        small = part[part["n_prompts"].isin(small_sizes(part))]
        name = {"quantity": "one pass", "inputs": inputs, "variable": "B"}
        rows += _fit(name, small, "n_prompts", "excess", "sample", np.nan)
    rows += _noise(tables["noise"], "squared_gap", "distance to the flow")
    rows += _noise(tables["noise"], "excess", "excess around the minimum")
    pooled = tables["pooled_layer"]
    many = pooled[pooled["n_tasks"] >= 4 * dimension]
    rows += _fit({"quantity": "layer on a pool", "variable": "K"}, many, "n_tasks", "excess", "sample", -1.0)
    rows += _lengths(tables["measured"], dimension)
    return pd.DataFrame(rows, columns=[*_NAME, "value", "low", "high", "n", *_FITTED])


def _fit(
    name: Mapping[str, Any], rows: pd.DataFrame, x: str, value: str, by: str, expected: float
) -> list[dict[str, Any]]:
    """One exponent, if at least two replicates and two sizes with positive finite means are there."""
    table = rows.pivot_table(index=by, columns=x, values=value)
    means = table.mean()
    table = table[[column for column in table.columns if 0 < means[column] < np.inf]]
    if min(table.shape) < 2:
        return []
    columns = table.columns.to_numpy(dtype=np.float64)
    one = exponents(columns, table.to_numpy())[0]
    found = {"value": one.value, "low": one.low, "high": one.high, "n": one.n, "expected": expected}
    return [{**name, **found, "fitted_from": columns.min(), "fitted_to": columns.max()}]


def _noise(noise: pd.DataFrame, column: str, quantity: str) -> list[dict[str, Any]]:
    """Powers of the step size and of the batch size; small independent noise has 1 and −1."""
    table = noise.pivot_table(index="sample", columns=["rate", "batch_size"], values=column)
    table = table[[pair for pair in table.columns if np.isfinite(table[pair]).all()]]
    keys = np.array(table.columns.tolist(), dtype=np.float64)
    if len(table) < 2 or any(len({key[i] for key in keys}) < 2 for i in (0, 1)):
        return []
    both = exponents(keys, table.to_numpy())
    return [
        {
            "quantity": quantity,
            "variable": variable,
            **{"value": one.value, "low": one.low, "high": one.high, "n": one.n, "expected": power},
            **{"fitted_from": keys[:, i].min(), "fitted_to": keys[:, i].max()},
        }
        for i, (variable, one, power) in enumerate(zip(("η", "batch size"), both, (1.0, -1.0), strict=True))
    ]


def _lengths(measured: pd.DataFrame, dimension: int) -> list[dict[str, Any]]:
    covariates, largest = Gaussian.isotropic(dimension), int(measured["N"].max())
    column = where(measured, N=largest)
    above = column.assign(above=column["mean"] - expected_risk(covariates, largest, np.inf))
    rows = _fit({"quantity": "trained layer above its floor", "variable": "M"}, above, "M", "above", "group", -1.0)
    long = measured[(measured["N"] == measured["M"]) & (measured["N"] >= 4 * dimension)]
    pairs = long.drop_duplicates("M")
    expected = np.nan if len(pairs) < 2 else float(np.polyfit(np.log(pairs["M"]), np.log(pairs["exact"]), 1)[0])
    return rows + _fit({"quantity": "trained layer, N = M", "variable": "M"}, long, "M", "mean", "group", expected)
