"""One resolver of targets: names, folders, code of one's own."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.predictors import REGISTRY
from iclab.predictors.limits import limits_of
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.targets import column_names, resolve

CODE = """
import sys
from pathlib import Path

Path("imported").touch()

class Zeros:
    dimension, max_points = 3, 7

    def __call__(self, prompts):
        return 0 * prompts.ys

def raises(prompts):
    return prompts.nothing

def leaves(prompts):
    sys.exit(3)

def narrow(prompts):
    return prompts.ys[:, 0]

def complex_(prompts):
    return 1j * prompts.ys

def words(prompts):
    return "words"

def traced(prompts):
    import torch
    return torch.zeros(prompts.ys.shape, requires_grad=True)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "code_for_targets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)


def prompts():
    return PromptDistribution(Gaussian(np.eye(3)), Linear()).sample(2, 5, seed=0)


def test_names_come_first_and_a_predictor_is_itself():
    assert resolve("ridge", REGISTRY) == "ridge"
    assert resolve(np.sin) is np.sin
    with pytest.raises(InvalidInputError, match="Did you mean 'ridge'"):
        resolve("rigde", REGISTRY)
    with pytest.raises(InvalidInputError):
        resolve(np.ndarray, REGISTRY)


def test_code_runs_only_with_consent(tmp_path):
    with pytest.raises(InvalidInputError, match="allow_code=True"):
        resolve("code_for_targets:Zeros")
    assert not (tmp_path / "imported").exists()
    found = resolve("code_for_targets:Zeros", allow_code=True)
    assert (limits_of(found).dimension, limits_of(found).examples) == (3, 6)
    np.testing.assert_array_equal(found(prompts()), np.zeros((2, 5)))


@pytest.mark.parametrize(
    ("name", "line", "word"),
    [
        ("raises", 14, "no attribute 'nothing'"),
        ("leaves", 17, "SystemExit"),
        ("narrow", 19, r"shape \(2, 5\)"),
        ("complex_", 22, "real numbers"),
        ("words", 25, "real numbers"),
        ("traced", 28, "detach"),
    ],
)
def test_a_slip_in_own_code_is_one_sentence_with_its_place(name, line, word):
    with pytest.raises(InvalidInputError, match=word) as error:
        resolve(f"code_for_targets:{name}", allow_code=True)(prompts())
    assert f"code_for_targets.py, line {line})" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("target", ["a:b:c", ":", "a:", ":b", "no such:thing", "\0", "x" * 5000, "a/b:c", ""])
def test_what_names_nothing_is_refused(target):
    with pytest.raises(InvalidInputError):
        resolve(target, REGISTRY, allow_code=True)


def test_every_column_has_its_own_name():
    given = ["lsa", "runs/lsa", "a/m", "b/m", "runs/other", "mine:f", "./ridge"]
    assert column_names(given, REGISTRY) == ["lsa", "runs/lsa", "a/m", "b/m", "other", "mine:f", "./ridge"]
