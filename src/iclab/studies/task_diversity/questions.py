"""What the study of task diversity asks of its tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from iclab.foundations import mean_interval, normal_quantile
from iclab.studies.study import Answer, Number, Question, Tables, Verdict, verdict_of
from iclab.studies.task_diversity.lines import FRESH, POOL
from iclab.studies.task_diversity.models import CONSTANT, FAST, FAST_CONSTANT, LABELS, POSTERIOR
from iclab.studies.task_diversity.thresholds import HALF

# The number of tasks at which Raventós et al. see the change at d = 8 and K = 16.
REPORTED = (2**14, 2**15)
# Correlation from which on relative distances count as explained; .987 (pool) and .973 (fresh tasks) are reported.
CORRELATED = 0.9
# Part of ridge's error by which dMMSE is worse at least where it is still another predictor.
WORSE = 0.2


def changes(tasks: str) -> Callable[[Tables], Answer]:
    """Seeds whose models are nearer to dMMSE at the fewest tasks and nearer to ridge at the most."""

    def ask(tables: Tables) -> Answer:
        rows = tables["models"]
        rows = rows[(rows["recipe"] == LABELS) & (rows["tasks"] == tasks)]
        reach = normal_quantile() * rows["relative_stderr"]
        ends = rows.assign(low=rows["relative"] - reach, high=rows["relative"] + reach).sort_values("n_tasks")
        first, last = (ends.groupby("training_seed").nth(i).set_index("training_seed") for i in (0, -1))
        met = int(((first["low"] > HALF) & (last["high"] < HALF)).sum())
        missed = int(((first["high"] < HALF) | (last["low"] > HALF)).sum())
        undecided = len(first) - met - missed
        numbers = {
            "relative distance at the fewest": float(first["relative"].mean()),
            "at the most": float(last["relative"].mean()),
        }
        return Answer(verdict_of(met, missed, undecided), met, missed, undecided, numbers)

    return ask


def found(tables: Tables) -> Answer:
    """The thresholds with their intervals over seeds."""
    rows = tables["thresholds"]
    numbers = {
        f"{row['recipe']}, {row['tasks']}": Number(row["threshold"], row["threshold_low"], row["threshold_high"])
        for row in rows.to_dict("records")
        if np.isfinite(row["threshold"])
    }
    return Answer(Verdict.MEASURED if numbers else Verdict.UNDECIDED, numbers=numbers)


def beyond_bayes(tables: Tables) -> Answer:
    """Models nearer to ridge whose error on fresh tasks is below that of Bayes for their pool."""
    rows = tables["models"]
    rows = rows[(rows["recipe"] == LABELS) & (rows["tasks"] == FRESH) & (rows["relative"] < HALF)]
    gap, reach = rows["dmmse"] - rows["error"], normal_quantile() * rows["stderr"]
    met, missed = int((gap > reach).sum()), int((gap < -reach).sum())
    return Answer(verdict_of(met, missed, len(rows) - met - missed), met, missed, len(rows) - met - missed)


def reported(tables: Tables) -> Answer:
    """How much worse than ridge the pool's Bayes predictor is on fresh tasks at the published threshold."""
    rows = tables["lines"]
    rows = rows[(rows["setting"] == "published") & (rows["tasks"] == FRESH) & rows["n_tasks"].isin(REPORTED)]
    wide = rows.pivot_table(index="n_tasks", columns="quantity", values=["mean", "stderr"])
    if wide.empty:
        return Answer(Verdict.UNDECIDED)
    mean, error = wide["mean"], wide["stderr"]
    ratio = mean["dMMSE"] / mean["ridge"]
    spread = ratio * np.hypot(error["dMMSE"] / mean["dMMSE"], error["ridge"] / mean["ridge"])
    reach = normal_quantile() * spread
    met, missed = int((ratio - reach > 1 + WORSE).sum()), int((ratio + reach < 1 + WORSE).sum())
    numbers = {f"M = {m}": Number(float(ratio[m]), stderr=float(spread[m])) for m in ratio.index}
    return Answer(verdict_of(met, missed, len(ratio) - met - missed), met, missed, len(ratio) - met - missed, numbers)


def moved(*recipes: str, towards_ridge: bool) -> Callable[[Tables], Answer]:
    """Whether recipes move models, on fresh tasks, from where labels at the base rate leave them, seed by seed."""

    def ask(tables: Tables) -> Answer:
        rows = tables["models"]
        rows = rows[rows["tasks"] == FRESH]
        keys, columns = ["n_tasks", "training_seed"], ["relative", "relative_stderr"]
        base = rows[rows["recipe"] == LABELS].set_index(keys)[columns].set_axis(["from", "from_stderr"], axis="columns")
        met = missed = total = 0
        numbers: dict[str, float | Number] = {}
        for recipe in recipes:
            own = rows[rows["recipe"] == recipe].set_index(keys)[columns].join(base, how="inner")
            gap = own["relative"] - own["from"]
            # The same prompts, so an interval for independent ones is too wide rather than too narrow.
            reach = normal_quantile() * np.hypot(own["relative_stderr"], own["from_stderr"])
            below, above = int((gap < -reach).sum()), int((gap > reach).sum())
            met, missed = met + (below if towards_ridge else above), missed + (above if towards_ridge else below)
            total += len(gap)
            for count, mine in gap.groupby("n_tasks"):
                low, high = mean_interval(mine.to_numpy()) if len(mine) > 1 else (np.nan, np.nan)
                numbers[f"{recipe}, M = {count}"] = Number(float(mine.mean()), float(low), float(high))
        return Answer(verdict_of(met, missed, total - met - missed), met, missed, total - met - missed, numbers)

    return ask


def explained(tables: Tables) -> Answer:
    """How well one posterior over the two strategies explains relative distances along training."""
    rows = tables["posterior"]
    met = missed = 0
    numbers: dict[str, float | Number] = {}
    for row in rows.to_dict("records"):
        numbers[f"{row['quantity']}, {row['tasks']}"] = Number(row["value"], row["value_low"], row["value_high"])
        if row["quantity"] == "correlation":
            met += int(row["value_low"] > CORRELATED)
            missed += int(row["value_high"] < CORRELATED)
    total = int((rows["quantity"] == "correlation").sum())
    return Answer(verdict_of(met, missed, total - met - missed), met, missed, total - met - missed, numbers)


_SEEDS = "Relative distance on fresh tasks"
_COUNTED = "by 95 % intervals, by M and seed; numbers are means over seeds with Student's intervals."
QUESTIONS = (
    Question(
        "fresh",
        "On fresh tasks models change from dMMSE to ridge as the pool grows.",
        "Relative distance above ½ at the fewest tasks and below it at the most, 95 % intervals, seed by seed.",
        changes(FRESH),
        "Raventós et al. 2023",
        lead=True,
    ),
    Question(
        "pool",
        "On tasks of the pool they change, too.",
        "The same on the pool's tasks.",
        changes(POOL),
        "Raventós et al. 2023",
    ),
    Question(
        "thresholds",
        "At how many tasks is a model half-way?",
        "M at which the relative distance falls below ½ for good, with Student's interval over seeds of log M.",
        found,
        "Raventós et al. 2023",
    ),
    Question(
        "beyond_bayes",
        "A model nearer to ridge does better on fresh tasks than Bayes for its pool.",
        "Error below dMMSE's by a 95 % interval, for every model with a relative distance below ½.",
        beyond_bayes,
        "Raventós et al. 2023",
    ),
    Question(
        "reported",
        "At the reported threshold dMMSE is still worse than ridge on fresh tasks.",
        "Ratio of exact predictors' errors at $M = 2^{14}$ and $2^{15}$, less 1, above the threshold, 95 % intervals.",
        reported,
        "Raventós et al. 2023",
        thresholds={"threshold": WORSE},
    ),
    Question(
        "targets",
        "Posterior means as targets keep models nearer to dMMSE than labels do.",
        f"{_SEEDS} above that of labels, {_COUNTED}",
        moved(POSTERIOR, towards_ridge=False),
    ),
    Question(
        "rates",
        "A triple or a constant rate moves models towards ridge.",
        f"{_SEEDS} below that of labels at the base rate, {_COUNTED}",
        moved(CONSTANT, FAST, FAST_CONSTANT, towards_ridge=True),
        "Aswadi 2026",
        lead=True,
    ),
    Question(
        "explained",
        "One posterior over the two strategies, with three constants, explains where models are along training.",
        "Correlation of predicted with measured distances above the threshold, 95 % bootstrap over trainings.",
        explained,
        "Wurgaft et al. 2025",
        thresholds={"threshold": CORRELATED},
    ),
)
