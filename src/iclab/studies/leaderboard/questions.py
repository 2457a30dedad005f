"""What the leaderboard asks of its tables."""

from __future__ import annotations

import numpy as np

from iclab.studies.folder import questions_of
from iclab.studies.leaderboard.recipes import OURS
from iclab.studies.study import Answer, Tables, cases, counted, tally

# How many times the steps of ours another recipe must take.
TENFOLD = 10.0


def first(tables: Tables) -> Answer:
    """Whether no recipe reaches a threshold within as few steps as ours, over recipes and thresholds.

    A case is met if our range over seeds lies below the other's, missed if above; one seed has no range.
    """
    met = missed = undecided = 0
    ranking = tables["ranking"].to_dict("records")
    mine = {row["threshold"]: row for row in ranking if row["recipe"] == OURS}
    for row in ranking:
        if row["recipe"] == OURS:
            continue
        ours = mine[row["threshold"]]
        if row["seeds"] > 1 and ours["most_steps"] < row["least_steps"]:
            met += 1
        elif row["seeds"] > 1 and row["most_steps"] < ours["least_steps"]:
            missed += 1
        else:
            undecided += 1
    steps = {f"steps to {threshold:g}": row["median_steps"] for threshold, row in mine.items()}
    return tally(met, missed, undecided, **steps)


def tenfold(tables: Tables) -> Answer:
    """Whether Garg et al.'s recipe takes ten times our steps, by threshold and seed; bounds decide where they can."""
    ratios = tables["ratios"]
    at_least = ratios["relation"].isin(["=", "≥"]) & (ratios["ratio"] >= TENFOLD)
    less = ratios["relation"].isin(["=", "≤"]) & (ratios["ratio"] < TENFOLD)
    known = ratios.loc[ratios["relation"] == "=", "ratio"]
    spread = {"lowest": known.min(), "highest": known.max()} if len(known) else {}
    return counted(at_least, less, **spread)


def lower(tables: Tables) -> Answer:
    """Whether every other recipe ends above ours after as many steps."""
    ends = tables["ends"]
    answer = cases(ends.rename(columns={"ratio": "last_error"} | _ENDS), "last_error", 1.0)
    steps = float(ends["length"].max()) if len(ends) else np.nan
    return Answer(answer.verdict, answer.met, answer.missed, answer.undecided, {**answer.numbers, "steps": steps})


_ENDS = {"ratio_low": "last_error_low", "ratio_high": "last_error_high"}

QUESTIONS = questions_of(globals())
