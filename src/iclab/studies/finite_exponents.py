"""Exponents of the study of finite data, fitted to its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from iclab.prompts import Gaussian
from iclab.studies.exponents import Exponent, exponents
from iclab.studies.finite_prompts import LINEAR
from iclab.theory import expected_risk

if TYPE_CHECKING:
    from iclab.studies.finite_data import FiniteDataSettings

# Excess over the gain of the minimiser above which the leading term does not speak yet.
SMALL = 0.2
# Sizes that a fit from another first one must leave.
_LEAST = 4


def of_layers(law: str, kind: str = LINEAR) -> str:
    """What the exponent of the empirical minimisers on B prompts is called."""
    return f"empirical minimiser, {'w21 = 0' if kind == LINEAR else kind}, {law}: in B"


def small_sizes(rows: pd.DataFrame) -> list[int]:
    """B at which the mean excess is small, over which an exponent is fitted."""
    means = rows.groupby("n_prompts")["relative"].mean()
    return [int(size) for size in means.index[means < SMALL]]


def by_start(rows: pd.DataFrame) -> dict[int, Exponent]:
    """The exponent in B by the first B that is fitted: what the choice of it does."""
    table = rows.pivot_table(index="sample", columns="n_prompts", values="excess")
    sizes = [int(size) for size in table.columns]
    return {
        start: exponents(sizes[i:], table[sizes[i:]].to_numpy())[0]
        for i, start in enumerate(sizes[: max(len(sizes) - _LEAST + 1, 0)])
        if len(table) >= 2
    }


def best_rates(one_pass: pd.DataFrame) -> pd.DataFrame:
    """Per law and B the batch, rate and iterate of least mean excess, in hindsight, with all samples."""
    keys = ["law", "n_prompts", "batch", "rate", "iterate"]
    means = one_pass.groupby(keys, sort=False)["excess"].mean().reset_index()
    best = means.loc[means.groupby(["law", "n_prompts"])["excess"].idxmin(), keys]
    return one_pass.merge(best, on=keys)


def measured_exponents(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> pd.DataFrame:
    """Every exponent with its interval, and what it should be where that is known: one row each."""
    found: list[tuple[str, Exponent, float, str]] = []

    def fit(what: str, rows: pd.DataFrame, x: str, value: str, by: str, expected: float) -> None:
        table = rows.pivot_table(index=by, columns=x, values=value)
        means = table.mean()
        table = table[[column for column in table.columns if 0 < means[column] < np.inf]]
        if table.shape[0] >= 2 and table.shape[1] >= 2:
            columns = table.columns.to_numpy(dtype=np.float64)
            used = f"{x} from {columns.min():g} to {columns.max():g}"
            found.append((what, exponents(columns, table.to_numpy())[0], expected, used))

    empirical = tables["empirical"]
    for (law, kind), rows in empirical.groupby(["law", "kind"], sort=False):
        small = rows[rows["n_prompts"].isin(small_sizes(rows))]
        fit(of_layers(str(law), str(kind)), small, "n_prompts", "excess", "sample", -1.0)
    for law, rows in best_rates(tables["one_pass"]).groupby("law", sort=False):
        rows = rows[rows["n_prompts"].isin(small_sizes(rows))]
        fit(f"one pass of SGD, best choice, {law}: in B", rows, "n_prompts", "excess", "sample", np.nan)
    noise = tables["noise"]
    for value, words, powers in (
        ("squared_gap", "SGD's squared distance to the flow", (1.0, -1.0)),
        ("excess", "excess at which SGD wanders", (1.0, -1.0)),
    ):
        table = noise.pivot_table(index="sample", columns=["rate", "batch_size"], values=value)
        table = table[[column for column in table.columns if np.isfinite(table[column]).all()]]
        keys = np.array(table.columns.tolist(), dtype=np.float64)
        if len(table) >= 2 and len({k[0] for k in keys}) > 1 and len({k[1] for k in keys}) > 1:
            both = exponents(keys, table.to_numpy())
            used = f"{len(keys)} pairs"
            found += [
                (f"{words}: in {name}", one, power, used)
                for name, one, power in zip(("η", "the batch size"), both, powers, strict=True)
            ]
    pooled = tables["pooled_layer"]
    fit(
        "layer on a pool, fresh tasks: in K",
        pooled[pooled["n_tasks"] >= 4 * settings.dimension],
        "n_tasks",
        "excess",
        "sample",
        -1.0,
    )
    measured, law = tables["measured"], Gaussian.isotropic(settings.dimension)
    largest = int(measured["N"].max())
    column = measured[measured["N"] == largest]
    above = column.assign(above=column["mean"] - expected_risk(law, largest, np.inf))
    fit(f"trained layer, N = {largest}, above its floor: in M", above, "M", "above", "group", -1.0)
    long = measured[(measured["N"] == measured["M"]) & (measured["N"] >= 4 * settings.dimension)]
    pairs = long.drop_duplicates("M")
    expected = np.nan if len(pairs) < 2 else float(np.polyfit(np.log(pairs["M"]), np.log(pairs["exact"]), 1)[0])
    fit("trained layer, N = M: in M", long, "M", "mean", "group", expected)
    rows = [(what, e.value, e.low, e.high, e.n, expected, used) for what, e, expected, used in found]
    return pd.DataFrame(rows, columns=["what", "value", "low", "high", "n", "expected", "fitted_over"])
