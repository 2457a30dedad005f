"""Pages from records: one per study, and a first page over all of them; each opens offline."""

from __future__ import annotations

import html
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError
from markupsafe import Markup

from iclab.foundations import InvalidInputError, write_text
from iclab.report.blocks import Blocks, Made, once, shown_value, templates
from iclab.report.markdown import to_html
from iclab.studies.folder import Study
from iclab.studies.results import Results
from iclab.studies.study import Record

FIRST_PAGE = "report.html"


def write_report(
    results: Results,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    first: tuple[str, str] | None = None,
    made: Made | None = None,
) -> Path:
    """Draw every figure of the finished studies, and write a page for each and one over them.

    Parameters
    ----------
    results : Results
        What is finished, and what is still to come.
    progress : callable
        Called with (what is being drawn, done, total).
    first : (str, str), optional
        Title and template of the page over them; without it a lone study's page is all.
    made : dict, optional
        The same for every report of one folder that grows: then each figure is drawn, and each study's text set, once.

    Returns
    -------
    Path
        The first page, or the study's.

    Raises
    ------
    InvalidInputError
        If a page asks for what its record does not hold.
    """
    links = {study.name: f"{study.name}.html" for study, _ in results.finished}
    frames = templates()
    made = {} if made is None else made
    shared = {
        "provenance": results.provenance,
        "studies": [(study, record.title) for study, record in results.finished],
        "links": links,
        "pending": _pending(results),
        "first": (FIRST_PAGE, first[0]) if first else None,
    }
    for i, (study, record) in enumerate(results.finished):
        progress(f"report: {record.title}", i, len(results.finished))
        body = once(made, record, links[study.name], partial(_body, results.directory, made, study, record))
        shared["data"] = _listing(results.directory, study, record)
        page = frames.get_template("study.html.j2").render(shared, record=record, study=study, body=Markup(body))
        write_text(results.directory / links[study.name], page)
    last = results.directory / next(reversed(links.values()), FIRST_PAGE)
    if first is not None:
        last = results.directory / FIRST_PAGE
        write_text(last, _over(results, first, shared, frames, made))
    progress("report: written", len(results.finished), len(results.finished))
    return last


def _body(directory: Path, made: Made, study: Study, record: Record) -> str:
    """The page of a study as HTML, without what stands around it."""
    blocks = Blocks(directory, made)
    return written(study.page, f"the page of {study.name}", blocks, blocks.functions(study, record))


def _over(results: Results, first: tuple[str, str], shared: Mapping[str, Any], frames: Environment, made: Made) -> str:
    """The page over all studies: its template gets the functions of each by name."""
    title, template = first
    blocks = Blocks(results.directory, made)
    by_name = {study.name: blocks.functions(study, record) for study, record in results.finished}
    finished = {study.name: (study, record) for study, record in results.finished}

    def leads(*names: str, without: Sequence[str] = ()) -> str:
        """The questions of studies, of all unless some are named, that belong on this page."""
        chosen = [finished[name] for name in finished if name in (names or finished) and name not in without]
        asked = [(record, question) for study, record in chosen for question in study.questions if question.lead]
        return blocks.answers(asked, lambda record: shared["links"][record.name], brief=True) if asked else ""

    def side_by_side(*names: str, **settings: str) -> str:
        """What studies of one folder say to its questions, under those settings by which they differ."""
        chosen = [finished[name] for name in names if name in finished]
        columns = [(_settings(record, settings), shared["links"][record.name], record) for _, record in chosen]
        return blocks.side_by_side(columns, [question for question in chosen[0][0].questions if question.lead])

    functions = {
        "studies": by_name,
        "leads": leads,
        "side_by_side": side_by_side,
        "link": lambda name, text: f"[{text}]({shared['links'][name]})" if name in by_name else text,
        "fold": blocks.fold,
    }
    body = written(template, "the first page", blocks, functions)
    return frames.get_template("first.html.j2").render(shared, title=title, body=Markup(body))


def written(template: str, what: str, blocks: Blocks, functions: Mapping[str, Any]) -> str:
    """A template as HTML."""
    writer = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=shown_value)
    try:
        return blocks.place(to_html(writer.from_string(template).render(functions)))
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        raise InvalidInputError(f"{what}{where} must be a template of what was measured; {error}.") from error
    except (InvalidInputError, OSError, MemoryError):
        raise
    except Exception as error:  # whatever an expression between braces may raise
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
        where = f" (line {lines[-1]})" if lines else ""
        said = " ".join(str(error).split()).removesuffix(".")
        raise InvalidInputError(
            f"{what}{where} must be a template of what was measured; {type(error).__name__}: {said}."
        ) from error


def _settings(record: Record, settings: Mapping[str, str]) -> str:
    """Settings of a record, by the symbols that they are given: "d = 5; N = 10, 18, 25"."""
    values = {symbol: record.settings[key] for key, symbol in settings.items()}
    lists = {symbol: value if isinstance(value, list) else [value] for symbol, value in values.items()}
    return "; ".join(f"{symbol} = {', '.join(map(str, value))}" for symbol, value in lists.items())


def _pending(results: Results) -> list[tuple[str, float | None]]:
    """Titles of what is still to come, and after how many minutes about."""
    passed, coming = 0.0, []
    for study, minutes in results.pending:
        passed += minutes or 0.0
        coming.append((study.title, passed if minutes else None))
    return coming


def _listing(directory: Path, study: Study, record: Record) -> str:
    """Write the list of a study's files, and give its address as seen from the pages."""
    folder = directory / "studies" / study.name
    names = ["record.json", *(f"{key}.{suffix}" for key in record.tables for suffix in ("csv", "parquet"))]
    items = "".join(f'<li><a href="{html.escape(name)}">{html.escape(name)}</a></li>' for name in names)
    title = html.escape(record.title)
    write_text(
        folder / "index.html",
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><ul>{items}</ul>',
    )
    return f"studies/{study.name}/index.html"
