"""One self-contained page from the records of a reproduction."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from incontext.foundations import write_text
from incontext.report.figures import figure1, gradient_flow, initialisation, shifts
from incontext.report.style import Drawing
from incontext.report.words import Words, words_of
from incontext.studies.record import StudyRecord

TITLE = "Trained Transformers Learn Linear Models In-Context, reproduced"
_FIGURES: Mapping[str, Callable[[StudyRecord], list[Drawing]]] = {
    "gradient_flow": gradient_flow.draw,
    "initialisation": initialisation.draw,
    "shifts": shifts.draw,
    "figure1": figure1.draw,
}
_TONES = {"holds": "good", "appears": "good", "does not hold": "bad", "does not appear": "bad", "undecided": "none"}


@dataclass(frozen=True)
class _Section:
    """What the template needs of one study."""

    name: str
    title: str
    words: Words
    files: list[str]
    command: str
    drawings: list[dict[str, str]] = field(default_factory=list)


def write_report(
    records: Iterable[StudyRecord],
    directory: Path,
    provenance: Mapping[str, Any],
    progress: Callable[[str, int, int], None],
) -> Path:
    """Draw every figure of the records and write ``report.html``.

    Parameters
    ----------
    records : iterable of StudyRecord
        Finished studies, in the order of the page.
    directory : Path
        Folder of the reproduction; figures go to ``directory / "figures"``.
    provenance : mapping
        Versions, hardware and durations.
    progress : callable
        Called with (what is being drawn, done, total).

    Returns
    -------
    Path
        The page. It holds its figures and opens offline.
    """
    records = list(records)
    sections: list[_Section] = []
    for i, record in enumerate(records):
        progress(f"report: drawing {record.title}", i, len(records))
        drawings = [_embed(drawing, directory) for drawing in _FIGURES.get(record.name, lambda _: [])(record)]
        part = record.name.replace("_", "-")
        files = [f"studies/{record.name}/{key}.{suffix}" for key in record.tables for suffix in ("parquet", "csv")]
        command = f"incontext reproduce --profile {provenance['profile']} --only {part}"
        sections.append(_Section(record.name, record.title, words_of(record), files, command, drawings))
    environment = Environment(
        loader=PackageLoader("incontext.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["tone"] = lambda verdict: _TONES.get(verdict, "some")
    environment.filters["figure_of"] = format_cell
    page = environment.get_template("report.html.j2").render(
        title=TITLE,
        sections=sections,
        summary=[line for section in sections for line in section.words.summary],
        provenance=provenance,
        provenance_table=_provenance_table(provenance, records),
        deviations=[line for section in sections for line in section.words.deviations],
    )
    path = directory / "report.html"
    write_text(path, page)
    progress("report: written", len(records), len(records))
    return path


def format_cell(value: Any) -> str:
    """A table cell: numbers to four significant digits, missing values as a dash."""
    if isinstance(value, float) or hasattr(value, "dtype"):
        number = float(value)
        if math.isnan(number):
            return "–"
        if math.isinf(number):
            return "∞" if number > 0 else "−∞"
        return f"{number:.4g}".replace("-", "−")
    return "–" if value is None or value is pd.NA else str(value)


def _embed(drawing: Drawing, directory: Path) -> dict[str, str]:
    drawing.save(directory / "figures")
    svg = (directory / "figures" / f"{drawing.name}.svg").read_bytes()
    uri = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    return {"name": drawing.name, "caption": drawing.caption, "alt": drawing.alt, "uri": uri}


def _provenance_table(provenance: Mapping[str, Any], records: list[StudyRecord]) -> dict[str, list[Any]]:
    libraries = ", ".join(f"{name} {found}" for name, found in provenance["libraries"].items())
    rows = [
        ["incontext", provenance["version"]],
        ["profile", provenance["profile"]],
        ["Python and libraries", f"Python {provenance['python']}, {libraries}"],
        ["machine", f"{provenance['processor']}, {provenance['cores']} cores, GPU: {provenance['gpu']}"],
        ["system", provenance["platform"]],
    ]
    for record in records:
        settings = record.facts.get("settings", record.facts)
        trainings = settings.get("training_seeds")
        note = f"; of the trainings: {', '.join(str(seed) for seed in trainings)}" if trainings else ""
        rows.append([f"seed of {record.name.replace('_', '-')}", f"{settings['seed']}{note}"])
    for part, sessions in provenance["durations"].items():
        total = sum(sessions)
        note = f" over {len(sessions)} sessions" if len(sessions) > 1 else ""
        rows.append([f"time for {part}", f"{total:.0f} s{note}"])
    return {"columns": ["what", "value"], "rows": rows}
