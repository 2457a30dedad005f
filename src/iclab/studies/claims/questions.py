"""Every claim as a question of its evidence, and how many claims hold."""

from __future__ import annotations

from functools import partial

from iclab.studies.claims.claim import Claim, rows_as
from iclab.studies.claims.evidence import FAILS, HOLDS, ONLY_IF, UNDECIDED, Evidence, Outcome, verdict_of
from iclab.studies.claims.table import CLAIMS
from iclab.studies.folder import questions_of
from iclab.studies.rows import where
from iclab.studies.study import Answer, Question, Tables, Verdict, counted, tally

_VERDICTS = {
    HOLDS: Verdict.CONFIRMED,
    ONLY_IF: Verdict.IN_PART,
    FAILS: Verdict.REFUTED,
    UNDECIDED: Verdict.UNDECIDED,
}


def evidence_on(tables: Tables, claim: str = "") -> dict[str, dict[str, list[Evidence]]]:
    """The evidence on a claim, on all if none is named: on each as "stated", and "under" its condition."""
    table = tables["evidence"]
    rows = where(table, claim=claim) if claim else table
    found: dict[str, dict[str, list[Evidence]]] = {}
    for name, part, piece in zip(rows["claim"], rows["part"], rows_as(Evidence, rows), strict=True):
        found.setdefault(name, {"stated": [], "under": []})[part].append(piece)
    return found


def verdicts_of(tables: Tables) -> dict[str, str]:
    """The verdict on every claim that follows from its evidence."""
    return {name: verdict_of(**evidence) for name, evidence in evidence_on(tables).items()}


def answer_on(claim: Claim, tables: Tables) -> Answer:
    """A claim's verdict, its evidence as stated counted by outcome, and what decided."""
    evidence = evidence_on(tables, claim.name)[claim.name]
    outcomes = [piece.outcome for piece in evidence["stated"]]
    met, missed, undecided = (outcomes.count(kind) for kind in (Outcome.CONFIRMED, Outcome.REFUTED, Outcome.OPEN))
    worst = max(evidence["stated"], key=lambda piece: piece.severity)
    numbers = {"deviation": worst.deviation, "limit": worst.tolerance}
    if worst.measure == "violation":
        numbers["margin"] = worst.margin
    return Answer(_VERDICTS[verdict_of(**evidence)], met, missed, undecided, numbers)


def as_stated(tables: Tables, *, origin: str) -> Answer:
    """How many claims of an origin hold as stated."""
    found = verdicts_of(tables)
    claims = [claim for claim in CLAIMS if claim.origin == origin]
    verdicts = [found[claim.name] for claim in claims]
    met, undecided = verdicts.count(HOLDS), verdicts.count(UNDECIDED)
    slips = sum(claim.words.slip for claim, verdict in zip(claims, verdicts, strict=True) if verdict == ONLY_IF)
    numbers = {
        "only under a condition": verdicts.count(ONLY_IF),
        "of these slips of citation, sign or wording": slips,
        "do not hold": verdicts.count(FAILS),
    }
    return tally(met, len(claims) - met - undecided, undecided, **numbers)


def recorded(tables: Tables) -> Answer:
    """How many verdicts are those that are recorded with the package."""
    found = verdicts_of(tables)
    return counted([found[claim.name] == claim.expected for claim in CLAIMS])


QUESTIONS = (
    *questions_of(globals()),
    *(
        Question(claim.name, claim.words.statement, claim.words.computed, partial(answer_on, claim), claim.words.source)
        for claim in CLAIMS
    ),
)
