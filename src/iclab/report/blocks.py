"""What a page can show of a record: answers, tables, figures, folded text; each a function in its template."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from iclab.foundations import InvalidInputError, check_choice, format_number
from iclab.report.cells import Table, format_cell, table_of
from iclab.report.markdown import to_html, to_inline
from iclab.studies.drawing import curves as draw_curves
from iclab.studies.drawing import save_figure
from iclab.studies.folder import Study, own_code
from iclab.studies.rows import where as rows_where
from iclab.studies.study import Answer, Question, Record, Verdict, as_number, get_table

TONES = {
    Verdict.CONFIRMED: "good",
    Verdict.IN_PART: "some",
    Verdict.REFUTED: "bad",
    Verdict.MEASURED: "new",
    Verdict.UNDECIDED: "none",
}
# Tables of more rows are folded; of more columns, printed smaller.
OPEN_ROWS, BROAD_COLUMNS = 16, 8


# The identity of a record and the name of a file to that record and what was made of it: a picture, a page's text.
Made: TypeAlias = dict[tuple[int, str], tuple[Record, str]]


def once(made: Made, record: Record, name: str, make: Callable[[], str]) -> str:
    """What is made of a record for a file: only the first time, though the report grows by other records."""
    key = id(record), name
    if key not in made:
        made[key] = record, make()
    return made[key][1]


@cache
def templates() -> Environment:
    """Of blocks and of whole pages."""
    return Environment(
        loader=PackageLoader("iclab.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


@dataclass
class Blocks:
    """The blocks of one page: they stand in its text as comments, and take their place when the text is HTML.

    Attributes
    ----------
    directory : Path
        Folder of the results, for figures.
    made : dict
        What is made already, by record and file name: a report that grows draws every figure once.
    """

    directory: Path
    made: Made = field(default_factory=dict)
    _blocks: list[str] = field(default_factory=list)
    _templates: Environment = field(default_factory=templates)

    def functions(self, study: Study, record: Record) -> dict[str, Any]:
        """What a template may call about one study."""
        questions = {question.name: question for question in study.questions}
        plain: list[str] = []  # figures of tables, in the order of the page

        def answers(*names: str) -> str:
            return self.answers(
                [(record, questions[check_choice(n, "question", questions)]) for n in names or questions]
            )

        def table(name: str, **how: Any) -> str:
            return self.table(get_table(record.tables, name), **how)

        def figure(name: str, title: str = "", *, alt: str = "", caller: Callable[[], str] | None = None) -> str:
            return self.figure(study, record, name, title, alt=alt, caption=caller() if caller else "")

        def curves(name: str, title: str = "", *, where: Mapping[str, Any] | None = None, **how: Any) -> str:
            shown = _chosen(get_table(record.tables, name), where)
            file = f"{study.name}-{name}" + (f"-{len(plain)}" if plain else "")
            plain.append(file)
            return self.drawn(record, lambda: draw_curves(shown, **how), file, title, alt=title, caption="")

        return {
            "s": record.settings,
            "curves": curves,
            "record": record,
            "answers": answers,
            "answer": lambda name: record.answers[check_choice(name, "question", record.answers)],
            "table": table,
            "figure": figure,
            "fold": self.fold,
        }

    def answers(
        self,
        asked: Sequence[tuple[Record, Question]],
        link: Callable[[Record], str] | None = None,
        *,
        brief: bool = False,
    ) -> str:
        """Questions with their verdicts and counts, as a table; unless it is to be brief, with criteria and numbers."""
        rows = [
            {"question": question, "answer": record.answers[question.name], "link": link(record) if link else ""}
            for record, question in asked
        ]
        helpers = {"inline": to_inline, "tones": TONES, "cases": _cases, "numbers": _numbers, "shown": format_number}
        return self._add("answers.html.j2", rows=rows, brief=brief, **helpers)

    def side_by_side(self, columns: Sequence[tuple[str, str, Record]], questions: Sequence[Question]) -> str:
        """Questions that several studies ask, with the verdict and the counts of each study in a column.

        Parameters
        ----------
        columns : sequence of (str, str, Record)
            What stands under a study's title, the address of its page, its record.
        questions : sequence of Question
            The rows; a study without an answer to one has an empty cell.
        """
        rows = [(question, [record.answers.get(question.name) for _, _, record in columns]) for question in questions]
        return self._add(
            "side_by_side.html.j2",
            columns=columns,
            rows=rows,
            inline=to_inline,
            tones=TONES,
            cases=_cases,
            shown=format_number,
        )

    def table(
        self,
        frame: pd.DataFrame,
        *,
        where: Mapping[str, Any] | None = None,
        columns: Mapping[str, str] | Sequence[str] | None = None,
        sort: str | Sequence[str] = (),
        caption: str = "",
        folded: bool | None = None,
        text: Sequence[str] = (),
        badges: Mapping[str, Mapping[str, str]] | None = None,
    ) -> str:
        """A table.

        Parameters
        ----------
        frame : DataFrame
            Tidy.
        where : mapping, optional
            Column to the value, or the list of values, of the rows shown.
        columns : mapping or sequence of str, optional
            Columns shown, with their headings if a mapping; all when omitted. ``x_low`` and ``x_high`` behind ``x``,
            and ``stderr`` behind a number, join it in one cell.
        sort : str or sequence of str
            Columns to sort by.
        caption : str
            What stands above it.
        folded : bool, optional
            Whether it opens on demand; when omitted, if it has many rows.
        text : sequence of str
            Columns of Markdown, with formulas between dollar signs.
        badges : mapping, optional
            Column to the tone of each of its values: good, some, bad, new or none.
        """
        frame = _chosen(frame, where)
        sort, text = ([each] if isinstance(each, str) else list(each) for each in (sort, text))
        columns = [columns] if isinstance(columns, str) else columns
        _check_columns(frame, (*sort, *text, *(badges or {}), *(columns or ())))
        if sort:
            frame = frame.sort_values(sort, kind="stable")
        dressed = {key: [Markup(to_inline(str(cell))) for cell in frame[key]] for key in text}
        for key, tones in (badges or {}).items():
            dressed[key] = [_badge(c, tones[check_choice(c, f"badge of {key}", tones)]) for c in map(str, frame[key])]
        for key, cells in dressed.items():
            frame = frame.assign(**{key: pd.Series(cells, frame.index, dtype=object)})
        if columns is not None:
            frame = frame[list(columns)]
            frame = frame.rename(columns=dict(columns)) if isinstance(columns, Mapping) else frame
        shown = table_of(frame)
        return self._add("table.html.j2", **_shown(shown, caption, folded))

    def figure(self, study: Study, record: Record, name: str, title: str, *, alt: str, caption: str) -> str:
        """A figure with its title, which says what it shows, and its caption; its files are named after the study."""
        draw = study.figures[check_choice(name, f"figure of {study.name}", study.figures)]
        # A folder may be several studies, which draw figures of one name.
        file = name if f"{name}-".startswith(f"{study.name}-") else f"{study.name}-{name}"

        def drawing() -> Any:
            with own_code(study.package, f"the figure {name} must be drawn"):
                return draw(record)

        return self.drawn(record, drawing, file, title, alt=alt, caption=caption)

    def drawn(self, record: Record, draw: Callable[[], Any], name: str, title: str, *, alt: str, caption: str) -> str:
        """A drawing of a record, kept as files beside the page."""

        def picture() -> str:
            figure = draw()
            if not hasattr(figure, "savefig"):
                raise InvalidInputError(f"the figure {name} must be one of Matplotlib; it is {type(figure).__name__}.")
            save_figure(figure, name, self.directory / "figures")
            svg = (self.directory / "figures" / f"{name}.svg").read_bytes()
            return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()

        uri = once(self.made, record, f"{name}.svg", picture)
        texts = {"title": to_inline(title), "alt": alt or title, "caption": to_inline(caption)}
        return self._add("figure.html.j2", name=name, uri=uri, **texts)

    def fold(self, title: str, *, open: bool = False, caller: Callable[[], str] | None = None) -> str:  # noqa: A002
        """Text that opens on demand."""
        body = to_html(caller() if caller else "")
        return self._add("fold.html.j2", title=to_inline(title), body=body, open=open)

    def place(self, html: str) -> str:
        """HTML with every block in its place, blocks within blocks too."""
        for i in reversed(range(len(self._blocks))):
            html = html.replace(_mark(i), self._blocks[i])
        return html

    def _add(self, template: str, **values: Any) -> str:
        self._blocks.append(self._templates.get_template(template).render(cell=format_cell, **values))
        return f"\n\n{_mark(len(self._blocks) - 1)}\n\n"


def _chosen(frame: pd.DataFrame, where: Mapping[str, Any] | None) -> pd.DataFrame:
    """The rows whose columns have the given value, or one of the given values."""
    _check_columns(frame, where or {})
    return rows_where(frame, **(where or {}))


def _check_columns(frame: pd.DataFrame, named: Iterable[str]) -> None:
    for key in named:
        check_choice(key, "column", [str(known) for known in frame.columns])


def _mark(index: int) -> str:
    return f"<!--block {index}-->"


def _badge(value: str, tone: str) -> Markup:
    return Markup('<span class="badge {}">{}</span>').format(tone, value)


def _shown(table: Table, caption: str, folded: bool | None) -> dict[str, Any]:
    rows = len(table.rows)
    return {
        "table": table,
        "caption": to_inline(caption),
        "folded": rows > OPEN_ROWS if folded is None else folded,
        "long": rows > OPEN_ROWS,
        "broad": len(table.columns) > BROAD_COLUMNS,
    }


def _cases(answer: Answer) -> str:
    """How many cases meet the criterion: "3 of 4, 1 open"."""
    if not answer.total:
        return ""
    return f"{answer.met} of {answer.total}" + (f", {answer.undecided} undecided" if answer.undecided else "")


def _numbers(answer: Answer) -> list[tuple[str, str]]:
    """Names of an answer's numbers and how they are written: value, value ± error, or value (low … high)."""
    return [(name.replace("_", " "), _written(value)) for name, value in answer.numbers.items()]


def _written(value: Any) -> str:
    number = as_number(value)
    frame = pd.DataFrame({"value": [number.value], "value_low": [number.low], "value_high": [number.high]})
    if number.stderr == number.stderr:
        frame = pd.DataFrame({"value": [number.value], "stderr": [number.stderr]})
    return format_cell(table_of(frame).rows[0][0])


def shown_value(value: Any) -> Any:
    """A value within a sentence of a page: numbers as they are written, thousands apart."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        return format_number(value)
    if value is None:
        raise InvalidInputError("a number on a page must exist; it is none.")
    return value
