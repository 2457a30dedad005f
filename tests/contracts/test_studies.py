"""One contract for every study: it runs, goes on, draws, renders, and each of its questions can be answered otherwise.

All run at smoke size, once, by the command line; ``pytest -n 0 -m slow tests/contracts/test_studies.py`` takes minutes.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iclab.cli import main
from iclab.report import blocks
from iclab.studies import REGISTRY, Study
from iclab.studies.study import Answer, Record, Verdict

STUDIES = {study.name: study for study in REGISTRY}
SOURCE = Path(__file__).parents[2] / "src" / "iclab" / "studies"
# Words of prose from which on a literal is a sentence.
SENTENCE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every study at smoke size."""
    directory = tmp_path_factory.mktemp("studies") / "smoke"
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "--profile", "smoke", "--only", "all", "--directory", str(directory)])
    assert stop.value.code == 0
    return directory


def _record(folder: Path, study: Study) -> Record:
    found = Record.load(folder / "studies" / study.name, study.code, study.questions)
    assert found is not None
    return found


@pytest.fixture
def record(folder, request):
    return _record(folder, STUDIES[request.param])


every_record = pytest.mark.parametrize("record", list(STUDIES), indirect=True)


@pytest.mark.slow
@every_record
def test_tables_are_tidy(record):
    """Columns are named, and of one type each; answers are there for every question."""
    for name, table in record.tables.items():
        assert all(isinstance(column, str) for column in table.columns), name
        for column in filter(lambda name: pd.api.types.is_object_dtype(table[name]), table.columns):
            assert len({type(value) for value in table[column].dropna()}) <= 1, (name, column)
    assert set(record.answers) == {question.name for question in STUDIES[record.name].questions}
    assert all(isinstance(answer, Answer) for answer in record.answers.values())


def _moved(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Tables in which one quantity, with its interval, or one truth has another value."""
    stems = {re.sub(r"_(low|high)$", "", str(column)) for column in table.columns}
    for stem in stems:
        columns = [c for c in table.columns if c in (stem, f"{stem}_low", f"{stem}_high")]
        numeric = [c for c in columns if pd.api.types.is_numeric_dtype(table[c])]
        truths = [c for c in columns if pd.api.types.is_bool_dtype(table[c])]
        if truths:
            yield table.assign(**{c: ~table[c] for c in truths})
        elif numeric:
            for value in (-1e9, -0.5, 0.0, 0.5, 1e9):
                yield table.assign(**{c: np.full(len(table), value) for c in numeric})
            for factor in (-1.0, 1e-6, 1e6):
                yield table.assign(**{c: table[c].astype(float) * factor for c in numeric})
        else:
            for value in table[stem].dropna().unique() if stem in table else ():
                yield table.assign(**{stem: value})


def _answers_otherwise(question, record) -> bool:
    base = record.answers[question.name]
    for name, table in record.tables.items():
        for changed in _moved(table):
            try:
                with np.errstate(all="ignore"):
                    answer = question.ask({**record.tables, name: changed})
            except (ArithmeticError, LookupError, ValueError, TypeError, np.linalg.LinAlgError):
                continue  # tables that no study measures
            if base.verdict is Verdict.MEASURED:
                same = (answer.met, answer.total, answer.numbers) == (base.met, base.total, base.numbers)
            else:
                same = answer.verdict is base.verdict
            if not same:
                return True
    return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of tables that no study measures
@pytest.mark.parametrize("location", sorted({study.location for study in STUDIES.values()}))
def test_every_question_would_be_answered_otherwise_by_other_numbers(folder, location):
    """In some record of the folder that asks it: a smoke run may leave a question of one record without cases."""
    studies = [study for study in STUDIES.values() if study.location == location]
    fixed = {question.name for study in studies for question in study.questions}
    for study in studies:
        record = _record(folder, study)
        fixed -= {q.name for q in study.questions if q.name in fixed and _answers_otherwise(q, record)}
    assert not fixed, f"no change of a number changes the answer to {fixed}"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(STUDIES))
def test_pages_are_whole(folder, name):
    page = (folder / f"{name}.html").read_text(encoding="utf-8")
    assert "<!--block" not in page
    body = re.sub(
        r"<table.*?</table>|<math.*?</math>|<footer.*?</footer>", " ", page[page.index("<main>") :], flags=re.S
    )
    prose = re.findall(r"<(?:p|li)\b[^>]*>(.*?)</(?:p|li)>", body, flags=re.S)
    assert len(re.sub(r"<[^>]*>", " ", " ".join(prose)).split()) <= 600
    for figure in STUDIES[name].figures:
        if f'id="{figure}"' in page:
            assert (folder / "figures" / f"{figure}.svg").exists()
    for target in re.findall(r'href="([^"#:]+)"', page):
        assert (folder / target).exists(), target


@pytest.mark.slow
def test_a_finished_folder_is_read_again_and_its_tables_are_equal(folder, monkeypatch):
    monkeypatch.setattr(blocks, "save_figure", lambda *_: None)  # those that are there serve the pages of this test

    def content():
        return {path: path.read_bytes() for path in (folder / "studies").rglob("*.csv")}

    before, units = content(), {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()}
    (folder / "report.html").unlink()
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "--profile", "smoke", "--only", "all", "--directory", str(folder)])
    assert stop.value.code == 0
    assert (folder / "report.html").exists()
    assert {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()} == units
    assert content() == before


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_questions_are_asked_in_one_sentence_each(study):
    names = [question.name for question in study.questions]
    assert len(set(names)) == len(names)
    for question in study.questions:
        assert question.asked.endswith((".", "?")), question.name
        assert question.criterion.endswith("."), question.name


def _docstrings(tree: ast.AST) -> set[int]:
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, nodes)]
    return {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}


def _raised(tree: ast.AST) -> set[int]:
    """Constants within errors; ``own_code`` says what must hold of a user's code."""
    raises = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise | ast.Assert)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "own_code")
    ]
    return {id(inner) for node in raises for inner in ast.walk(node)}


# The example and the claims show questions whole; the words of all others stand in YAML.
WHOLE = {SOURCE / name / "questions.py" for name in ("example", "claims")}
SOURCES = {str(p.relative_to(SOURCE)): p for p in SOURCE.rglob("*.py") if p not in WHOLE}


@pytest.mark.parametrize("path", SOURCES.values(), ids=SOURCES)
def test_no_python_composes_a_sentence(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    exempt = _docstrings(tree) | _raised(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exempt:
            assert len(re.findall(r"[A-Za-z]{2,}", node.value)) < SENTENCE, (path.name, node.lineno, node.value)
