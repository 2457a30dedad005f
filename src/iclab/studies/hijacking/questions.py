"""What the study of hijacking asks of its tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from iclab.foundations import normal_interval
from iclab.studies.folder import questions_of
from iclab.studies.hijacking.exact import CLASSICAL, LAYER, LEAST_SQUARES
from iclab.studies.hijacking.measure import FOOLED
from iclab.studies.study import Answer, Tables, cases, counted, tally, where

# Share of prompts that counts as nearly all, and as most.
NEARLY_ALL, MOST = 0.9, 0.5
# A position whose label must change so many times as much as that of the median one is hardly looked at.
OVERLOOKED = 5.0


def attacks(tables: Tables, kind: str, *, trained: bool) -> pd.DataFrame:
    """Attacks of a kind on trained models or classical learners."""
    rows = tables["attacks"]
    return where(rows, kind=kind, trained=trained)


def exact(tables: Tables) -> Answer:
    """Classical learners that predict the target from the label that was solved for, on every prompt."""
    rows = attacks(tables, "one", trained=False)
    return counted(rows["reached"] == 1, **{"largest_size": float(rows["size"].max())})


def reached(tables: Tables, kind: str) -> Answer:
    """Trained models that are forced on nearly every prompt. A better attacker may force more: none is a miss."""
    rows = attacks(tables, kind, trained=True)
    return _found(rows["reached_low"] > NEARLY_ALL, rows["reached"])


def smaller(tables: Tables) -> Answer:
    """Sizes over those of least squares. A better attacker may find smaller ones: none is a miss."""
    rows = attacks(tables, "all", trained=True)
    return _found(rows["ratio_high"] < 1, rows["ratio"])


def _found(met: pd.Series[bool], values: pd.Series[float]) -> Answer:
    spread = {"lowest": float(values.min()), "highest": float(values.max())} if len(values) else {}
    return counted(met, np.zeros(len(met), dtype=bool), **spread)


def every_position(tables: Tables) -> Answer:
    """Largest size of an attack on one label, by position, over that at the median position; per trained model."""
    rows = tables["positions"]
    sizes = rows[~rows["learner"].isin(CLASSICAL)].groupby("learner")["size"]
    ratio = sizes.max() / sizes.median()
    return counted(ratio < OVERLOOKED, **({"largest_ratio": float(ratio.max())} if len(ratio) else {}))


def between(kind: str, sources: str, targets: str) -> Callable[[Tables], Answer]:
    """Transfer of attacks between different learners: "models", or a classical one by name."""

    def ask(tables: Tables) -> Answer:
        rows = tables["transfer"]
        rows = rows[(rows["kind"] == kind) & (rows["source"] != rows["target"])]
        for column, wanted in (("source", sources), ("target", targets)):
            rows = rows[rows[column] == wanted if wanted in CLASSICAL else ~rows[column].isin(CLASSICAL)]
        median = {"median_moved": float(rows["moved"].median())} if len(rows) else {}
        return cases(rows, "fooled", MOST, above=False, **median)

    return ask


def layer_pays(tables: Tables) -> Answer:
    """The exact layer trained for a budget: less error under it and more without, than the one trained without."""
    rows = tables["layers"].set_index(["trained", "budget"])["error"]
    budgets = [budget for budget in tables["layers"]["budget"].unique() if budget > 0]
    met = sum(bool(rows[b, b] < rows[0.0, b] and rows[b, 0.0] > rows[0.0, 0.0]) for b in budgets)
    gains = {f"attacked error kept at {b:g}": float(rows[b, b] / rows[0.0, b]) for b in budgets}
    return tally(met, len(budgets) - met, **gains)


def hardened(tables: Tables, where: Callable[[pd.DataFrame], pd.Series[bool]], *, above: bool) -> Answer:
    """Change of the error against GPT-2 that was never attacked, on the same prompts."""
    rows = tables["hardened"]
    rows = rows[rows["trained"] > 0]
    return cases(rows[where(rows)], "change", 0.0, above=above)


def beside_squares(tables: Tables) -> Answer:
    """Attacked error of hardened GPT-2 less that of least squares, at the budgets of training.

    Both are of the same prompts; their errors are taken as independent, which widens the interval if they are alike.
    """
    rows = tables["hardened"]
    rows = rows[(rows["trained"] > 0) & (rows["trained"] == rows["budget"])]
    base = tables["squares"].set_index("budget").loc[rows["budget"]]
    less = rows["error"].to_numpy() - base["error"].to_numpy()
    low, high = normal_interval(less, np.hypot(rows["stderr"].to_numpy(), base["stderr"].to_numpy()))
    ratio = rows["error"].to_numpy() / base["error"].to_numpy()
    numbers = {"largest_part_of_least_squares": float(np.max(ratio))} if len(rows) else {}
    return cases(pd.DataFrame({"less": less, "less_low": low, "less_high": high}), "less", 0.0, above=False, **numbers)


QUESTIONS = questions_of(
    globals(),
    {
        "one-label": (partial(reached, kind="one"), {"threshold": NEARLY_ALL}),
        "all-labels": (partial(reached, kind="all"), {"threshold": NEARLY_ALL}),
        "smaller": (smaller, {"threshold": 1.0}),
        "every-position": (every_position, {"threshold": OVERLOOKED}),
        "transfer-models": (between("all", "models", "models"), {"threshold": MOST, "far": FOOLED}),
        "transfer-one": (between("one", "models", "models"), {"threshold": MOST, "far": FOOLED}),
        "to-least-squares": (between("all", "models", LEAST_SQUARES), {"threshold": MOST, "far": FOOLED}),
        "from-least-squares": (between("all", LEAST_SQUARES, "models"), {"threshold": MOST, "far": FOOLED}),
        "from-layer": (between("one", LAYER, "models"), {"threshold": MOST, "far": FOOLED}),
        "layer": layer_pays,
        "hardened": lambda tables: hardened(tables, lambda rows: rows["trained"] == rows["budget"], above=False),
        "stronger": lambda tables: hardened(tables, lambda rows: rows["budget"] > rows["trained"], above=False),
        "cost": lambda tables: hardened(tables, lambda rows: rows["budget"] == 0, above=True),
    },
)
