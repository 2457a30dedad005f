"""A claim of the paper, what was found about it, and the row of the table that says both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from iclab.foundations import InvalidInputError
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.evidence import HOLDS, ONLY_IF, Evidence, verdict_of


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
    revision : int
        Raised when the check changes, so that what an earlier one found is computed again.
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
    revision: int = 0

    def said(self, verdict: str) -> dict[str, Any]:
        """What the table's row holds besides what was computed."""
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
        }

    def row(self, bench: Bench) -> dict[str, Any]:
        """Run the check and write the table's row."""
        finding = self.check(bench)
        scores = sum(e.problems for e in (*finding.stated, *finding.under) if e.measure == "z-score")
        if scores > self.tests:
            raise InvalidInputError(
                f"the claim {self.name} must announce its z-scores; {scores} were computed and {self.tests} announced."
            )
        verdict = verdict_of(finding.stated, finding.under)
        # The evidence that decided: the condition's when the claim holds only under it, otherwise the worst.
        deciding = finding.under if verdict == ONLY_IF else finding.stated
        as_stated, worst = (max(pieces, key=_weight) for pieces in (finding.stated, deciding))
        margins = [e.margin for e in deciding if e.measure == "violation"]
        text = f"as stated {as_stated.text}; under the condition {worst.text}" if verdict == ONLY_IF else worst.text
        return {
            **self.said(verdict),
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


@dataclass
class Section:
    """A part of the paper: collects its claims in order."""

    title: str
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
        revision: int = 0,
    ) -> Callable[[Callable[[Bench], Finding]], Callable[[Bench], Finding]]:
        """Register the decorated check as a claim; with a ``condition`` the verdict on record is "holds only if …"."""
        verdict = ONLY_IF if condition else expected

        def register(check: Callable[[Bench], Finding]) -> Callable[[Bench], Finding]:
            words = (name, self.title, source, statement)
            self.claims.append(Claim(*words, check, verdict, condition, tests, erratum, slip, revision))
            return check

        return register


def _weight(evidence: Evidence) -> tuple[float, float]:
    """By severity, then by the smaller margin."""
    return evidence.severity, -math.inf if math.isnan(evidence.margin) else -evidence.margin
