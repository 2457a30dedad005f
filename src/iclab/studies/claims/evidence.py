"""From numbers to verdicts: what was measured, how far it is from what is claimed, and what follows.

A verdict is never written down by hand. A check hands in numbers; an :class:`Evidence` compares them with two
thresholds fixed beforehand, one below which the claim counts as confirmed and one above which it counts as
refuted. Between them, or when a sample is too small to tell, nothing is decided.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from iclab.foundations import Estimate

# Rounding and quadrature of float64 stay below the first; a formula that is wrong exceeds the second.
EXACT_TOLERANCE = 1e-9
EXACT_REFUTATION = 1e-5
# A sample decides only if its standard error is at most this share of the number it is compared with.
RESOLUTION = 0.05

HOLDS = "holds"
ONLY_IF = "holds only if …"
FAILS = "does not hold"
UNDECIDED = "undecided"


class Outcome(Enum):
    """What one piece of evidence says about one assertion."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    OPEN = "open"


@dataclass(frozen=True)
class Evidence:
    """A measured deviation with the thresholds that judge it.

    Attributes
    ----------
    measure : str
        "relative deviation", "z-score" or "violation" (of an inequality, relative).
    deviation : float
        Largest one over all problems, at least 0.
    tolerance, refutation : float
        Confirmed up to the first, refuted beyond the second, open between them.
    problems : int
        How many comparisons it rests on.
    margin : float
        Smallest relative margin of an inequality; NaN for other measures.
    decisive : bool
        Whether the numbers could have refuted a wrong claim; a sample that is too small could not.
    obtained : str
        How the compared numbers are obtained.
    relative_error, n, seed : float
        Of Monte Carlo: the largest relative standard error, the smallest number of samples, and the seed; else NaN.
    """

    measure: str
    deviation: float
    tolerance: float
    refutation: float
    problems: int
    margin: float = math.nan
    decisive: bool = True
    obtained: str = ""
    relative_error: float = math.nan
    n: float = math.nan
    seed: float = math.nan

    @property
    def outcome(self) -> Outcome:
        """Confirmed, refuted or open."""
        if math.isnan(self.deviation):
            return Outcome.OPEN
        if self.deviation > self.refutation:
            return Outcome.REFUTED
        if self.deviation > self.tolerance or not self.decisive:
            return Outcome.OPEN
        return Outcome.CONFIRMED

    @property
    def severity(self) -> float:
        """Deviation in units of the tolerance; infinite beyond a tolerance of zero."""
        if self.tolerance == 0:
            return math.inf if self.deviation > 0 else 0.0
        return self.deviation / self.tolerance


@dataclass(frozen=True)
class Measured:
    """A number, or the range of several of one kind, that a check reports and that decides nothing.

    Attributes
    ----------
    smallest, median, largest : float
        Equal for a single number.
    values : int
        How many numbers there are.
    obtained : str
        How they are obtained.
    standard_error, n, seed : float
        Of a Monte Carlo mean; else NaN.
    """

    smallest: float
    median: float
    largest: float
    values: int
    obtained: str
    standard_error: float = math.nan
    n: float = math.nan
    seed: float = math.nan


def agreement(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]],
    *,
    tolerance: float = EXACT_TOLERANCE,
    refutation: float | None = None,
    scale: float = 0.0,
) -> Evidence:
    """Evidence that two exactly computed numbers or arrays are equal, from (found, stated) pairs.

    Parameters
    ----------
    pairs : iterable of (array_like, array_like)
        One pair per problem. The deviation is max |found − stated| / max |stated| within a pair.
    tolerance, refutation : float
        Thresholds; the second defaults to the larger of 1e-5 and 100 tolerances.
    scale : float
        Smallest denominator, for pairs whose stated value is zero.
    """
    deviations = [_relative_gap(np.asarray(found), np.asarray(stated), scale) for found, stated in pairs]
    limit = max(EXACT_REFUTATION, 100 * tolerance) if refutation is None else refutation
    return Evidence("relative deviation", _largest(deviations), tolerance, limit, len(deviations))


def inequality(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]],
    *,
    strict: bool = False,
    tolerance: float = EXACT_TOLERANCE,
) -> Evidence:
    """Evidence that smaller ≤ larger, from (smaller, larger) pairs; arrays compare entry by entry.

    The margin is (larger − smaller) / max(|larger|, |smaller|), the smallest over all problems. ``strict`` asks for
    a margin of at least the tolerance instead of one above −tolerance.
    """
    margins = [_relative_margin(np.asarray(smaller), np.asarray(larger)) for smaller, larger in pairs]
    return _from_margins(margins, strict, tolerance)


def positivity(
    pairs: Iterable[tuple[float, float]],
    *,
    strict: bool = False,
    tolerance: float = EXACT_TOLERANCE,
) -> Evidence:
    """Evidence that numbers are nonnegative, from (value, size) pairs: the margin is value / size.

    ``size`` > 0 is what the value is small compared with when it counts as zero.
    """
    return _from_margins([float(value) / float(size) for value, size in pairs], strict, tolerance)


def sampling(
    pairs: Iterable[tuple[Estimate, float]],
    critical: float,
    *,
    resolution: float = RESOLUTION,
    scale: float = 0.0,
) -> Evidence:
    """Evidence that Monte Carlo means equal stated numbers, from (estimate, stated) pairs.

    Parameters
    ----------
    pairs : iterable of (Estimate, float)
        One pair per test.
    critical : float
        Largest |z| that is still consistent, already corrected for the number of tests in the whole table.
    resolution : float
        The evidence is decisive only if every standard error is at most this share of max(|stated|, scale).
    scale : float
        Smallest denominator of that share, for stated values of zero.
    """
    given = list(pairs)
    scores = [abs(estimate.z_score(stated)) for estimate, stated in given]
    decisive = all(e.standard_error <= resolution * max(abs(stated), scale) for e, stated in given)
    errors = [e.standard_error / abs(e.value) for e, _ in given if e.value != 0]
    return Evidence(
        "z-score",
        _largest(scores),
        critical,
        critical,
        len(scores),
        decisive=decisive,
        relative_error=_largest(errors),
        n=float(min((e.n for e, _ in given), default=math.nan)),
        seed=float(given[0][0].seed) if given else math.nan,
    )


def outcome_of(evidence: Sequence[Evidence]) -> Outcome:
    """All must be confirmed; one refutation refutes."""
    outcomes = {piece.outcome for piece in evidence}
    if Outcome.REFUTED in outcomes:
        return Outcome.REFUTED
    return Outcome.OPEN if Outcome.OPEN in outcomes or not outcomes else Outcome.CONFIRMED


def verdict_of(stated: Sequence[Evidence], under: Sequence[Evidence] = ()) -> str:
    """The verdict that follows from evidence on the claim as stated and, if any, on the claim under a condition."""
    as_stated = outcome_of(stated)
    if as_stated is Outcome.CONFIRMED:
        return HOLDS
    if as_stated is Outcome.OPEN:
        return UNDECIDED
    if not under:
        return FAILS
    conditional = outcome_of(under)
    if conditional is Outcome.CONFIRMED:
        return ONLY_IF
    return UNDECIDED if conditional is Outcome.OPEN else FAILS


def _from_margins(margins: list[float], strict: bool, tolerance: float) -> Evidence:
    margin = -_largest([-value for value in margins])
    # np.maximum, unlike max, lets a NaN through: a failed computation must not confirm.
    if strict:
        return Evidence("violation", float(np.maximum(0, tolerance - margin) + 0.0), 0.0, 0.0, len(margins), margin)
    return Evidence("violation", float(np.maximum(0, -margin) + 0.0), tolerance, EXACT_REFUTATION, len(margins), margin)


def _relative_gap(found: np.ndarray, stated: np.ndarray, scale: float) -> float:
    size = max(float(np.abs(stated).max()), scale)
    gap = float(np.abs(found - stated).max())
    return gap / size if size > 0 else (0.0 if gap == 0 else math.inf)


def _relative_margin(smaller: np.ndarray, larger: np.ndarray) -> float:
    size = np.maximum(np.abs(smaller), np.abs(larger))
    difference = larger - smaller
    return float(np.min(np.divide(difference, size, out=np.zeros(difference.shape), where=size > 0)))


def _largest(values: list[float]) -> float:
    """Largest value; NaN if there is none or any is NaN, so that a failed computation never confirms."""
    return float(np.max(values)) if values else math.nan
