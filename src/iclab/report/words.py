"""The sentences of the page: every one is made from the numbers of a record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from iclab.foundations import format_number
from iclab.report.cells import Table, table_of
from iclab.report.side_by_side import learned_models, reads_columns, wanted_models
from iclab.studies.observations import CONFIDENCE, UNDECIDED, beside, counted, summarise
from iclab.studies.record import StudyRecord

CONFIRMED, IN_PART, REFUTED, FOUND, OPEN = "confirmed", "in part", "refuted", "found", "undecided"
# In the order of the first page.
KINDS = (CONFIRMED, IN_PART, REFUTED, FOUND, OPEN)
# What a verdict says of one observation and of several.
_VERDICTS = {
    "appears": ("appears in every check", "appear in every check"),
    "appears in part": ("appears in part", "appear in part"),
    "does not appear": ("does not appear by our criterion", "do not appear by our criteria"),
    UNDECIDED: ("is undecided", "are undecided"),
}
# Who makes a statement, by the beginning of its source.
_ORIGINS = {
    "summary document": "statements of a summary of it",
    "a reading": "readings of it",
    "not in the paper": "statements that go beyond it",
}
_CONDITIONAL = "holds only if …"
_HELD = {"holds": "hold as they stand", _CONDITIONAL: "only under a condition", "does not hold": "not"}
# Relative distance from the theorem's limit below which the flow has ended there.
_ENDED = 1e-6


@dataclass(frozen=True)
class Finding:
    """One line of the first page.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    text : str
        What was found, as one short sentence.
    """

    kind: str
    text: str

    @classmethod
    def of(cls, line: str) -> Finding:
        """A line that a study wrote: its kind is the word before a colon, such as "Refuted: …"; otherwise found."""
        head, separator, rest = line.partition(":")
        if separator and head.strip().lower() in KINDS and rest.strip():
            text = rest.strip()
            # A word begins a sentence with a capital; a symbol stays as it is.
            return cls(head.strip().lower(), text[0].upper() + text[1:] if text[:2].isalpha() else text)
        return cls(FOUND, line)


@dataclass(frozen=True)
class Words:
    """Text and tables of one section.

    Attributes
    ----------
    paragraphs : list of str
        Opening of the section.
    details : list of str
        What only some readers want, after the figures.
    findings : list of Finding
        Lines for the first page.
    deviations : list of str
        How this part differs from the paper.
    claims, observations : list of dict
        Rows with a verdict.
    tables : list of (str, Table)
        Further tables with their captions.
    """

    paragraphs: list[str]
    details: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    observations: list[dict[str, Any]] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)


def words_of(record: StudyRecord) -> Words:
    """The words of a record, by its study."""
    return _WRITERS.get(record.name, _plain)(record)


def _plain(record: StudyRecord) -> Words:
    """What a study wrote itself: sentences and details, lines for the top, deviations, tables with captions."""
    facts = record.facts
    return Words(
        list(facts.get("sentences", [])),
        details=list(facts.get("details", [])),
        findings=[Finding.of(line) for line in facts.get("summary", [])],
        deviations=list(facts.get("deviations", [])),
        tables=[(caption, table_of(record.tables[key])) for key, caption in facts.get("captions", {}).items()],
    )


def _claims(record: StudyRecord) -> Words:
    table, facts = record.tables["claims"], record.facts
    kinds = table["verdict"].where(table["condition"].fillna("") == "", _CONDITIONAL)
    origins = table["source"].map(_origin)
    unexpected = table[~table["as_expected"]]["claim"]
    agreement = (
        f"All {len(table)} verdicts equal those stored with the package."
        if unexpected.empty
        else f"Not the verdict stored with the package: {', '.join(unexpected)}."
    )
    told = {
        origin: f"{len(own)} {origin} {_held(own['kind'], own['slip'])}"
        for origin, own in table.assign(kind=kinds).groupby(origins, sort=False)
    }
    first, *others = told.values()
    theirs = origins == next(iter(told))
    findings = [_counted(kinds[theirs], f"Of {first}.{'' if unexpected.empty else ' ' + agreement}")]
    if others:
        findings.append(_counted(kinds[~theirs], f"Of {'; of '.join(others)}."))
    refuted = table[(kinds == "does not hold") & theirs]
    if len(refuted):
        findings.append(Finding(REFUTED, f"What does not hold: {_listed(refuted)}."))
    order = {section: index for index, section in enumerate(table["section"].unique())}
    ordered = table.assign(section_index=table["section"].map(order))
    rows = [{str(key): value for key, value in row.items()} for row in ordered.to_dict("records")]
    return Words(
        [
            f"Each of {len(table)} statements is computed on problems drawn from seed {facts['seed']}. Of "
            f"{'; of '.join(told.values())}. {agreement} The summary document of some rows condenses the paper to "
            "three mechanisms, their break conditions and signs of failure.",
            f"Verdicts follow from the numbers. Where they rest on Monte Carlo, the {facts['monte_carlo_tests']} tests "
            f"share one significance level of {facts['significance']:g}, so a single z-score counts beyond "
            f"{facts['critical_z']:.2f}; deviations of exact computations count beyond the limit given with them. "
            "Inequalities show their smallest margin over all problems.",
        ],
        findings=findings,
        claims=rows,
    )


def _origin(source: str) -> str:
    """Who says so: the paper, unless the source says otherwise."""
    return next((told for start, told in _ORIGINS.items() if source.startswith(start)), "statements of the paper")


def _held(verdicts: pd.Series, slips: pd.Series) -> str:
    counts = verdicts.value_counts()
    told = [f"{counts.get(kind, 0)} {said}" for kind, said in _HELD.items() if kind == "holds" or kind in counts]
    mended = int((slips & (verdicts == _CONDITIONAL)).sum())
    if mended:
        told[1] += f" ({mended} of them slips of citation, sign or wording)"
    return ", ".join([*told, *(f"{counts[kind]} undecided" for kind in counts.index if kind not in _HELD)])


def _counted(verdicts: pd.Series, text: str) -> Finding:
    return Finding(CONFIRMED if set(verdicts) == {"holds"} else IN_PART, text)


def _listed(claims: pd.DataFrame) -> str:
    """What the claims say, and where."""
    places = claims["source"].str.replace(r"\s*\((arXiv|the paper:)[^;]*$", "", regex=True)
    said = claims["statement"].str.rstrip(".")
    return "; ".join(f"{place}: {each[0].lower()}{each[1:]}" for each, place in zip(said, places, strict=True))


def _gradient_flow(record: StudyRecord) -> Words:
    sentences = list(record.facts["sentences"])
    limits = record.tables["limits"]
    shown = limits[limits["row"] == limits["col"]]  # u, and the diagonal of U
    names = shown["quantity"] + shown["row"].map(lambda i: "" if i < 0 else f"[{i + 1}, {i + 1}]")
    table = shown[["case", "reached", "theorem"]].assign(entry=names, difference=shown["reached"] - shown["theorem"])
    columns = ["case", "entry", "reached", "theorem", "difference"]
    found = record.facts["conclusions"].values()
    farthest = max(case["limit_distance"] for case in found)
    bound_holds = all(case["bound_holds"] for case in found)
    rates = sorted(case["rate_over_pl_constant"] for case in found)
    finding = Finding(
        CONFIRMED if bound_holds and farthest < _ENDED else REFUTED,
        f"On {len(rates)} problems, gradient flow from Assumption 3 ends at the minimisers of Theorem 4 and Theorem 8 "
        f"(largest relative distance {farthest:.1e}); the bound e^(−μt) {'holds' if bound_holds else 'fails'}, and "
        f"there the true rate is {_short(rates[0])} to {_short(rates[-1])} times μ.",
    )
    return Words(
        sentences,
        findings=[finding],
        tables=[("Where the flow ends, beside Theorem 4 and Theorem 8", table_of(table[columns]))],
    )


def _shifts(record: StudyRecord) -> Words:
    sentences = list(record.facts["sentences"])
    errors = record.tables["errors"]
    columns = ["shift", "parameter", "M", "predictor", "exact", "mean", "stderr", "n", "z"]
    return Words(
        sentences,
        findings=[Finding.of(line) for line in record.facts["summary"]],
        tables=[("Every error: exact, and Monte Carlo with standard error", table_of(errors[columns]))],
    )


def _initialisation(record: StudyRecord) -> Words:
    sentences = list(record.facts["sentences"])
    ends, references = record.tables["ends"], record.tables["two_layer_references"]
    return Words(
        [
            "The paper leaves open what other initialisations, step sizes and stochastic gradients do, and its summary "
            "what more layers do. Here they are counted.",
            *sentences,
        ],
        findings=[Finding(FOUND, sentence) for sentence in sentences[:2]],
        tables=[
            ("Where starts end, by the size of their perturbation", table_of(ends)),
            ("σ above and below the threshold", table_of(record.tables["scales"])),
            ("Where two layers end, by the size of their weights at the start", table_of(record.tables["two_layer"])),
            ("Risk of what two layers are compared with", table_of(references[["name", "loss", "stderr", "n"]])),
        ],
    )


def _figure1(record: StudyRecord) -> Words:
    settings = record.facts["settings"]
    models = record.tables["models"]
    is_learned = models["learned"].astype(bool)
    summary = summarise(record.tables["observations"])
    notes = record.facts.get("notes", {})
    observations = [{**entry, "sentence": _weighed(entry, notes.get(entry["observation"], ""))} for entry in summary]
    not_learned = models[~is_learned]["model"]
    verdict = (
        f"{learned_models(record)} (d = {settings['dimension']}); a model has learned when {record.facts['learned']}."
    )
    if len(not_learned):
        verdict += f" Not learned, and left out where the paper's observations are weighed: {', '.join(not_learned)}."
    columns = {
        "model": "model",
        "own_law": "own law",
        "steps": "steps",
        "error_at_2d": "error/d at 2d",
        "stderr_at_2d": "standard error",
        "error_at_N": "error/d at N",
        "stderr_at_N": "standard error ",  # the table shows both with their values
        "largest_ratio_to_lsa": "largest ratio to exact LSA, M = 1 … N",
        "learned": "learned",
    }
    return Words(
        [
            f"Families of curves on four laws, d = {settings['dimension']}, N = "
            f"{', '.join(str(n) for n in settings['n_train'])}. All errors are divided by d: "
            f"{record.facts['normaliser']}. The paper does not state the normaliser of its random panels.",
            verdict,
            *record.facts["sentences"],
        ],
        findings=_reading(record, observations),
        deviations=list(record.facts["deviations"]),
        observations=observations,
        tables=[
            (caption, table_of(frame))
            for caption, frame in (
                ("The models on their own law", models[list(columns)].rename(columns=columns)),
                (
                    f"Every check of every observation, with its {CONFIDENCE:.0%} interval",
                    record.tables["observations"].drop(columns="criterion"),
                ),
            )
            if len(frame)
        ],
    )


def _reading(record: StudyRecord, observations: list[dict[str, Any]]) -> list[Finding]:
    """What the paper reads off the figure: counts by verdict, then what does not appear in every check.

    Models that learned nothing decide nothing; those that read their prompts otherwise than the paper's can neither
    confirm nor refute what it saw.
    """
    settings = record.facts["settings"]
    seeds = len(settings["training_seeds"])
    head = f"Figure 1 at d = {settings['dimension']}, {f'{seeds} training seeds' if seeds > 1 else 'one training seed'}"
    if reads_columns(record):
        head += f", {record.facts['reads']}, which the paper's models do not"
    models = record.tables["models"]
    if models.empty:
        return [Finding(OPEN, f"{head}: no trained model is at hand.")]
    if len(models) < wanted_models(record) or not models["learned"].all():
        head += f" ({learned_models(record)})"
    weighed = [entry for entry in observations if entry["total"]]
    if not weighed:
        return [Finding(OPEN, f"{head}: the paper's observations stay undecided.")]
    kind = FOUND if reads_columns(record) else kind_of({entry["verdict"] for entry in weighed})
    verdicts = [entry["verdict"] for entry in weighed]
    counts = [(verdicts.count(verdict), said) for verdict, said in _VERDICTS.items()]
    told = ", ".join(f"{count} {said[count > 1]}" for count, said in counts if count)
    whole = f"the paper's {len(weighed)} observations"
    if len(weighed) < len(observations):
        whole = f"the {len(weighed)} observations of the paper that these models can show"
    first = Finding(kind, f"{head}: of {whole}, {told}.")
    # What appears is named in the table; here only what does not, and whether that hangs on where a line is drawn.
    rest = "; ".join(
        f"{entry['observation'][0].lower()}{entry['observation'][1:]} in {entry['count']} of {entry['total']}"
        + (f" ({beside(entry)})" if entry["verdict"] == "does not appear" and entry["beside"] else "")
        for entry in weighed
        if entry["verdict"] != "appears"
    )
    return [first, Finding(kind, f"Not in every check: {rest}.")] if rest else [first]


def kind_of(verdicts: Collection[str]) -> str:
    """What verdicts on observations come to together."""
    if not set(verdicts) - {UNDECIDED}:
        return OPEN
    if set(verdicts) == {"appears"}:
        return CONFIRMED
    return REFUTED if set(verdicts) == {"does not appear"} else IN_PART


def _short(number: float) -> str:
    """Two digits, without an exponent where a reader expects none."""
    return f"{number:.2g}" if not 100 <= abs(number) < 1e7 else f"{float(f'{number:.2g}'):,.0f}"


def _weighed(entry: Mapping[str, Any], note: str) -> str:
    if not entry["total"]:
        return f"None that learned its task is at hand to show it ({entry['criterion']})."
    low, high = (format_number(float(f"{entry[key]:.3g}")) for key in ("lowest", "highest"))
    values = low if entry["total"] == 1 else f"between {low} and {high}"
    return f"Criterion: {entry['criterion']}. Met by {counted(entry)}; measured {values}. {note}".rstrip()


_WRITERS: Mapping[str, Callable[[StudyRecord], Words]] = {
    "claims": _claims,
    "gradient_flow": _gradient_flow,
    "initialisation": _initialisation,
    "shifts": _shifts,
    "figure1": _figure1,
    "figure1_d20": _figure1,
    "figure1_d20_columns": _figure1,
    "figure1_seeds": _figure1,
}
