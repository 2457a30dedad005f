"""What the paper reads off Figure 1, beside what appears in every record of it: records know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from iclab.report.cells import format_cell
from iclab.studies.observations import NO_MODEL, OBSERVATIONS, Observation, counted, summarise
from iclab.studies.record import StudyRecord


@dataclass(frozen=True)
class Column:
    """One record.

    Attributes
    ----------
    record : str
        Its name.
    heading : str
        Dimension and training seeds.
    models : str
        How many of its models learned, and how many it lacks.
    """

    record: str
    heading: str
    models: str


@dataclass(frozen=True)
class Cell:
    """An observation in one record: verdict, checks, what was measured, how many meet and miss; else empty."""

    verdict: str
    counted: str
    measured: str
    met: str = ""
    misses: int = 0


@dataclass(frozen=True)
class SideBySide:
    """The table: columns are records, rows the paper's observations with a cell per record.

    Attributes
    ----------
    columns : list of Column
        In the order of the records.
    rows : list of (Observation, list of Cell)
        In the order of the paper.
    conclusion : str
        What the table comes to, in a sentence.
    details : str
        Which observations that is about, and which records.
    verdicts : frozenset of str
        Those that the conclusion counts.
    """

    columns: list[Column]
    rows: list[tuple[Observation, list[Cell]]]
    conclusion: str
    details: str
    verdicts: frozenset[str]


def side_by_side(records: Iterable[StudyRecord]) -> SideBySide | None:
    """The table of all records that weigh the paper's observations; None if there is none."""
    weighing = [record for record in records if "observations" in record.tables]
    if not weighing:
        return None
    summaries = [
        {entry["observation"]: entry for entry in summarise(record.tables["observations"])} for record in weighing
    ]
    rows = [(observation, [_cell(summary[observation.title]) for summary in summaries]) for observation in OBSERVATIONS]
    columns = [_column(record) for record in weighing]
    alike = [i for i, record in enumerate(weighing) if not reads_columns(record)] or list(range(len(weighing)))
    contained = _contained([(weighing[i], columns[i]) for i in alike])
    independent = [i for i in alike if columns[i].heading not in dict(contained)]
    weighed = [(observation, [cells[i] for i in independent]) for observation, cells in rows]
    conclusion, details = _conclusion(weighed, [columns[i].heading for i in independent])
    details += [f"“{small}” is contained in “{large}” and not counted again." for small, large in contained]
    verdicts = frozenset(cell.verdict for _, cells in weighed for cell in cells) - {NO_MODEL}
    if len(alike) < len(weighing):
        details.append("Records whose models read columns (x, y), which the paper's do not, are left out of this.")
    return SideBySide(columns, rows, conclusion, " ".join([*details, _learning(weighing)]), verdicts)


def _learning(records: list[StudyRecord]) -> str:
    """When a model counts as having learned, which records need not agree on."""
    criteria: dict[str, list[str]] = {}
    for record in records:
        dimensions = criteria.setdefault(record.facts["learned"], [])
        dimensions += [said for said in [f"d = {record.facts['settings']['dimension']}"] if said not in dimensions]
    return " ".join(f"Learned at {' and '.join(dimensions)}: {said}." for said, dimensions in criteria.items())


def _contained(records: list[tuple[StudyRecord, Column]]) -> list[tuple[str, str]]:
    """Headings of records whose every model is among those of another, and of the other."""

    def models(record: StudyRecord) -> tuple[set[int], dict[str, Any]]:
        settings = dict(record.facts["settings"])
        seeds = set(settings.pop("training_seeds"))
        return seeds, {key: value for key, value in settings.items() if key not in ("name", "n_prompts", "workers")}

    described = [(*models(record), column.heading) for record, column in records]
    return [
        (heading, other_heading)
        for seeds, rest, heading in described
        for other_seeds, other_rest, other_heading in described
        if seeds < other_seeds and rest == other_rest
    ]


def reads_columns(record: StudyRecord) -> bool:
    """Whether the models of a record of Figure 1 read columns (x, y) rather than tokens in turn, as the paper's do."""
    return "columns" in record.facts["reads"]


def wanted_models(record: StudyRecord) -> int:
    """How many models a record of Figure 1 would have: both families, every N and seed."""
    settings = record.facts["settings"]
    return 2 * len(settings["n_train"]) * len(settings["training_seeds"])


def learned_models(record: StudyRecord) -> str:
    """How many models of a record of Figure 1 learned their task, and how many it lacks, in words."""
    models = record.tables["models"]
    missing = wanted_models(record) - len(models)
    counted = f"{int(models['learned'].astype(bool).sum())} of {len(models)} transformers learned"
    return counted + (f", {missing} more {'is' if missing == 1 else 'are'} not at hand" if missing else "")


def _column(record: StudyRecord) -> Column:
    settings = record.facts["settings"]
    seeds = len(settings["training_seeds"])
    heading = f"d = {settings['dimension']}, {'one training seed' if seeds == 1 else f'{seeds} training seeds'}"
    if reads_columns(record):
        heading += f", {record.facts['reads']}"
    return Column(record.name, heading, learned_models(record))


def _cell(entry: Mapping[str, Any]) -> Cell:
    if entry["verdict"] == NO_MODEL:
        return Cell(NO_MODEL, "", "")
    low, high = (format_cell(float(f"{entry[key]:.3g}")) for key in ("lowest", "highest"))
    measured = low if entry["total"] == 1 else f"{low} … {high}"
    return Cell(
        str(entry["verdict"]), counted(entry), measured, f"{entry['count']} of {entry['total']}", entry["misses"]
    )


def _conclusion(rows: list[tuple[Observation, list[Cell]]], headings: list[str]) -> tuple[str, list[str]]:
    """How many observations appear wherever there are models for them; and which do not."""
    shown = {observation.title: [cell for cell in cells if cell.verdict != NO_MODEL] for observation, cells in rows}
    judged = {title: cells for title, cells in shown.items() if cells}
    if not judged:
        return "No record holds a model that learned its task, so nothing can be said about any of them.", []
    whole = [title for title, cells in judged.items() if all(cell.verdict == "appears" for cell in cells)]
    missed = [title for title, cells in judged.items() if any(cell.misses for cell in cells)]
    left = [title for title in judged if title not in (*whole, *missed)]
    text = f"Of the paper's {len(rows)} observations, {_are(whole, 'appears', 'appear')} in every check"
    text += f" of {len(headings)} records" if len(headings) > 1 else ""
    text += f", {_are(left)} undecided in some" if left else ""
    if missed:
        cells_of = {observation.title: cells for observation, cells in rows}
        text += f", {_are(missed)} missed in some: "
        text += "; ".join(f"{_titles([title])} ({_met(cells_of[title], headings)})" for title in missed)
    without = len(rows) - len(judged)
    text += f"; for {without} there is no model." if without else "."
    return text, [f"Undecided in some: {_titles(left)}."] if left else []


def _met(cells: list[Cell], headings: list[str]) -> str:
    """How many checks meet an observation in each record, named by its dimension where that tells it from others."""
    short = [heading.partition(",")[0] for heading in headings]
    names = [name if short.count(name) == 1 else heading for name, heading in zip(short, headings, strict=True)]
    return ", ".join(
        f"{cell.met} at {name}" for cell, name in zip(cells, names, strict=True) if cell.verdict != NO_MODEL
    )


def _are(titles: list[str], one: str = "is", many: str = "are") -> str:
    return f"{len(titles)} {one if len(titles) == 1 else many}"


def _titles(titles: Iterable[str]) -> str:
    return ", ".join(title[0].lower() + title[1:] for title in titles)
