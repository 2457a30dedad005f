"""What the study of mixers asks of its tables."""

from __future__ import annotations

from collections.abc import Callable

from iclab.studies.contests import MODEL, empty, hold, over_seeds, scaled, scores
from iclab.studies.study import Answer, Number, Question, Tables

# How near a trained layer comes to its learner: the ratio of errors may be this much above 1.
WITHIN = 0.05
# A model has learned a problem when its score is at most this share of the way from Bayes, or the best reference, to
# predicting without a context.
LEARNED = 0.1
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


QUESTIONS = (
    Question(
        "layers",
        "One trained layer of linear attention, of the delta rule and of Mesa reaches the error of its exact learner.",
        "Ratio of errors at the last position where the exact one is positive at most one plus the threshold, by its "
        "interval over training seeds.",
        exact_layers,
        lead=True,
        thresholds={"threshold": WITHIN},
    ),
    Question(
        "regression",
        "Mamba-2 and an LSTM learn linear and sparse functions as softmax attention does.",
        "Share of the way from the best reference to an empty context at most the threshold, by its interval.",
        learned(("linear", "sparse"), (*ATTENTION, *RECURRENT)),
        "Park et al. 2024",
        thresholds={"share": LEARNED},
    ),
    Question(
        "parity",
        "Mamba-2 learns sparse parity.",
        "Share of the way from Bayes to an empty context at most the threshold, by its interval.",
        learned(("parity",), ("mamba2",)),
        "Park et al. 2024",
        thresholds={"share": LEARNED},
    ),
    Question(
        "parity_attention",
        "Softmax attention does not learn sparse parity.",
        "Share of the way from Bayes to an empty context above the threshold, by its interval.",
        learned(("parity",), ATTENTION, holds=False),
        "Park et al. 2024",
        thresholds={"share": LEARNED},
    ),
    Question(
        "recall",
        "Models with a state of fixed size do not learn recall.",
        "Share of the way from Bayes to an empty context above the threshold, by its interval.",
        learned(("recall",), RECURRENT, holds=False),
        "Park et al. 2024; Arora et al. 2023",
        thresholds={"share": LEARNED},
    ),
    Question(
        "hybrid",
        "A hybrid of Mamba-2 and attention learns every problem.",
        "Share of the way from the best reference to an empty context at most the threshold, by its interval.",
        learned(("linear", "sparse", "parity", "outliers", "recall"), ("hybrid",)),
        "Park et al. 2024",
        lead=True,
        thresholds={"share": LEARNED},
    ),
)
