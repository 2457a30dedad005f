"""Self-contained pages from the records of a reproduction: a first page with the paper, and one per further study."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from iclab.foundations import write_text
from iclab.report.cells import Table, format_cell
from iclab.report.figures import (
    covariances,
    depth,
    figure1,
    finite_data,
    gradient_flow,
    initialisation,
    leaderboard,
    positions,
    shifts,
    tolerance,
)
from iclab.report.side_by_side import SideBySide, side_by_side
from iclab.report.style import Drawing
from iclab.report.words import KINDS, Finding, Words, kind_of, words_of
from iclab.studies.record import StudyRecord

TITLE = "Trained Transformers Learn Linear Models In-Context, reproduced"
FIRST_PAGE = "report.html"
# Studies whose sections are on the first page; every other has a page of its own.
PAPER = ("claims", "gradient_flow", "initialisation", "shifts", "figure1")
_FIGURES: Mapping[str, Callable[[StudyRecord], list[Drawing]]] = {
    "gradient_flow": gradient_flow.draw,
    "depth": depth.draw,
    "initialisation": initialisation.draw,
    "shifts": shifts.draw,
    "figure1": figure1.draw,
    "covariances": covariances.draw,
    "finite_data": finite_data.draw,
    "figure1_d20": figure1.draw,
    "figure1_d20_columns": figure1.draw,
    "figure1_seeds": figure1.draw,
    "positions": positions.draw,
    "leaderboard": leaderboard.draw,
    "leaderboard_d10": leaderboard.draw,
    "tolerance": tolerance.draw,
    "tolerance_d20": tolerance.draw,
}
_TONES = {
    "holds": "good",
    "appears": "good",
    "confirmed": "good",
    "does not hold": "bad",
    "does not appear": "bad",
    "refuted": "bad",
    "found": "new",
    "undecided": "none",
    "no model": "none",
}
# What a part of the first page does, in the line beneath its title.
_DONE = {
    "claims": "every claim checked",
    "gradient_flow": "gradient flow followed",
    "shifts": "shifts measured",
    "initialisation": "other initialisations tried",
    "figure1": "Figure 1 trained anew",
}
_CODE = re.compile(r"`([^`]+)`")
# Tables of more rows are folded.
_OPEN_ROWS = 16
# Tables of more columns are printed smaller.
_BROAD_COLUMNS = 10


@dataclass(frozen=True)
class _Section:
    """What the templates need of one study.

    Attributes
    ----------
    name, title : str
        Of the study.
    page : str
        File that it is on.
    words : Words
        Its text and tables.
    files : list of str
        Its data, beside the page.
    command, seeds : str
        What draws it again.
    drawings : list of dict
        Its figures.
    """

    name: str
    title: str
    page: str
    words: Words
    files: list[str]
    command: str
    seeds: str
    drawings: list[dict[str, str]]

    @property
    def link(self) -> str:
        """Where it begins, seen from any page."""
        return f"{self.page}#{self.name}" if self.page == FIRST_PAGE else self.page

    @property
    def part(self) -> str:
        """The part's name on the command line."""
        return self.name.replace("_", "-")


def write_report(
    records: Iterable[StudyRecord],
    directory: Path,
    provenance: Mapping[str, Any],
    progress: Callable[[str, int, int], None],
) -> Path:
    """Draw every figure of the records, and write ``report.html`` and a page per study beyond the paper.

    Parameters
    ----------
    records : iterable of StudyRecord
        Finished studies, in the order of the pages.
    directory : Path
        Folder of the reproduction; figures go to ``directory / "figures"``.
    provenance : mapping
        Versions, hardware and durations.
    progress : callable
        Called with (what is being drawn, done, total).

    Returns
    -------
    Path
        The first page. Every page holds its figures and opens offline.
    """
    records = list(records)
    sections: list[_Section] = []
    for i, record in enumerate(records):
        progress(f"report: drawing {record.title}", i, len(records))
        sections.append(_section(record, directory, provenance["profile"]))
    paper = [section for section in sections if section.page == FIRST_PAGE]
    beyond = [section for section in sections if section.page != FIRST_PAGE]
    environment = _environment()
    compared = side_by_side(records)
    shared = {
        "title": TITLE,
        "first_page": FIRST_PAGE,
        "paper": paper,
        "beyond": beyond,
        "compared": compared,
        "provenance": provenance,
    }
    # The first page last: when it is there, all are.
    for before, section, after in zip([None, *beyond], beyond, [*beyond[1:], None], strict=False):
        page = environment.get_template("study.html.j2").render(
            shared, section=section, before=before, after=after, here=section.page
        )
        write_text(directory / section.page, page)
    page = environment.get_template("report.html.j2").render(
        shared,
        here=FIRST_PAGE,
        links={section.name: section.link for section in sections},
        leads=_in_order(_leads(sections, compared)),
        findings=_in_order([(finding, section) for section in sections for finding in section.words.findings]),
        done=[_DONE[section.name] for section in paper if section.name in _DONE],
        provenance_table=_provenance_table(provenance, sections),
        deviations=[line for section in paper for line in section.words.deviations],
    )
    path = directory / FIRST_PAGE
    write_text(path, page)
    progress("report: written", len(records), len(records))
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("iclab.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["tone"] = lambda verdict: _TONES.get(verdict, "some")
    environment.filters["cell"] = format_cell
    environment.filters["prose"] = _prose
    environment.filters["heading"] = _heading
    environment.globals["open_rows"] = _OPEN_ROWS
    environment.globals["broad_columns"] = _BROAD_COLUMNS
    return environment


def _prose(text: str) -> Markup:
    """A sentence with what stands between backquotes set as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _heading(name: str) -> Markup:
    """The name of a column, which may be broken behind an underscore."""
    return Markup(str(escape(name)).replace("_", "_<wbr>"))


def _section(record: StudyRecord, directory: Path, profile: str) -> _Section:
    part = record.name.replace("_", "-")
    return _Section(
        record.name,
        record.title,
        FIRST_PAGE if record.name in PAPER else f"{part}.html",
        words_of(record),
        [f"studies/{record.name}/{key}.{suffix}" for key in record.tables for suffix in ("parquet", "csv")],
        f"iclab reproduce --profile {profile} --only {part}",
        _seeds(record),
        [_embed(drawing, directory) for drawing in _FIGURES.get(record.name, lambda _: [])(record)],
    )


def _leads(sections: list[_Section], compared: SideBySide | None) -> list[tuple[Finding, _Section]]:
    """What the first page states: of every subject the first finding, of Figure 1 what all its records come to."""
    leads: dict[str, tuple[Finding, _Section]] = {}
    for section in sections:
        subject = section.name.partition("_")[0]
        findings = section.words.findings
        if subject == "figure1" and compared:
            findings = [Finding(kind_of(compared.verdicts), f"Figure 1. {compared.conclusion}")]
        if findings:
            leads.setdefault(subject, (findings[0], section))
    if len(leads) > 1:
        leads.pop("leaderboard", None)  # which recipe trains fastest says nothing of the paper
    return list(leads.values())


def _in_order(findings: list[tuple[Finding, _Section]]) -> list[tuple[Finding, _Section]]:
    """Confirmed, in part, refuted, found, undecided; in the order of the studies."""
    return sorted(findings, key=lambda pair: KINDS.index(pair[0].kind))


def _seeds(record: StudyRecord) -> str:
    """Every seed among a record's settings, in words."""
    settings = record.facts.get("settings", record.facts)
    named = {key: value for key, value in settings.items() if key == "seed" or key.endswith(("_seed", "_seeds"))}
    named = {key: value for key, value in named.items() if not key.startswith("n_")}
    words = []
    for key, value in sorted(named.items(), key=lambda item: item[0] != "seed"):
        of = "" if key == "seed" else f" of the {key.rpartition('_')[0].replace('_', ' ')}"
        values = list(value) if isinstance(value, list | tuple) else [value]
        words.append(f"seed{'s' if len(values) > 1 else ''}{of} {', '.join(map(str, values))}")
    return "; ".join(words)


def _embed(drawing: Drawing, directory: Path) -> dict[str, str]:
    drawing.save(directory / "figures")
    svg = (directory / "figures" / f"{drawing.name}.svg").read_bytes()
    uri = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    return {"name": drawing.name, "caption": drawing.caption, "alt": drawing.alt, "uri": uri}


def _provenance_table(provenance: Mapping[str, Any], sections: list[_Section]) -> Table:
    libraries = ", ".join(f"{name} {found}" for name, found in provenance["libraries"].items())
    rows = [
        ["iclab", provenance["version"]],
        ["profile", provenance["profile"]],
        ["Python and libraries", f"Python {provenance['python']}, {libraries}"],
        ["machine", f"{provenance['processor']}, {provenance['cores']} cores, GPU: {provenance['gpu']}"],
        ["system", provenance["platform"]],
        ["seconds below", "what this folder spent on a part; a training found done, whichever part did it, costs none"],
    ]
    durations = dict(provenance["durations"])
    for section in sections:
        sessions = durations.pop(section.part, [])
        notes = [section.seeds] if section.seeds else []
        if sessions:
            over = f" over {len(sessions)} sessions" if len(sessions) > 1 else ""
            notes.append(f"{sum(sessions):.0f} s{over}")
        rows.append([section.part, "; ".join(notes)])
    return Table(["what", "value"], [False, False], rows)
