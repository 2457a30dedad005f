"""The sentences of the page: every one is made from the numbers of a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from incontext.studies.record import StudyRecord

Table = dict[str, list[Any]]


@dataclass(frozen=True)
class Words:
    """Text and tables of one section.

    Attributes
    ----------
    paragraphs : list of str
        Opening of the section.
    summary : list of str
        Lines for the top of the page.
    deviations : list of str
        How this part differs from the paper.
    claims, observations : list of dict
        Rows with a verdict.
    tables : list of (str, Table)
        Further tables with their captions.
    """

    paragraphs: list[str]
    summary: list[str] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    observations: list[dict[str, Any]] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)


def words_of(record: StudyRecord) -> Words:
    """The words of a record, by its study."""
    return _WRITERS.get(record.name, _plain)(record)


def table_of(frame: pd.DataFrame) -> Table:
    """A DataFrame as the template's table."""
    return {"columns": [str(column) for column in frame.columns], "rows": frame.astype(object).to_numpy().tolist()}


def _plain(record: StudyRecord) -> Words:
    """What a study wrote itself: its sentences, its lines for the top, its deviations, its tables with captions."""
    facts = record.facts
    return Words(
        list(facts.get("sentences", [])),
        summary=list(facts.get("summary", [])),
        deviations=list(facts.get("deviations", [])),
        tables=[(caption, table_of(record.tables[key])) for key, caption in facts.get("captions", {}).items()],
    )


def _claims(record: StudyRecord) -> Words:
    table, facts = record.tables["claims"], record.facts
    kinds = table["verdict"].where(table["condition"].fillna("") == "", "holds only if …")
    counts = kinds.value_counts()
    phrases = {"holds": "hold", "holds only if …": "hold only under a condition", "does not hold": "do not hold"}
    listed = ", ".join(f"{count} {phrases.get(str(kind), 'are undecided')}" for kind, count in counts.items())
    unexpected = table[~table["as_expected"]]["claim"]
    agreement = (
        "Every verdict is the recorded one."
        if unexpected.empty
        else f"Not the recorded verdict: {', '.join(unexpected)}."
    )
    order = {section: index for index, section in enumerate(table["section"].unique())}
    ordered = table.assign(section_index=table["section"].map(order))
    rows = [{str(key): value for key, value in row.items()} for row in ordered.to_dict("records")]
    return Words(
        [
            f"{len(table)} statements of the paper, of its summary document and of its errata, each computed on "
            f"problems drawn from seed {facts['seed']}: {listed}. {agreement}",
            f"Verdicts follow from the numbers. Where they rest on Monte Carlo, the {facts['monte_carlo_tests']} tests "
            f"share one significance level of {facts['significance']:g}, so a single z-score counts beyond "
            f"{facts['critical_z']:.2f}; deviations of exact computations count beyond the limit given with them. "
            "Inequalities show their smallest margin over all problems.",
        ],
        summary=[f"{len(table)} claims of the paper checked: {listed}. {agreement}"],
        claims=rows,
    )


def _gradient_flow(record: StudyRecord) -> Words:
    sentences = list(record.facts["sentences"])
    limits = record.tables["limits"]
    shown = limits[limits["row"] == limits["col"]]  # u, and the diagonal of U
    names = shown["quantity"] + shown["row"].map(lambda i: "" if i < 0 else f"[{i + 1}, {i + 1}]")
    table = shown[["case", "reached", "theorem"]].assign(entry=names, difference=shown["reached"] - shown["theorem"])
    columns = ["case", "entry", "reached", "theorem", "difference"]
    found = record.facts["conclusions"].values()
    farthest = max(case["limit_distance"] for case in found)
    bound = "holds at every time" if all(case["bound_holds"] for case in found) else "fails"
    looseness = min(case["rate_over_pl_constant"] for case in found)
    summary = (
        "Gradient flow from Assumption 3 ends at the minimisers of Theorem 4 and Theorem 8 (largest relative distance "
        f"{farthest:.1e}); the bound e^(−μt) {bound}, and the true rate is at least {looseness:.2g} times μ."
    )
    return Words(
        sentences,
        summary=[summary],
        tables=[("Where the flow ends, beside Theorem 4 and Theorem 8", table_of(table[columns]))],
    )


def _shifts(record: StudyRecord) -> Words:
    sentences = list(record.facts["sentences"])
    errors = record.tables["errors"]
    columns = ["shift", "parameter", "M", "predictor", "exact", "mean", "stderr", "n", "z"]
    return Words(
        sentences,
        summary=sentences[:1],
        tables=[("Every error: exact, and Monte Carlo with standard error", table_of(errors[columns]))],
    )


def _initialisation(record: StudyRecord) -> Words:
    sentences = list(record.facts["sentences"])
    ends = record.tables["ends"]
    return Words(
        [
            "The paper leaves open what other initialisations, step sizes and stochastic gradients do, and its summary "
            "what more layers do. Here they are counted.",
            *sentences,
        ],
        summary=sentences[:2],
        tables=[
            ("Where starts end, by the size of their perturbation", table_of(ends)),
            ("σ above and below the threshold", table_of(record.tables["scales"])),
            ("Where two layers end, by the size of their weights at the start", table_of(record.tables["two_layer"])),
            ("Risk of what two layers are compared with", table_of(record.tables["two_layer_references"])),
        ],
    )


def _figure1(record: StudyRecord) -> Words:
    settings = record.facts["settings"]
    models = record.tables["models"]
    learned = int(models["learned"].sum())
    observations = [{**entry, "sentence": _weighed(entry)} for entry in record.facts["summary"]]
    not_learned = models[~models["learned"]]["model"]
    verdict = f"{learned} of {len(models)} GPT-2 models learned their task (d = {settings['dimension']})."
    if len(not_learned):
        verdict += f" Not learned: {', '.join(not_learned)}."
    appear = [o["observation"] for o in observations if o["verdict"] == "appears"]
    partly = [
        f"{o['observation']} ({o['count']} of {o['total']})" for o in observations if o["verdict"] == "appears in part"
    ]
    missing = [o["observation"] for o in observations if o["verdict"] == "does not appear"]
    reading = "Figure 1 at this scale. Appears: " + ("; ".join(appear) or "nothing") + "."
    reading += f" In part: {'; '.join(partly)}." if partly else ""
    reading += f" Does not appear: {'; '.join(missing)}." if missing else ""
    columns = {
        "model": "model",
        "own_law": "own law",
        "steps": "steps",
        "error_at_2d": "error/d at 2d",
        "stderr_at_2d": "standard error",
        "error_at_N": "error/d at N",
        "stderr_at_N": "standard error ",
        "largest_ratio_to_lsa": "largest ratio to exact LSA, M = 1 … N",
        "learned": "learned",
    }
    return Words(
        [
            f"Six families of curves on four laws, d = {settings['dimension']}, N = "
            f"{', '.join(str(n) for n in settings['n_train'])}. All errors are divided by d: "
            f"{record.facts['normaliser']}. The paper does not state the normaliser of its random panels.",
            verdict,
        ],
        summary=[verdict, reading],
        deviations=list(record.facts["deviations"]),
        observations=observations,
        tables=[
            ("The models on their own law", table_of(models[list(columns)].rename(columns=columns))),
            ("Every check of every observation", table_of(record.tables["observations"].drop(columns="criterion"))),
        ],
    )


def _weighed(entry: Mapping[str, Any]) -> str:
    values = (
        f"{entry['lowest']:.3g}" if entry["total"] == 1 else f"between {entry['lowest']:.3g} and {entry['highest']:.3g}"
    )
    return f"{entry['count']} of {entry['total']} checks meet the criterion ({entry['criterion']}); measured {values}."


_WRITERS: Mapping[str, Callable[[StudyRecord], Words]] = {
    "claims": _claims,
    "gradient_flow": _gradient_flow,
    "initialisation": _initialisation,
    "shifts": _shifts,
    "figure1": _figure1,
}
