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
        What the table comes to.
    verdicts : frozenset of str
        Those that the conclusion counts.
    """

    columns: list[Column]
    rows: list[tuple[Observation, list[Cell]]]
    conclusion: str
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
    told = _conclusion(weighed)
    verdicts = frozenset(cell.verdict for _, cells in weighed for cell in cells) - {NO_MODEL}
    if len(alike) < len(weighing):
        told += " Records whose models read columns (x, y), which the paper's do not, are left out of this count."
    return SideBySide([_column(record) for record in weighing], rows, told, verdicts)


def reads_columns(record: StudyRecord) -> bool:
    """Whether the models of a record of Figure 1 read columns (x, y) rather than tokens in turn, as the paper's do."""
    return "columns" in record.facts["reads"]


def learned_models(record: StudyRecord) -> str:
    """How many models of a record of Figure 1 learned their task, and how many it lacks, in words."""
    settings, models = record.facts["settings"], record.tables["models"]
    missing = 2 * len(settings["n_train"]) * len(settings["training_seeds"]) - len(models)  # of both families
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


def _conclusion(rows: list[tuple[Observation, list[Cell]]]) -> str:
    """How many observations appear wherever there are models for them, and which do not."""
    shown = {observation.title: [cell for cell in cells if cell.verdict != NO_MODEL] for observation, cells in rows}
    judged = {title: cells for title, cells in shown.items() if cells}
    if not judged:
        return "No record holds a model that learned its task, so nothing can be said about any of them."
    without = len(rows) - len(judged)
    whole = [title for title, cells in judged.items() if all(cell.verdict == "appears" for cell in cells)]
    missed = [title for title, cells in judged.items() if any(cell.misses for cell in cells)]
    left = [title for title in judged if title not in (*whole, *missed)]
    text = f"Of {len(judged)} observations that the models at hand can show, "
    text += f"{len(whole)} appear in every check of every record"
    text += f"; missed by no check, but left undecided by some: {_titles(left)}" if left else ""
    text += f"; missed by some checks: {_titles(missed)}." if missed else "."
    return text + (f" For {without} there is no model." if without else "")


def _titles(titles: Iterable[str]) -> str:
    return ", ".join(title[0].lower() + title[1:] for title in titles)
