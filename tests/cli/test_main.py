"""The command line as a user meets it: start-up, help, bad input, exit codes."""

import json
import re
import subprocess
import sys

import pytest

from iclab.studies import REGISTRY
from iclab.training.presets import PRESETS

VERBS = ("verify", "reproduce", "study", "sweep", "train", "evaluate", "inspect", "flow", "explore", "exchange")
HEAVY = ("scipy", "sklearn", "pandas", "matplotlib", "torch")


@pytest.mark.parametrize("program", ["import iclab", "import iclab.cli; iclab.cli._run(['--help'])"])
def test_starting_up_loads_nothing_heavy(program):
    check = f"import sys; {program}; print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


def test_help_names_every_verb(iclab):
    code, out, _ = iclab("--help")
    assert code == 0
    for verb in VERBS:
        assert verb in out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, iclab):
    code, out, err = iclab(verb, "--help")
    assert code == 0, err
    assert "Usage" in out


@pytest.mark.parametrize(("verb", "names"), [("reproduce", [study.name for study in REGISTRY]), ("train", PRESETS)])
def test_help_names_every_choice(verb, names, iclab):
    words = set(re.findall(r"[\w-]+", iclab(verb, "--help")[1]))
    assert set(names) <= words


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("reprodce",), 'Did you mean "reproduce"'),
        (("reproduce", "--profile", "labtop"), "Did you mean 'laptop'"),
        (("reproduce", "--only", "figure2"), "Did you mean 'figure1'"),
        (("reproduce", "--only", ""), "--only must name at least one"),
        (("reproduce", "--profiles", "smoke"), "--profile"),
        (("reproduce", "--profile", "smoke", "--directory", "/proc/nowhere"), "must be writable"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, expected, iclab, tmp_path):
    code, out, err = iclab(*arguments)
    assert code == 2
    assert expected in err
    assert err.startswith("iclab: ")
    assert err.count("\n") == 1
    assert out == ""
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_left_alone(iclab, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    code, _, err = iclab("reproduce", "--profile", "smoke", "--only", "claims", "--directory", ".")
    assert code == 2
    assert "must be empty or hold earlier results" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_reproduction_of_another_profile_is_not_overwritten(iclab, tmp_path):
    marker = tmp_path / "reproduction.json"
    marker.write_text(json.dumps({"profile": "laptop", "version": "0", "durations": {}}))
    before = marker.read_text()
    code, _, err = iclab("reproduce", "--profile", "smoke", "--only", "claims", "--directory", ".")
    assert code == 2
    assert "profile laptop" in err
    assert marker.read_text() == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"profile": 3}', "\x00"])
def test_a_torn_marker_is_named_and_kept(content, iclab, tmp_path):
    marker = tmp_path / "reproduction.json"
    marker.write_text(content)
    code, _, err = iclab("reproduce", "--profile", "smoke", "--only", "claims", "--directory", ".")
    assert code == 2
    assert err.count("\n") == 1
    assert marker.read_text() == content


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("reproduce", "--profile", "smoke", "--only", "claims"), "the same command resumes"),
        (("train", "tiny"), "--resume"),
        (("evaluate", "zero", "--suite", "standard"), "begins anew"),
    ],
)
def test_interrupting_exits_with_130_and_says_how_to_go_on(arguments, advice, iclab, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    # Where each of the verbs begins its work: the interrupt must pass through the parser of arguments.
    for place in ("studies.runner.run_all", "training.train", "evaluation.Suite.run"):
        monkeypatch.setattr(f"iclab.{place}", interrupt)
    code, out, err = iclab(*arguments)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1].startswith("iclab: interrupted; ")
    assert advice in err.splitlines()[-1]
