"""Tasks of one's own, named in a configuration."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.prompts.specification import PromptSpecification, plain, validated

CODE = '''
import numpy as np

from iclab.prompts import Labels

class Cosine:
    def __init__(self, frequency=1.0):
        self.frequency = frequency

    def draw(self, draws, dimension):
        w = draws.normals("task", dimension)
        return lambda xs: np.cos(self.frequency * np.einsum("bpd,bd->bp", xs, w))

    def mean_square(self, covariance):
        # E cos²(s w'x) = (1 + E exp(−2s²x'x))/2, and x'x is a weighted χ².
        return (1 + np.linalg.det(np.eye(len(covariance)) + 4 * self.frequency**2 * covariance) ** -0.5) / 2

class Ring:
    dimension = 2

    def __init__(self, radius=1.0):
        self.radius = radius

    def sample(self, draws, n_points):
        angles = 2 * np.pi * draws.uniforms("x", n_points)
        return self.radius * np.stack([np.cos(angles), np.sin(angles)], axis=2)

class Side:
    """The side of a line, as a class: the law of the class at every input."""
    labels = Labels("class", 2)

    def draw(self, draws, dimension):
        return lambda xs: np.eye(2)[(xs.sum(axis=2) > 0).astype(int)]

    def mean_square(self, covariance):
        return 1.0

nothing = dict
'''


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "laws_of_mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)


GAUSSIAN = {"kind": "gaussian", "dimension": 2}


def specification(**tasks):
    return validated(PromptSpecification, {"covariates": GAUSSIAN, "tasks": {"kind": "own", **tasks}}, allow_code=True)


@pytest.mark.parametrize("bias", [None, 3.0])
def test_own_covariates_are_the_inputs(bias):
    own = {"kind": "own", "object": "laws_of_mine:Ring", "arguments": {"radius": 2.0}}
    law = own if bias is None else {"kind": "affine", "covariates": own, "bias": bias}
    given = validated(PromptSpecification, {"covariates": law}, allow_code=True)
    prompts = given.build().sample(5, 4, seed=0)
    np.testing.assert_allclose(np.linalg.norm(prompts.xs - (bias or 0), axis=2), 2.0, rtol=1e-14)
    assert validated(PromptSpecification, plain(given)) == given


@pytest.mark.parametrize(
    "data",
    [
        {"covariates": {"kind": "own", "object": "laws_of_mine:nothing"}},
        {"covariates": {"kind": "affine", "covariates": {"kind": "own", "object": "laws_of_mine:nothing"}}},
        {
            "covariates": GAUSSIAN,
            "tasks": {"kind": "scaled", "factor": 2, "tasks": {"kind": "own", "object": "laws_of_mine:Ring"}},
        },
        {
            "covariates": GAUSSIAN,
            "tasks": {"kind": "task_mixture", "members": [{"kind": "own", "object": "laws_of_mine:Ring"}]},
        },
    ],
)
def test_objects_of_another_sort_are_refused_in_words(data):
    with pytest.raises(InvalidInputError, match=r"must have (dimension and sample|draw and mean_square); a .* has no"):
        validated(PromptSpecification, data, allow_code=True)


def test_own_tasks_label_the_prompts():
    given = specification(object="laws_of_mine:Cosine", arguments={"frequency": 3.0})
    prompts = given.build().sample(50, 4, seed=0)
    slow = specification(object="laws_of_mine:Cosine", arguments={"frequency": 1.0}).build().sample(50, 4, seed=0)
    # cos 3a = 4 cos³ a − 3 cos a, for the same inputs and weights.
    np.testing.assert_allclose(prompts.ys, 4 * slow.ys**3 - 3 * slow.ys, atol=1e-12)
    assert validated(PromptSpecification, plain(given)) == given
    many = given.build().sample(20_000, 1, seed=1).targets ** 2
    assert abs(many.mean() - given.build().tasks.mean_square(np.eye(2))) < 4 * many.std() / np.sqrt(len(many))


@pytest.mark.parametrize(
    ("tasks", "sentence"),
    [
        ({"object": "laws_of_nobody:Cosine"}, "No module named"),
        ({"object": "laws_of_mine:Sine"}, "no attribute 'Sine'"),
        ({"object": "laws_of_mine"}, "module:object"),
        ({"object": "laws_of_mine:Cosine", "arguments": {"phase": 1}}, "unexpected keyword argument 'phase'"),
        ({"object": "laws_of_mine:nothing"}, "must have draw"),
    ],
)
def test_what_cannot_be_tasks_is_refused_in_words(tasks, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        specification(**tasks)


def test_own_tasks_may_label_with_classes():
    given = specification(object="laws_of_mine:Side")
    prompts = given.build().sample(50, 4, seed=0)
    assert prompts.n_classes == 2
    np.testing.assert_array_equal(prompts.ys, np.einsum("bpd->bp", prompts.xs) > 0)
