"""What the table of tolerated shifts says, in sentences and short tables made from its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import plural
from iclab.prompts import shift
from iclab.studies.shifts import TOLERANCE
from iclab.studies.tolerance_problems import SAME_LAW, SAME_NOISE

CLASSICAL, LSA, TRAINED = "classical", "LSA", "transformer"
# Verdict where a predictor meets the law that it was made for.
OWN = "own law"
# The law that a family was made for, which is what is shifted.
MADE_FOR = {"fixed": "N(0, I)", "random": "random covariances"}
# What is shifted by a member that is a law of x itself.
ITSELF = "a law itself"
# A predictor whose excess is above this on its own law has little to lose by a shift; a trained model has not learned.
LEARNED = 0.5
_KINDS = {
    "task": "other tasks",
    "labels": "scaled and noisy labels",
    "query": "other queries",
    "inputs": "other inputs",
}
# What the paper says that the layer tolerates.
_BENIGN = ("task", "labels", "query")
# Growth beyond which a figure says no more.
_BEYOND = 1e6
# By how much the error of a tolerated shift may have grown.
_FOLD = (10, 100)
# Measured differences below this are zero but for rounding.
_ROUNDING = 1e-9
_SQUARES = "least squares"


def captions(n_test: int) -> dict[str, str]:
    """Captions of the tables."""
    return {
        "groups": "Who tolerates what, models of a kind together: shifts of the law that each was made for, tolerated "
        "of all; those that every model tolerates and the layer of the same law does not; those that least squares "
        "tolerates on the same prompts and none of the models",
        "overview": "The same by predictor and by what is shifted, and the worst shift not tolerated, with its growth "
        f"and 95 % interval. An excess above {LEARNED:g} on the own law leaves little to lose",
        "models": "The trained models; a run is trained once for all pages that show it",
        "shifts": "What the shifts do",
        "cells": f"Every predictor under every shift at M = {n_test} (orthogonal queries: d − 1): what is shifted; "
        "error over the zero estimator's; the same of the best predictor; excess on the own law with its bootstrap "
        "standard error; its growth with 95 % interval; error over the unshifted one; verdict; raw error; error of "
        "zero, exact where known; exact error of LSA likewise, with the z-score",
    }


def definitions(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per shift: what it changes, and how."""
    kinds = cells.drop_duplicates("shift").set_index("shift")["kind"]
    rows = [{"shift": name, "changes": kind, "definition": shift(str(name)).definition} for name, kind in kinds.items()]
    return pd.DataFrame(rows).replace({"definition": {shift("standard").definition: "Inputs with covariance I."}})


def overview(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per predictor: what it was made for, its excess there, the tolerated shifts by kind, and the worst."""
    rows = []
    for (name, family), own in cells.groupby(["predictor", "family"], sort=False):
        at_m = own[own["M"] == own["M"].max()].iloc[0]
        row: dict[str, Any] = {
            "predictor": name,
            "own law": MADE_FOR[str(family)],
            "excess on it": at_m["unshifted"],
            "stderr": at_m["unshifted_stderr"],
        }
        shifted = counted(own)
        row |= {label: _tally(shifted[shifted["kind"] == kind]) for kind, label in _KINDS.items()}
        failing = shifted[shifted["verdict"] == "does not"].sort_values("growth", ascending=False)
        row["worst"] = f"{failing.iloc[0]['shift']}: {_interval(failing.iloc[0])}" if len(failing) else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def groups(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per kind of predictor and law: tolerated shifts, and where the layer and least squares differ."""
    shifted = counted(cells)
    judged = shifted[shifted["predictor"].isin(learned_models(cells))]
    squares = shifted[shifted["predictor"] == _SQUARES]
    rows: list[dict[str, Any]] = []

    def add(who: str, family: str, own: pd.DataFrame, layer: pd.DataFrame) -> None:
        alike = own["shift"].map(own.groupby("shift")["verdict"].nunique()) == 1
        every, none = (own[alike & (own["verdict"] == verdict)] for verdict in ("tolerates", "does not"))
        # Prompts are the same where the law shifted is.
        compared = [(every, layer, "does not"), (none, squares if family == "fixed" else squares[:0], "tolerates")]
        differing = [
            ", ".join(
                dict.fromkeys(mine.loc[mine["shift"].isin(given.loc[given["verdict"] == said, "shift"]), "shift"])
            )
            for mine, given, said in compared
        ]
        rows.append(
            {
                "who": who,
                "made for": MADE_FOR[family],
                "models": own["predictor"].nunique(),
                "tasks, labels, queries": _tally(own[own["kind"].isin(_BENIGN)]),
                "other inputs": _tally(own[~own["kind"].isin(_BENIGN)]),
                "unlike the layer, tolerated by all": differing[0] or "–",
                "unlike least squares, tolerated by none": differing[1] or "–",
            }
        )

    add(_SQUARES, "fixed", squares, squares[:0])
    for family in MADE_FOR:
        layer = shifted[(shifted["group"] == LSA) & (shifted["family"] == family)]
        add("the layer (LSA)", family, layer, layer[:0])
        for reads, own in judged[judged["family"] == family].groupby("reads", sort=False):
            add(f"transformers, {reads}", family, own, layer)
    return pd.DataFrame(rows)


def counts(cells: pd.DataFrame) -> pd.DataFrame:
    """How many shifts of each kind a predictor tolerates, does not tolerate, and leaves open."""
    rows = []
    for (name, group, kind), own in counted(cells).groupby(["predictor", "group", "kind"], sort=False):
        verdicts = own["verdict"].value_counts()
        rows.append(
            {
                "predictor": name,
                "group": group,
                "kind": kind,
                "tolerates": int(verdicts.get("tolerates", 0)),
                "does not": int(verdicts.get("does not", 0)),
                "undecided": int(verdicts.get("undecided", 0)),
                "shifts": len(own),
            }
        )
    return pd.DataFrame(rows)


def _tally(rows: pd.DataFrame) -> str:
    """How many of the cells are tolerated, of all, and how many undecided."""
    undecided = int((rows["verdict"] == "undecided").sum())
    return f"{int((rows['verdict'] == 'tolerates').sum())} of {len(rows)}" + (
        f", {undecided} undecided" if undecided else ""
    )


def counted(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that are shifts of the law that the predictor was made for, each of them once."""
    again = (cells["family"] == "random") & cells["shift"].isin(SAME_LAW)
    return cells[(cells["verdict"] != OWN) & ~again & (cells["shift"] != SAME_NOISE)]


def learned_models(cells: pd.DataFrame) -> list[str]:
    """The trained models that have learned enough to be judged."""
    trained = cells[cells["group"] == TRAINED]
    return [str(name) for name, own in trained.groupby("predictor", sort=False) if own["unshifted"].max() <= LEARNED]


def not_learned(cells: pd.DataFrame) -> list[str]:
    """The trained models that have not."""
    trained = dict.fromkeys(str(name) for name in cells[cells["group"] == TRAINED]["predictor"])
    judged = learned_models(cells)
    return [name for name in trained if name not in judged]


def sentences(tables: Mapping[str, pd.DataFrame], told: Mapping[str, Any], missing: Sequence[str]) -> list[str]:
    """The paragraphs of the page."""
    cells, d, m = counted(tables["cells"]), told["dimension"], told["n_test"]
    judged = learned_models(cells)
    trained = list(dict.fromkeys(cells[cells["group"] == TRAINED]["predictor"]))
    return [
        f"{cells['predictor'].nunique()} predictors meet {_shifts(cells)} at d = {d} with M = {m} "
        f"examples in context (M = d − 1 where the query is orthogonal to its context), on {told['n_prompts']:,} "
        "prompts, the same for all. Excess: error less that of the best predictor for the shifted problem (Bayes for "
        f"linear tasks; for quadratic ones zero, the best predictor linear in x{_better(cells)}), over the zero "
        "estimator's error.",
        f"Every predictor is judged against itself on the law that it was made for. {_bases(cells)} Shifts of labels, "
        "queries, tasks and inputs are applied to that law. Standard normal inputs and the random covariances "
        "c · diag(λ) are laws themselves; for a predictor made for another law they count as shifts of the inputs. "
        "Tabulated but not counted, because others are the same: random inputs times 2 and 3, whose laws are c = 4 "
        f"and 9, and {SAME_NOISE}, which is noise=1 with labels in other units{_in_other_units(tables['cells'])}."
        f"{_rotated(cells)}",
        f"A shift is tolerated when the excess grows by at most {TOLERANCE:g} over that on the own law; it is not when "
        "the growth exceeds it; it is undecided when the 95 % interval of the paired bootstrap holds both.",
        *_availability(trained, judged, missing, d),
        _against_the_paper(cells),
        *_beyond_squares(tables["groups"]),
        *_exactness(cells),
    ]


def summary(tables: Mapping[str, pd.DataFrame], told: Mapping[str, Any]) -> list[str]:
    """The lines for the first page: who tolerates how many shifts of which law, and what tolerated ones cost."""
    cells = counted(tables["cells"])
    judged = cells[cells["predictor"].isin(learned_models(cells))]
    said: list[str] = []
    for family in MADE_FOR:
        layer = cells[(cells["group"] == LSA) & (cells["family"] == family)]
        models = judged[judged["family"] == family]
        said.append(f"{_tolerated(layer)} of {len(layer)} shifts")
        if len(models):
            said[-1] += f", transformers {_tolerated(models)} ({plural(models['predictor'].nunique(), 'model')})"
    fixed, random = MADE_FOR.values()
    text = f"At d = {told['dimension']}, trained on {fixed} the linear layer tolerates {said[0]}; on {random} {said[1]}"
    if judged.empty:
        text += "; no transformer that learned its task is at hand"
    return [f"{text}: the excess error grows by at most {TOLERANCE:g} of that of predicting 0.", *_grown(judged)]


def _tolerated(cells: pd.DataFrame) -> str:
    return _range((cells["verdict"] == "tolerates").groupby(cells["predictor"]).sum())


def _shifts(cells: pd.DataFrame) -> str:
    """How many shifts a predictor meets, by the law that it was made for."""
    counts = cells.groupby(["family", "predictor"]).size().groupby("family").max()
    listed = [f"{count} shifts of {MADE_FOR[str(family)]}" for family, count in counts.items()]
    return _and(listed)


def _range(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low}–{high}"


def _better(cells: pd.DataFrame) -> str:
    """Who does better on a task than the best predictor linear in x."""
    task = cells[cells["kind"] == "task"]
    best = task["best"] * task["zero"]
    names = list(dict.fromkeys(task[task["error"] + 1.96 * task["stderr"] < best]["predictor"].astype(str)))
    return f", but {_and(names)} {'does' if len(names) == 1 else 'do'} better" if names else ""


def _in_other_units(cells: pd.DataFrame) -> str:
    """How far a model's answers depend on the units of labels."""
    growth = cells.pivot_table(index="predictor", columns="shift", values="growth")
    apart = float((growth[SAME_NOISE] - growth["noise=1"]).abs().max())
    return f" (growths differ by at most {np.ceil(1000 * max(apart, 1e-6)) / 1000:g})"


def _rotated(cells: pd.DataFrame) -> str:
    """Which shifts draw something once for all prompts."""
    names = [name for name in dict.fromkeys(cells["shift"].astype(str)) if shift(name).rotation == "evaluation"]
    return f" In {_and(names)} all prompts share one rotation; its spread is not in the intervals." if names else ""


def _grown(judged: pd.DataFrame) -> Iterator[str]:
    """By how much errors grew where models tolerate the shift: the line is absolute."""
    tolerated = judged[judged["verdict"] == "tolerates"]
    raised = [int((tolerated["ratio"] > fold).sum()) for fold in _FOLD]
    if raised[0]:
        yield (
            f"Of {plural(len(tolerated), 'shift')} tolerated by transformers, counted by model, {raised[0]} raise the "
            f"error more than {_FOLD[0]}-fold, {raised[1]} more than {_FOLD[1]}-fold."
        )


def _availability(trained: list[str], judged: list[str], missing: Sequence[str], dimension: int) -> Iterator[str]:
    if not trained:
        yield (
            f"No trained model of dimension {dimension} is at hand: none is among the runs, none ships with the "
            "package. What follows is about LSA and the classical learners."
        )
    elif missing:
        yield f"Not at hand, and left out: {', '.join(missing)}."
    idle = [name for name in trained if name not in judged]
    if idle:
        yield (
            f"Their excess on their own law is above {LEARNED:g}, so they have learned too little to lose anything by "
            f"a shift, and are tabulated but not judged: {', '.join(idle)}."
        )


def _bases(cells: pd.DataFrame) -> str:
    """Who was made for which law, of those that are present."""
    groups = {
        family: [
            label
            for group, label in (
                (CLASSICAL, "the classical learners (made for no law, judged by this one)"),
                (LSA, f"the layer (LSA, {family} law)"),
                (TRAINED, f"transformers trained on {family} covariances"),
            )
            if len(cells[(cells["group"] == group) & (cells["family"] == family)])
        ]
        for family in MADE_FOR
    }
    laws = {"fixed": "x ~ N(0, I)", "random": "x ~ N(0, diag(λ)) with λ_i ~ Exponential(1) drawn anew in every prompt"}
    said = "; ".join(f"for {_and(names)} it is {laws[family]}" for family, names in groups.items() if names)
    return f"{said[0].upper()}{said[1:]}."


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _against_the_paper(cells: pd.DataFrame) -> str:
    """§4.2: the trained layer tolerates other queries and tasks, not other inputs: how far that goes here."""
    layer = cells[(cells["group"] == LSA) & (cells["family"] == "fixed")]
    benign = layer["kind"].isin(_BENIGN)
    # Nothing changes, or the prediction is as good as the best one.
    identical = (layer["growth"].abs() < _ROUNDING) | ((layer["relative"] - layer["best"]).abs() < _ROUNDING)
    return (
        "§4.2 of the paper says of the layer trained on a fixed covariance that other tasks and queries are tolerated "
        f"and other inputs are not. Here, of tasks, labels and queries it tolerates {_tally(layer[benign])}; "
        f"{int((benign & identical).sum())} of them could not fail, since its prediction scales with labels and query "
        "and is 0, which is best, at a query orthogonal to its context. Of other inputs it tolerates "
        f"{_tally(layer[~benign])}. The first table has the same for all."
    )


def _beyond_squares(table: pd.DataFrame) -> Iterator[str]:
    """Models that leave least squares where it has no fault."""
    rows = table[table["who"].str.startswith("transformers") & (table["made for"] == MADE_FOR["fixed"])]
    leaving = int((rows["unlike least squares, tolerated by none"] != "–").sum())
    if leaving:
        yield (
            "Least squares tolerates shifts that no model of a kind trained on fixed covariances does, on the same "
            f"prompts, for {leaving} of {plural(len(rows), 'kind')} (last column of the first table). Whatever these "
            "models do, it is not least squares beyond what they were trained on."
        )


def _exactness(cells: pd.DataFrame) -> list[str]:
    known = cells[np.isfinite(cells["z"])]
    if known.empty:
        return []
    within = int((known["z"].abs() <= 4).sum())
    return [
        f"LSA has a closed form in {len(known)} of its cells; {within} of the measured errors are within 4 standard "
        f"errors of it, the farthest at {known['z'].abs().max():.2f}. All shifts share their draws, so these "
        "distances do too."
    ]


def _interval(row: pd.Series) -> str:
    if row["low"] > _BEYOND:
        return f"more than {_BEYOND:g}: it diverges"
    return f"{row['growth']:.3g} ({row['low']:.3g} to {row['high']:.3g})"
