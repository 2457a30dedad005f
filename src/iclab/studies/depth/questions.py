"""What the study of depth asks of its tables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import t as student

from iclab.flow.deep import GD_PLUS
from iclab.foundations import normal_quantile
from iclab.studies.depth.comparisons import ALL, BETTER, LABELS, UNDECIDED, WORSE, beyond_cut, least, verdict
from iclab.studies.depth.contexts import OWN, RANDOM
from iclab.studies.depth.limit import descent_limit
from iclab.studies.depth.measures import BATCHES
from iclab.studies.depth.models import CONVERGED, LINEAR, SOFTMAX
from iclab.studies.depth.references import LEAST_SQUARES
from iclab.studies.folder import questions_of
from iclab.studies.rows import at_last, where
from iclab.studies.study import Answer, Number, Tables, Verdict, counted

# Standard errors within which a fit agrees with its exact minimum.
AGREES = 3.0
# Share of bootstrap samples that have to agree on the nearest algorithm, and distances that count as near.
SURE, NEAR = 0.95, 0.1
# Level at which the largest of many derivatives is still taken for noise.
LEVEL = 0.05


def _counted(says: pd.Series, **numbers: float | Number) -> Answer:
    """An answer of better, worse and undecided."""
    known = says[says.isin([BETTER, WORSE, UNDECIDED])]
    return counted(known == BETTER, known == WORSE, **numbers)


def lessens(tables: Tables) -> Answer:
    """Whether every further untied layer lowers the least error found as N → ∞ under random covariances."""
    untied = where(tables["limit"], form=GD_PLUS, tied=False).sort_values("layers")
    error, deepest = untied["error"], int(untied["layers"].iloc[-1])
    numbers = {"one layer": float(error.iloc[0]), f"{deepest} layers": float(error.iloc[-1])}
    numbers[f"{deepest} steps of descent"] = descent_limit(deepest)
    return counted(np.diff(error) < 0, **numbers)


def learned(tables: Tables) -> Answer:
    """Whether untied linear layers of random covariances beat the zero predictor in the mean on fresh prompts."""
    rows = where(tables["models"], inputs=RANDOM, attention=LINEAR, form=GD_PLUS, tied=False)
    rows = rows.rename(columns={"test": "error", "test_stderr": "stderr"})
    reach = normal_quantile() * rows["stderr"]
    lower = np.maximum(rows["error"] - reach, [least(row) for _, row in rows.iterrows()])
    below, above = rows["error"] + reach < 1, lower > 1
    numbers = {f"median, {row['layers']} layers": row["median"] for _, row in rows[above].iterrows()}
    return counted(below & ~above, above, **numbers)


def compared(
    tables: Tables, *, against: str, attention: str = LINEAR, tied: bool | None = None, deep: bool = False
) -> Answer:
    """Whether models have the smaller mean error, with the range of the share of prompts on which they do."""
    rows = where(tables["compared"], against=against, learner=attention)
    rows = rows if tied is None else where(rows, tied=tied)
    rows = rows[rows["layers"] > 1] if deep else rows
    ends = rows["better"].agg(["min", "max"]).astype(float)
    share = {"better on, least share": ends["min"], "largest": ends["max"]} if len(rows) else {}
    return _counted(rows["says"], **share, **{"means that rare prompts carry": float(rows["rare"].sum())})


def overfitting(tables: Tables) -> Answer:
    """Where freed weights raise the error, whether the training error falls: then it is overfitting."""
    rows, models = tables["compared"], tables["models"].set_index(["inputs", "attention", "form", "tied", "layers"])
    rises = where(rows, against=[LABELS, ALL], says=WORSE)
    narrower = {LABELS: GD_PLUS, ALL: "invariant"}
    met: list[bool] = []
    for _, row in rises[rises["layers"] > 1].iterrows():
        forms = (row["form"], narrower[row["against"]])
        both = np.array([models.loc[(row["inputs"], LINEAR, form, False, row["layers"]), "train"] for form in forms])
        met.append(bool(both[0] < both[1]))
    return counted(met)


def agreement(tables: Tables) -> Answer:
    """Whether one layer as fitted has the error of the exact minimum."""
    models = tables["models"]
    one = models[models["exact"].notna() & (models["form"] == GD_PLUS)]
    z = (one["test"] - one["exact"]) / one["test_stderr"]
    return counted(z.abs() < AGREES, **{"largest |z|": float(z.abs().max())})


def shifts(tables: Tables) -> Answer:
    """Whether linear attention has the smaller mean under shifts of the inputs; and how often errors at most double."""
    shifted = tables["shifted"].set_index(["inputs", "layers", "test", "c"])
    linear, soft = (where(shifted, learner=name) for name in (LINEAR, SOFTMAX))
    soft = soft.loc[linear.index]
    numbers = {"smaller medians": float((linear["median"] < soft["median"]).sum())}
    for name, rows in (("linear", linear), ("softmax", soft)):
        doubled = (rows["error"] <= 2 * rows["own_error"]) & (rows["median"] <= 2 * rows["own_median"])
        numbers[f"at most doubled, {name}"] = float(doubled.sum())
    return counted(linear["error"] < soft["error"], **numbers)


def fourfold(tables: Tables) -> Answer:
    """Whether a further untied layer lowers the mean error on fourfold covariances; medians apart."""
    errors = tables["errors"]
    there = where(errors, test=OWN, c=4, form=GD_PLUS, learner=LINEAR, tied=False)
    trace = 4 * _dimension(tables)
    said: list[str] = []
    fall = 0
    for _, rows in there.groupby("inputs", sort=False):
        ordered = [row for _, row in rows.sort_values("layers").iterrows()]
        for before, after in pairwise(ordered):
            reach = normal_quantile() * (before["stderr"] + after["stderr"])  # at least that of the pairs
            difference = after["error"] - before["error"]
            said.append(verdict(after, before, difference - reach, difference + reach, trace))
            fall += after["median"] < before["median"]
    cut = sum(beyond_cut(row, trace) > 0 for _, row in there.iterrows())
    numbers = {"medians that fall": float(fall), "means that cut errors set": float(cut)}
    return _counted(pd.Series(said, dtype=object), **numbers)


def _dimension(tables: Tables) -> int:
    """d: the GD++ form of Λ = I has two numbers a layer; the full one has 2(d + 1)²."""
    models = tables["models"]
    full = where(models, form="full").iloc[0]
    return round(float(np.sqrt(full["numbers"] / full["layers"] / 2))) - 1


def remedy(tables: Tables, *, name: str, layers: int = 1) -> Answer:
    """Whether layers on inputs so treated have a smaller error than one plain layer, by inputs and noise."""
    rows = where(tables["remedies"].query("scale == 1"), remedy=name, layers=layers)
    random = where(rows, inputs=RANDOM, noise=0)
    if random.empty:
        return _counted(rows["says"])
    error, stderr = (float(random[column].iloc[0]) for column in ("error", "stderr"))
    return _counted(rows["says"], **{"error, random Λ": Number(error, stderr=stderr)})


def nearest(tables: Tables, *, attention: str) -> Answer:
    """Whether untied layers have one nearest classical algorithm, within a tenth of the mean squared target."""
    table, distances = tables["nearest"], tables["distances"]
    rows = where(at_last(table, "position"), learner=attention, tied=False)
    near = rows["nearest"] == rows["closest"]
    sure = near & (rows["frequency"] >= SURE)
    exact = where(distances, candidate=LEAST_SQUARES, position=table["position"].max(), learner=attention, tied=False)
    numbers = {"as near to least squares": float((exact["distance"] <= NEAR).sum())}
    return counted(sure, ~near, **numbers)


def symmetric(tables: Tables, *, which: str) -> Answer:
    """Whether derivatives of log risk at converged optima of the GD++ form vanish; |z| of the largest of so many."""
    models = tables["models"]
    ended = models[(models["slope"] <= CONVERGED) & (models["form"] == GD_PLUS) & ~models["tied"]]
    slopes = tables["stationarity"].merge(ended[["inputs", "layers"]], on=["inputs", "layers"])
    diagonal = slopes["row"] == slopes["column"]
    labels = diagonal & (slopes["matrix"] == "W^KQ") & (slopes["row"] == slopes["row"].max())
    chosen = {"off-diagonal": ~diagonal, "diagonal": diagonal & ~labels, "labels": labels & (slopes["layers"] > 1)}
    z = slopes.loc[chosen[which] & (slopes["z"] != 0), "z"].abs()
    if z.empty:
        return Answer(Verdict.UNDECIDED)
    # |z| that the largest of so many exceeds in 5 % of cases, by Student's distribution of the batches' mean.
    bound = float(student.isf(LEVEL / 2 / len(z), BATCHES - 1))
    return counted(z <= bound, **{"largest |z|": float(z.max()), "bound": bound})


QUESTIONS = questions_of(globals())
