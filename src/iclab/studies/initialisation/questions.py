"""What the study of initialisation, step size and noise asks of its tables."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from iclab.flow.ensemble import GLOBAL, LOCAL, SADDLE, UNFINISHED
from iclab.foundations.exponents import regressed
from iclab.studies.folder import questions_of
from iclab.studies.initialisation.descent import SETTLED
from iclab.studies.initialisation.two_layer import DESCENT, ONE_LAYER, SLACK, SPAN
from iclab.studies.rows import where
from iclab.studies.study import Answer, Number, Tables, counted, tally

# Powers of the step size and of the batch size in the distance from the flow, if noise is small and independent.
RATE_POWER, BATCH_POWER = 0.5, -0.5


def ends(tables: Tables) -> Answer:
    """Starts by where the flow ends; problems of one d and N share their draws, so sums have no interval."""
    rows = tables["ends"]
    by_size = rows.groupby("size")[["failures", "n"]].sum()
    numbers: dict[str, float | Number] = {
        f"share of failures at {size:g}σ": float(failures / n) for size, failures, n in by_size.itertuples(name=None)
    }
    worst = rows.iloc[int(rows["rate"].argmax())]
    interval = (float(worst[column]) for column in ("rate", "low", "high"))
    met, missed, undecided = (int(rows[kind].sum()) for kind in (GLOBAL, "failures", UNFINISHED))
    return tally(met, missed, undecided, **numbers, **{"largest share on one problem": Number(*interval)})


def kinds(tables: Tables) -> Answer:
    """Failures by the Hessian at their end."""
    rows = tables["ends"]
    return tally(int(rows[LOCAL].sum()), int(rows[SADDLE].sum()))


def threshold(tables: Tables) -> Answer:
    """Starts of Assumption 3 with σ above the threshold, and how many fail when every parameter is moved as well."""
    above = tables["scales"][tables["scales"]["ratio"] > 1]
    exact, moved = where(above, size=0), above[above["size"] > 0]
    failed = int(exact["failures"].sum())
    numbers = {"largest σ / threshold": float(above["ratio"].max())}
    for size, rows in moved.groupby("size"):
        numbers[f"share of failures if moved by {size:g}σ"] = float(rows["failures"].sum() / rows["n"].sum())
    return tally(int(exact["n"].sum()) - failed, failed, **numbers)


def between(tables: Tables) -> Answer:
    """Descent from Assumption 3 at steps between the limit on all parameters and the limit on (u, U)."""
    rows = tables["rates"]
    runs = rows[(rows["perturbation"] == 0) & (rows["rate"] > rows["limit_all"]) & (rows["rate"] < rows["limit_u_U"])]
    return counted(runs["excess"] < SETTLED, **_limits(rows))


def beyond(tables: Tables) -> Answer:
    """Descent from Assumption 3 at steps above both limits."""
    rows = tables["rates"]
    runs = rows[(rows["perturbation"] == 0) & (rows["rate"] > rows["limit_u_U"])]
    return counted(runs["diverged"] | (runs["excess"] >= SETTLED), **{"diverged": int(runs["diverged"].sum())})


def flatter(tables: Tables) -> Answer:
    """Perturbed runs with a step above the limit on all parameters: where those end that settle."""
    rows = tables["rates"]
    runs = rows[(rows["perturbation"] > 0) & (rows["rate"] > rows["limit_all"])]
    settled = runs[runs["excess"] < SETTLED]
    return counted(
        settled["limit_at_end"] > settled["rate"], **{"diverged": int(runs["diverged"].sum()), "runs": len(runs)}
    )


def _limits(rows: pd.DataFrame) -> dict[str, float]:
    first = rows.groupby("covariances")[["limit_all", "limit_u_U"]].first()
    return {
        f"{name}, {covariances} Λ": float(row[column])
        for covariances, row in first.iterrows()
        for name, column in (("limit on all", "limit_all"), ("limit on (u, U)", "limit_u_U"))
    }


def power(tables: Tables, *, index: int, expected: float) -> Answer:
    """How the distance of SGD from the flow goes with the rate (index 0) or the batch size (1), fitted together.

    A fit in which either interval contains 0 is too noisy to tell.
    """
    met = missed = undecided = 0
    numbers: dict[str, float | Number] = {"diverged": int(tables["sgd"]["diverged"].sum())}
    for covariances, runs in tables["sgd"].groupby("covariances"):
        finite = runs[np.isfinite(runs["gap"])]
        predictors = finite[["rate", "batch_size"]]
        if len(finite) < 4 or predictors.nunique().min() < 2:
            undecided += 1
            continue
        fits = regressed(predictors, finite["gap"])
        fit = fits[index]
        numbers[f"power, {covariances} Λ"] = Number(fit.value, fit.low, fit.high)
        if any(one.low <= 0 <= one.high for one in fits):
            undecided += 1
        elif fit.low <= expected <= fit.high:
            met += 1
        else:
            missed += 1
    return tally(met, missed, undecided, **numbers)


def layers(tables: Tables, *, column: str) -> Answer:
    """Two layers that end as low as a reference; those that still move have not ended."""
    counts, references = tables["two_layer"], tables["two_layer_references"]
    met, moving, n = (int(counts[name].sum()) for name in (column, "moving", "n"))
    loss = references.set_index(["predictor", "steps"])["loss"]
    numbers = {"lowest end": float(counts["lowest_loss"].min()), "one layer": float(loss[ONE_LAYER, 0])}
    numbers["two steps"] = float(loss[DESCENT, 2])
    return tally(met, n - met - moving, moving, **numbers)


QUESTIONS = questions_of(
    globals(),
    {
        "one_layer": (partial(layers, column="beats_one_layer"), {"t": SPAN}),
        "two_steps": (partial(layers, column="as_two_steps"), {"threshold": SLACK}),
    },
)
