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
    """Whether the error is at most Corollary 6's bound, over fixed Λ, N and M."""
    rows = tables["exact"].dropna(subset="bound")
    ratio = rows["error"] / rows["bound"]
    return counted(ratio <= _ROUNDING, **{"largest error / bound": float(ratio.max())})


def best(tables: Tables) -> Answer:
    """Whether the best N is M, and what the longest N costs."""
    rows = tables["best_lengths"]
    cost = rows["error_at_largest_N"] / rows["error"]
    isotropic = cost[(rows["inputs"] == FIXED) & (rows["condition"] == 1)]
    numbers = {"largest cost of the longest N": float(cost.max()), "for Λ = I": float(isotropic.max())}
    return counted(rows["best_N"] == rows["M"], **numbers)


def power(tables: Tables, *, quantities: tuple[str, ...]) -> Answer:
    """Whether the intervals of fitted exponents contain what theory expects; wide ones decide nothing."""
    rows = tables["exponents"]
    rows = rows[rows["quantity"].isin(quantities) & rows["expected"].notna()]
    sharp = rows["high"] - rows["low"] <= VAGUE
    inside = (rows["low"] <= rows["expected"]) & (rows["expected"] <= rows["high"])
    numbers = {
        ", ".join(str(row[key]) for key in ("quantity", "inputs", "kind", "variable") if isinstance(row[key], str)): (
            Number(row["value"], row["low"], row["high"])
        )
        for row in rows.to_dict("records")
    }
    return counted(sharp & inside, ~inside, **numbers)


def one_pass(tables: Tables) -> Answer:
    """Excess of one pass of SGD, with the best of its choices, over the empirical minimiser's at the largest B."""
    chosen = best_rates(tables["one_pass"])
    numbers: dict[str, float | Number] = {}
    for inputs, rows in chosen.groupby("inputs", sort=False):
        last: Any = at_last(rows, "n_prompts")["excess"]
        least: Any = at_last(where(tables["empirical"], inputs=inputs, kind=LINEAR), "n_prompts")["excess"]
        ratio = float(last.mean() / least.mean())
        error = ratio * float(np.hypot(last.sem() / last.mean(), least.sem() / least.mean()))
        numbers[f"{inputs}: ratio"] = Number(ratio, stderr=error if np.isfinite(error) else np.nan)
    return Answer(Verdict.MEASURED, numbers=numbers)


def enough(tables: Tables) -> Answer:
    """From which K on the layer trained on a pool loses less than a tenth of the zero predictor's error."""
    pooled = tables["pooled_layer"]
    dimension = _trace(tables)
    means = pooled.groupby("n_tasks")["excess"].mean() / dimension
    # From the last K with a larger excess on, not from the first with a smaller one.
    small = means[(means < TENTH)[::-1].cummin()[::-1]]
    numbers = {"K": float(small.index.min()), "K / d": float(small.index.min() / dimension)} if len(small) else {}
    return Answer(Verdict.MEASURED, numbers=numbers)


def _trace(tables: Tables) -> float:
    """d: (d + 1) tr Λ is the coefficient of 1/M for Λ = I, and the trace is d."""
    coefficient = float(tables["coefficients"].query("condition == 1")["bound_M"].iloc[0])
    return (np.sqrt(1 + 4 * coefficient) - 1) / 2


def _at_n(tables: Tables) -> pd.DataFrame:
    return at_last(tables["transformers"], "position")


def nearest(tables: Tables) -> Answer:
    """Whether ridge is the nearest algorithm on fresh tasks, by finite K; uncertain ones are undecided."""
    at = _at_n(tables)
    rows = at[(at["tasks"] == FRESH) & (at["predictor"] != MODEL) & np.isfinite(at["n_tasks"])]
    means = rows.groupby(["n_tasks", "predictor"]).agg(distance=("distance", "mean"), share=("frequency", "min"))
    chosen = means.loc[means.groupby("n_tasks")["distance"].idxmin()].reset_index()
    certain, ridge = chosen["share"] >= CERTAIN, chosen["predictor"] == RIDGE
    met = certain & ridge
    return counted(met, certain & ~ridge, **({"least K": float(chosen.loc[met, "n_tasks"].min())} if met.any() else {}))


def known(tables: Tables) -> Answer:
    """Whether GPT-2's error on its pool is below that on fresh tasks, by K."""
    at = _at_n(tables)
    own = at[(at["predictor"] == MODEL) & np.isfinite(at["n_tasks"])]
    own = own.groupby(["tasks", "n_tasks"]).agg({"error": "mean", "stderr": "max"})
    pool, fresh = own.loc[POOL], own.loc[FRESH]
    gap, reach = fresh["error"] - pool["error"], normal_quantile() * np.hypot(pool["stderr"], fresh["stderr"])
    known = gap > reach
    return counted(known, gap < -reach, **({"largest K": float(gap.index[known].max())} if known.any() else {}))


def agreement(tables: Tables) -> Answer:
    """Whether layers trained by descent have the exact errors of the minimiser."""
    pairs = (
        tables["measured"]
        .groupby(["N", "M"])
        .agg(mean=("mean", "mean"), error=("mean", "sem"), exact=("exact", "first"))
    )
    z = (pairs["mean"] - pairs["exact"]) / pairs["error"]
    return counted(z.abs() <= FAR, **{"farthest, in standard errors": float(z.iloc[int(z.abs().argmax())])})


def floor(tables: Tables) -> Answer:
    """Local exponents at the ends of the grid: of the floor in N, and on the diagonal."""
    slopes = tables["slopes"]
    numbers: dict[str, float | Number] = {}
    for condition, rows in where(slopes, inputs=FIXED, what="floor").groupby("condition"):
        numbers[f"floor in N, condition {condition:g}"] = float(rows["slope"].iloc[-1])
    diagonal = where(slopes, inputs=FIXED, condition=1, what="diagonal")
    numbers["on N = M, condition 1"] = float(diagonal["slope"].iloc[-1])
    limit = tables["exact"][tables["exact"]["inputs"] != FIXED]["limit"]
    numbers["limit for random Λ"] = float(limit.iloc[0])
    return Answer(Verdict.MEASURED, numbers=numbers)


QUESTIONS = questions_of(globals())
