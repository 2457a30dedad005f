"""What the table of tolerated shifts says, in sentences made from its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from incontext.foundations import plural, plus_minus
from incontext.studies.shifts import TOLERANCE
from incontext.studies.tolerance_problems import SAME_LAW

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
_NAMED = 4
# Growth beyond which a figure says no more.
_BEYOND = 1e6


def captions(n_test: int) -> dict[str, str]:
    """Captions of the tables."""
    return {
        "overview": "Who tolerates what: shifts of the law that the predictor was made for, tolerated of all, by what "
        "they change",
        "cells": f"Every predictor under every shift at M = {n_test} (orthogonal queries: d − 1): what is shifted; "
        "error over the zero estimator's; the same of the best predictor; excess on the own law with its bootstrap "
        "standard error; its growth with 95 % interval; error over the unshifted one; verdict; raw error; error of "
        "zero, exact where known; exact error of LSA likewise, with the z-score",
    }


def overview(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per predictor: what it was made for, its excess there, and the tolerated shifts by kind."""
    rows = []
    for (name, family), own in cells.groupby(["predictor", "family"], sort=False):
        at_m = own[own["M"] == own["M"].max()].iloc[0]
        row: dict[str, Any] = {
            "predictor": name,
            "own law": MADE_FOR[str(family)],
            "excess on it": at_m["unshifted"],
            "stderr": at_m["unshifted_stderr"],
        }
        for kind, label in _KINDS.items():
            verdicts = counted(own[own["kind"] == kind])["verdict"]
            undecided = int((verdicts == "undecided").sum())
            row[label] = f"{int((verdicts == 'tolerates').sum())} of {len(verdicts)}"
            row[label] += f", {undecided} undecided" if undecided else ""
        rows.append(row)
    return pd.DataFrame(rows)


def counted(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that are shifts of the law that the predictor was made for, each of them once."""
    again = (cells["family"] == "random") & cells["shift"].isin(SAME_LAW)
    return cells[(cells["verdict"] != OWN) & ~again]


def learned_models(cells: pd.DataFrame) -> list[str]:
    """The trained models that have learned enough to be judged."""
    trained = cells[cells["group"] == TRAINED]
    return [str(name) for name, own in trained.groupby("predictor", sort=False) if own["unshifted"].max() <= LEARNED]


def not_learned(cells: pd.DataFrame) -> list[str]:
    """The trained models that have not."""
    trained = dict.fromkeys(str(name) for name in cells[cells["group"] == TRAINED]["predictor"])
    judged = learned_models(cells)
    return [name for name in trained if name not in judged]


def sentences(
    tables: Mapping[str, pd.DataFrame], told: Mapping[str, Any], missing: Sequence[str], origins: Mapping[str, str]
) -> list[str]:
    """The paragraphs of the page."""
    cells, d, m = counted(tables["cells"]), told["dimension"], told["n_test"]
    judged = learned_models(cells)
    trained = list(dict.fromkeys(cells[cells["group"] == TRAINED]["predictor"]))
    lines = [
        f"{cells['predictor'].nunique()} predictors meet {_shifts(cells)} at d = {d} with M = {m} "
        f"examples in context (M = d − 1 where the query is orthogonal to its context), on {told['n_prompts']:,} "
        "prompts, the same for all. Excess: error less that of the best predictor for the shifted problem (Bayes for "
        "linear tasks, zero for quadratic ones), over the zero estimator's error.",
        f"What is compared with what: every predictor is judged against itself on the law that it was made for. "
        f"{_bases(cells)} Shifts of labels, queries, tasks and inputs are applied to that law. Standard normal inputs "
        "and the random covariances c · diag(λ) are laws themselves, the same for all; for a predictor made for "
        "another law they count as shifts of the inputs (inputs of random covariances times 2 and 3 have the laws with "
        "c = 4 and 9: tabulated, not counted again). A shift is tolerated when the excess grows by at most "
        f"{TOLERANCE:g} over that on the own law; it is not when the growth exceeds it; it is undecided when the 95 % "
        "interval of the paired bootstrap holds both. The line is absolute: below it a small error may have grown to "
        "several times what it was.",
        *_availability(trained, judged, missing, origins, d),
        *_against_the_paper(cells, judged),
        *_beyond_lsa(cells, judged),
    ]
    return lines


def details(cells: pd.DataFrame) -> list[str]:
    """A paragraph per predictor, and how well measurements and closed forms agree."""
    shifted = counted(cells)
    judged = (*_untrained(shifted), *learned_models(shifted))
    return [*(_of_predictor(shifted, name) for name in judged), *_exactness(shifted)]


def summary(tables: Mapping[str, pd.DataFrame], told: Mapping[str, Any]) -> list[str]:
    """The lines for the first page: who tolerates how many shifts, and by law and way of reading."""
    cells = counted(tables["cells"])
    judged = set(learned_models(cells))
    parts: list[str] = []
    least_squares = cells[cells["predictor"] == "least squares"]
    for label, rows in (
        ("least squares", least_squares),
        *(
            (f"LSA of the {family} law", cells[(cells["group"] == LSA) & (cells["family"] == family)])
            for family in MADE_FOR
        ),
        *(
            (f"transformers trained on {family} covariances, {reads}", rows)
            for (family, reads), rows in cells[cells["predictor"].isin(judged)].groupby(["family", "reads"], sort=False)
        ),
    ):
        if len(rows):
            counts = "/".join(
                _range((rows["verdict"] == verdict).groupby(rows["predictor"]).sum())
                for verdict in ("tolerates", "does not", "undecided")
            )
            models = rows["predictor"].nunique()
            parts.append(f"{label} {counts}" + f" ({models} models)" * (models > 1))
    tolerant = f"least squares tolerates {_tolerated(least_squares)}, LSA {_tolerated(cells[cells['group'] == LSA])}, "
    if judged:
        trained = _tolerated(cells[cells["predictor"].isin(judged)])
        tolerant += f"trained transformers {trained} ({plural(len(judged), 'model')})"
    else:
        tolerant += "and no transformer that learned its task is at hand"
    sizes = f"d = {told['dimension']}, M = {told['n_test']}"
    return [
        f"Of {_range(cells.groupby('predictor').size())} shifts of the law that each was made for ({sizes}) "
        f"{tolerant}.",
        f"Shifts of the law that each was made for ({sizes}), tolerated/not/undecided: {'; '.join(parts)}.",
    ]


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


def _untrained(cells: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(cells[cells["group"] != TRAINED]["predictor"]))


def _availability(
    trained: list[str], judged: list[str], missing: Sequence[str], origins: Mapping[str, str], dimension: int
) -> list[str]:
    lines: list[str] = []
    if not trained:
        lines.append(
            f"No trained model of dimension {dimension} is at hand: none is among the runs, none ships with the "
            "package. What follows is about LSA and the classical learners."
        )
    elif missing:
        lines.append(f"Not at hand, and left out: {', '.join(missing)}.")
    elsewhere = {
        name: origin for name, origin in origins.items() if name in trained and not origin.startswith("trained")
    }
    if elsewhere:
        lines.append("Models: " + "; ".join(f"{name}, {origin}" for name, origin in elsewhere.items()) + ".")
    idle = [name for name in trained if name not in judged]
    if idle:
        lines.append(
            f"Their excess on their own law is above {LEARNED:g}, so they have learned too little to lose anything by "
            f"a shift, and are tabulated but not judged: {', '.join(idle)}."
        )
    return lines


def _of_predictor(cells: pd.DataFrame, name: str) -> str:
    own = cells[cells["predictor"] == name]
    parts = []
    for kind, label in _KINDS.items():
        rows = own[own["kind"] == kind]
        if len(rows):
            parts.append(f"{int((rows['verdict'] == 'tolerates').sum())} of {len(rows)} {label}")
    failing = own[own["verdict"] == "does not"].sort_values("growth", ascending=False)
    tail = ""
    if len(failing):
        worst = failing.iloc[0]
        tail = f" The worst is {worst['shift']}, growth {_interval(worst)}"
        others = [str(row["shift"]) for _, row in failing.iloc[1 : 1 + _NAMED].iterrows()]
        tail += f"; then {', '.join(others)}." if others else "."
    undecided = int((own["verdict"] == "undecided").sum())
    tail += f" Undecided: {undecided}." if undecided else ""
    at_m = own[own["M"] == own["M"].max()].iloc[0]
    start = name if at_m["group"] == TRAINED else name[0].upper() + name[1:]
    little = ", so that it has little to lose," if at_m["unshifted"] > LEARNED else ""
    return (
        f"{start} has an excess of {plus_minus(at_m['unshifted'], at_m['unshifted_stderr'])} on "
        f"{MADE_FOR[str(at_m['family'])]}{little} and tolerates, of the shifts of that law, {', '.join(parts)}.{tail}"
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


def _against_the_paper(cells: pd.DataFrame, judged: list[str]) -> list[str]:
    """§4.2: the trained layer tolerates other queries and tasks, not other inputs: how far that goes here."""
    said: list[str] = []
    for family in MADE_FOR:
        groups = {f"the layer (LSA, {family} law)": [f"LSA, {family} law"]}
        for reads, rows in cells[cells["predictor"].isin(judged)].groupby("reads", sort=False):
            groups[f"transformers trained on {family} covariances, {reads}"] = list(rows["predictor"].unique())
        for label, names in groups.items():
            own = cells[cells["predictor"].isin(names) & (cells["family"] == family)]
            if not len(own):
                continue
            tolerated, decided = own["verdict"] == "tolerates", own["verdict"] != "undecided"
            benign = own["kind"].isin(["task", "labels", "query"])
            models = own["predictor"].nunique()
            counts = [
                f"{int((tolerated & which).sum())} of {int((decided & which).sum())}" for which in (benign, ~benign)
            ]
            together = f" ({models} models together)" * (models > 1)
            said.append(
                f"{label}{together}: {counts[0]} decided shifts of tasks, labels and queries, {counts[1]} of inputs"
            )
    return [
        "§4.2 of the paper says of the layer trained on a fixed covariance that other tasks and queries are tolerated "
        f"and other inputs are not. Tolerated here, each by the measure of its own law: {'; '.join(said)}."
    ]


def _beyond_lsa(cells: pd.DataFrame, judged: list[str]) -> list[str]:
    """Transformers beside the layer of the same law, and beside least squares where both meet the same prompts."""
    lines: list[str] = []
    for family in MADE_FOR:
        own = cells[cells["family"] == family]
        models = [name for name in judged if name in set(own["predictor"])]
        if not models:
            continue
        verdicts = {
            str(name): dict(zip(rows["shift"].astype(str), rows["verdict"].astype(str), strict=True))
            for name, rows in own.groupby("predictor", sort=False)
        }
        which = f"{'every' if len(models) > 1 else 'the'} transformer trained on {family} covariances"
        layer = verdicts[f"LSA, {family} law"]
        cured = [
            s for s in layer if layer[s] == "does not" and all(verdicts[name][s] == "tolerates" for name in models)
        ]
        lines.append(f"Not tolerated by LSA of the {family} law but by {which}: {', '.join(cured) or 'none'}.")
        if family == "fixed":
            squares = verdicts["least squares"]
            shared = [
                s
                for s in layer
                if squares[s] == "tolerates" and all(verdicts[name][s] == "does not" for name in models)
            ]
            lines.append(
                f"On the same prompts, tolerated by least squares and not by {which.replace('every', 'any')}: "
                f"{', '.join(shared) or 'none'}"
                + (
                    ": whatever these models do, it is not least squares beyond what they were trained on."
                    if shared
                    else "."
                )
            )
    return lines


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
