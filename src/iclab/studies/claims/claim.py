"""A claim of the paper: its words, its check, and the row of the table that says what was found."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from inspect import signature
from types import MappingProxyType
from typing import Any, TypeAlias

import pandas as pd
import yaml
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass as validated

from iclab.foundations import InvalidInputError, check_choice
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.cubature import random_moments
from iclab.studies.claims.evidence import HOLDS, ONLY_IF, Evidence, Measured, judge, verdict_of
from iclab.studies.claims.random_laws import random_problems
from iclab.studies.rows import where

PAPER, SUMMARY, OURS = "paper", "summary", "iclab"
# A check yields comparisons (name, found, stated) and numbers (name, value), under the names that its words announce.
# It does so for one of the problems that these say are drawn, and names what it needs: the bench, what is drawn, or
# attributes of a problem. Where nothing is, it draws from the bench itself.
Item: TypeAlias = tuple[str, Any] | tuple[str, Any, Any]
Items: TypeAlias = Iterator[Item]
Check: TypeAlias = Callable[..., Items]
# Name of a comparison or number to how it is judged, as data.
Judged: TypeAlias = Mapping[str, Mapping[str, Any]]
# Kind of what is drawn for a check to what draws it, given how much of it at full effort, and how a check calls it.
_DRAWN: Mapping[str, tuple[Callable[..., Iterator[Any]], tuple[str, ...]]] = {
    "problems": (Bench.problems, ("problem",)),
    "random_problems": (random_problems, ("problem",)),
    "small": (Bench.small, ("d", "n", "cov")),
    "tiny": (Bench.tiny, ("problem", "m")),
    "prompts": (Bench.prompts, ("xs", "ys", "query")),
    "linear_prompts": (Bench.linear_prompts, ("xs", "w", "query")),
    "moments": (random_moments, ("cov", "n", "moments")),
    "times": (Bench.times, ()),
}

_PARTS = {"stated": Evidence, "under": Evidence, "number": Measured}


@dataclass(frozen=True)
class Finding:
    """What a check found, by name."""

    stated: Mapping[str, Evidence]  # On the claim as the paper states it
    # On the claim under the condition that its :class:`Claim` names; empty if there is none
    under: Mapping[str, Evidence] = field(default_factory=dict)
    numbers: Mapping[str, Measured] = field(default_factory=dict)  # What else is reported

    @property
    def evidence(self) -> list[Evidence]:
        """All of it."""
        return [*self.stated.values(), *self.under.values()]

    def as_table(self) -> pd.DataFrame:
        """A row per piece of evidence and per number: part ("stated", "under" or "number"), name, and its fields."""
        parts = zip(_PARTS, (self.stated, self.under, self.numbers), strict=True)
        return pd.DataFrame(
            [{"part": part, "name": name, **asdict(piece)} for part, pieces in parts for name, piece in pieces.items()]
        )

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Finding:
        """What ``as_table`` made a table of."""
        parts = [(kind, where(table, part=part)) for part, kind in _PARTS.items()]
        return cls(*(dict(zip(rows["name"], rows_as(kind, rows), strict=True)) for kind, rows in parts))


# Columns that missing values in other rows of a table made floats or objects.
_CASTS: Mapping[str, type] = {"problems": int, "values": int, "decisive": bool}


def rows_as(kind: type[Any], rows: pd.DataFrame) -> list[Any]:
    """Evidence or numbers, from the rows of a table."""
    if rows.empty:
        return []
    columns = [map(_CASTS.get(each.name, lambda value: value), rows[each.name]) for each in fields(kind)]
    return [kind(*row) for row in zip(*columns, strict=True)]


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class Words:
    """What is written by hand about a claim, in the file of its section, before any number is known."""

    source: str  # Number in JMLR and, where it differs, in the arXiv version
    statement: str  # What the paper says
    computed: str  # How it is checked
    names: dict[str, str]  # What each comparison and number of the check is
    judged: dict[str, dict[str, Any]]  # How each of them is judged, as for ``evidence.judge``
    drawn: dict[str, Any] = field(default_factory=dict)  # What is drawn for the check, and how much: see ``_DRAWN``
    condition: str = ""  # The condition of "holds only if …"
    expected: str = ""  # The verdict on record, if it is not the one that follows from the condition
    correction: str = ""  # What is right, if the claim does not hold as stated or its proof has a gap
    erratum: bool = False  # Whether the row corrects the paper
    slip: bool = False  # Whether the condition mends a citation, a sign or a word, and not the mathematics
    origin: str = ""  # Who says so, if not the section's origin: "paper", "summary" (the summary document) or "iclab"


@dataclass(frozen=True)
class Claim:
    """One assertion of the paper with the check that judges it."""

    name: str  # Identifier, unique in the table
    section: str  # Part of the paper it stands in
    words: Words  # What is written about it
    check: Check  # Maps a :class:`Bench` to comparisons and numbers
    origin: str = PAPER  # Who says so

    @property
    def expected(self) -> str:
        """The verdict on record: "holds", "holds only if …" or "does not hold"."""
        return self.words.expected or (ONLY_IF if self.words.condition else HOLDS)

    @property
    def tests(self) -> int:
        """How many z-scores the check computes; they share the table's significance level."""
        return sum(judged.get("sampled", 0) for judged in self.words.judged.values())

    def row(self, finding: Finding) -> dict[str, Any]:
        """The table's row for what was found."""
        stated, under = list(finding.stated.values()), list(finding.under.values())
        verdict = verdict_of(stated, under)
        # The evidence that decided: the condition's when the claim holds only under it, otherwise the worst.
        deciding = under if verdict == ONLY_IF else stated
        as_stated, worst = (max(pieces, key=_weight) for pieces in (stated, deciding))
        margins = [e.margin for e in deciding if e.measure == "violation"]
        words = self.words
        return {
            "claim": self.name,
            "section": self.section,
            "source": words.source,
            "statement": words.statement,
            "condition": words.condition if verdict == ONLY_IF else "",
            "expected": self.expected,
            "as_expected": verdict == self.expected,
            "erratum": words.erratum,
            "correction": words.correction,
            "slip": words.slip,
            "computed": words.computed,
            "method": "; ".join(dict.fromkeys(e.obtained for e in finding.evidence)),
            "problems": max(e.problems for e in finding.evidence),
            "measure": worst.measure,
            "deviation": worst.deviation,
            "deviation_as_stated": as_stated.deviation,
            "tolerance": worst.tolerance,
            "margin": min(margins) if margins else math.nan,
            "verdict": verdict,
            "origin": self.origin,
        }


def read_words(name: str) -> Any:
    """What stands in ``name.yaml``."""
    text = files("iclab.studies.claims").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_section(name: str, checks: Mapping[str, Check]) -> Iterator[Claim]:
    """The claims of the section whose words stand in ``name.yaml``, in their order, with the checks of their names.

    Raises
    ------
    InvalidInputError
        If a claim has no check, or the names of its words are not those that its check announces.
    """
    content = read_words(name)
    origin = content.get("origin", PAPER)
    for key, words in TypeAdapter(dict[str, Words]).validate_python(content["claims"]).items():
        check = checks.get(re.sub(r"\W", "_", key))
        if check is None or set(words.judged) != set(words.names):
            raise InvalidInputError(
                f"the claim {key} must have a check, and say how it judges what it names: {', '.join(words.names)}."
            )
        yield Claim(key, content["title"], words, check, words.origin or origin)


def items_of(check: Check, bench: Bench, drawn: Mapping[str, Any]) -> Items:
    """All that a check yields: once for each of what is drawn for it, or once if nothing is."""
    if not drawn:
        yield from check(bench)
        return
    (kind, full), *options = drawn.items()
    draw, names = _DRAWN[check_choice(kind, "drawn", _DRAWN)]
    for given in draw(bench, full, **dict(options)):
        values = given if isinstance(given, tuple) else (given,)
        known = {"bench": bench, **dict(zip(names, values, strict=True))}
        needed = signature(check).parameters
        yield from check(*(known[name] if name in known else getattr(known["problem"], name) for name in needed))


def find(
    check: Check,
    name: str,
    judged: Judged,
    seed: int,
    effort: str,
    critical: float,
    drawn: Mapping[str, Any] = MappingProxyType({}),
) -> Finding:
    """Run a claim's check, and judge what it yields.

    Raises
    ------
    InvalidInputError
        If it computes more z-scores than it announces.
    """
    collected: dict[str, list[Any]] = {key: [] for key in judged}
    for key, *values in items_of(check, Bench(name, seed, effort, critical), drawn):
        collected[key].append(values[0] if len(values) == 1 else tuple(values))
    parts: tuple[dict[str, Any], ...] = {}, {}, {}
    for key, values in collected.items():
        announced = judged[key].get("sampled", len(values))
        if len(values) > announced:
            raise InvalidInputError(
                f"the claim {name} must announce its z-scores; {len(values)} were computed and {announced} announced."
            )
        piece = judge(judged[key], values, critical)
        parts[2 if isinstance(piece, Measured) else int(judged[key].get("under", False))][key] = piece
    return Finding(*parts)


def found_by(**given: Any) -> pd.DataFrame:
    """What ``find`` finds, as a table."""
    return find(**given).as_table()


def _weight(evidence: Evidence) -> tuple[float, float]:
    """By severity, then by the smaller margin."""
    return evidence.severity, -math.inf if math.isnan(evidence.margin) else -evidence.margin
