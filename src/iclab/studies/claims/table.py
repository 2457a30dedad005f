"""The table of claims: every claim checked, one row each."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import pandas as pd

from iclab.foundations import InvalidInputError, check_choice, check_integer
from iclab.studies.claims import (
    appendix_a,
    appendix_b,
    appendix_c,
    appendix_d,
    beyond,
    convergence,
    corollary_6,
    exponential_example,
    preliminaries,
    proof_ideas,
    random_covariance,
    shifts,
    summary,
    theorem_5,
)
from iclab.studies.claims.bench import EFFORTS
from iclab.studies.claims.claim import Claim, Section, find

Progress = Callable[[str, int, int], None]

SECTIONS: tuple[Section, ...] = (
    preliminaries.SECTION,
    convergence.SECTION,
    theorem_5.SECTION,
    corollary_6.SECTION,
    shifts.SECTION,
    random_covariance.SECTION,
    exponential_example.SECTION,
    proof_ideas.SECTION,
    appendix_a.SECTION,
    appendix_b.SECTION,
    appendix_c.SECTION,
    appendix_d.SECTION,
    summary.SECTION,
    beyond.SECTION,
)
CLAIMS: tuple[Claim, ...] = tuple(claim for section in SECTIONS for claim in section.claims)

# Chance that a table of true claims holds any false alarm from Monte Carlo, over all its z-scores (Bonferroni).
SIGNIFICANCE = 1e-3


def critical_z(tests: int) -> float:
    """Largest |z| consistent with a true claim when ``tests`` z-scores share ``SIGNIFICANCE``, two-sided."""
    return -NormalDist().inv_cdf(SIGNIFICANCE / (2 * max(tests, 1)))


def select(only: str | Sequence[str] | None = None) -> list[Claim]:
    """The claims whose name is a pattern, or whose name or source contains or matches it (``*``, ``?``), in order.

    Raises
    ------
    InvalidInputError
        If a pattern matches nothing.
    """
    if only is None:
        return list(CLAIMS)
    patterns = [only] if isinstance(only, str) else list(only)
    chosen: set[str] = set()
    for pattern in patterns:
        names = {claim.name for claim in CLAIMS}
        found = {pattern} & names or {claim.name for claim in CLAIMS if _matches(claim, pattern)}
        if not found:
            # The closest name helps after a typing error.
            check_choice(pattern, "only", sorted(names))
        chosen |= found
    return [claim for claim in CLAIMS if claim.name in chosen]


def verify(
    *,
    seed: int = 0,
    effort: str = "standard",
    progress: Progress | None = None,
    only: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Check every claim of the paper.

    Parameters
    ----------
    seed : int
        Seed of all problems; the same seed gives the same table.
    effort : str
        "standard", or "quick" for a quarter of the problems and two thirds of the samples.
    progress : callable, optional
        Called with (claim, done, total).
    only : str or sequence of str, optional
        Patterns of names or sources, such as ``"lemma-*"`` or ``"Theorem 5"``.

    Returns
    -------
    DataFrame
        One row per claim: ``claim``, ``section``, ``source``, ``statement`` (what the paper says), ``computed``,
        ``method``, ``problems`` (how many were tried), ``measure``, ``deviation`` (largest, in that measure),
        ``deviation_as_stated``, ``tolerance``, ``margin`` (smallest relative margin of inequalities, otherwise NaN),
        ``deviation_text``, ``verdict``, ``condition``, ``expected``, ``as_expected``, ``erratum`` and
        ``slip``.

    Raises
    ------
    InvalidInputError
        If the effort is unknown, the seed negative, or a pattern matches no claim.

    Notes
    -----
    Verdicts follow from numbers: see :mod:`iclab.studies.claims.evidence`. All Monte Carlo z-scores of the whole
    table share the significance ``SIGNIFICANCE`` (Bonferroni), whichever rows ``only`` selects.
    """
    seed = check_integer(seed, "seed", minimum=0)
    check_choice(effort, "effort", EFFORTS)
    chosen = select(only)
    rows: list[dict[str, Any]] = []
    for done, claim in enumerate(chosen):
        if progress is not None:
            progress(f"claims: {claim.name}", done, len(chosen))
        rows.append(claim.row(find(**arguments(claim, seed, effort))))
    if progress is not None:
        progress("claims: all checked", len(chosen), len(chosen))
    return pd.DataFrame(rows)


def arguments(claim: Claim, seed: int, effort: str) -> dict[str, Any]:
    """What ``find`` is called with for a claim of the whole table."""
    critical = critical_z(sum(other.tests for other in CLAIMS))
    given = {"check": claim.check, "name": claim.name, "tests": claim.tests}
    return {**given, "seed": seed, "effort": effort, "critical": critical}


def _matches(claim: Claim, pattern: str) -> bool:
    lowered = pattern.lower()
    texts = (claim.name.lower(), claim.source.lower())
    return any(lowered in text or fnmatch.fnmatchcase(text, lowered) for text in texts)


def check_registry(claims: Sequence[Claim]) -> None:
    """Raise if two claims share a name: names address random streams and stored units."""
    names = [claim.name for claim in claims]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"every claim must have its own name; {', '.join(twice)} was given twice.")


check_registry(CLAIMS)
