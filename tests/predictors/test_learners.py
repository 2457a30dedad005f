"""Each learner against its definition, written as a loop over prefixes, or against another learner it must equal."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.predictors import (
    Averaging,
    BestLinear,
    FinitePoolBayes,
    GradientDescent,
    Lasso,
    LeastSquares,
    NearestNeighbors,
    Newton,
    NoiseMixtureBayes,
    RegressionTree,
    Ridge,
    TrainedLSA,
    predict_by_refitting,
    predictor,
)
from iclab.prompts import FinitePool, Gaussian, Linear, PromptDistribution, Prompts, shift
from iclab.theory import LSAParameters, gamma, minimizer, optimal_learner, predict

LAMBDA = np.array([[1.0, 0.3, 0.1], [0.3, 0.7, -0.2], [0.1, -0.2, 0.5]])
DISTRIBUTION = PromptDistribution(Gaussian(LAMBDA), Linear(), 0.3)


@pytest.fixture
def prompts():
    return shift("scale-query=2").apply(DISTRIBUTION).sample(5, 45, seed=11)


def by_prefix(rule, prompts):
    predictions = np.zeros(prompts.ys.shape)
    for b in range(len(prompts)):
        for i in range(1, prompts.n_points):
            predictions[b, i] = rule(prompts.xs[b, :i], prompts.ys[b, :i], prompts.queries[b, i])
    return predictions


@pytest.mark.parametrize("k", [1, 3, 9, 100])
def test_nearest_neighbours(prompts, k):
    def rule(X, y, q):
        return y[np.argsort(((X - q) ** 2).sum(axis=1), kind="stable")[:k]].mean()

    np.testing.assert_allclose(NearestNeighbors(k)(prompts), by_prefix(rule, prompts), rtol=1e-12, atol=1e-12)


def test_nearest_neighbours_far_from_the_origin(prompts):
    moved = Prompts(prompts.xs + 1e6, prompts.ys, prompts.queries + 1e6, prompts.targets)
    np.testing.assert_allclose(NearestNeighbors(3)(moved), NearestNeighbors(3)(prompts), rtol=1e-12)


def test_equally_near_neighbours_are_taken_in_order():
    xs = np.array([[[1.0], [-1.0], [1.0], [0.0]]])
    ys = np.array([[1.0, 2.0, 4.0, 0.0]])
    given = Prompts(xs, ys, np.zeros_like(xs), ys)
    np.testing.assert_array_equal(NearestNeighbors(2)(given), [[0, 1, 1.5, 1.5]])


def test_averaging(prompts):
    np.testing.assert_allclose(Averaging()(prompts), by_prefix(lambda X, y, q: q @ X.T @ y / len(y), prompts))


@pytest.mark.parametrize("matrix", [None, LAMBDA + 0.1 * np.eye(3)[[1, 2, 0]]])
def test_gradient_descent(prompts, matrix):
    def rule(X, y, q):
        w = np.zeros(3)
        for _ in range(4):
            w = w - 0.2 * (np.eye(3) if matrix is None else matrix) @ (X.T @ (X @ w - y)) / len(y)
        return q @ w

    np.testing.assert_allclose(GradientDescent(4, 0.2, matrix)(prompts), by_prefix(rule, prompts), rtol=1e-9)


@pytest.mark.parametrize("steps", [0, 1, 6, 7, 8, 13, 20, 37, 1000])
def test_many_steps_are_as_many_single_ones(prompts, steps):
    few = Prompts(*(part[:2, :12] for part in (prompts.xs, prompts.ys, prompts.queries, prompts.targets)))
    matrix = LAMBDA + 0.1 * np.eye(3)[[1, 2, 0]]

    def rule(X, y, q):
        w = np.zeros(3)
        for _ in range(steps):
            w = w - 0.2 * matrix @ (X.T @ (X @ w - y)) / len(y)
        return q @ w

    np.testing.assert_allclose(GradientDescent(steps, 0.2, matrix)(few), by_prefix(rule, few), rtol=1e-9, atol=1e-11)


def test_one_step_of_rate_one_is_averaging_and_preconditioned_it_is_the_trained_layer(prompts):
    np.testing.assert_allclose(GradientDescent(1, 1.0)(prompts), Averaging()(prompts), rtol=1e-12)
    layer = TrainedLSA(minimizer(Gaussian(LAMBDA), 8))
    inverse = np.linalg.inv(gamma(LAMBDA, 8))
    np.testing.assert_allclose(GradientDescent(1, 1.0, inverse)(prompts), layer(prompts), rtol=1e-10)


def test_newton_reaches_least_squares(prompts):
    exact = LeastSquares()(prompts)
    gaps = [np.abs(Newton(steps)(prompts)[:, 4:] - exact[:, 4:]).max() for steps in (4, 16, 40)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-8 * np.abs(exact).max()


def test_trained_layer_is_the_forward_pass_at_every_position(prompts):
    rng = np.random.default_rng(0)
    parameters = LSAParameters.from_blocks(rng.normal(size=3), 0.7, rng.normal(size=(3, 3)), rng.normal(size=3))
    expected = by_prefix(lambda X, y, q: float(predict(parameters, X, y, q)), prompts)
    np.testing.assert_allclose(TrainedLSA(parameters)(prompts), expected, rtol=1e-10, atol=1e-12)


def test_bayes_over_a_pool(prompts):
    pool = np.random.default_rng(1).normal(size=(6, 3))

    def rule(X, y, q):
        evidence = np.array([np.prod(np.exp(-((y - X @ w) ** 2) / (2 * 0.5**2))) for w in pool])
        return q @ (evidence @ pool) / evidence.sum()

    few = Prompts(*(part[:, :9] for part in (prompts.xs, prompts.ys, prompts.queries, prompts.targets)))
    np.testing.assert_allclose(FinitePoolBayes(pool, 0.5)(few), by_prefix(rule, few), rtol=1e-9)


def test_a_pool_that_is_not_centred_still_predicts_zero_first():
    tasks = FinitePool([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]])
    bayes = FinitePoolBayes(tasks.pool, 0.5)
    given = PromptDistribution(Gaussian(LAMBDA), tasks, 0.5).sample(20_000, 2, seed=2)
    assert (bayes(given)[:, 0] == 0).all()
    # The posterior mean before any example is the pool's, and it would do better than 0.
    mean = given.queries[:, 0] @ bayes.prior_mean
    residual = (given.targets[:, 0] - mean)[:, None] * given.queries[:, 0]
    assert (np.abs(residual.mean(axis=0)) < 4 * residual.std(axis=0) / np.sqrt(20_000)).all()
    assert np.mean((given.targets[:, 0] - mean) ** 2) < 0.5 * np.mean(given.targets[:, 0] ** 2)


def test_noiseless_pool_is_identified_after_one_example():
    tasks = FinitePool.gaussian(20, 3, seed=1)
    given = PromptDistribution(Gaussian(LAMBDA), tasks).sample(30, 5, seed=2)
    np.testing.assert_allclose(FinitePoolBayes(tasks.pool, 0.0)(given)[:, 1:], given.targets[:, 1:], rtol=1e-12)


def test_mixture_of_one_noise_is_ridge(prompts):
    np.testing.assert_allclose(NoiseMixtureBayes([0.3])(prompts), Ridge.bayes(0.3)(prompts), rtol=1e-12)


def test_noise_mixture_weighs_by_the_marginal_likelihood(prompts):
    from scipy.stats import multivariate_normal

    def rule(X, y, q):
        evidence, means = [], []
        for s in (0.2, 1.0):
            covariance = X @ X.T + s**2 * np.eye(len(y))
            evidence.append(multivariate_normal(np.zeros(len(y)), covariance).pdf(y))
            means.append(q @ X.T @ np.linalg.solve(covariance, y))
        return np.dot(evidence, means) / np.sum(evidence)

    few = Prompts(*(part[:, :9] for part in (prompts.xs, prompts.ys, prompts.queries, prompts.targets)))
    np.testing.assert_allclose(NoiseMixtureBayes([0.2, 1.0])(few), by_prefix(rule, few), rtol=1e-8)


def test_best_linear_uses_the_optimal_learner_of_each_length(prompts):
    learner = {i: optimal_learner(Gaussian(LAMBDA), i, 0.09) for i in range(1, 45)}
    expected = by_prefix(lambda X, y, q: q @ learner[len(y)] @ X.T @ y / len(y), prompts)
    np.testing.assert_allclose(BestLinear(DISTRIBUTION)(prompts), expected, rtol=1e-10)


def test_lasso_is_scikit_learns(prompts):
    from sklearn.linear_model import Lasso as Reference

    few = Prompts(*(part[:2, :9] for part in (prompts.xs, prompts.ys, prompts.queries, prompts.targets)))
    expected = predict_by_refitting(lambda: Reference(0.1, fit_intercept=False, tol=1e-10), few)
    np.testing.assert_allclose(Lasso(0.1)(few), expected, atol=2e-3)


def test_unlimited_tree_returns_the_label_of_a_repeated_input():
    given = shift("overlapping_train_test").apply(DISTRIBUTION).sample(2, 8, seed=3)
    noiseless = Prompts(given.xs, given.ys, given.queries, given.targets)
    predicted = RegressionTree()(noiseless)
    for b in range(2):
        for i in range(1, 8):
            assert np.isclose(given.ys[b, :i], predicted[b, i], rtol=1e-12).any()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Ridge(-1), "penalty must be at least 0"),
        (lambda: NearestNeighbors(0), "k must be at least 1"),
        (lambda: GradientDescent(2, 0.0), "rate must be greater than 0"),
        (lambda: FinitePoolBayes(np.zeros((0, 3)), 1), "at least one weight vector"),
        (lambda: predictor("rigde", 3, 4), "Did you mean 'ridge'"),
        (lambda: TrainedLSA(minimizer(Gaussian.isotropic(2), 4))(DISTRIBUTION.sample(2, 3, seed=0)), "dimension 2"),
    ],
)
def test_bad_input(make, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        make()


@pytest.mark.parametrize("unit", [2.0**-530, 2.0**-300, 2.0**300, 2.0**530])
@pytest.mark.parametrize("learner", [LeastSquares(), NearestNeighbors(3), Newton(12)])
def test_the_unit_of_the_inputs_does_not_matter(prompts, learner, unit):
    """Powers of two are exact, so that not a bit may change, even where squares of the inputs are out of range."""
    moved = Prompts(unit * prompts.xs, prompts.ys, unit * prompts.queries, prompts.targets)
    np.testing.assert_array_equal(learner(moved), learner(prompts))


@pytest.mark.parametrize("unit", [2.0**-530, 2.0**-300, 2.0**300, 2.0**530, 2.0**535])
def test_ridge_tends_to_zero_or_to_least_squares_as_inputs_shrink_or_grow(prompts, unit):
    moved = Prompts(unit * prompts.xs, prompts.ys, unit * prompts.queries, prompts.targets)
    expected = LeastSquares()(prompts) if unit > 1 else np.zeros_like(prompts.ys)
    np.testing.assert_allclose(Ridge(1.0)(moved), expected, rtol=1e-9, atol=1e-9)
