"""What the study of mixers asks of its tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd

from iclab.studies.contests import MODEL, empty, hold, over_seeds, scaled, scores
from iclab.studies.folder import questions_of
from iclab.studies.study import Answer, Number, Tables

# How near a trained layer comes to its learner: the ratio of errors may be this much above 1.
WITHIN = 0.05
# A model has learned a problem when its score is at most this share of the way from Bayes, or the best reference, to
# predicting without a context.
LEARNED = 0.1
# The model that has several layers of a mixer.
OF_LAYER = {"linear attention": "linear", "delta rule": "delta", "mesa": "mesa"}
ATTENTION, RECURRENT = ("softmax",), ("mamba2", "lstm")


def exact_layers(tables: Tables) -> Answer:
    """Whether trained layers reach the error of their exact learner."""
    rows = tables["layers"]
    rows = rows[rows["exact"] > 0]
    found: dict[str, Number] = {}
    for layer, group in rows.groupby("layer", sort=False):
        last = group[group["position"] == group["position"].max()]
        found[str(layer)] = over_seeds(last["ratio"].to_numpy(float))
    return hold(found, 1 + WITHIN, above=False)


def learned(problems: tuple[str, ...], models: tuple[str, ...], *, holds: bool = True) -> Callable[[Tables], Answer]:
    """Whether models of some kinds have learned problems, or have not."""

    def ask(tables: Tables) -> Answer:
        board = tables["board"]
        rows = board[board["problem"].isin(problems) & board["model"].isin(models)]
        found: dict[str, Number] = {}
        for case, group in rows.groupby("case", sort=False):
            each = scores(group)
            own = each.pop(MODEL)
            best = min(number.value for number in each.values())
            found[str(case)] = scaled(own, best, empty(tables["errors"], str(case)) - best)
        return hold(found, LEARNED, above=not holds)

    return ask


def _at_n(tables: Tables, case: str) -> pd.Series:
    """A case's score at N by training seed."""
    rows = tables["errors"]
    rows = rows[(rows["case"] == case) & (rows["predictor"] == MODEL)]
    return rows[rows["position"] == rows["position"].max()].set_index("training_seed")["mean"]


def better(tables: Tables, *, problem: str, one: str, other: str) -> Answer:
    """Whether one mixer has a smaller score than another one on a problem, seeds paired."""
    ratio = (_at_n(tables, f"{problem}: {one}") / _at_n(tables, f"{problem}: {other}")).dropna()
    found = {f"{one} over {other}": over_seeds(ratio.to_numpy(float))} if len(ratio) else {}
    return hold(found, 1.0, above=False)


def deeper(tables: Tables) -> Answer:
    """Whether models of several layers have a smaller error at N than the exact learner of one layer."""
    rows = tables["layers"]
    rows = rows[(rows["position"] == rows["position"].max()) & (rows["exact"] > 0)]
    found: dict[str, Number] = {}
    for layer, learner in rows.groupby("layer", sort=False)["learner"].first().items():
        own = _at_n(tables, f"linear: {OF_LAYER[str(layer)]}")
        if len(own):
            found[str(layer)] = over_seeds(own.to_numpy(float) / learner)
    return hold(found, 1.0, above=False)


QUESTIONS = questions_of(
    globals(),
    {
        "layers": (exact_layers, {"threshold": WITHIN}),
        "regression": (learned(("linear", "sparse"), (*ATTENTION, *RECURRENT)), {"share": LEARNED}),
        "parity": (learned(("parity",), ("mamba2",)), {"share": LEARNED}),
        "parity_attention": (learned(("parity",), ATTENTION, holds=False), {"share": LEARNED}),
        "outliers": partial(better, problem="outliers", one="mamba2", other="softmax"),
        "recall": (learned(("recall",), RECURRENT, holds=False), {"share": LEARNED}),
        "hybrid": (learned(("linear", "sparse", "parity", "outliers", "recall"), ("hybrid",)), {"share": LEARNED}),
    },
)
