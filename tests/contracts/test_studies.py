"""One contract for every study: it runs, goes on, draws, renders, and each of its questions can be answered otherwise.

All run at smoke size, once, by the command line, in minutes:
``pytest -n 2 --dist loadscope -m slow tests/contracts/test_studies.py``.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iclab.cli import main
from iclab.report import blocks
from iclab.studies import REGISTRY, Study, drawing
from iclab.studies.folder import read_profile
from iclab.studies.study import Answer, Record, Verdict

STUDIES = {study.name: study for study in REGISTRY}
SOURCE = Path(__file__).parents[2] / "src" / "iclab" / "studies"
# Words of prose from which on a literal is a sentence.
SENTENCE = 8


def _shares(n: int) -> dict[str, int]:
    """Studies split into shares of about the same time; those of one location stay together."""
    minutes, shares, loads = read_profile("smoke")["minutes"], {}, [0.0] * n
    locations = {study.location: [s.name for s in REGISTRY if s.location == study.location] for study in REGISTRY}
    cost = {location: sum(minutes.get(name, 0.1) for name in names) for location, names in locations.items()}
    for location in sorted(cost, key=cost.__getitem__, reverse=True):
        share = loads.index(min(loads))
        loads[share] += cost[location]
        shares |= dict.fromkeys(locations[location], share)
    return shares


SHARES = _shares(2)


def pytest_generate_tests(metafunc):
    """Studies of the class's share, or one of each location."""
    names = [name for name in STUDIES if metafunc.cls and SHARES[name] == metafunc.cls.share]
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", names)
    if "location" in metafunc.fixturenames:
        metafunc.parametrize("location", {STUDIES[name].location: name for name in names}.values())


def _reproduce(share: int, directory: Path) -> None:
    """Figures are saved as pages show them: their files for print take as long again, and ``test_drawing`` has them."""
    only = ",".join(name for name in STUDIES if SHARES[name] == share)
    command = ["reproduce", "--profile", "smoke", "--only", only, "--directory", str(directory), "--workers", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "FORMATS", {"svg": drawing.FORMATS["svg"]})
        with pytest.raises(SystemExit) as stop:
            main(command)
    assert stop.value.code == 0


def _record(folder: Path, study: Study) -> Record:
    found = Record.load(folder / "studies" / study.name, study.code, study.questions)
    assert found is not None
    return found


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


class _Read(dict):
    """Tables that remember which of them were read."""

    def __init__(self, tables):
        super().__init__(tables)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


def _answers_otherwise(question, record, moved) -> bool:
    """Whether a change of a table that the question reads changes its answer."""
    base, tables = record.answers[question.name], _Read(record.tables)
    question.ask(tables)
    for name in sorted(tables.read):
        for changed in moved(name):
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
class Contract:
    """What holds for every study of a share; a class, so that ``--dist loadscope`` runs the share in one process."""

    share: int

    @pytest.fixture(scope="class")
    @staticmethod
    def folder(request, tmp_path_factory):
        """The folder in which the studies of the share were run at smoke size."""
        directory = tmp_path_factory.mktemp("studies") / "smoke"
        _reproduce(request.cls.share, directory)
        return directory

    def test_tables_are_tidy(self, folder, name):
        """Columns are named, and of one type each; answers are there for every question."""
        record = _record(folder, STUDIES[name])
        for key, table in record.tables.items():
            assert all(isinstance(column, str) for column in table.columns), key
            for column in filter(lambda column: pd.api.types.is_object_dtype(table[column]), table.columns):
                assert len({type(value) for value in table[column].dropna()}) <= 1, (key, column)
        assert set(record.answers) == {question.name for question in STUDIES[name].questions}
        assert all(isinstance(answer, Answer) for answer in record.answers.values())

    @pytest.mark.filterwarnings("ignore")  # of tables that no study measures
    def test_every_question_would_be_answered_otherwise_by_other_numbers(self, folder, location):
        """In some record of its location: a smoke run may leave a question of one record without cases."""
        studies = [study for study in STUDIES.values() if study.location == STUDIES[location].location]
        fixed = {question.name for study in studies for question in study.questions}
        for study in studies:
            record = _record(folder, study)
            moved = cache(lambda name, tables=record.tables: tuple(_moved(tables[name])))
            fixed -= {q.name for q in study.questions if q.name in fixed and _answers_otherwise(q, record, moved)}
        assert not fixed, f"no change of a number changes the answer to {fixed}"

    def test_pages_are_whole(self, folder, name):
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
            path = folder / target
            if path.parent.name == "figures":  # of its formats, the one that was saved
                assert path.suffix[1:] in drawing.FORMATS, target
                path = path.with_suffix(".svg")
            assert path.exists(), target

    def test_a_finished_folder_is_read_again_and_its_tables_are_equal(self, folder, monkeypatch):
        monkeypatch.setattr(blocks, "save_figure", lambda *_: None)  # those that are there serve the pages of this test

        def content():
            return {path: path.read_bytes() for path in (folder / "studies").rglob("*.csv")}

        before, units = content(), {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()}
        (folder / "report.html").unlink()
        _reproduce(self.share, folder)
        assert (folder / "report.html").exists()
        assert {path: path.stat().st_mtime_ns for path in (folder / "units").iterdir()} == units
        assert content() == before


class TestFirstShare(Contract):
    share = 0


class TestSecondShare(Contract):
    share = 1


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_questions_are_asked_in_one_sentence_each(study):
    names = [question.name for question in study.questions]
    assert len(set(names)) == len(names)
    for question in study.questions:
        assert question.asked.endswith((".", "?")), question.name
        assert question.criterion.endswith("."), question.name


def _docstrings(tree: ast.AST) -> set[int]:
    """Constants that stand alone: of a module, class or function, or behind the attribute that they describe."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def _raised(tree: ast.AST) -> set[int]:
    """Constants within errors; ``own_code`` says what must hold of a user's code."""
    raises = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise | ast.Assert)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "own_code")
    ]
    return {id(inner) for node in raises for inner in ast.walk(node)}


# The example shows a question whole, and claims have words of their own; those of all others stand in YAML.
WHOLE = {SOURCE / name / "questions.py" for name in ("example", "claims")}
SOURCES = {str(p.relative_to(SOURCE)): p for p in SOURCE.rglob("*.py") if p not in WHOLE}


@pytest.mark.parametrize("path", SOURCES.values(), ids=SOURCES)
def test_no_python_composes_a_sentence(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    exempt = _docstrings(tree) | _raised(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exempt:
            assert len(re.findall(r"[A-Za-z]{2,}", node.value)) < SENTENCE, (path.name, node.lineno, node.value)
