"""Which models are compared on common prompts, and what an interval of a difference of means says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from iclab.flow.deep import FULL, GD_PLUS, INVARIANT
from iclab.foundations import normal_quantile
from iclab.studies.depth.models import LINEAR, MAIN, PAPER, SOFTMAX, Learner
from iclab.studies.depth.references import DESCENT_BEST, DESCENT_ONE, NEWTON, ONE_LAYER

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
# A polynomial of degree hundreds leaves the range of floating point: predictions and errors are cut here.
CUT = 1e50
# Share of a mean in the worst 0.1 % of prompts from which on the mean says little of most prompts.
HEAVY = 0.5
# Share of samples in which each end of an interval is a bound.
_SIDE = 0.975
# What is compared: with the depth before, with tied layers, with one exact layer, with linear attention, with wider or
# other forms; and with as many steps of classical algorithms, whose names stand for themselves.
DEEPER, FREE, EXACT, KERNEL = "depth before", "tied", "exact layer", "linear"
LABELS, ALL, AS_IT_STANDS = "GD++ form", "invariant form", "usual stacking"
FAMILIES = (DESCENT_BEST, DESCENT_ONE, NEWTON)


class Comparison(NamedTuple):
    """A model against another learner: ``against`` says what the other is."""

    against: str
    first: Learner
    second: Learner


def main_model(attention: str, tied: bool, layers: int) -> Learner:
    """A model in the form that stands for its attention."""
    return Learner(attention, MAIN[attention], tied, layers)


def comparisons(depths: Sequence[int], form_depths: Sequence[int]) -> Iterator[Comparison]:
    """Everything that is compared."""
    ordered = sorted(depths)
    for attention in (LINEAR, SOFTMAX):
        for before, layers in zip([None, *ordered], ordered, strict=False):
            untied, tied = (main_model(attention, shared, layers) for shared in (False, True))
            if before is not None:
                yield Comparison(DEEPER, untied, main_model(attention, False, before))
                if before > 1:
                    yield Comparison(DEEPER, tied, main_model(attention, True, before))
            if layers > 1:
                yield Comparison(FREE, untied, tied)
            if attention == SOFTMAX:
                yield Comparison(KERNEL, untied, main_model(LINEAR, False, layers))
                continue
            yield Comparison(EXACT, untied, Learner(ONE_LAYER))
            if layers > 1:
                yield Comparison(EXACT, tied, Learner(ONE_LAYER))
            for family in FAMILIES:
                yield Comparison(family, untied, Learner(family, layers=layers))
    for layers in form_depths:
        narrow, wide, full = (Learner(LINEAR, form, False, layers) for form in (GD_PLUS, INVARIANT, FULL))
        yield Comparison(LABELS, wide, narrow)
        yield Comparison(ALL, full, wide)
        if layers > 1:
            yield Comparison(AS_IT_STANDS, Learner(PAPER, INVARIANT, False, layers), wide)


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
    sizes = [(row["error"], normal_quantile() * row["stderr"], row["n"]) for row in (first, second)]
    most = [mean + width if width < mean else n * mean for mean, width, n in sizes]
    low = -np.inf if beyond_cut(second, trace) else max(low, least(first) - most[1])
    high = np.inf if beyond_cut(first, trace) else min(high, most[0] - least(second))
    return BETTER if high < 0 else WORSE if low > 0 else UNDECIDED
