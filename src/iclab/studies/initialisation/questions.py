"""What the study of initialisation, step size and noise asks of its tables."""

from __future__ import annotations

import numpy as np

from iclab.flow.ensemble import GLOBAL, LOCAL, SADDLE, UNFINISHED
from iclab.foundations.exponents import regressed
from iclab.studies.folder import questions_of
from iclab.studies.initialisation import two_layer
from iclab.studies.initialisation.descent import SETTLED
from iclab.studies.rows import where
from iclab.studies.study import Answer, Number, Tables, counted, tally

# Powers of the step size and of the batch size in the distance from the flow, if noise is small and independent.
RATE_POWER, BATCH_POWER = 0.5, -0.5
SPAN, SLACK = two_layer.SPAN, two_layer.SLACK


def ends(tables: Tables) -> Answer:
    # Problems of one d and N share their draws: sums have no interval.
    rows = tables["ends"]
    by_size = rows.groupby("size")[["failures", "n"]].sum()
    numbers: dict[str, float | Number] = {
        f"share of failures at {size:g}σ": float(failures / n) for size, failures, n in by_size.itertuples(name=None)
    }
    worst = rows.iloc[int(rows["rate"].argmax())]
    numbers["largest share on one problem"] = Number(*worst[["rate", "low", "high"]])
    return tally(*rows[[GLOBAL, "failures", UNFINISHED]].sum(), **numbers)


def kinds(tables: Tables) -> Answer:
    return tally(*tables["ends"][[LOCAL, SADDLE]].sum())


def threshold(tables: Tables) -> Answer:
    above = tables["scales"][tables["scales"]["ratio"] > 1]
    exact, moved = where(above, size=0), above[above["size"] > 0]
    failed, numbers = int(exact["failures"].sum()), {"largest σ / threshold": above["ratio"].max()}
    for size, rows in moved.groupby("size"):
        numbers[f"share of failures if moved by {size:g}σ"] = rows["failures"].sum() / rows["n"].sum()
    return tally(int(exact["n"].sum()) - failed, failed, **numbers)


def between(tables: Tables) -> Answer:
    rows = tables["rates"]
    runs = rows[(rows["perturbation"] == 0) & (rows["rate"] > rows["limit_all"]) & (rows["rate"] < rows["limit_u_U"])]
    numbers: dict[str, float] = {}
    for name, first in rows.groupby("covariances").first().iterrows():
        numbers |= {f"limit on all, {name} Λ": first["limit_all"], f"limit on (u, U), {name} Λ": first["limit_u_U"]}
    return counted(runs["excess"] < SETTLED, **numbers)


def beyond(tables: Tables) -> Answer:
    rows = tables["rates"]
    runs = rows[(rows["perturbation"] == 0) & (rows["rate"] > rows["limit_u_U"])]
    return counted(runs["diverged"] | (runs["excess"] >= SETTLED), diverged=runs["diverged"].sum())


def flatter(tables: Tables) -> Answer:
    rows = tables["rates"]
    runs = rows[(rows["perturbation"] > 0) & (rows["rate"] > rows["limit_all"])]
    settled = runs[runs["excess"] < SETTLED]
    return counted(settled["limit_at_end"] > settled["rate"], diverged=runs["diverged"].sum(), runs=len(runs))


def power(tables: Tables, *, index: int, expected: float) -> Answer:
    """How the distance of SGD from the flow goes with the rate (index 0) or the batch size (1), fitted together.

    A fit in which either interval contains 0 is too noisy to tell.
    """
    met, missed, groups = [], [], tables["sgd"].groupby("covariances")
    numbers: dict[str, float | Number] = {"diverged": tables["sgd"]["diverged"].sum()}
    for covariances, runs in groups:
        finite = runs[np.isfinite(runs["gap"])]
        predictors = finite[["rate", "batch_size"]]
        if len(finite) < 4 or predictors.nunique().min() < 2:
            continue
        fits = regressed(predictors, finite["gap"])
        fit = fits[index]
        numbers[f"power, {covariances} Λ"] = Number(fit.value, fit.low, fit.high)
        told, inside = all(one.low > 0 or one.high < 0 for one in fits), fit.low <= expected <= fit.high
        met.append(told and inside)
        missed.append(told and not inside)
    return tally(sum(met), sum(missed), len(groups) - sum(met) - sum(missed), **numbers)


def layers(tables: Tables, *, column: str) -> Answer:
    """Two layers that end as low as a reference; those that still move have not ended."""
    counts, references = tables["two_layer"], tables["two_layer_references"]
    met, moving, n = counts[[column, "moving", "n"]].sum()
    loss = references.set_index(["predictor", "steps"])["loss"]
    numbers = {"lowest end": counts["lowest_loss"].min(), "one layer": loss[two_layer.ONE_LAYER, 0]}
    numbers["two steps"] = loss[two_layer.DESCENT, 2]
    return tally(met, n - met - moving, moving, **numbers)


QUESTIONS = questions_of(globals())
