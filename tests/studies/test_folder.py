"""A study of one's own: begun, run, edited, resumed; what is wrong with it is said in one sentence."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from iclab.foundations import InvalidInputError
from iclab.studies import REGISTRY, open_folder
from iclab.studies.folder import PROFILE_NAMES, questions_of, read_profile, write_example
from iclab.studies.runner import run_all
from iclab.studies.study import Answer, Verdict

# Units that fail, for studies whose ``measure`` has another body.
UNITS = """
def mixed():
    return pd.DataFrame({"a": [1, "b"]})

def raising():
    1 / 0
"""


def _measure(body):
    return lambda text: f"{text.partition('def measure')[0]}def measure(settings, lab):\n    {body}\n{UNITS}"


def _replace(old, new):
    return lambda text: text.replace(old, new)


def _question(answer):
    head = "from iclab.studies.study import Answer, Question\n\nQUESTIONS = (\n"
    return f"{head}    Question('small', 'Errors are small.', 'Below 50.', lambda t: {answer}),\n)\n"


pytestmark = pytest.mark.usefixtures("svg_alone")


def test_counts_of_an_answer_may_be_of_numpy():
    answer = Answer(Verdict.CONFIRMED, met=np.int64(3), numbers={"a": np.float32(0.5)})
    assert json.loads(json.dumps(answer.as_dict()))["met"] == 3


def test_every_profile_knows_every_study_and_its_settings_fit():
    for profile in PROFILE_NAMES:
        assert set(read_profile(profile)["studies"]) >= {study.name for study in REGISTRY}
        for study in REGISTRY:
            study.settings_of(profile)


def test_editing_a_page_or_a_question_recomputes_nothing(own_study, iclab, tmp_path):
    folder = own_study()
    assert iclab("study", "run", folder, "--workers", 1)[0] == 0
    units = {path: path.stat().st_mtime_ns for path in (folder / "results" / "units").iterdir()}
    assert len(units) == 3
    own_study(page="Only {{ s.n_prompts }}.")
    questions = (folder / "questions.py").read_text().replace("above=False", "above=True")
    (folder / "questions.py").write_text(questions)
    assert iclab("study", "run", folder, "--workers", 1)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "results" / "units").iterdir()} == units
    assert "Only 50." in (folder / "results" / "own.html").read_text()


def test_words_of_questions_may_stand_apart_from_what_answers_them(tmp_path):
    module = {"__file__": str(tmp_path / "questions.py"), "of_its_name": lambda tables: tables["answer"]}
    beside, others = tmp_path / "questions.yaml", {"small": (lambda tables: tables["other"], {"line": 3.0})}
    beside.write_text("small: {asked: Why not, criterion: Because.}\nof-its-name: {asked: Why, criterion: Because.}")
    small, named = questions_of(module, others)
    assert (small.name, small.asked, small.thresholds) == ("small", "Why not", {"line": 3.0})
    assert [each.ask({"answer": 1, "other": 2}) for each in (small, named)] == [2, 1]
    entry = "{asked: Why, criterion: Because., ask: of-its-name, given: {more: LINE}, thresholds: {line: LINE, two: 2}}"
    beside.write_text(f"other-name: {entry}")
    [other] = questions_of({**module, "LINE": 0.5, "of_its_name": lambda tables, more: tables["answer"] + more})
    assert (other.ask({"answer": 1}), other.thresholds) == (1.5, {"line": 0.5, "two": 2})
    for text, wrong in (
        ("big: {}", "big, small lacks one"),
        ("small: {asks: Why not}", "one of"),
        ("small: why", "map words"),
    ):
        beside.write_text(text)
        with pytest.raises(InvalidInputError, match=wrong):
            questions_of(module, others)


def test_rows_are_held_against_a_line_without_a_function(tmp_path):
    table = pd.DataFrame({"kind": ["a", "a", "b", "c"], "n": [1, 2, 2, 2], "x": [5.0, 1, 3, 9]})
    table = table.assign(x_low=table["x"] - 0.5, x_high=table["x"] + 0.5)
    for cases, counts in (
        ("statistic: x", (2, 1, 1)),
        ("statistic: x, line: 8, below: true", (3, 1, 0)),
        ("statistic: x, where: {kind: [a, b]}, last: n", (0, 1, 1)),
    ):
        entry = f"{{asked: Why, criterion: Because., cases: {{table: t, {cases}}}, thresholds: {{threshold: 3}}}}"
        (tmp_path / "questions.yaml").write_text(f"q: {entry}")
        [question] = questions_of({"__file__": str(tmp_path / "questions.py")})
        answer = question.ask({"t": table})
        assert (answer.met, answer.missed, answer.undecided) == counts


def test_settings_are_set_and_tables_equal_in_processes(own_study, iclab, tmp_path):
    folder = own_study()
    for workers in (1, 2):
        arguments = ("--set", "n_prompts=20", "--workers", workers, "--directory", tmp_path / str(workers))
        code, _, err = iclab("study", "run", folder, *arguments)
        assert code == 0, err
    one, two = (pd.read_parquet(tmp_path / n / "studies/own/errors.parquet") for n in ("1", "2"))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    record = json.loads((tmp_path / "1/studies/own/record.json").read_text())
    assert record["settings"] == {"n_prompts": 20, "lengths": [2, 3]}
    assert record["answers"]["small"]["verdict"] == "confirmed"


def test_profiles_of_ones_own(own_study, iclab, tmp_path):
    folder = own_study()
    (folder / "profiles.yaml").write_text(yaml.safe_dump({"smoke": {"lengths": [2]}}))
    assert open_folder(folder).settings_of("smoke").lengths == (2,)
    assert open_folder(folder).settings_of("laptop").lengths == (2, 3)


def test_the_example_is_whole(tmp_path):
    study = open_folder(write_example(tmp_path / "mine"))
    assert study.name == "mine"
    assert {question.name for question in study.questions} == {"learned"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"measure": _replace("@dataclass(frozen=True)", "")}, "must define Settings, a dataclass"),
        ({"measure": _replace("TITLE", "HEADING")}, "must define TITLE"),
        ({"measure": _replace("lengths: tuple[int, ...] = (2, 3)", "x: np.ndarray = None")}, "numpy.ndarray"),
        ({"measure": "import sys; sys.exit(0)"}, "measure.py, line 1: SystemExit"),
        ({"measure": _measure("raise KeyError('a')")}, "measure.py, line 35: KeyError: 'a'"),
        ({"measure": _measure("return {'errors': 3}")}, "errors is of type int"),
        ({"measure": _measure("return {'../../thesis': other(1)}")}, "'../../thesis' is none"),
        ({"measure": _measure("return {'a': pd.DataFrame([[1, 2]], columns=['b', 'b'])}")}, "they are b, b"),
        ({"measure": _measure("return {'errors': lab.table(mixed)}")}, "each of one type"),
        ({"measure": _measure("return {'errors': lab.table(raising)}")}, "line 41: ZeroDivisionError"),
        ({"questions": "QUESTIONS = None"}, "must define QUESTIONS"),
        ({"questions": lambda text: text + "QUESTIONS *= 2"}, "must differ in their names"),
        ({"questions": _question("1 / 0")}, "questions.py, line 4: ZeroDivisionError"),
        ({"questions": _question("None")}, "must return an Answer"),
        ({"questions": _question("Answer('yes')")}, "verdict must be one of"),
        ({"page": "\n{{ 1 / 0 }}"}, "(line 2) must be a template of what was measured; ZeroDivisionError"),
        ({"page": "{{ table('errors', sort='nothing') }}"}, "column must be one of length, mean"),
        ({"page": "$}{$"}, "a formula must be LaTeX"),
        ({"questions": None}, "it holds no questions.py"),
        ({"measure": "import nothing_such"}, "measure.py, line 1: ModuleNotFoundError: No module named 'nothing_such'"),
        ({"measure": "def f(:\n"}, "SyntaxError"),
        ({"questions": "QUESTIONS = [\n"}, "SyntaxError"),
        ({"page": "{{ table('nothing') }}"}, "table must be one of errors, other; 'nothing' was given"),
        ({"page": "{{ table('errors', columns=['nothing']) }}"}, "column must be one of length, mean"),
        ({"page": "{{ answers('nothing') }}"}, "question must be one of small"),
        ({"page": "{{ nothing }}"}, "'nothing' is undefined"),
        ({"page": "{% if %}"}, "line 1"),
        ({"page": "{{ curves('errors', x='nothing') }}"}, "column for x must be one of"),
    ],
)
def test_what_is_wrong_with_a_study_is_one_sentence(own_study, iclab, files, expected):
    code, _, err = iclab("study", "run", own_study(**files), "--workers", 1)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("study", "run", "nowhere"), "must be one of"),
        (("study", "run", "."), "it holds no measure.py"),
        (("study", "run", "positions", "--profile", "labtop"), "Did you mean 'laptop'"),
        (("study", "run", "positions", "--set", "n_prompt=3"), "Did you mean 'n_prompts'"),
        (("study", "run", "positions", "--set", "n_prompts=many"), "n_prompts: "),
        (("study", "run", "positions", "--set", "n_prompts"), "must be given as key=value"),
        (("study", "run", "positions", "--dask", "nothing.yaml"), "could not be read"),
    ],
)
def test_bad_input_is_one_sentence(iclab, arguments, expected):
    code, _, err = iclab(*arguments)
    assert code == 2
    assert expected in err
    assert err.startswith("iclab: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("wrong", [("--profile", "labtop"), ("--set", "n_prompt=3"), ("--set", "n_prompts=many")])
def test_what_cannot_be_run_claims_no_folder(own_study, iclab, wrong):
    folder = own_study()
    assert iclab("study", "run", folder, *wrong)[0] == 2
    assert not (folder / "results").exists()


def test_a_new_study_overwrites_nothing(iclab, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    code, _, err = iclab("study", "new", tmp_path / "mine")
    assert code == 2
    assert "not empty" in err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_pages_grow_while_studies_finish(own_study, tmp_path):
    studies = [open_folder(own_study(name=name)) for name in ("one", "two")]
    seen = []
    results = run_all(studies, "smoke", tmp_path / "r", lambda *_: None, registry=studies, after=seen.append)
    assert [[study.name for study, _ in state.finished] for state in seen] == [["one"], ["one", "two"]]
    assert [study.name for study, _ in seen[0].pending] == ["two"]
    again = run_all([], "smoke", tmp_path / "r", lambda *_: None, registry=studies)
    assert [study.name for study, _ in again.finished] == [study.name for study, _ in results.finished]
