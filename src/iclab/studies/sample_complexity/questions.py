"""What the study of sample complexity asks of its tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import normal_quantile
from iclab.studies.folder import questions_of
from iclab.studies.rows import at_last, where
from iclab.studies.sample_complexity.fits import best_rates
from iclab.studies.sample_complexity.prompts import FIXED, LINEAR
from iclab.studies.sample_complexity.tasks import FRESH, MODEL, POOL, RIDGE
from iclab.studies.study import Answer, Number, Tables, Verdict, counted

# Share of bootstrap samples of the prompts from which on a nearest algorithm is named.
CERTAIN = 0.95
# Part of the zero predictor's error below which the layer's excess on fresh tasks counts as small.
TENTH = 0.1
# Width of an interval of an exponent beyond which it tells none.
VAGUE = 1.0
# Further off than this many standard errors, a measured error does not agree with the exact one.
FAR = 4.0
_ROUNDING = 1 + 1e-12


def bound(tables: Tables) -> Answer:
    rows = tables["exact"].dropna(subset="bound")
    ratio = rows["error"] / rows["bound"]
    return counted(ratio <= _ROUNDING, **{"largest error / bound": ratio.max()})


def best(tables: Tables) -> Answer:
    rows = tables["best_lengths"]
    cost = rows["error_at_largest_N"] / rows["error"]
    isotropic = cost[(rows["inputs"] == FIXED) & (rows["condition"] == 1)]
    numbers = {"largest cost of the longest N": cost.max(), "for Λ = I": isotropic.max()}
    return counted(rows["best_N"] == rows["M"], **numbers)


def power(tables: Tables, *, quantities: tuple[str, ...]) -> Answer:
    """Whether the intervals of fitted exponents contain what theory expects; wide ones decide nothing."""
    rows = tables["exponents"]
    rows = rows[rows["quantity"].isin(quantities) & rows["expected"].notna()]
    sharp = rows["high"] - rows["low"] <= VAGUE
    inside = (rows["low"] <= rows["expected"]) & (rows["expected"] <= rows["high"])
    numbers: dict[str, float | Number] = {}
    for row in rows.to_dict("records"):
        name = [row[key] for key in ("quantity", "inputs", "kind", "variable") if isinstance(row[key], str)]
        numbers[", ".join(name)] = Number(row["value"], row["low"], row["high"])
    return counted(sharp & inside, ~inside, **numbers)


def one_pass(tables: Tables) -> Answer:
    numbers: dict[str, float | Number] = {}
    for inputs, rows in best_rates(tables["one_pass"]).groupby("inputs", sort=False):
        last: Any = at_last(rows, "n_prompts")["excess"]
        least: Any = at_last(where(tables["empirical"], inputs=inputs, kind=LINEAR), "n_prompts")["excess"]
        ratio = float(last.mean() / least.mean())
        error = ratio * float(np.hypot(last.sem() / last.mean(), least.sem() / least.mean()))
        numbers[f"{inputs}: ratio"] = Number(ratio, stderr=error if np.isfinite(error) else np.nan)
    return Answer(Verdict.MEASURED, numbers=numbers)


def enough(tables: Tables) -> Answer:
    # (d + 1) tr Λ is the coefficient of 1/M for Λ = I, and the trace is d.
    coefficient = float(where(tables["coefficients"], condition=1)["bound_M"].iloc[0])
    dimension = (np.sqrt(1 + 4 * coefficient) - 1) / 2
    means = tables["pooled_layer"].groupby("n_tasks")["excess"].mean() / dimension
    # From the last K with a larger excess on, not from the first with a smaller one.
    small = means[(means < TENTH)[::-1].cummin()[::-1]]
    numbers = {"K": float(small.index.min()), "K / d": float(small.index.min() / dimension)} if len(small) else {}
    return Answer(Verdict.MEASURED, numbers=numbers)


def _at_n(tables: Tables) -> pd.DataFrame:
    """GPT-2 and what stands beside it at M = N, for finite K."""
    rows = at_last(tables["transformers"], "position")
    return rows[np.isfinite(rows["n_tasks"])]


def nearest(tables: Tables) -> Answer:
    rows = where(_at_n(tables), tasks=FRESH)
    rows = rows[rows["predictor"] != MODEL]
    means = rows.groupby(["n_tasks", "predictor"]).agg(distance=("distance", "mean"), share=("frequency", "min"))
    chosen = means.loc[means.groupby("n_tasks")["distance"].idxmin()].reset_index()
    certain, ridge = chosen["share"] >= CERTAIN, chosen["predictor"] == RIDGE
    met = certain & ridge
    return counted(met, certain & ~ridge, **({"least K": float(chosen.loc[met, "n_tasks"].min())} if met.any() else {}))


def known(tables: Tables) -> Answer:
    own = where(_at_n(tables), predictor=MODEL)
    own = own.groupby(["tasks", "n_tasks"]).agg({"error": "mean", "stderr": "max"})
    pool, fresh = own.loc[POOL], own.loc[FRESH]
    gap, reach = fresh["error"] - pool["error"], normal_quantile() * np.hypot(pool["stderr"], fresh["stderr"])
    known = gap > reach
    return counted(known, gap < -reach, **({"largest K": float(gap.index[known].max())} if known.any() else {}))


def agreement(tables: Tables) -> Answer:
    groups = tables["measured"].groupby(["N", "M"])
    z = (groups["mean"].mean() - groups["exact"].first()) / groups["mean"].sem()
    return counted(z.abs() <= FAR, **{"farthest, in standard errors": z.iloc[int(z.abs().argmax())]})


def floor(tables: Tables) -> Answer:
    slopes, numbers = where(tables["slopes"], inputs=FIXED), {}
    for condition, rows in where(slopes, what="floor").groupby("condition"):
        numbers[f"floor in N, condition {condition:g}"] = rows["slope"].iloc[-1]
    numbers["on N = M, condition 1"] = where(slopes, condition=1, what="diagonal")["slope"].iloc[-1]
    exact = tables["exact"]
    numbers["limit for random Λ"] = exact[exact["inputs"] != FIXED]["limit"].iloc[0]
    return Answer(Verdict.MEASURED, numbers=numbers)


QUESTIONS = questions_of(globals())
