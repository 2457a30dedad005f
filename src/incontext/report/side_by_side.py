"""What the paper reads off Figure 1, beside what appears in every record of it: records know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from incontext.report.cells import format_cell
from incontext.studies.observations import NO_MODEL, OBSERVATIONS, Observation, counted, summarise
from incontext.studies.record import StudyRecord


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
    """An observation in one record: verdict, checks, what was measured, how many miss; empty without a model."""

    verdict: str
    counted: str
    measured: str
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
    alike = [i for i, record in enumerate(weighing) if not reads_columns(record)] or list(range(len(weighing)))
    weighed = [(observation, [cells[i] for i in alike]) for observation, cells in rows]
    columns = [_column(record) for record in weighing]
    contained = _contained([(weighing[i], columns[i]) for i in alike])
    conclusion, details = _conclusion(weighed, len(alike), overlapping=bool(contained))
    details += [f"“{small}” is contained in “{large}”." for small, large in contained]
    verdicts = frozenset(cell.verdict for _, cells in weighed for cell in cells) - {NO_MODEL}
    if len(alike) < len(weighing):
        details.append("Records whose models read columns (x, y), which the paper's do not, are left out of this.")
    return SideBySide(columns, rows, conclusion, " ".join(details), verdicts)


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
    return Cell(str(entry["verdict"]), counted(entry), measured, entry["misses"])


def _conclusion(
    rows: list[tuple[Observation, list[Cell]]], records: int, *, overlapping: bool
) -> tuple[str, list[str]]:
    """How many observations appear wherever there are models for them; and which do not."""
    shown = {observation.title: [cell for cell in cells if cell.verdict != NO_MODEL] for observation, cells in rows}
    judged = {title: cells for title, cells in shown.items() if cells}
    if not judged:
        return "No record holds a model that learned its task, so nothing can be said about any of them.", []
    whole = [title for title, cells in judged.items() if all(cell.verdict == "appears" for cell in cells)]
    missed = [title for title, cells in judged.items() if any(cell.misses for cell in cells)]
    left = [title for title in judged if title not in (*whole, *missed)]
    text = f"Of the paper's {len(rows)} observations, {_are(whole, 'appears', 'appear')} in every check"
    text += f" of {records} {'overlapping ' * overlapping}records" if records > 1 else ""
    text += f"; {_are(left)} undecided in some" if left else ""
    text += f"; by our criteria {_are(missed)} contradicted in some: {_titles(missed)}" if missed else ""
    without = len(rows) - len(judged)
    text += f"; for {without} there is no model." if without else "."
    return text, [f"Undecided in some: {_titles(left)}."] if left else []


def _are(titles: list[str], one: str = "is", many: str = "are") -> str:
    return f"{len(titles)} {one if len(titles) == 1 else many}"


def _titles(titles: Iterable[str]) -> str:
    return ", ".join(title[0].lower() + title[1:] for title in titles)
