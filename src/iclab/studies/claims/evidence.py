"""From numbers to verdicts: what was measured, how far it is from what is claimed, and what follows.

A verdict is never written down by hand. A claim announces a criterion for everything that its check compares: two
limits fixed beforehand, one below which the claim counts as confirmed and one above which it counts as refuted.
Between them, or when a sample is too small to tell, nothing is decided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias

import numpy as np

from iclab.foundations import Estimate, check_choice

# Rounding and quadrature of float64 stay below the first; a formula that is wrong exceeds the second.
EXACT_TOLERANCE = 1e-9
EXACT_REFUTATION = 1e-5
# A sample decides only if its standard error is at most this share of the number it is compared with.
RESOLUTION = 0.05

HOLDS = "holds"
ONLY_IF = "holds only if …"
FAILS = "does not hold"
UNDECIDED = "undecided"

Obtained: TypeAlias = Literal[
    "closed form", "forward pass", "quadrature", "enumeration", "eigenvalues", "flow", "optimisation", "Monte Carlo"
]
# What is compared under one name: (found, stated), (smaller, larger) or (value, size); numbers or arrays.
Pairs: TypeAlias = Sequence[tuple[Any, Any]]


class Outcome(Enum):
    """What one piece of evidence says about one assertion."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    OPEN = "open"


@dataclass(frozen=True)
class Evidence:
    """A measured deviation with the thresholds that judge it."""

    measure: str  # "relative deviation", "z-score" or "violation" (of an inequality, relative)
    deviation: float  # Largest one over all problems, at least 0
    tolerance: float  # Confirmed up to the first, refuted beyond the second, open between them
    refutation: float
    problems: int  # How many comparisons it rests on
    margin: float = math.nan  # Smallest relative margin of an inequality; NaN for other measures
    decisive: bool = True  # Whether the numbers could have refuted a wrong claim; a sample that is too small could not
    obtained: str = ""  # How the compared numbers are obtained
    # Of Monte Carlo: the largest relative standard error, the smallest number of samples, and the seed; else
    # NaN
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
    """A number, or the range of several of one kind, that a check reports and that decides nothing."""

    smallest: float  # Equal for a single number
    median: float
    largest: float
    values: int  # How many numbers there are
    obtained: str  # How they are obtained
    standard_error: float = math.nan  # Of a Monte Carlo mean; else NaN
    n: float = math.nan
    seed: float = math.nan


def equal(
    pairs: Pairs,
    obtained: Obtained = "closed form",
    *,
    tolerance: float = EXACT_TOLERANCE,
    refutation: float | None = None,
    scale: float = 0.0,
) -> Evidence:
    """Pairs (found, stated) are equal: the deviation is max |found − stated| / max |stated| within a pair.

    ``refutation`` defaults to the larger of 1e-5 and 100 tolerances; ``scale`` is the smallest denominator, for stated
    values of zero.
    """
    limit = max(EXACT_REFUTATION, 100 * tolerance) if refutation is None else refutation
    gaps = [_relative_gap(np.asarray(found), np.asarray(stated), scale) for found, stated in pairs]
    return Evidence("relative deviation", _largest(gaps), tolerance, limit, len(gaps), obtained=obtained)


def at_most(
    pairs: Pairs, obtained: Obtained = "closed form", *, strict: bool = False, tolerance: float = EXACT_TOLERANCE
) -> Evidence:
    """In pairs (smaller, larger) the first is at most the second; arrays compare entry by entry.

    The margin is (larger − smaller) / max(|larger|, |smaller|). ``strict`` asks for a margin of at least the tolerance
    instead of one above −tolerance.
    """
    margins = [_relative_margin(np.asarray(smaller), np.asarray(larger)) for smaller, larger in pairs]
    return _violation(margins, strict, tolerance, obtained)


def positive(
    pairs: Pairs, obtained: Obtained = "closed form", *, strict: bool = True, tolerance: float = EXACT_TOLERANCE
) -> Evidence:
    """In pairs (value, size) the value is positive, or unless ``strict`` nonnegative: the margin is value / size.

    ``size`` > 0 is what the value is small compared with when it counts as zero.
    """
    return _violation([float(value) / float(size) for value, size in pairs], strict, tolerance, obtained)


def sampled(pairs: Pairs, critical: float) -> Evidence:
    """In pairs (Estimate, stated) the Monte Carlo mean is consistent with the number: |z| is at most ``critical``.

    The evidence is decisive only if every standard error is at most ``RESOLUTION`` of the stated number.
    """
    scores = [abs(estimate.z_score(stated)) for estimate, stated in pairs]
    decisive = all(e.standard_error <= RESOLUTION * abs(stated) for e, stated in pairs)
    error = _largest([e.standard_error / abs(e.value) for e, _ in pairs if e.value != 0])
    n, seed = (float(min((getattr(e, key) for e, _ in pairs), default=math.nan)) for key in ("n", "seed"))
    given = critical, critical, len(scores), math.nan, decisive
    return Evidence("z-score", _largest(scores), *given, "Monte Carlo", error, n, seed)


def number(values: Sequence[float | Estimate], obtained: Obtained = "closed form") -> Measured:
    """The range of numbers that are reported and not judged; a single sampled mean keeps its standard error."""
    numbers = np.array([v.value if isinstance(v, Estimate) else float(v) for v in values])
    spread = float(numbers.min()), float(np.median(numbers)), float(numbers.max())
    mean = values[0]
    error = (mean.standard_error, float(mean.n), float(mean.seed)) if isinstance(mean, Estimate) else ()
    return Measured(*spread, len(numbers), obtained, *error)


_KINDS: Mapping[str, Callable[..., Evidence | Measured]] = {
    "equal": equal,
    "at_most": at_most,
    "positive": positive,
    "sampled": sampled,
    "number": number,
}


def judge(judged: Mapping[str, Any], found: Sequence[Any], critical: float) -> Evidence | Measured:
    """What a criterion makes of what was found.

    Parameters
    ----------
    judged : mapping
        The criterion, as data: its kind to how the numbers are obtained, or for "sampled" to the largest number of
        z-scores, then its limits; ``under``, whether it is about the claim under its condition, is for others.
    found : sequence
        Pairs, or numbers.
    critical : float
        The largest |z| that is consistent with a claim.
    """
    (kind, given), *limits = judged.items()
    rule = _KINDS[check_choice(kind, "criterion", _KINDS)]
    limits = {key: value for key, value in limits if key != "under"}
    return rule(found, critical if kind == "sampled" else given, **limits)


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
    conditional = outcome_of(under) if under else Outcome.REFUTED
    return {Outcome.CONFIRMED: ONLY_IF, Outcome.OPEN: UNDECIDED, Outcome.REFUTED: FAILS}[conditional]


def _violation(margins: list[float], strict: bool, tolerance: float, obtained: Obtained) -> Evidence:
    margin = -_largest([-value for value in margins])
    # np.maximum, unlike max, lets a NaN through: a failed computation must not confirm.
    deviation = float(np.maximum(0, tolerance - margin if strict else -margin) + 0.0)
    limits = (0.0, 0.0) if strict else (tolerance, EXACT_REFUTATION)
    return Evidence("violation", deviation, *limits, len(margins), margin, obtained=obtained)


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
