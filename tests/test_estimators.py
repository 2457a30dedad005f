"""The scikit-learn facade: scikit-learn's own checks, and that it predicts what the learners behind it predict."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import estimator_checks_generator

from iclab.estimators import InContextRegressor
from iclab.foundations import InvalidInputError
from iclab.models import load
from iclab.predictors import NearestNeighbors, Ridge, TrainedLSA
from iclab.prompts import Prompts
from iclab.theory import assumption3, gamma


def scikit_learns_checks():
    for model in ("lsa", "ridge", "least_squares", Ridge(0.1)):
        for estimator, check in estimator_checks_generator(InContextRegressor(model)):
            name = check.func.__name__
            # Needs an environment variable set before scipy is imported; the estimator claims no array API.
            if name != "check_array_api_input":
                yield pytest.param(estimator, check, id=f"{model}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(scikit_learns_checks()))
def test_scikit_learn_has_no_complaint(estimator, check):
    check(estimator)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4)) * [1, 2, 3, 0.1] + [5, 0, 0, 1]
    return X, X @ [1, -2, 0.5, 3] + 0.5 * rng.standard_normal(60) + 7


def test_least_squares_is_linear_regression(data):
    X, y = data
    reference = LinearRegression().fit(X, y)
    found = InContextRegressor("least_squares").fit(X, y)
    np.testing.assert_allclose(found.predict(X), reference.predict(X), rtol=1e-10)
    np.testing.assert_allclose(found.coef_, reference.coef_, rtol=1e-10)
    np.testing.assert_allclose(found.intercept_, reference.intercept_, rtol=1e-10)


def test_ridge_is_scikit_learns_on_scaled_data(data):
    X, y = data
    Z, scale = (X - X.mean(0)) / X.std(0), y.std() / 2  # √d = 2
    reference = SklearnRidge(alpha=0.49, fit_intercept=False).fit(Z, (y - y.mean()) / scale)
    expected = y.mean() + scale * reference.predict(Z)
    np.testing.assert_allclose(InContextRegressor("ridge", noise=0.7).fit(X, y).predict(X), expected, rtol=1e-10)


def test_lsa_is_the_layer_of_theorem_4(data):
    X, y = data
    covariance = np.diag([1.0, 4.0, 9.0, 0.01])
    found = InContextRegressor("lsa", noise=0.0, covariance=covariance, standardize=False).fit(X, y)
    expected = X @ np.linalg.inv(gamma(covariance, 60)) @ (X.T @ y) / 60
    np.testing.assert_allclose(found.predict(X), expected, rtol=1e-10)


def test_a_predictor_sees_the_whole_context(data):
    X, y = data
    by_name = InContextRegressor("ridge", noise=0.5).fit(X, y).predict(X[:7])
    by_predictor = InContextRegressor(Ridge(0.25)).fit(X, y).predict(X[:7])
    np.testing.assert_allclose(by_predictor, by_name, rtol=1e-9)


def test_smaller_dimension_and_longer_context_than_the_model_knows(data):
    X, y = data

    class Trained:
        architecture = SimpleNamespace(dimension=6, max_points=26)

        def __call__(self, prompts):
            assert prompts.dimension == 6
            assert prompts.n_points <= 26
            assert (prompts.xs[..., 4:] == 0).all()
            return Ridge(1.0)(prompts)

    # Three contexts of 25 hold 60 examples: each full, evenly spaced over a shuffle.
    scaled = InContextRegressor(Trained(), random_state=3).fit(X, y)
    shuffled = np.random.default_rng(3).permutation(60)
    parts = []
    for start in (0, 18, 35):
        rows = shuffled[start : start + 25]
        one = InContextRegressor("ridge", standardize=False).fit(scaled._xs[rows], scaled._ys[rows])
        parts.append(one.predict((X - X.mean(0)) / X.std(0)))
    assert set(shuffled[:25]) | set(shuffled[18:43]) | set(shuffled[35:]) == set(range(60))
    expected = y.mean() + y.std() / 2 * np.mean(parts, axis=0)
    np.testing.assert_allclose(scaled.predict(X), expected, rtol=1e-9)
    with pytest.raises(InvalidInputError, match="at most the model's 6 features"):
        InContextRegressor(Trained()).fit(np.hstack([X, X]), y)


def test_contexts_are_no_longer_than_the_model_was_trained_for(data):
    """Positions beyond N exist in the model but were never trained."""
    X, y = data
    lengths = set()

    class Trained:
        architecture = SimpleNamespace(dimension=4, max_points=26)
        n_train = 15

        def __call__(self, prompts):
            lengths.add(prompts.n_points - 1)
            return Ridge(1.0)(prompts)

    InContextRegressor(Trained()).fit(X, y).predict(X)
    assert lengths == {15}


def test_one_example_too_many_for_a_context_costs_nothing():
    """Cut into halves, 41 examples leave a model of d = 20 that reads 40 with half of what it needs."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((241, 20))
    y = X @ rng.standard_normal(20)
    scores = [
        InContextRegressor("linear-columns-d20-identity").fit(X[:count], y[:count]).score(X[41:], y[41:])
        for count in (40, 41)
    ]
    assert min(scores) > 0.999


def test_a_refit_by_another_learner_leaves_no_coefficients(data):
    X, y = data
    regressor = InContextRegressor("lsa").fit(X, y).set_params(model=Ridge(1.0)).fit(X, -y)
    assert not hasattr(regressor, "coef_")
    assert not hasattr(regressor, "intercept_")


@pytest.mark.parametrize("model", ["lsa", "ridge", "least_squares", Ridge(1.0)])
def test_units_do_not_matter_however_large_or_small(data, model):
    X, y = data
    usual = InContextRegressor(model).fit(X, y).predict(X)
    for inputs, labels in ((1e200, 1e300), (1e-200, 1e-300)):
        found = InContextRegressor(model).fit(X * inputs, y * labels).predict(X * inputs)
        np.testing.assert_allclose(found / labels, usual, rtol=1e-9)


def test_what_double_precision_cannot_hold_is_refused(data):
    X, y = data
    with pytest.raises(InvalidInputError, match="means and standard deviations"):
        InContextRegressor("lsa").fit(X, np.where(np.arange(60) < 50, 1.7e308, -1.7e308))
    with pytest.raises(InvalidInputError, match="predictions in double precision"):
        InContextRegressor("lsa").fit(X, y * 1e300).predict(X * 1e300)


@pytest.mark.parametrize(
    ("predictor", "sentence"),
    [(lambda prompts: prompts.ys * np.nan, "finite predictions"), (lambda prompts: np.zeros(3), "one prediction per")],
)
def test_a_predictor_that_returns_nonsense_is_named(data, predictor, sentence):
    with pytest.raises(InvalidInputError, match=f"model must return {sentence}"):
        InContextRegressor(predictor).fit(*data).predict(data[0])


def test_pipeline_and_grid_search():
    X, y = load_diabetes(return_X_y=True)
    pipeline = make_pipeline(PolynomialFeatures(1, include_bias=False), InContextRegressor("ridge"))
    search = GridSearchCV(pipeline, {"incontextregressor__noise": [0.1, 3.0, 1000.0]}, cv=3).fit(X, y)
    assert search.best_params_["incontextregressor__noise"] != 1000.0
    assert search.best_score_ > 0.4
    scores = {
        name: cross_val_score(InContextRegressor(model), X, y, cv=5).mean()
        for name, model in {
            "lsa": "lsa",
            "ridge": "ridge",
            "ls": "least_squares",
            "neighbours": NearestNeighbors(5),
        }.items()
    }
    assert scores["neighbours"] < min(scores["lsa"], scores["ridge"], scores["ls"])


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"model": "rigde"}, "Did you mean 'ridge'"),
        ({"model": 3}, "a path or a predictor"),
        ({"noise": -1}, "noise must be at least 0"),
        ({"random_state": -1}, "random_state must be at least 0"),
        ({"covariance": np.eye(3)}, "covariance must have shape"),
    ],
)
def test_bad_parameters(data, parameters, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        InContextRegressor(**parameters).fit(*data)


def test_layer_of_the_wrong_dimension(data):
    with pytest.raises(InvalidInputError, match="dimension 3"):
        InContextRegressor(TrainedLSA(assumption3(np.eye(3) / 3**0.5, 1.0))).fit(*data).predict(data[0])


@pytest.mark.parametrize("model", ["lsa", "ridge", "least_squares"])
def test_a_constant_column_says_nothing(model):
    """The mean of 0.1, 0.1, … is not 0.1: what rounding leaves must not be blown up to a feature."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((442, 3))
    y = X[:, 0] + 0.1 * rng.standard_normal(442)
    X[:, 1] = 0.1
    fitted = InContextRegressor(model).fit(X, y)
    assert abs(fitted.coef_[1]) < 1e-12


LEARNERS = (
    "lsa",
    "ridge",
    "least_squares",
    NearestNeighbors(3),
    "linear-columns-d20-random-exponential-noise3-N100",
    "gpt2-d20-identity",
)


@pytest.mark.parametrize("model", LEARNERS, ids=str)
@pytest.mark.parametrize("value", [0.0, 1e-300, -2.5, 1e6, 1.7e308])
def test_a_constant_target_is_predicted(data, model, value):
    X, _ = data
    np.testing.assert_allclose(InContextRegressor(model).fit(X, np.full(60, value)).predict(X), value, rtol=1e-15)


@pytest.mark.parametrize("model", LEARNERS, ids=str)
def test_scaling_the_target_scales_the_predictions(data, model):
    X, given = data
    # Means above and below 0, and of 0 up to rounding, where the skewness or a label decides.
    for y in (given, given - 9.0, given - given.mean(), np.concatenate([given[:30], -given[:30]])):
        usual = InContextRegressor(model).fit(X, y).predict(X)
        for factor in (-(2.0**-900), 2.0**900):  # powers of two, which round nothing
            np.testing.assert_array_equal(InContextRegressor(model).fit(X, factor * y).predict(X), factor * usual)
        found = InContextRegressor(model).fit(X, -0.3 * y).predict(X)
        np.testing.assert_allclose(found, -0.3 * usual, rtol=1e-3, atol=1e-3 * np.abs(usual).max())


@pytest.mark.parametrize("model", LEARNERS, ids=str)
def test_features_that_do_not_vary_leave_the_mean(data, model):
    _, y = data
    found = InContextRegressor(model).fit(np.full((60, 4), 3.0), y).predict(np.full((2, 4), 3.0))
    np.testing.assert_allclose(found, y.mean(), rtol=1e-14)


@pytest.mark.parametrize("model", ["linear-columns-d20-random-exponential-noise3-N100", "gpt2-d20-identity"])
def test_queries_as_branches_are_predicted_as_one_by_one(data, model):
    X, y = data
    found = InContextRegressor(model).fit(X[:30], y[:30])
    whole = found.predict(X)
    np.testing.assert_allclose([found.predict(row[None])[0] for row in X], whole, rtol=1e-5, atol=1e-5)
    one = load(model)
    xs, ys = np.zeros((60, 31, 20)), np.zeros((60, 31))
    xs[:, :-1, :4], ys[:, :-1], xs[:, -1, :4] = found._xs, found._ys, (X - found.input_mean_) / found.input_scale_
    said = one(Prompts(xs, ys, xs, ys))[:, -1]
    np.testing.assert_allclose(whole, found.label_mean_ + found.label_scale_ * said, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", ["lsa", "ridge", "least_squares", NearestNeighbors(3)], ids=str)
def test_several_targets_are_learned_one_by_one(data, model):
    X, y = data
    both = np.stack([y, np.sin(X[:, 0])], axis=1)
    found = InContextRegressor(model).fit(X, both).predict(X)
    for column in range(2):
        alone = InContextRegressor(model).fit(X, both[:, column]).predict(X)
        np.testing.assert_allclose(found[:, column], alone, rtol=1e-12)


@pytest.mark.parametrize("state", [None, 3, np.random.RandomState(3), np.random.default_rng(3)])
def test_kinds_of_random_states(data, state):
    X, y = data
    short = SimpleNamespace(dimension=4, n_train=25)
    learner = type("Short", (), {**vars(short), "__call__": lambda self, prompts: Ridge(1.0)(prompts)})()
    found = InContextRegressor(learner, random_state=state).fit(X, y)
    np.testing.assert_array_equal(found.predict(X), found.predict(X))
    assert sorted(np.unique(np.concatenate(found._contexts))) == list(range(60))


@pytest.mark.parametrize("model", ["lsa", "ridge", "least_squares"])
def test_weights_count_examples_as_often(data, model):
    X, y = data
    counts = np.arange(60) % 4
    weighted = InContextRegressor(model).fit(X, y, sample_weight=counts)
    repeated = InContextRegressor(model).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)


@pytest.mark.parametrize("model", ["lsa", "ridge"])
def test_deviations_are_those_of_the_model(model):
    """Drawn from the model they assume: (y − ŷ)/std has variance 1 at every query, given the inputs."""
    rng = np.random.default_rng(0)
    X, queries, noise = rng.standard_normal((12, 3)), rng.standard_normal((5, 3)) * [1, 1, 3], 0.7
    w = rng.standard_normal((20_000, 3))
    y = w @ X.T + noise * rng.standard_normal((20_000, 12))
    asked = w @ queries.T + noise * rng.standard_normal((20_000, 5))
    found = InContextRegressor(model, noise=noise, standardize=False, covariance=np.eye(3)).fit(X, y.T)
    predicted, deviation = found.predict(queries, return_std=True)
    squares = ((asked.T - predicted) / deviation) ** 2
    np.testing.assert_array_less(np.abs(squares.mean(axis=1) - 1), 5 * squares.std(axis=1) / np.sqrt(20_000))


def test_deviations_of_least_squares_are_the_classical_ones(data):
    X, y = data
    _, found = InContextRegressor("least_squares").fit(X, y).predict(X, return_std=True)
    A = np.c_[X, np.ones(60)]
    residual = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
    leverage = np.einsum("ij,jk,ik->i", A, np.linalg.inv(A.T @ A), A)
    np.testing.assert_allclose(found, np.sqrt(residual @ residual / 55 * (1 + leverage)), rtol=1e-9)


def test_deviations_of_a_trained_model_cover_about_as_often_as_they_should():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(8):
        w, X = rng.standard_normal(20), rng.standard_normal((280, 20))
        y = X @ w + 0.5 * np.sqrt(20) * rng.standard_normal(280)
        found = InContextRegressor("linear-columns-d20-random-exponential-noise3-N100").fit(X[:80], y[:80])
        predicted, deviation = found.predict(X[80:], return_std=True)
        covered.append(np.mean(np.abs(predicted - y[80:]) < 1.96 * deviation))
    assert 0.9 < np.mean(covered) < 0.995


def test_tensors_with_a_gradient_are_refused_in_words():
    with pytest.raises(InvalidInputError, match="detach"):
        InContextRegressor().fit(torch.randn(9, 2, requires_grad=True), np.ones(9))
