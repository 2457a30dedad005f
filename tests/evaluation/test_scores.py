"""Scores of classes and vectors: closed forms, and answers that are refused."""

from dataclasses import replace

import numpy as np
import pytest

from iclab.evaluation import compare, differences, effective_weights, error_curve, nearest_algorithm
from iclab.evaluation.scores import SCORES
from iclab.foundations import InvalidInputError
from iclab.predictors import NGramBayes, TrueLaw
from iclab.prompts import Gaussian, Labels, Linear, MarkovChainPool, MarkovChains, PromptDistribution, Prompts

URN = MarkovChainPool([[[0.5, 0.25, 0.25]]])


class Always:
    def __init__(self, *answer):
        self.answer = answer

    def __call__(self, prompts):
        return np.broadcast_to(self.answer, (*prompts.ys.shape[:2], len(self.answer))).copy()


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (None, -0.5 * np.log(0.2) - 0.25 * np.log(0.4) - 0.25 * np.log(0.4)),
        ("kl_divergence", 0.5 * np.log(0.5 / 0.2) + 2 * 0.25 * np.log(0.25 / 0.4)),
        ("accuracy", 0.25),  # classes 1 and 2 tie: half of each
    ],
)
def test_classes_are_scored_by_their_true_law(score, expected):
    curve = error_curve(Always(0.2, 0.4, 0.4), URN, 3, n_prompts=10, seed=0, score=score)
    np.testing.assert_allclose(curve.mean, expected, rtol=1e-14)
    np.testing.assert_allclose(curve.stderr, 0, atol=1e-12)


@pytest.mark.parametrize("score", ["cross_entropy", "kl_divergence", "accuracy"])
def test_the_true_law_gives_the_mean_of_the_labels_score_with_less_noise(score):
    chains = MarkovChains(3, 0.5)

    class Unknown:
        dimension, labels = 0, Labels("class", 3)

        def sample(self, *arguments, **more):
            return replace(chains.sample(*arguments, **more), probabilities=None)

    known, unknown = (
        error_curve(NGramBayes(1), law, 12, n_prompts=5_000, seed=4, score=score) for law in (chains, Unknown())
    )
    gap = unknown.mean - known.mean
    if score == "kl_divergence":  # the divergence from the label itself is above that from the law by its entropy
        gap -= error_curve(TrueLaw(), chains, 12, n_prompts=5_000, seed=4).mean
    later = slice(3, None)  # before that symbols are equally likely, or nearly so
    assert (np.abs(gap) < 4.5 * unknown.stderr + 1e-14).all()
    assert (known.stderr[later] < unknown.stderr[later]).all()


def test_divergence_is_cross_entropy_above_the_floor():
    cross, floor, above = (
        error_curve(predictor, MarkovChains(3), 9, n_prompts=500, seed=1, score=score)
        for predictor, score in ((NGramBayes(1), None), (TrueLaw(), None), (NGramBayes(1), "kl_divergence"))
    )
    np.testing.assert_allclose(cross.mean - floor.mean, above.mean, rtol=1e-10)


def test_tables_and_paired_differences_of_classes():
    predictors = {"bigram": NGramBayes(1), "unigram": NGramBayes(0), "true": TrueLaw()}
    table = compare(predictors, {"chains": MarkovChains(3)}, 30, n_prompts=2000, seed=0, score="accuracy")
    last = table[table["position"] == 29].set_index("predictor")["mean"]
    assert last["unigram"] < last["bigram"] < last["true"]
    paired = differences(predictors, {"chains": MarkovChains(3)}, 30, baseline="true", n_prompts=2000, seed=0)
    assert (paired["lower"] > 0).all()


def test_the_nearest_algorithm_of_classes():
    found = nearest_algorithm(
        NGramBayes(1, 1.1),
        {"bigram": NGramBayes(1), "unigram": NGramBayes(0)},
        {"chains": MarkovChains(3)},
        20,
        n_prompts=200,
        seed=0,
    )
    assert (found.verdicts["nearest"][2:] == "bigram").all()
    # All mass on the right class is at distance 1 from the uniform law.
    sure = nearest_algorithm(
        Always(1 / 3, 1 / 3, 1 / 3), {"sure": Always(0.0, 1.0, 0.0)}, {"urn": URN}, 2, n_prompts=9, seed=0
    )
    np.testing.assert_allclose(sure.distances["distance"], 1, rtol=1e-14)


class Pair:
    """h(x) = (x_1, 2x_1)."""

    labels = Labels("vector", 2)

    def mean_square(self, covariance):
        return 5.0 * covariance[0, 0]

    def draw(self, draws, dimension):
        return lambda xs: np.stack([xs[..., 0], 2 * xs[..., 0]], axis=-1)


def test_vectors_are_scored_by_their_squared_distance():
    distribution = PromptDistribution(Gaussian.isotropic(2), Pair(), 0.5)
    curve = error_curve(Always(0.0, 0.0), distribution, 3, n_prompts=20_000, seed=0)
    assert (np.abs(curve.mean - 5) < 4.5 * curve.stderr).all()
    prompts = distribution.sample(2000, 3, seed=1)
    noise = prompts.ys - prompts.targets
    assert abs(noise.std() - 0.5) < 0.02
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("predictor", "distribution", "score", "why"),
    [
        (Always(0.5, 0.5), URN, None, r"shape \(2, 3, 3\); shape \(2, 3, 2\)"),
        (Always(0.5, 0.2, 0.2), URN, None, "they add to 0.9"),
        (Always(1.5, -0.2, -0.3), URN, None, "the smallest is -0.3"),
        (Always(0.0, 0.5, 0.5), URN, None, "0 was predicted at position 0"),
        (NGramBayes(1), URN, "squared_error", "score of class labels must be one of cross_entropy"),
        (NGramBayes(1), URN, "acuracy", "Did you mean 'accuracy'"),
        (Always(0.0), PromptDistribution(Gaussian.isotropic(2), Linear()), None, r"shape \(2, 3\)"),
    ],
)
def test_answers_of_another_kind_are_refused(predictor, distribution, score, why):
    with pytest.raises(InvalidInputError, match=why):
        error_curve(predictor, distribution, 3, n_prompts=2, seed=0, score=score)


@pytest.mark.parametrize("score", [name for name, score in SCORES.items() if "class" in score.kinds])
def test_unknown_targets_cannot_be_scored(score):
    xs, ys = np.empty((1, 2, 0)), np.array([[0, 1]])
    prompts = Prompts(xs, ys, xs, [[-1, 0]], 2)
    with pytest.raises(InvalidInputError, match="must have targets"):
        SCORES[score].of(np.full((1, 2, 2), 0.5), prompts)


@pytest.mark.parametrize("law", [MarkovChains(3), PromptDistribution(Gaussian.isotropic(2), Pair())])
def test_linear_maps_are_of_single_numbers(law):
    with pytest.raises(InvalidInputError, match="single numbers as labels"):
        effective_weights(Always(0.5, 0.5), law.sample(2, 3, seed=0))
