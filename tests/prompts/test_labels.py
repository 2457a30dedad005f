"""Labels that are vectors or classes: what is refused, and what is kept."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, Labels, Linear, Outliers, PromptDistribution, Prompts
from iclab.prompts.labels import draw_classes

XS = np.ones((2, 3, 2))
YS = np.array([[0, 1, 2], [2, 1, 0]])


def test_labels_say_what_they_are():
    assert Prompts(XS, np.ones((2, 3)), XS, np.ones((2, 3))).labels == Labels("real", 1)
    assert Prompts(XS, np.ones((2, 3, 4)), XS, np.ones((2, 3, 4))).labels == Labels("vector", 4)
    tokens = Prompts(XS[..., :0], YS, XS[..., :0], YS, 3)
    assert tokens.labels == Labels("class", 3)
    assert (tokens.dimension, tokens.ys.dtype) == (0, np.dtype(np.int64))
    assert (Labels("vector", 4).answer_shape, Labels("class", 3).answer_shape, Labels().answer_shape) == (
        (4,),
        (3,),
        (),
    )


@pytest.mark.parametrize(
    ("ys", "more", "why"),
    [
        (np.where(YS == 2, 3, YS), {"n_classes": 3}, r"ys must be classes 0 … 2, as there are 3; 3 was given"),
        (YS - 1, {"n_classes": 3}, "-1 was given"),
        (YS + 0.5, {"n_classes": 3}, "0.5 was given"),
        (np.full((2, 3), np.nan), {"n_classes": 3}, "nan was given"),
        (YS, {"n_classes": 1}, "n_classes must be at least 2"),
        (YS, {"n_classes": 3, "probabilities": np.ones((2, 3, 2))}, r"probabilities must have shape \(2, 3, 3\)"),
        (YS, {"probabilities": np.ones((2, 3, 2))}, "must come with n_classes"),
        (np.ones((2, 3, 0)), {}, "at least one position and one dimension"),
        (np.ones((2, 4, 1)), {}, "must have xs and queries of shape"),
    ],
)
def test_what_is_no_label_is_refused(ys, more, why):
    with pytest.raises(InvalidInputError, match=why):
        Prompts(XS, ys, XS, ys, **more)


@pytest.mark.parametrize("arguments", [("word", 2), ("class", 1), ("real", 2), ("vector", 0)])
def test_labels_of_no_kind_are_refused(arguments):
    with pytest.raises(InvalidInputError):
        Labels(*arguments)


class Coin:
    """Class 1 with probability .7 whatever the input."""

    labels = Labels("class", 2)

    def mean_square(self, covariance):
        return 0.7

    def draw(self, draws, dimension):
        return lambda xs: np.broadcast_to([0.3, 0.7], (*xs.shape[:2], 2))


def test_classes_are_drawn_from_the_law_of_the_tasks():
    prompts = PromptDistribution(Gaussian.isotropic(2), Coin()).sample(4000, 5, seed=0)
    assert prompts.labels == Labels("class", 2)
    assert abs(prompts.ys.mean() - 0.7) < 4 * np.sqrt(0.21 / prompts.ys.size)
    assert (prompts.targets == 1).all()
    np.testing.assert_array_equal(prompts.probabilities[3, 2], [0.3, 0.7])


@pytest.mark.parametrize("noise", [{"noise": 0.5}, {"outliers": Outliers(0.1, 1.0)}])
def test_noise_is_of_numbers(noise):
    with pytest.raises(InvalidInputError, match="noise must be 0"):
        PromptDistribution(Gaussian.isotropic(2), Coin(), **noise)


def test_every_class_comes_up_as_often_as_its_law_says():
    law = np.broadcast_to([0.2, 0.0, 0.5, 0.3], (1, 100_000, 4))
    uniforms = (np.arange(100_000) + 0.5) / 100_000  # equidistributed
    counts = np.bincount(draw_classes(law, uniforms[None])[0], minlength=4) / 100_000
    np.testing.assert_allclose(counts, [0.2, 0, 0.5, 0.3], atol=1e-5)


def test_real_labels_are_what_they_were():
    prompts = PromptDistribution(Gaussian.isotropic(2), Linear(), 0.3).sample(2, 3, seed=0)
    assert (prompts.n_classes, prompts.probabilities, prompts.ys.shape) == (None, None, (2, 3))
