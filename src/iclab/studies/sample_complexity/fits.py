"""Exponents of the study of sample complexity, fitted to its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations.exponents import exponents
from iclab.prompts import Gaussian
from iclab.studies.rows import at_last
from iclab.theory import expected_risk

# Excess over the gain of the minimiser above which the leading term does not speak yet.
SMALL = 0.2
_COLUMNS = ["quantity", "inputs", "kind", "variable", "value", "low", "high", "n"]
_COLUMNS += ["expected", "fitted_from", "fitted_to"]


def best_rates(one_pass: pd.DataFrame) -> pd.DataFrame:
    """Per inputs and B the batch, rate and iterate of least mean excess, in hindsight, with all samples."""
    keys = ["inputs", "n_prompts", "batch", "rate", "iterate"]
    means = one_pass.groupby(keys, sort=False)["excess"].mean().reset_index()
    best = means.loc[means.groupby(["inputs", "n_prompts"])["excess"].idxmin(), keys]
    return one_pass.merge(best, on=keys)


def measured_exponents(tables: Mapping[str, pd.DataFrame], dimension: int) -> pd.DataFrame:
    """Every exponent with its interval over replicates, and what it should be where that is known.

    Of quantity, inputs and kind, for the variable that is the base of the power, from ``fitted_from`` to ``fitted_to``.
    """
    rows: list[dict[str, Any]] = []
    size, noise = {"B": "n_prompts"}, {"η": "rate", "batch size": "batch_size"}
    for (inputs, kind), part in tables["empirical"].groupby(["inputs", "kind"], sort=False):
        name = {"quantity": "empirical minimiser", "inputs": inputs, "kind": kind}
        rows += _fit(name, _small(part), size, "excess", [-1.0])
    for inputs, part in best_rates(tables["one_pass"]).groupby("inputs", sort=False):
        rows += _fit({"quantity": "one pass", "inputs": inputs}, _small(part), size, "excess", [np.nan])
    # Small independent noise has the powers 1 and −1.
    rows += _fit({"quantity": "distance to the flow"}, tables["noise"], noise, "squared_gap", [1.0, -1.0])
    rows += _fit({"quantity": "excess around the minimum"}, tables["noise"], noise, "excess", [1.0, -1.0])
    pooled = tables["pooled_layer"]
    many = pooled[pooled["n_tasks"] >= 4 * dimension]
    rows += _fit({"quantity": "layer on a pool"}, many, {"K": "n_tasks"}, "excess", [-1.0])
    measured = tables["measured"]
    floor = expected_risk(Gaussian.isotropic(dimension), int(measured["N"].max()), np.inf)
    above = at_last(measured, "N").assign(above=lambda table: table["mean"] - floor)
    rows += _fit({"quantity": "trained layer above its floor"}, above, {"M": "M"}, "above", [-1.0], "group")
    long = measured[(measured["N"] == measured["M"]) & (measured["N"] >= 4 * dimension)]
    pairs = long.drop_duplicates("M")
    expected = np.nan if len(pairs) < 2 else float(np.polyfit(np.log(pairs["M"]), np.log(pairs["exact"]), 1)[0])
    rows += _fit({"quantity": "trained layer, N = M"}, long, {"M": "M"}, "mean", [expected], "group")
    return pd.DataFrame(rows, columns=_COLUMNS)


def _small(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of those B at which the mean excess is small, over which an exponent is fitted."""
    return rows[rows.groupby("n_prompts")["relative"].transform("mean") < SMALL]


def _fit(
    name: Mapping[str, Any],
    rows: pd.DataFrame,
    variables: Mapping[str, str],
    value: str,
    expected: list[float],
    by: str = "sample",
) -> list[dict[str, Any]]:
    """An exponent per variable, if two replicates and two sizes of each with positive finite means are there."""
    table = rows.pivot_table(index=by, columns=list(variables.values()), values=value)
    means = table.mean()
    table = table[[key for key in table.columns if 0 < means[key] < np.inf]]
    sizes = np.array(table.columns.tolist(), dtype=np.float64).reshape(-1, len(variables))
    if len(table) < 2 or any(len(set(size)) < 2 for size in sizes.T):
        return []
    found = exponents(sizes, table.to_numpy())
    return [
        {
            **name,
            "variable": variable,
            **vars(one),
            "expected": power,
            "fitted_from": size.min(),
            "fitted_to": size.max(),
        }
        for variable, one, power, size in zip(variables, found, expected, sizes.T, strict=True)
    ]
