"""The table of claims: every claim checked, one row each."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction
from statistics import NormalDist
from typing import Any

import pandas as pd

from iclab.foundations import InvalidInputError, check_choice, check_integer
from iclab.studies.claims import (
    appendices_c_d,
    appendix_a,
    beyond,
    preliminaries,
    proof_ideas,
    random_covariance,
    related_work,
    section_4_1,
    shifts,
    summary,
)
from iclab.studies.claims.bench import EFFORTS
from iclab.studies.claims.claim import Check, Claim, Finding, find, read_section, read_words
from iclab.studies.executors import one_thread

Progress = Callable[[str, int, int], None]

# Every check: a function that yields items, with the name of its claim.
CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (
        appendices_c_d,
        appendix_a,
        beyond,
        preliminaries,
        proof_ideas,
        random_covariance,
        related_work,
        section_4_1,
        shifts,
        summary,
    )
    for check in vars(module).values()
    if isfunction(check) and check.__module__ == module.__name__ and check.__annotations__.get("return") == "Items"
)
CLAIMS: tuple[Claim, ...] = tuple(
    claim
    for name in read_words("sections")
    for claim in read_section(name, {check.__name__: check for check in CHECKS})
)

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


def check_claims(
    *, seed: int = 0, effort: str = "full", progress: Progress | None = None, only: str | Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Check every claim of the paper.

    Parameters
    ----------
    seed : int
        Seed of all problems; the same seed gives the same tables.
    effort : str
        "full", or "quick" for a quarter of the problems and two thirds of the samples.
    progress : callable, optional
        Called with (claim, done, total).
    only : str or sequence of str, optional
        Patterns of names or sources, such as ``"lemma-*"`` or ``"Theorem 5"``.

    Returns
    -------
    dict of DataFrame
        See :func:`tables_of`.

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
    found: dict[str, Finding] = {}
    with one_thread():  # the matrices are tiny: more threads only wait for one another
        for done, claim in enumerate(chosen):
            if progress is not None:
                progress(f"claims: {claim.name}", done, len(chosen))
            found[claim.name] = find(**arguments(claim, seed, effort))
    if progress is not None:
        progress("claims: all checked", len(chosen), len(chosen))
    return tables_of(found)


def tables_of(found: Mapping[str, Finding]) -> dict[str, pd.DataFrame]:
    """What was found about claims, by name, as tables.

    ``claims`` has a row per claim: its words, how its numbers are obtained, the deviation that decided with its
    tolerance and margin, the verdict and the one on record. ``evidence`` has a row per comparison: whether it is about
    the claim as stated or under its condition, what is compared, and the fields of ``Evidence``. ``numbers`` has a row
    per number that decides nothing: what it is, and the fields of ``Measured``.
    """
    claims = [claim for claim in CLAIMS if claim.name in found]
    rows = [claim.row(found[claim.name]) for claim in claims]
    evidence, numbers = [], []
    for claim in claims:
        finding, texts = found[claim.name], claim.words.names
        shared = {"claim": claim.name, "section": claim.section}
        for part, pieces in (("stated", finding.stated), ("under", finding.under)):
            evidence += [
                {**shared, "part": part, "name": name, "compared": texts[name], **vars(piece)}
                for name, piece in pieces.items()
            ]
        numbers += [
            {**shared, "name": name, "number": texts[name], **vars(value)} for name, value in finding.numbers.items()
        ]
    return {"evidence": pd.DataFrame(evidence), "claims": pd.DataFrame(rows), "numbers": pd.DataFrame(numbers)}


def arguments(claim: Claim, seed: int, effort: str) -> dict[str, Any]:
    """What ``find`` is called with for a claim of the whole table."""
    critical = critical_z(sum(other.tests for other in CLAIMS))
    words = {"judged": claim.words.judged, "drawn": claim.words.drawn}
    return {"check": claim.check, "name": claim.name, **words, "seed": seed, "effort": effort, "critical": critical}


def _matches(claim: Claim, pattern: str) -> bool:
    lowered = pattern.lower()
    texts = (claim.name.lower(), claim.words.source.lower())
    return any(lowered in text or fnmatch.fnmatchcase(text, lowered) for text in texts)


def check_registry(claims: Sequence[Claim]) -> None:
    """Raise unless every check stands under exactly one claim: names address random streams and stored units."""
    stated = [claim.check for claim in claims]
    wrong = sorted(check.__name__ for check in {*stated, *CHECKS} if stated.count(check) != 1 or check not in CHECKS)
    if wrong:
        raise InvalidInputError(f"every check must have its claim, once; {', '.join(wrong)} has none or several.")


check_registry(CLAIMS)
