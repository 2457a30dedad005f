"""What the study of hijacking asks of its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from iclab.foundations import normal_interval
from iclab.studies.folder import questions_of
from iclab.studies.hijacking.exact import CLASSICAL
from iclab.studies.rows import where
from iclab.studies.study import Answer, Tables, cases, counted, tally

# Share of prompts that counts as nearly all, and as most.
NEARLY_ALL, MOST = 0.9, 0.5
# A position whose label must change so many times as much as that of the median one is hardly looked at.
OVERLOOKED = 5.0


def exact(tables: Tables) -> Answer:
    rows = where(tables["attacks"], kind="one", trained=False)
    return counted(rows["reached"] == 1, largest_size=rows["size"].max())


def reached(tables: Tables, kind: str) -> Answer:
    """Trained models that are forced on nearly every prompt. A better attacker may force more: none is a miss."""
    rows = where(tables["attacks"], kind=kind, trained=True)
    return _found(rows["reached_low"] > NEARLY_ALL, rows["reached"])


def smaller(tables: Tables) -> Answer:
    """Sizes over those of least squares. A better attacker may find smaller ones: none is a miss."""
    rows = where(tables["attacks"], kind="all", trained=True)
    return _found(rows["ratio_high"] < 1, rows["ratio"])


def _found(met: pd.Series[bool], values: pd.Series[float]) -> Answer:
    spread = {"lowest": float(values.min()), "highest": float(values.max())} if len(values) else {}
    return counted(met, np.zeros(len(met), dtype=bool), **spread)


def every_position(tables: Tables) -> Answer:
    rows = tables["positions"]
    sizes = rows[~rows["learner"].isin(CLASSICAL)].groupby("learner")["size"]
    ratio = sizes.max() / sizes.median()
    return counted(ratio < OVERLOOKED, **({"largest_ratio": float(ratio.max())} if len(ratio) else {}))


def between(tables: Tables, *, kind: str, sources: str = "models", targets: str = "models") -> Answer:
    """Transfer of attacks between different learners: "models", or a classical one by name."""
    rows = where(tables["transfer"], kind=kind)
    rows = rows[rows["source"] != rows["target"]]
    for column, wanted in (("source", sources), ("target", targets)):
        rows = rows[rows[column] == wanted if wanted in CLASSICAL else ~rows[column].isin(CLASSICAL)]
    median = {"median_moved": float(rows["moved"].median())} if len(rows) else {}
    return cases(rows, "fooled", MOST, above=False, **median)


def layer_pays(tables: Tables) -> Answer:
    rows = tables["layers"].set_index(["trained", "budget"])["error"]
    budgets = [budget for budget in tables["layers"]["budget"].unique() if budget > 0]
    met = sum(bool(rows[b, b] < rows[0.0, b] and rows[b, 0.0] > rows[0.0, 0.0]) for b in budgets)
    gains = {f"attacked error kept at {b:g}": float(rows[b, b] / rows[0.0, b]) for b in budgets}
    return tally(met, len(budgets) - met, **gains)


def hardened(tables: Tables, *, budget: str, above: bool = False) -> Answer:
    rows = tables["hardened"]
    tested, trained = rows["budget"], rows["trained"]
    chosen = {"of training": tested == trained, "larger": tested > trained, "none": tested == 0}[budget]
    return cases(rows[(trained > 0) & chosen], "change", 0.0, above=above)


def beside_squares(tables: Tables) -> Answer:
    # Of the same prompts; taken as independent, which widens the interval if they are alike.
    rows = tables["hardened"]
    rows = rows[(rows["trained"] > 0) & (rows["trained"] == rows["budget"])].set_index("budget")
    base = tables["squares"].set_index("budget").loc[rows.index]
    less = rows["error"] - base["error"]
    low, high = normal_interval(less, np.hypot(rows["stderr"], base["stderr"]))
    numbers = {"largest_part_of_least_squares": (rows["error"] / base["error"]).max()} if len(rows) else {}
    return cases(pd.DataFrame({"less": less, "less_low": low, "less_high": high}), "less", 0.0, above=False, **numbers)


QUESTIONS = questions_of(globals())
