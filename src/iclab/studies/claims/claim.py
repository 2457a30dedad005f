"""A claim of the paper, what was found about it, and the row of the table that says both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from iclab.foundations import InvalidInputError
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.evidence import HOLDS, ONLY_IF, Evidence, verdict_of

PAPER, SUMMARY, OURS = "paper", "summary", "iclab"


@dataclass(frozen=True)
class Finding:
    """What a check computed.

    Attributes
    ----------
    computed : str
        One sentence with the numbers found.
    method : str
        Closed form, cubature, ODE, enumeration, optimisation or Monte Carlo (with n and standard error).
    stated : sequence of Evidence
        On the claim as the paper states it.
    under : sequence of Evidence
        On the claim under the condition that its :class:`Claim` names; empty if there is none.
    """

    computed: str
    method: str
    stated: Sequence[Evidence]
    under: Sequence[Evidence] = ()

    def as_table(self) -> pd.DataFrame:
        """A row per piece of evidence: part ("stated" or "under"), the evidence's fields, computed, method."""
        parts = (("stated", self.stated), ("under", self.under))
        rows = [{"part": part, **asdict(piece)} for part, pieces in parts for piece in pieces]
        return pd.DataFrame(rows).assign(computed=self.computed, method=self.method)

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Finding:
        """What ``as_table`` made a table of."""
        stated, under = (evidence_in(table[table["part"] == part]) for part in ("stated", "under"))
        return cls(str(table["computed"].iloc[0]), str(table["method"].iloc[0]), stated, under)


def evidence_in(table: pd.DataFrame) -> list[Evidence]:
    """The pieces of evidence in the rows of a table."""
    names = [field.name for field in fields(Evidence)]
    return [Evidence(*values) for values in table[names].itertuples(index=False, name=None)]


@dataclass(frozen=True)
class Claim:
    """One assertion of the paper with the check that judges it.

    Attributes
    ----------
    name : str
        Identifier, unique in the table.
    section : str
        Part of the paper it stands in.
    source : str
        Number in JMLR and, where it differs, in the arXiv version.
    statement : str
        What the paper says.
    check : callable
        Maps a :class:`Bench` to a :class:`Finding`.
    expected : str
        The verdict on record: "holds", "holds only if …" or "does not hold".
    condition : str
        The condition of "holds only if …".
    tests : int
        How many z-scores the check computes; they share the table's significance level.
    erratum : bool
        Whether the row corrects the paper.
    slip : bool
        Whether the condition mends a citation, a sign or a word, and not the mathematics.
    origin : str
        Who says so: "paper", "summary" (the summary document of the paper) or "iclab".
    """

    name: str
    section: str
    source: str
    statement: str
    check: Callable[[Bench], Finding]
    expected: str
    condition: str = ""
    tests: int = 0
    erratum: bool = False
    slip: bool = False
    origin: str = PAPER

    def row(self, finding: Finding) -> dict[str, Any]:
        """The table's row for what was found."""
        verdict = verdict_of(finding.stated, finding.under)
        # The evidence that decided: the condition's when the claim holds only under it, otherwise the worst.
        deciding = finding.under if verdict == ONLY_IF else finding.stated
        as_stated, worst = (max(pieces, key=_weight) for pieces in (finding.stated, deciding))
        margins = [e.margin for e in deciding if e.measure == "violation"]
        text = f"as stated {as_stated.text}; under the condition {worst.text}" if verdict == ONLY_IF else worst.text
        return {
            "claim": self.name,
            "section": self.section,
            "source": self.source,
            "statement": self.statement,
            "condition": self.condition if verdict == ONLY_IF else "",
            "expected": self.expected,
            "as_expected": verdict == self.expected,
            "erratum": self.erratum,
            "slip": self.slip,
            "computed": finding.computed,
            "method": finding.method,
            "problems": max(e.problems for e in (*finding.stated, *finding.under)),
            "measure": worst.measure,
            "deviation": worst.deviation,
            "deviation_as_stated": as_stated.deviation,
            "tolerance": worst.tolerance,
            "margin": min(margins) if margins else float("nan"),
            "deviation_text": text,
            "verdict": verdict,
        }


def find(check: Callable[[Bench], Finding], name: str, tests: int, seed: int, effort: str, critical: float) -> Finding:
    """Run a claim's check.

    Raises
    ------
    InvalidInputError
        If it computes more z-scores than the claim announces.
    """
    with threadpool_limits(1):  # the matrices are tiny: more threads only wait for one another
        finding = check(Bench(name, seed, effort, critical))
    scores = sum(e.problems for e in (*finding.stated, *finding.under) if e.measure == "z-score")
    if scores > tests:
        raise InvalidInputError(
            f"the claim {name} must announce its z-scores; {scores} were computed and {tests} announced."
        )
    return finding


def evidence_of(**given: Any) -> pd.DataFrame:
    """What ``find`` finds, as a table."""
    return find(**given).as_table()


@dataclass
class Section:
    """A part of the paper: collects its claims in order."""

    title: str
    origin: str = PAPER
    claims: list[Claim] = field(default_factory=list)

    def claim(
        self,
        name: str,
        source: str,
        statement: str,
        *,
        expected: str = HOLDS,
        condition: str = "",
        tests: int = 0,
        erratum: bool = False,
        slip: bool = False,
        origin: str = "",
    ) -> Callable[[Callable[[Bench], Finding]], Callable[[Bench], Finding]]:
        """Register the decorated check as a claim; with a ``condition`` the verdict on record is "holds only if …"."""
        verdict = ONLY_IF if condition else expected

        def register(check: Callable[[Bench], Finding]) -> Callable[[Bench], Finding]:
            words = (name, self.title, source, statement)
            self.claims.append(Claim(*words, check, verdict, condition, tests, erratum, slip, origin or self.origin))
            return check

        return register


def _weight(evidence: Evidence) -> tuple[float, float]:
    """By severity, then by the smaller margin."""
    return evidence.severity, -math.inf if math.isnan(evidence.margin) else -evidence.margin
