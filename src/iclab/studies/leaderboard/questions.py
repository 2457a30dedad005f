"""What the leaderboard asks of its tables."""

from __future__ import annotations

import numpy as np

from iclab.studies.folder import questions_of
from iclab.studies.leaderboard.recipes import OURS
from iclab.studies.rows import where
from iclab.studies.study import Answer, Tables, cases, counted

# How many times the steps of ``BASE`` another recipe must take.
TENFOLD = 10.0


def first(tables: Tables) -> Answer:
    """Whether no recipe reaches a threshold within as few steps as ours, over recipes and thresholds.

    A case is met if our range over seeds lies below the other's, missed if above; one seed has no range.
    """
    ranking = tables["ranking"]
    mine = where(ranking, recipe=OURS)
    others = ranking[ranking["recipe"] != OURS].merge(mine, on="threshold", suffixes=("", "_ours"))
    several = others["seeds"] > 1
    sooner, later = others["most_steps_ours"] < others["least_steps"], others["most_steps"] < others["least_steps_ours"]
    steps = {f"steps to {threshold:g}": n for threshold, n in mine.set_index("threshold")["median_steps"].items()}
    return counted(several & sooner, several & later, **steps)


def tenfold(tables: Tables) -> Answer:
    """Whether Garg et al.'s recipe takes ten times those of ``BASE``, by threshold and seed.

    Bounds decide where they can.
    """
    ratios = tables["ratios"]
    at_least = ratios["relation"].isin(["=", "≥"]) & (ratios["ratio"] >= TENFOLD)
    less = ratios["relation"].isin(["=", "≤"]) & (ratios["ratio"] < TENFOLD)
    known = ratios.loc[ratios["relation"] == "=", "ratio"]
    spread = {"lowest": known.min(), "highest": known.max()} if len(known) else {}
    return counted(at_least, less, **spread)


def lower(tables: Tables) -> Answer:
    """Whether every other recipe but ours ends above ``BASE`` after as many steps."""
    ends = tables["ends"]
    ends = ends[ends["recipe"] != OURS]
    return cases(ends, "ratio", 1.0, steps=float(ends["length"].max()) if len(ends) else np.nan)


QUESTIONS = questions_of(globals())
