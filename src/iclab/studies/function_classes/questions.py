"""What the study of function classes asks of its tables."""

from __future__ import annotations

import math
from functools import partial

from iclab.foundations import normal_quantile
from iclab.studies.contests import BAYES, MODEL, empty, hold, over_seeds, scaled, scores
from iclab.studies.folder import questions_of
from iclab.studies.function_classes.measure import (
    CLASSES,
    CLASSICAL,
    FITTED,
    LABELS,
    LEAST_SQUARES,
    MIXTURE,
    POSTERIOR,
    RIDGE,
    STRUCTURED,
)
from iclab.studies.study import Answer, Number, Tables, counted

# Error above Bayes, over that of an empty context above Bayes.
NEAR = 0.1
ALL = tuple(name for name in CLASSES if name != MIXTURE)


def _cases(tables: Tables) -> dict[tuple[str, str], dict[str, Number]]:
    """Class and targets to the scores at N, by predictor."""
    groups = tables["board"].groupby(["class", "targets"], sort=False)
    return {(str(key[0]), str(key[1])): scores(group) for key, group in groups}


def near_bayes(tables: Tables, *, names: tuple[str, ...] = ALL, near: bool = True) -> Answer:
    """Whether models of some classes come near the Bayes predictor of their class, or stay away from it."""
    found: dict[str, Number] = {}
    for (name, targets), each in _cases(tables).items():
        if BAYES in each and name in names:
            case, best = f"{name}, {targets}", each[BAYES].value
            found[case] = scaled(each[MODEL], best, empty(tables["errors"], case) - best)
    return hold(found, NEAR, above=not near)


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
            best = min(each[other].value for other in (*CLASSICAL, *FITTED) if other in each)
            found[f"{name}, {targets}"] = scaled(each[MODEL], 0.0, best)
    return hold(found, 1.0, above=False)


def nearest(tables: Tables) -> Answer:
    """Whether answers of models are nearer to some other learner than to least squares and ridge, by class and seed."""
    rows = tables["readouts"]
    rows = rows[(rows["read"] == "answer") & rows["class"].isin(STRUCTURED)]
    met, missed, numbers = [], [], {}
    for (name, seed), own in rows.groupby(["class", "training_seed"], sort=False):
        squares = own["algorithm"].isin((LEAST_SQUARES, RIDGE))
        best = [own[side].sort_values("distance").iloc[0] for side in (~squares, squares)]
        gap = best[1]["distance"] - best[0]["distance"]
        reach = normal_quantile() * math.hypot(best[0]["stderr"], best[1]["stderr"])
        met.append(gap > reach)
        missed.append(gap < -reach)
        numbers[f"{name}, seed {seed}: {best[0]['algorithm']}"] = float(best[0]["distance"])
        numbers[f"{name}, seed {seed}: {best[1]['algorithm']}"] = float(best[1]["distance"])
    return counted(met, missed, **numbers)


def apart(tables: Tables) -> Answer:
    """Whether models of two classes lie farther apart than models of one class with other seeds."""
    rows = tables["apart"]
    found: dict[str, Number] = {}
    for name, own in rows.groupby("class", sort=False):
        wide = own.pivot_table(index="training_seed", columns="against", values="distance")
        for other in [column for column in wide.columns if column != name]:
            found[f"{other} on {name}"] = over_seeds((wide[other] / wide[name]).to_numpy(float))
    return hold(found, 1.0, above=True)


QUESTIONS = questions_of(
    globals(),
    {
        "bayes": (near_bayes, {"share": NEAR}),
        "targets": posterior_first,
        "conjunctions": (partial(near_bayes, names=("conjunctions",)), {"share": NEAR}),
        "parities": (partial(near_bayes, names=("sparse parities",), near=False), {"share": NEAR}),
        "distinct": partial(beats_classical, names=STRUCTURED),
        "selection": partial(beats_classical, names=(MIXTURE,)),
    },
)
