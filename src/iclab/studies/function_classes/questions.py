"""What the study of function classes asks of its tables."""

from __future__ import annotations

from collections.abc import Callable

from iclab.studies.contests import BAYES, MODEL, empty, hold, scaled, scores
from iclab.studies.function_classes.measure import CLASSICAL, LABELS, MIXTURE, POSTERIOR
from iclab.studies.study import Answer, Number, Question, Tables

# Error above Bayes, over that of an empty context above Bayes.
NEAR = 0.1


def _cases(tables: Tables) -> dict[tuple[str, str], dict[str, Number]]:
    """Class and targets to the scores at N, by predictor."""
    groups = tables["board"].groupby(["class", "targets"], sort=False)
    return {(str(key[0]), str(key[1])): scores(group) for key, group in groups}


def near_bayes(tables: Tables) -> Answer:
    """Whether models come near the Bayes predictor of their class."""
    found: dict[str, Number] = {}
    for (name, targets), each in _cases(tables).items():
        if BAYES in each and name != MIXTURE:
            case, best = f"{name}, {targets}", each[BAYES].value
            found[case] = scaled(each[MODEL], best, empty(tables["errors"], case) - best)
    return hold(found, NEAR, above=False)


def posterior_first(tables: Tables) -> Answer:
    """Whether training on posterior means ends in a smaller error than training on labels."""
    cases = _cases(tables)
    found: dict[str, Number] = {}
    for (name, targets), each in cases.items():
        if targets == POSTERIOR and (name, LABELS) in cases:
            own, other = each[MODEL], cases[name, LABELS][MODEL]
            found[name] = Number(own.value / other.value, own.low / other.high, own.high / other.low)
    return hold(found, 1.0, above=False)


def beats_classical(*names: str) -> Callable[[Tables], Answer]:
    """Whether models of some classes have a smaller error than every classical learner."""

    def ask(tables: Tables) -> Answer:
        found: dict[str, Number] = {}
        for (name, targets), each in _cases(tables).items():
            if name in names:
                best = min(each[other].value for other in CLASSICAL if other in each)
                found[f"{name}, {targets}"] = scaled(each[MODEL], 0.0, best)
        return hold(found, 1.0, above=False)

    return ask


QUESTIONS = (
    Question(
        "bayes",
        "Transformers come near the Bayes predictor of every class.",
        "Error at N above Bayes at most the threshold, as a share of that of an empty context above Bayes; by its "
        "interval over training seeds.",
        near_bayes,
        "Panwar et al. 2024",
        lead=True,
        thresholds={"share": NEAR},
    ),
    Question(
        "targets",
        "Training on posterior means ends in a smaller error than training on labels.",
        "Intervals over training seeds of the two errors at N do not overlap; one case per class.",
        posterior_first,
    ),
    Question(
        "distinct",
        "On trees and networks transformers do better than every classical learner that knows nothing of the class.",
        "Error at N below that of least squares, ridge, nearest neighbours and the lasso, by its interval.",
        beats_classical("trees", "networks"),
        "§1; Garg et al. 2022",
        lead=True,
    ),
    Question(
        "selection",
        "On a mixture of linear and sparse functions one transformer does better than ridge and the lasso.",
        "Error at N below that of every classical learner, by its interval over training seeds.",
        beats_classical(MIXTURE),
        "Bai et al. 2023",
    ),
)
