"""Every claim of the paper, checked on problems of its own; each check is a unit of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from iclab.studies.claims.claim import Finding, found_by
from iclab.studies.claims.evidence import EXACT_REFUTATION, EXACT_TOLERANCE, RESOLUTION
from iclab.studies.claims.table import CLAIMS, SIGNIFICANCE, arguments, critical_z, tables_of
from iclab.studies.lab import Lab
from iclab.studies.store import Unit

TITLE = "Every claim of the paper"


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    seed : int
        Seed of all problems and samples.
    effort : str
        "full", or "quick" for a quarter of the problems and two thirds of the samples.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    effort: Literal["quick", "full"] = "full"


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Check every claim.

    Returns
    -------
    dict of DataFrame
        ``claims``, ``evidence`` and ``numbers`` of :func:`iclab.studies.claims.table.tables_of`; ``thresholds``, one
        row.
    """
    units = [Unit(found_by, arguments(claim, settings.seed, settings.effort), claim.name) for claim in CLAIMS]
    found = zip(CLAIMS, lab.tables(units, "claims"), strict=True)
    tests = sum(claim.tests for claim in CLAIMS)
    thresholds = {
        "significance": SIGNIFICANCE,
        "monte_carlo_tests": tests,
        "critical_z": critical_z(tests),
        "exact_tolerance": EXACT_TOLERANCE,
        "exact_refutation": EXACT_REFUTATION,
        "resolution": RESOLUTION,
    }
    tables = tables_of({claim.name: Finding.from_table(table) for claim, table in found})
    return {**tables, "thresholds": pd.DataFrame([thresholds])}
