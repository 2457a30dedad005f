"""What a check announces: the thresholds that judge its comparisons, and how its numbers are obtained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from iclab.foundations import Estimate
from iclab.studies.claims.evidence import (
    EXACT_TOLERANCE,
    Evidence,
    Measured,
    agreement,
    inequality,
    positivity,
    sampling,
)

# What a check compared under one name: (found, stated), (smaller, larger) or (value, size).
Pairs: TypeAlias = "Sequence[tuple[Any, Any]]"


class Obtained(StrEnum):
    """How a number is obtained."""

    CLOSED_FORM = "closed form"
    FORWARD = "forward pass"
    QUADRATURE = "quadrature"
    ENUMERATION = "enumeration"
    EIGENVALUES = "eigenvalues"
    FLOW = "integration of the flow"
    OPTIMISATION = "optimisation"
    MONTE_CARLO = "Monte Carlo"


CLOSED_FORM, FORWARD, QUADRATURE, ENUMERATION, EIGENVALUES, FLOW, OPTIMISATION, MONTE_CARLO = Obtained


@dataclass(frozen=True)
class Criterion:
    """How the comparisons of one name are judged.

    Attributes
    ----------
    judge : callable
        From pairs and the critical z-score to evidence.
    obtained : Obtained
        How the compared numbers are obtained.
    under : bool
        Whether they are about the claim under its condition instead of as stated.
    tests : int
        How many z-scores there are.
    """

    judge: Callable[[Pairs, float], Evidence]
    obtained: Obtained
    under: bool = False
    tests: int = 0

    def evidence(self, pairs: Pairs, critical: float) -> Evidence:
        """What the pairs say."""
        return replace(self.judge(pairs, critical), obtained=str(self.obtained))


@dataclass(frozen=True)
class Quantity:
    """A number that is reported and not judged.

    Attributes
    ----------
    obtained : Obtained
        How it is obtained.
    """

    obtained: Obtained

    def measured(self, values: Sequence[float | Estimate]) -> Measured:
        """The range of what was found; a sampled mean keeps its standard error."""
        if len(values) == 1 and isinstance(values[0], Estimate):
            found = values[0]
            error = found.standard_error, float(found.n), float(found.seed)
            return Measured(found.value, found.value, found.value, 1, str(self.obtained), *error)
        numbers = np.array([v.value if isinstance(v, Estimate) else float(v) for v in values])
        spread = float(numbers.min()), float(np.median(numbers)), float(numbers.max())
        return Measured(*spread, len(numbers), str(self.obtained))


def equal(
    obtained: Obtained = CLOSED_FORM,
    *,
    tolerance: float = EXACT_TOLERANCE,
    refutation: float | None = None,
    scale: float = 0.0,
    under: bool = False,
) -> Criterion:
    """Pairs (found, stated) are equal: see :func:`~iclab.studies.claims.evidence.agreement`."""
    given = {"tolerance": tolerance, "refutation": refutation, "scale": scale}
    return Criterion(lambda pairs, _: agreement(pairs, **given), obtained, under)


def at_most(obtained: Obtained = CLOSED_FORM, *, strict: bool = False, under: bool = False, **how: float) -> Criterion:
    """In pairs (smaller, larger) the first is at most the second: see ``inequality``."""
    return Criterion(lambda pairs, _: inequality(pairs, strict=strict, **how), obtained, under)


def positive(obtained: Obtained = CLOSED_FORM, *, strict: bool = True, under: bool = False, **how: float) -> Criterion:
    """In pairs (value, size) the first is positive, or at least nonnegative: see ``positivity``."""
    return Criterion(lambda pairs, _: positivity(pairs, strict=strict, **how), obtained, under)


def sampled(tests: int, *, under: bool = False) -> Criterion:
    """In pairs (estimate, stated) the Monte Carlo mean is consistent with the number: see ``sampling``."""
    return Criterion(sampling, MONTE_CARLO, under, tests)


def number(obtained: Obtained = CLOSED_FORM) -> Quantity:
    """A number, or the range of several, to report."""
    return Quantity(obtained)
