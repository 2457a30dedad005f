"""A stranger's folder: whatever it says, nothing in it runs without consent."""

import json

import pytest

from iclab.foundations import InvalidInputError
from iclab.training import Run, preset, read_config, train

STRANGER = """
preset: tiny
dimension: 2
n_train: 4
steps: 2
n_evaluation: 4
batch_size: 2
model: {width: 16, layers: 1}
targets: labels
prompts: {tasks: {kind: own, object: "os:system", arguments: {command: "touch PWNED"}}}
"""
OWN = """
import numpy as np
class Zero:
    def draw(self, draws, dimension):
        return lambda xs: np.cos(xs[..., 0])
    def mean_square(self, covariance):
        return 1.0
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A finished run whose configuration was replaced."""
    monkeypatch.chdir(tmp_path)
    small = {"width": 16, "layers": 1}
    train(preset("tiny", dimension=2, n_train=4, steps=2, n_evaluation=4, batch_size=2, model=small), "run")
    (tmp_path / "run" / "config.yaml").write_text(STRANGER)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("exchange", "run", "out"),
        ("exchange", "run", "out2", "--suite", "garg", "--prompts", "2"),
        ("train", "--directory", "run", "--curve", "c.svg"),
        ("train", "--directory", "run", "--resume"),
        ("train", "run/config.yaml", "--check"),
        ("train", "run/config.yaml", "--directory", "new"),
        ("train", "run/config.yaml", "--set", "seed=1", "--directory", "new"),
        ("evaluate", "run", "--suite", "standard", "--prompts", "2", "--against", "none"),
        ("evaluate", "run", "--problem", "own", "--prompts", "2"),
        ("evaluate", "zero", "--problem", "run/config.yaml", "--prompts", "2"),
    ],
)
def test_nothing_of_a_stranger_runs(arguments, stranger, iclab):
    code, _, err = iclab(*arguments)
    assert not list(stranger.rglob("PWNED"))
    assert not (stranger / "new").exists()
    if code:
        assert code == 2
        assert "--allow-code" in err.splitlines()[-1]
        assert "Traceback" not in err


def test_the_library_runs_nothing_either(stranger):
    run = Run.open("run")
    run.predictor()
    assert run.losses is not None
    with pytest.raises(InvalidInputError, match="allow_code=True"):
        run.config.prompts.build().sample(1, 1, seed=0)
    with pytest.raises(InvalidInputError, match="allow_code=True"):
        train(run.config, "run")
    with pytest.raises(InvalidInputError):
        read_config({"prompts": {"allow_code": True, "_code_allowed": True}})
    assert not list(stranger.rglob("PWNED"))


def test_consent_and_arguments_of_the_command_line_run_own_code(iclab, tmp_path):
    (tmp_path / "own_for_security.py").write_text(OWN)
    (tmp_path / "mine.yaml").write_text(
        STRANGER.replace("os:system", "own_for_security:Zero").replace('command: "touch PWNED"', "")
    )
    assert iclab("train", "mine.yaml", "--directory", "a")[0] == 2
    code, out, err = iclab("train", "mine.yaml", "--directory", "a", "--allow-code", "--json")
    assert code == 0, err
    assert json.loads(out)["steps"] == 2
    assert iclab("train", "--directory", "a", "--resume", "--allow-code")[0] == 0
    named = ("--set", 'prompts.tasks.object="own_for_security:Zero"')
    assert iclab("train", "mine.yaml", *named, "--directory", "b")[0] == 0
