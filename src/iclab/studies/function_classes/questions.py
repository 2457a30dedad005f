"""What the study of function classes asks of its tables."""

from __future__ import annotations

from functools import partial

from iclab.studies.contests import BAYES, MODEL, empty, hold, scaled, scores
from iclab.studies.folder import questions_of
from iclab.studies.function_classes.measure import CLASSICAL, LABELS, MIXTURE, POSTERIOR
from iclab.studies.study import Answer, Number, Tables

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


def beats_classical(tables: Tables, *, names: tuple[str, ...]) -> Answer:
    """Whether models of some classes have a smaller error than every classical learner."""
    found: dict[str, Number] = {}
    for (name, targets), each in _cases(tables).items():
        if name in names:
            best = min(each[other].value for other in CLASSICAL if other in each)
            found[f"{name}, {targets}"] = scaled(each[MODEL], 0.0, best)
    return hold(found, 1.0, above=False)


QUESTIONS = questions_of(
    globals(),
    {
        "bayes": (near_bayes, {"share": NEAR}),
        "targets": posterior_first,
        "distinct": partial(beats_classical, names=("trees", "networks")),
        "selection": partial(beats_classical, names=(MIXTURE,)),
    },
)
