"""Every paired comparison on common prompts, by the question it answers, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from iclab.studies.depth.forms import FULL, GD_PLUS, INVARIANT
from iclab.studies.depth.measures import CUT
from iclab.studies.depth.models import LINEAR, PAPER, SOFTMAX, Model
from iclab.studies.depth.references import ONE_LAYER

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
# Share of a mean in the worst 0.1 % of prompts from which on the mean says little of most prompts.
HEAVY = 0.5
# Standard errors on each side of a 95 % interval, and the share of samples in which each of its ends is a bound.
WIDTH, _SIDE = 1.96, 0.975
# Groups of questions, each a table of the page, and the questions.
DEPTH, CLASSICAL, KERNEL, FORMS = "deeper", "classical", "softmax", "forms"
UNTIED_STEP, TIED_STEP = "untied, against the depth before", "tied, against the depth before"
FREE, UNTIED_EXACT, TIED_EXACT = (
    "untied, against tied",
    "untied, against one exact layer",
    "tied, against one exact layer",
)
FAMILIES = ("descent, best rates", "descent, one rate", "Newton")
LINEAR_RIVAL = "softmax, against linear"
LABELS, ALL_WEIGHTS = "invariant form, against GD++ form", "all weights, against invariant form"
AS_IT_STANDS = "(3) and (6) as they stand, against invariant form"


@dataclass(frozen=True)
class Comparison:
    """One question about two models, or a model and a classical algorithm, on the same prompts.

    Attributes
    ----------
    group, question : str
        What is asked.
    layers : int
        L of the first.
    first, second : str
        Names.
    """

    group: str
    question: str
    layers: int
    first: str
    second: str


def steps(family: str) -> str:
    """The question whether L layers are better than L steps of a classical algorithm."""
    return f"untied, against L steps of {family}"


def comparisons(law: str, depths: Sequence[int], form_depths: Sequence[int]) -> Iterator[Comparison]:
    """Everything that is compared under a law."""

    def main(attention: str, tied: bool, layers: int) -> str:
        return Model(law, attention, INVARIANT if attention == SOFTMAX else GD_PLUS, tied, layers).name

    for attention, group in ((LINEAR, DEPTH), (SOFTMAX, KERNEL)):
        before: int | None = None
        for layers in sorted(depths):
            untied, tied = main(attention, False, layers), main(attention, True, layers)
            if before is not None:
                yield Comparison(group, UNTIED_STEP, layers, untied, main(attention, False, before))
                if before > 1:
                    yield Comparison(group, TIED_STEP, layers, tied, main(attention, True, before))
            if layers > 1:
                yield Comparison(group, FREE, layers, untied, tied)
            if attention == SOFTMAX:
                yield Comparison(group, LINEAR_RIVAL, layers, untied, main(LINEAR, False, layers))
            else:
                yield Comparison(group, UNTIED_EXACT, layers, untied, ONE_LAYER)
                if layers > 1:
                    yield Comparison(group, TIED_EXACT, layers, tied, ONE_LAYER)
                for family in FAMILIES:
                    yield Comparison(CLASSICAL, steps(family), layers, untied, f"{family}, k = {layers}")
            before = layers
    for layers in form_depths:
        narrow, wide, full = (Model(law, LINEAR, form, False, layers).name for form in (GD_PLUS, INVARIANT, FULL))
        yield Comparison(FORMS, LABELS, layers, wide, narrow)
        yield Comparison(FORMS, ALL_WEIGHTS, layers, full, wide)
        if layers > 1:
            yield Comparison(FORMS, AS_IT_STANDS, layers, Model(law, PAPER, INVARIANT, False, layers).name, wide)


def least(row: pd.Series) -> float:
    """A lower bound on the mean of nonnegative errors, however rare the prompts that carry it, in 97.5 % of samples.

    An error reaches the largest of n with a probability of at least 1 − 0.975^(1/n) (Clopper–Pearson with one success),
    and the largest is at least mean square over mean.
    """
    mean, n = row["error"], row["n"]
    largest = mean + (n - 1) * row["stderr"] ** 2 / mean if mean > 0 else 0.0
    return float(-np.expm1(np.log(_SIDE) / n) * largest)


def beyond_cut(row: pd.Series, trace: float) -> int:
    """At most so many prompts have errors that count as ``CUT``, E tr Λ being ``trace``."""
    return int(row["error"] * row["n"] * trace / CUT * (1 + 1e-9))


def verdict(first: pd.Series, second: pd.Series, low: float, high: float, trace: float) -> str:
    """What the 95 % interval of a difference of mean errors says of the first, and what ``least`` does.

    Where few prompts make a mean its standard error is about as large, and the interval leaves open even what the
    largest error decides. Such a mean passes for smaller than another only if all its n errors together are; one that
    cut errors may set never does.
    """
    sizes = [(row["error"], WIDTH * row["stderr"], row["n"]) for row in (first, second)]
    most = [mean + width if width < mean else n * mean for mean, width, n in sizes]
    low = -np.inf if beyond_cut(second, trace) else max(low, least(first) - most[1])
    high = np.inf if beyond_cut(first, trace) else min(high, most[0] - least(second))
    return BETTER if high < 0 else WORSE if low > 0 else UNDECIDED


def compared(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> pd.DataFrame:
    """Every comparison with its numbers.

    Returns
    -------
    DataFrame
        Law, group, question, layers, first, second, difference (of mean errors), stderr, says, rare (whether the worst
        0.1 % of prompts carry more than half of one of the means), better (share of prompts on which the first has
        the smaller error), low, high (95 %), n.
    """
    errors = tables["errors"].query("test == 'c = 1'")
    own = {(row["law"], row["name"]): row for _, row in errors.iterrows()}
    pairs = {(row["law"], row["first"], row["second"]): row for _, row in tables["pairs"].iterrows()}
    rows = []
    for law in settings["laws"]:
        for each in comparisons(law, settings["depths"], settings["form_depths"]):
            at, first, second = pairs[law, each.first, each.second], own[law, each.first], own[law, each.second]
            rows.append(
                {
                    "law": law,
                    "group": each.group,
                    "question": each.question,
                    "layers": each.layers,
                    "first": each.first,
                    "second": each.second,
                    "difference": at["difference"],
                    "stderr": at["stderr"],
                    "says": verdict(first, second, at["low"], at["high"], settings["dimension"]),
                    "rare": bool(first["worst"] > HEAVY or second["worst"] > HEAVY),
                    "better": at["better"],
                    "low": at["better_low"],
                    "high": at["better_high"],
                    "n": int(at["n"]),
                }
            )
    return pd.DataFrame(rows)


def tally(rows: pd.DataFrame) -> tuple[int, int, int]:
    """How many comparisons the first wins, loses, and how many are undecided."""
    found = rows["says"].value_counts()
    return int(found.get(BETTER, 0)), int(found.get(WORSE, 0)), int(found.get(UNDECIDED, 0))


def left_open(rows: pd.DataFrame) -> str:
    """How many of some comparisons are undecided, by law, in brackets."""
    left = rows.loc[rows["says"] == UNDECIDED, "law"].value_counts(sort=False)
    return f" (undecided: {', '.join(f'{count} under {law}' for law, count in left.items())})" if len(left) else ""


def shares(rows: pd.DataFrame) -> str:
    """The range of the shares of prompts on which the first has the smaller error."""
    low, high = percent(rows["better"].min()), percent(rows["better"].max())
    return high if low == high else f"{low.removesuffix(' %')} to {high}"


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.0f} %"
