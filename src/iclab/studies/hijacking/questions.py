"""What the study of hijacking asks of its tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from iclab.studies.hijacking.exact import CLASSICAL, LAYER, LEAST_SQUARES
from iclab.studies.hijacking.measure import FOOLED
from iclab.studies.study import Answer, Question, Tables, cases, verdict_of

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
    met = int((rows["reached"] == 1).sum())
    return Answer(
        verdict_of(met, len(rows) - met), met, len(rows) - met, 0, {"largest_size": float(rows["size"].max())}
    )


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
    return Answer(verdict_of(met, len(budgets) - met), met, len(budgets) - met, 0, gains)


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
    met = int((rows["error"].to_numpy() < base.loc[rows["budget"]].to_numpy()).sum())
    ratio = rows["error"].to_numpy() / base.loc[rows["budget"]].to_numpy()
    numbers = {"largest_part_of_least_squares": float(np.max(ratio))} if len(rows) else {}
    return Answer(verdict_of(met, len(rows) - met), met, len(rows) - met, 0, numbers)


QUESTIONS = (
    Question(
        "exact",
        "One changed label makes every classical learner predict anything.",
        "The label that is solved for gives the target on every prompt.",
        exact,
        ANWAR,
        lead=True,
    ),
    Question(
        "one-label",
        "One changed label makes the trained models predict what is wanted.",
        "95 % interval of the share of prompts on which a gradient attack reaches the target above the threshold.",
        lambda tables: cases(attacks(tables, "one", trained=True), "reached", NEARLY_ALL),
        ANWAR,
        lead=True,
        thresholds={"threshold": NEARLY_ALL},
    ),
    Question(
        "all-labels",
        "With all labels free, the trained models are forced on nearly every prompt.",
        "95 % interval of the share of prompts on which a gradient attack reaches the target above the threshold.",
        lambda tables: cases(attacks(tables, "all", trained=True), "reached", NEARLY_ALL),
        ANWAR,
        thresholds={"threshold": NEARLY_ALL},
    ),
    Question(
        "smaller",
        "Trained models are forced by smaller changes of all labels than least squares.",
        "95 % interval of the median ratio of sizes on the same prompts below the threshold.",
        lambda tables: cases(attacks(tables, "all", trained=True), "ratio", 1.0, above=False),
        thresholds={"threshold": 1.0},
    ),
    Question(
        "transfer-models",
        "Attacks transfer poorly between trained models.",
        "95 % interval of the share of prompts on which another model moves at least half as far as wanted below the "
        "threshold; all labels free.",
        between("all", "models", "models"),
        ANWAR,
        lead=True,
        thresholds={"threshold": MOST, "far": FOOLED},
    ),
    Question(
        "transfer-one",
        "So do attacks with one label.",
        "As above, one label.",
        between("one", "models", "models"),
        ANWAR,
        thresholds={"threshold": MOST, "far": FOOLED},
    ),
    Question(
        "to-least-squares",
        "Attacks on trained models do not transfer to least squares.",
        "As above, from every model to least squares; all labels free.",
        between("all", "models", LEAST_SQUARES),
        ANWAR,
        thresholds={"threshold": MOST, "far": FOOLED},
    ),
    Question(
        "from-least-squares",
        "Attacks on least squares do not transfer to trained models.",
        "As above, from least squares to every model; all labels free.",
        between("all", LEAST_SQUARES, "models"),
        thresholds={"threshold": MOST, "far": FOOLED},
    ),
    Question(
        "from-layer",
        "The attack on one linear layer does not transfer to trained models.",
        "As above, from the layer to every model, one label.",
        between("one", LAYER, "models"),
        ANWAR,
        thresholds={"threshold": MOST, "far": FOOLED},
    ),
    Question(
        "layer",
        "Of one layer, robustness is bought with accuracy.",
        "Exact: at every budget the layer trained for it errs less under it, and more without, than the plain one.",
        layer_pays,
    ),
    Question(
        "hardened",
        "Adversarial training makes GPT-2 more robust.",
        "95 % interval of the change of the attacked error below zero, at the budget of training.",
        lambda tables: hardened(tables, lambda rows: rows["trained"] == rows["budget"], above=False),
        ANWAR,
        lead=True,
    ),
    Question(
        "stronger",
        "It does so under larger budgets than those of training.",
        "95 % interval of the change of the attacked error below zero, at every larger budget.",
        lambda tables: hardened(tables, lambda rows: rows["budget"] > rows["trained"], above=False),
        ANWAR,
    ),
    Question(
        "cost",
        "It costs accuracy on prompts that nobody attacks.",
        "95 % interval of the change of the error without attack above zero.",
        lambda tables: hardened(tables, lambda rows: rows["budget"] == 0, above=True),
    ),
    Question(
        "beside-squares",
        "Hardened GPT-2 errs less under attack than least squares.",
        "Mean attacked error below that of least squares, which is exact, at the budget of training.",
        beside_squares,
    ),
)
