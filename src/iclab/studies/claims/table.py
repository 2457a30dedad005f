"""The table of claims: every claim checked, one row each."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

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
from iclab.studies.claims.bench import EFFORTS, Bench
from iclab.studies.claims.claim import Claim, Section
from iclab.studies.claims.evidence import EXACT_REFUTATION, EXACT_TOLERANCE, RESOLUTION
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store

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
    store: Store | None = None,
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
    store : Store, optional
        Keeps each finished claim, so that an interrupted table goes on where it was.
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
    critical = critical_z(sum(claim.tests for claim in CLAIMS))
    rows = []
    with threadpool_limits(1):  # the matrices are tiny: more threads only wait for one another
        for done, claim in enumerate(chosen):
            if progress is not None:
                progress(f"claims: {claim.name}", done, len(chosen))
            rows.append(_row(claim, Bench(claim.name, seed, effort, critical), store))
    if progress is not None:
        progress("claims: all checked", len(chosen), len(chosen))
    return pd.concat(rows, ignore_index=True)


def run(*, seed: int = 0, effort: str = "standard", store: Store, progress: Progress) -> StudyRecord:
    """The table of claims as a study: the table ``claims`` and the facts that the page prints.

    Parameters
    ----------
    seed, effort : int, str
        As for :func:`verify`.
    store : Store
        Finished claims.
    progress : callable
        Called with (claim, done, total).

    Returns
    -------
    StudyRecord
        Named "claims".
    """
    table = verify(seed=seed, effort=effort, store=store, progress=progress)
    return StudyRecord("claims", "Every claim of the paper", {"claims": table}, facts(table, seed, effort))


def facts(table: pd.DataFrame, seed: int, effort: str) -> dict[str, Any]:
    """What the page says about a table: counts by verdict, seed, thresholds, disagreements."""
    tests = sum(claim.tests for claim in CLAIMS)
    return {
        "seed": seed,
        "effort": effort,
        "claims": len(table),
        "verdicts": {str(verdict): int(count) for verdict, count in table["verdict"].value_counts().items()},
        "errata": int(table["erratum"].sum()),
        "disagreements": table.loc[~table["as_expected"], "claim"].tolist(),
        "significance": SIGNIFICANCE,
        "monte_carlo_tests": tests,
        "critical_z": critical_z(tests),
        "exact_tolerance": EXACT_TOLERANCE,
        "exact_refutation": EXACT_REFUTATION,
        "resolution": RESOLUTION,
    }


def _matches(claim: Claim, pattern: str) -> bool:
    lowered = pattern.lower()
    texts = (claim.name.lower(), claim.source.lower())
    return any(lowered in text or fnmatch.fnmatchcase(text, lowered) for text in texts)


def _row(claim: Claim, bench: Bench, store: Store | None) -> pd.DataFrame:
    def compute() -> pd.DataFrame:
        return pd.DataFrame([claim.row(bench)])

    if store is None:
        return compute()
    configuration: dict[str, Any] = {
        "claim": claim.name,
        "seed": bench.seed,
        "effort": bench.effort,
        "critical": bench.critical,
    }
    if claim.revision:
        configuration["revision"] = claim.revision
    row = store.table(f"claim-{claim.name}", configuration, compute)
    return row.assign(**claim.said(str(row["verdict"].iloc[0])))  # the words may have changed since


def check_registry(claims: Sequence[Claim]) -> None:
    """Raise if two claims share a name: names address random streams and stored units."""
    names = [claim.name for claim in claims]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"every claim must have its own name; {', '.join(twice)} was given twice.")


check_registry(CLAIMS)
