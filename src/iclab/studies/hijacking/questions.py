"""What the study of hijacking asks of its tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from iclab.studies.folder import questions_of
from iclab.studies.hijacking.exact import CLASSICAL, LAYER, LEAST_SQUARES
from iclab.studies.hijacking.measure import FOOLED
from iclab.studies.study import Answer, Tables, cases, counted, tally

ANWAR = "Anwar et al. 2024"
# Share of prompts that counts as nearly all, and as most.
NEARLY_ALL, MOST = 0.9, 0.5


def attacks(tables: Tables, kind: str, *, trained: bool) -> pd.DataFrame:
    """Attacks of a kind on trained models or classical learners."""
    rows = tables["attacks"]
    return rows[(rows["kind"] == kind) & (rows["trained"] == trained)]


def exact(tables: Tables) -> Answer:
    """Classical learners that predict the target from the label that was solved for, on every prompt."""
    rows = attacks(tables, "one", trained=False)
    return counted(rows["reached"] == 1, **{"largest_size": float(rows["size"].max())})


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
    """Attacked error of hardened GPT-2 against that of least squares, at the budgets of training."""
    rows = tables["hardened"]
    rows = rows[(rows["trained"] > 0) & (rows["trained"] == rows["budget"])]
    base = tables["squares"].set_index("budget")["error"]
    ratio = rows["error"].to_numpy() / base.loc[rows["budget"]].to_numpy()
    numbers = {"largest_part_of_least_squares": float(np.max(ratio))} if len(rows) else {}
    return counted(rows["error"].to_numpy() < base.loc[rows["budget"]].to_numpy(), **numbers)


QUESTIONS = questions_of(
    __file__,
    {
        "exact": exact,
        "one-label": (
            lambda tables: cases(attacks(tables, "one", trained=True), "reached", NEARLY_ALL),
            {"threshold": NEARLY_ALL},
        ),
        "all-labels": (
            lambda tables: cases(attacks(tables, "all", trained=True), "reached", NEARLY_ALL),
            {"threshold": NEARLY_ALL},
        ),
        "smaller": (
            lambda tables: cases(attacks(tables, "all", trained=True), "ratio", 1.0, above=False),
            {"threshold": 1.0},
        ),
        "transfer-models": (between("all", "models", "models"), {"threshold": MOST, "far": FOOLED}),
        "transfer-one": (between("one", "models", "models"), {"threshold": MOST, "far": FOOLED}),
        "to-least-squares": (between("all", "models", LEAST_SQUARES), {"threshold": MOST, "far": FOOLED}),
        "from-least-squares": (between("all", LEAST_SQUARES, "models"), {"threshold": MOST, "far": FOOLED}),
        "from-layer": (between("one", LAYER, "models"), {"threshold": MOST, "far": FOOLED}),
        "layer": layer_pays,
        "hardened": lambda tables: hardened(tables, lambda rows: rows["trained"] == rows["budget"], above=False),
        "stronger": lambda tables: hardened(tables, lambda rows: rows["budget"] > rows["trained"], above=False),
        "cost": lambda tables: hardened(tables, lambda rows: rows["budget"] == 0, above=True),
        "beside-squares": beside_squares,
    },
)
