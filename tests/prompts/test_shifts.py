"""What each shift does to prompts, and what is known exactly about it."""

import numpy as np
import pytest

from iclab.evaluation import error_curve, lsa_error
from iclab.foundations import InvalidInputError
from iclab.predictors import LeastSquares, TrainedLSA
from iclab.prompts import (
    GARG,
    SHIFTS,
    DecisionTree,
    Gaussian,
    Linear,
    PromptDistribution,
    RandomDiagonal,
    RotatedSpectrum,
    SparseLinear,
    normaliser,
    shift,
)
from iclab.theory import minimizer, optimal_learner

D = 6
BASE = PromptDistribution(Gaussian.isotropic(D), Linear())
PLAIN = BASE.sample(40, D, seed=3)


def shifted(name, base=BASE, points=D):
    return shift(name).apply(base).sample(40, points, seed=3)


def test_all_of_gargs_and_more():
    assert len(GARG) == 15
    assert set(GARG) <= set(SHIFTS)
    assert len(set(SHIFTS)) == len(SHIFTS)


def test_random_quadrants():
    found = shifted("random_quadrants")
    np.testing.assert_array_equal(np.abs(found.xs), np.abs(PLAIN.xs))
    np.testing.assert_array_equal(found.queries, PLAIN.xs)
    signs = np.sign(found.xs)
    assert (signs == signs[:, :1]).all()
    assert (signs[0] != signs[1]).any()
    opposite = shifted("opposite_quadrants")
    assert (np.sign(opposite.queries) == -np.sign(opposite.xs)).all()


def test_orthogonal_queries():
    found = shifted("orthogonal_train_test")
    for i in range(D):
        products = np.einsum("bjd,bd->bj", found.xs[:, :i], found.queries[:, i])
        np.testing.assert_allclose(products, 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.queries, axis=-1), np.linalg.norm(PLAIN.xs, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(LeastSquares()(found), 0, atol=1e-12)
    with pytest.raises(InvalidInputError, match="at most the dimension 6"):
        shifted("orthogonal_train_test", points=D + 1)


def test_overlapping_queries():
    found = shifted("overlapping_train_test", points=12)
    seen = set()
    for i in range(1, 12):
        same = (found.xs[:, :i] == found.queries[:, i, None]).all(axis=-1)
        assert (same.sum(axis=1) == 1).all()
        seen |= set(same.argmax(axis=1))
    assert seen == set(range(11))


@pytest.mark.parametrize(("name", "kind"), [("half_subspace", "half"), ("skewed", "reciprocal")])
def test_rotated_spectra(name, kind):
    found = shifted(name)
    # One matrix T for the whole evaluation: recover it by regression on the unshifted inputs.
    flat, target = PLAIN.xs.reshape(-1, D), found.xs.reshape(-1, D)
    matrix = np.linalg.lstsq(flat, target, rcond=None)[0]
    np.testing.assert_allclose(flat @ matrix, target, atol=1e-10)
    values = np.sort(RotatedSpectrum(kind).eigenvalues(D))
    np.testing.assert_allclose(np.linalg.eigvalsh(matrix), values, atol=1e-10)
    np.testing.assert_allclose(np.sum(values**2), D)
    assert shift(name).rotation == "evaluation"
    each = shifted(f"{name}-per-prompt")
    assert shift(f"{name}-per-prompt").rotation == "prompt"
    one = np.linalg.lstsq(PLAIN.xs[0], each.xs[0], rcond=None)[0]
    two = np.linalg.lstsq(PLAIN.xs[1], each.xs[1], rcond=None)[0]
    np.testing.assert_allclose(np.linalg.eigvalsh((one + one.T) / 2), values, atol=1e-8)
    assert not np.allclose(one, two)
    other = shift(name).apply(BASE).sample(40, D, seed=4)
    again = np.linalg.lstsq(BASE.sample(40, D, seed=4).xs.reshape(-1, D), other.xs.reshape(-1, D), rcond=None)[0]
    assert not np.allclose(again, matrix)


def test_scales():
    np.testing.assert_allclose(shifted("scale-x=1/3").xs, PLAIN.xs / 3)
    np.testing.assert_allclose(shifted("scale-y=-2.5").ys, -2.5 * PLAIN.ys)
    np.testing.assert_allclose(shifted("covariance=4").xs, 2 * PLAIN.xs)
    query = shifted("scale-query=2")
    np.testing.assert_array_equal(query.xs, PLAIN.xs)
    np.testing.assert_allclose(query.targets, 2 * PLAIN.targets)
    noisy = PromptDistribution(Gaussian.isotropic(D), Linear(), 0.5)
    np.testing.assert_allclose(shifted("scale-y=3", noisy).ys, 3 * noisy.sample(40, D, seed=3).ys)


def test_noisy_linear_regression_keeps_the_labels_variance():
    n = 20_000
    labels = shift("noisyLR").apply(BASE).sample(n, 2, seed=1).ys[:, 1]
    assert abs((labels**2).mean() - D) < 4 * (labels**2).std() / np.sqrt(n)
    with pytest.raises(InvalidInputError, match="put it first"):
        shift("scale-x=2+noisyLR").apply(BASE)


def test_composition_is_in_order():
    both = shift("scale-y=2+noise=1")
    assert both.changes == ("labels", "noise")
    assert both.apply(BASE).noise == 1.0
    assert shift("noise=1+scale-y=2").apply(BASE).noise == 2.0
    assert shift("half_subspace+skewed-per-prompt").rotation == "prompt"
    assert shift("standard+orthogonal_train_test").max_points(7) == 7
    setting = shift("scale-x=2+scale-y=3+noise=2").setting(BASE)
    np.testing.assert_allclose(setting.context_covariance, 4 * np.eye(D))
    np.testing.assert_allclose(setting.weight_moment, 9 * np.eye(D))
    assert setting.noise_variance == 4


def test_normalisers_are_gargs():
    assert normaliser(BASE) == D
    assert normaliser(PromptDistribution(Gaussian.isotropic(20), SparseLinear(3))) == pytest.approx(3)
    assert normaliser(PromptDistribution(Gaussian.isotropic(20), DecisionTree(4))) == 1
    assert normaliser(PromptDistribution(RandomDiagonal.exponential(5, 4.0), Linear())) == pytest.approx(20)
    assert normaliser(PromptDistribution(RandomDiagonal.exponential(5), DecisionTree(2))) is None


@pytest.mark.parametrize("name", SHIFTS)
def test_exact_error_of_the_layer_wherever_it_is_known(name):
    base = PromptDistribution(Gaussian(np.diag([1.0, 0.5, 2.0])), Linear(), 0.1)
    member, learner = shift(name), optimal_learner(base.covariates, 6)
    exact = lsa_error(learner, member, base, 2)
    dependent = {"random_quadrants", "opposite_quadrants", "orthogonal_train_test", "overlapping_train_test"}
    unknown = name in dependent or name.startswith(("half_", "skewed", "random-cov"))
    nonlinear = name.startswith("task-") and "sparse" not in name
    assert (exact is None) == (unknown or nonlinear)
    if exact is not None:
        curve = error_curve(TrainedLSA(minimizer(base.covariates, 6)), member.apply(base), 3, n_prompts=5_000, seed=2)
        assert abs(curve.mean[2] - exact) < 4.5 * curve.stderr[2]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("skwed", "Did you mean 'skewed'"),
        ("scale-x=two", "must be given a number"),
        ("scale-x=1/0", "must be given a number"),
        ("scale-x=0", "from 1e-50"),
        ("scale-x=1e200", "to 1e50"),
        ("scale-y=-1e51", "to 1e50"),
        ("noise=-1", "σ at least 0"),
        ("covariance=-1", "positive c"),
        ("length=2.5", "whole number"),
        ("standard+", "shift must be one of"),
    ],
)
def test_bad_names(name, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        shift(name)
