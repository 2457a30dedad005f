"""What every predictor must do, run on every predictor."""

import dataclasses
import pickle

import numpy as np
import pytest

from iclab import predictors as room
from iclab.foundations import InvalidInputError
from iclab.prompts import (
    Binary,
    Categories,
    Conjunction,
    FourierSums,
    Gaussian,
    GaussianMixture,
    Hypercube,
    Linear,
    LinearDynamics,
    Lookup,
    Majority,
    MarkovChainPool,
    MarkovChains,
    Parity,
    PromptDistribution,
    Prompts,
    Quadratic,
    SparseLinear,
    TaskMixture,
    VectorLinear,
    shift,
)
from iclab.theory import LSAParameters

D = 3
RNG = np.random.default_rng(0)
DISTRIBUTION = PromptDistribution(Gaussian([[1, 0.3, 0], [0.3, 0.7, 0.1], [0, 0.1, 0.5]]), Linear(), 0.3)

PREDICTORS = {
    **{name: entry.make(D, 8) for name, entry in room.REGISTRY.items()},
    "ridge-0": room.Ridge(0.0),
    "ridge-tiny": room.Ridge(1e-9),
    "10_nearest_neighbors": room.NearestNeighbors(10),
    "preconditioned_descent": room.GradientDescent(3, 0.1, np.diag([1.0, 2.0, 0.5])),
    "lsa-all-blocks": room.TrainedLSA(
        LSAParameters.from_blocks(RNG.normal(size=D), 0.7, RNG.normal(size=(D, D)), RNG.normal(size=D))
    ),
    "delta_rule": room.DeltaRule(0.1),
    "kaczmarz": room.Kaczmarz(),
    "forgetting": room.ForgettingAverage(0.9),
    "recursive_least_squares": room.RecursiveLeastSquares(0.5, 0.9),
    "pool": room.FinitePoolBayes(RNG.normal(size=(5, D)), 0.3),
    "pool-noiseless": room.FinitePoolBayes(RNG.normal(size=(5, D)), 0.0),
    "noise-mixture": room.NoiseMixtureBayes([0.1, 1.0]),
    "best-linear": room.BestLinear(DISTRIBUTION),
    "small-boosting": room.GradientBoosting(5, 2),
    "small-network": room.TwoLayerNetwork(7, 5),
    "network-kernel": room.KernelRegression(room.ArcCosine(), 0.3),
    "tree-kernel": room.KernelRegression(room.SharedLeaf(2)),
    "trees": room.TreeBayes(1, 0.3),
    "signs": room.SignEP(),
    "low-rank": room.LowRankParticles(3, 1, 1, 0.3, particles=8),
    "rescaled": room.Rescaled(room.Ridge(1.0)),
    "rescaled-coordinates": room.Rescaled(room.Ridge(1.0), "coordinates"),
}
del PREDICTORS["boosting"]  # stands for itself as small-boosting, fifty times cheaper
EVERY = pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS.keys())
LINEAR = {name: each for name, each in PREDICTORS.items() if isinstance(each, room.LinearPredictor)}


def prompts(n_prompts=3, n_points=9, seed=1):
    return shift("scale-query=2").apply(DISTRIBUTION).sample(n_prompts, n_points, seed=seed)


@EVERY
def test_one_finite_prediction_per_position_and_zero_without_examples(predictor):
    given = prompts()
    predicted = predictor(given)
    assert predicted.shape == (3, 9)
    assert predicted.dtype == np.float64
    assert np.isfinite(predicted).all()
    assert (predicted[:, 0] == 0).all()


@EVERY
def test_position_sees_only_the_examples_before_it_and_its_own_query(predictor):
    given = prompts()
    before = predictor(given)
    xs, ys, queries = given.xs.copy(), given.ys.copy(), given.queries.copy()
    xs[:, 5:] += 3.0
    ys[:, 5:] -= 7.0
    queries[:, 6:] *= -2.0
    queries[:, :5] += 1.0
    after = predictor(Prompts(xs, ys, queries, np.full_like(ys, np.nan)))
    np.testing.assert_allclose(after[:, 5], before[:, 5], rtol=1e-12, atol=1e-12)


@EVERY
def test_prompts_do_not_influence_one_another(predictor):
    given = prompts()
    together = predictor(given)
    for b in range(3):
        one = Prompts(*(part[b : b + 1] for part in (given.xs, given.ys, given.queries, given.targets)))
        np.testing.assert_allclose(predictor(one), together[b : b + 1], rtol=1e-9, atol=1e-11)


@EVERY
def test_leaves_its_input_alone(predictor):
    given = prompts()
    copies = [part.copy() for part in (given.xs, given.ys, given.queries, given.targets)]
    predictor(given)
    for copy, part in zip(copies, (given.xs, given.ys, given.queries, given.targets), strict=True):
        np.testing.assert_array_equal(copy, part)


@EVERY
def test_single_position_and_repeated_examples(predictor):
    assert (predictor(prompts(2, 1)) == 0).all()
    given = prompts(2, 7)
    same = np.repeat(given.xs[:, :1], 7, axis=1)
    repeated = Prompts(same, np.repeat(given.ys[:, :1], 7, axis=1), given.queries, given.targets)
    assert np.isfinite(predictor(repeated)).all()
    zeros = Prompts(np.zeros_like(same), given.ys, given.queries, given.targets)
    assert np.isfinite(predictor(zeros)).all()


@EVERY
def test_is_a_named_frozen_record_that_travels(predictor):
    assert type(predictor).__name__ in repr(predictor)
    assert dataclasses.is_dataclass(predictor)
    with pytest.raises(dataclasses.FrozenInstanceError):
        predictor.anything = 1
    given = prompts()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predictor))(given), predictor(given))


@pytest.mark.parametrize("predictor", LINEAR.values(), ids=LINEAR.keys())
def test_weights_are_the_map_from_query_to_prediction(predictor):
    given = prompts()
    np.testing.assert_allclose(
        np.einsum("bpd,bpd->bp", predictor.weights(given), given.queries), predictor(given), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("name", room.REGISTRY)
def test_one_dimension(name):
    predictor = PREDICTORS["small-boosting"] if name == "boosting" else room.predictor(name, 1, 8)
    given = PromptDistribution(Gaussian.isotropic(1), Linear()).sample(2, 6, seed=3)
    assert np.isfinite(predictor(given)).all()


# Of classes, vectors and sequences: each on a law that it is for.
X = Gaussian.isotropic(D)
OTHERS = {
    "bigrams": (room.NGramBayes(1), MarkovChains(4)),
    "trigrams": (room.NGramBayes(2, 0.5), MarkovChains(3, order=2)),
    "chains": (room.MarkovPoolBayes(MarkovChainPool.dirichlet(3, 4, seed=1).chains), MarkovChains(4)),
    "unigrams-of-chains": (room.MarkovPoolBayes(MarkovChainPool.dirichlet(3, 4).chains, 0), MarkovChains(4)),
    "recall": (room.RecallBayes(), PromptDistribution(Categories(4), Lookup(3))),
    "clusters": (room.ClusterBayes(1.5), GaussianMixture(D, 1.5)),
    "one-matrix": (room.OneMatrix(RNG.normal(size=(D, D))), GaussianMixture(D, 1.5, 0.1)),
    "parities": (room.ParityBayes(), PromptDistribution(Hypercube(6), Binary(Parity()))),
    "real-parities": (room.ParityBayes(), PromptDistribution(Hypercube(6), Parity())),
    "linear-classes": (room.ClassificationEP(), PromptDistribution(X, Binary(Linear()))),
    "logistic-classes": (room.ClassificationEP("logistic", 0.1), PromptDistribution(X, Binary(Linear(), "logistic"))),
    "elimination": (room.Elimination(), PromptDistribution(Hypercube(4), Conjunction(0.3))),
    "flipped-majorities": (None, PromptDistribution(Hypercube(5), Binary(Majority(3), flips=0.1))),
    "mixture-of-classes": (
        None,
        PromptDistribution(Hypercube(5), TaskMixture([Binary(Majority(3), flips=0.1), Binary(Conjunction(0.3))])),
    ),
    "mixture-of-numbers": (None, PromptDistribution(X, TaskMixture([Linear(), Quadratic()]), 0.3)),
    "sparse": (None, PromptDistribution(X, SparseLinear(2), 0.3)),
    "fourier": (None, PromptDistribution(X, FourierSums(2), 0.3)),
    "dynamics": (None, LinearDynamics(3, "gaussian", 0.2)),
    "vectors": (None, PromptDistribution(X, VectorLinear(2), 0.3)),
    "neighbours-of-classes": (room.NearestNeighbors(3), GaussianMixture(D, 1.5)),
    "vectors-by-neighbours": (room.NearestNeighbors(2), PromptDistribution(X, VectorLinear(2))),
}
OTHERS = {name: (room.bayes_predictor(law) if one is None else one, law) for name, (one, law) in OTHERS.items()}
EACH = pytest.mark.parametrize("name", OTHERS)


@EACH
def test_answers_have_the_shape_of_the_labels(name):
    predictor, law = OTHERS[name]
    given = law.sample(4, 9, seed=1)
    copies = [part.copy() for part in (given.xs, given.ys, given.targets)]
    answers = predictor(given)
    assert answers.shape == (4, 9, *given.labels.answer_shape)
    assert np.isfinite(answers).all()
    if given.n_classes is not None:
        assert (answers >= 0).all()
        np.testing.assert_allclose(answers.sum(axis=2), 1, rtol=1e-9)
    for copy, part in zip(copies, (given.xs, given.ys, given.targets), strict=True):
        np.testing.assert_array_equal(copy, part)
    assert dataclasses.is_dataclass(predictor)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predictor))(given), answers)


@EACH
def test_answers_depend_on_what_came_before_alone(name):
    predictor, law = OTHERS[name]
    given, other = law.sample(4, 9, seed=1), law.sample(4, 9, seed=2)
    xs, ys = given.xs.copy(), given.ys.copy()
    xs[:, 6:], ys[:, 5:] = other.xs[:, 6:], other.ys[:, 5:]
    changed = Prompts(xs, ys, xs, np.full_like(ys, -1 if given.n_classes else np.nan), given.n_classes)
    np.testing.assert_allclose(predictor(changed)[:, :6], predictor(given)[:, :6], rtol=1e-12, atol=1e-12)


@EACH
def test_other_prompts_and_more_points_change_nothing(name):
    predictor, law = OTHERS[name]
    whole, alone, short = law.sample(4, 9, seed=1), law.sample(1, 9, seed=1, start=2), law.sample(4, 5, seed=1)
    np.testing.assert_allclose(predictor(alone), predictor(whole)[2:3], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(predictor(short), predictor(whole)[:, :5], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS.keys())
def test_numbers_come_one_by_one_and_classes_are_refused(predictor):
    given = PromptDistribution(X, VectorLinear(2), 0.3).sample(2, 5, seed=0)
    answers = predictor(given)
    for k in range(2):
        np.testing.assert_array_equal(answers[..., k], predictor(given.output(k)))
    classes = GaussianMixture(D, 1.0).sample(2, 5, seed=0)
    if isinstance(predictor, room.NearestNeighbors):
        np.testing.assert_allclose(predictor(classes).sum(axis=2), 1, rtol=1e-12)
    else:
        with pytest.raises(InvalidInputError, match="labels that are numbers"):
            predictor(classes)
