"""What the study of task diversity asks of its tables."""

from __future__ import annotations

import numpy as np

from iclab.foundations import normal_quantile, student_quantile
from iclab.studies.folder import questions_of
from iclab.studies.rows import where
from iclab.studies.study import Answer, Number, Tables, Verdict, counted, mean_over, number_in
from iclab.studies.task_diversity.lines import EXCESS, FRESH, RIDGE
from iclab.studies.task_diversity.models import LABELS
from iclab.studies.task_diversity.thresholds import HALF

# The number of tasks at which Raventós et al. see the change at d = 8 and K = 16.
REPORTED = (2**14, 2**15)
# Correlation from which on relative distances count as explained; .987 (pool) and .973 (fresh tasks) are reported.
CORRELATED = 0.9
# Part of ridge's error by which dMMSE is worse at least where it is still another predictor.
WORSE = 0.2


def changes(tables: Tables, *, tasks: str) -> Answer:
    """Seeds whose models are nearer to dMMSE at the fewest tasks and nearer to ridge at the most."""
    rows = where(tables["models"], recipe=LABELS, tasks=tasks)
    reach = normal_quantile() * rows["relative_stderr"]
    ends = rows.assign(low=rows["relative"] - reach, high=rows["relative"] + reach).sort_values("n_tasks")
    first, last = (ends.groupby("training_seed").nth(i).set_index("training_seed") for i in (0, -1))
    numbers = {
        "relative distance at the fewest": float(first["relative"].mean()),
        "at the most": float(last["relative"].mean()),
    }
    met, missed = (first["low"] > HALF) & (last["high"] < HALF), (first["high"] < HALF) | (last["low"] > HALF)
    return counted(met, missed, **numbers)


def found(tables: Tables) -> Answer:
    """The thresholds with their intervals over seeds."""
    rows = tables["thresholds"]
    numbers = {
        f"{row['recipe']}, {row['tasks']}": number_in(row, "threshold")
        for row in rows.to_dict("records")
        if np.isfinite(row["threshold"])
    }
    return Answer(Verdict.MEASURED if numbers else Verdict.UNDECIDED, numbers=numbers)


def beyond_bayes(tables: Tables) -> Answer:
    """Models nearer to ridge whose error on fresh tasks is below that of Bayes for their pool."""
    rows = tables["models"]
    rows = rows[(rows["recipe"] == LABELS) & (rows["tasks"] == FRESH) & (rows["relative"] < HALF)]
    gap, reach = rows["dmmse"] - rows["error"], normal_quantile() * rows["stderr"]
    return counted(gap > reach, gap < -reach)


def reported(tables: Tables) -> Answer:
    """How much worse than ridge the pool's Bayes predictor is on fresh tasks at the published threshold."""
    rows = where(tables["lines"], setting="published", tasks=FRESH, n_tasks=REPORTED)
    wide = rows.pivot_table(index="n_tasks", columns="quantity", values=["mean", "stderr"])
    if wide.empty:
        return Answer(Verdict.UNDECIDED)
    mean, error = wide["mean"], wide["stderr"]
    worse = mean[EXCESS] / mean[RIDGE]
    ratio, spread = 1 + worse, np.hypot(error[EXCESS], worse * error[RIDGE]) / mean[RIDGE]
    drawn = rows.groupby("n_tasks")[["pools", "n"]].first()
    # Standard errors are over pools, or over prompts where there is one pool.
    freedom = np.where(drawn["pools"] > 1, drawn["pools"], drawn["n"]) - 1
    reach = student_quantile(freedom) * spread
    numbers = {f"M = {m}": Number(float(ratio[m]), stderr=float(spread[m])) for m in ratio.index}
    return counted(ratio - reach > 1 + WORSE, ratio + reach < 1 + WORSE, **numbers)


def moved(tables: Tables, *, recipes: tuple[str, ...], towards_ridge: bool) -> Answer:
    """Whether recipes move models, on fresh tasks, from where labels at the base rate leave them, seed by seed."""
    rows = where(tables["models"], tasks=FRESH)
    keys, columns = ["n_tasks", "training_seed"], ["relative", "relative_stderr"]
    base = where(rows, recipe=LABELS).set_index(keys)[columns].set_axis(["from", "from_stderr"], axis="columns")
    met, missed, numbers = [], [], {}
    for recipe in recipes:
        own = where(rows, recipe=recipe).set_index(keys)[columns].join(base, how="inner")
        gap = own["relative"] - own["from"]
        # The same prompts, so an interval for independent ones is too wide rather than too narrow.
        reach = normal_quantile() * np.hypot(own["relative_stderr"], own["from_stderr"])
        below, above = gap < -reach, gap > reach
        met += list(below if towards_ridge else above)
        missed += list(above if towards_ridge else below)
        numbers |= {f"{recipe}, M = {count}": mean_over(mine) for count, mine in gap.groupby("n_tasks")}
    return counted(met, missed, **numbers)


def explained(tables: Tables) -> Answer:
    """How well one posterior over the two strategies explains relative distances along training."""
    rows = tables["posterior"]
    numbers = {f"{row['quantity']}, {row['tasks']}": number_in(row, "value") for row in rows.to_dict("records")}
    found = where(rows, quantity="correlation")
    return counted(found["value_low"] > CORRELATED, found["value_high"] < CORRELATED, **numbers)


QUESTIONS = questions_of(globals())
