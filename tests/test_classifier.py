"""The scikit-learn classifier: scikit-learn's own checks, and that it answers what the learners behind it answer."""

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_blobs
from sklearn.linear_model import LogisticRegression as SklearnLogistic
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator

from iclab.estimators import InContextClassifier
from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.predictors import ClusterBayes, LogisticRegression, NearestNeighbors, Ridge
from iclab.prompts import Prompts


def scikit_learns_checks():
    for model in (None, LogisticRegression()):
        for estimator, check in estimator_checks_generator(InContextClassifier(model)):
            name = check.func.__name__
            # Needs an environment variable set before scipy is imported; the estimator claims no array API.
            if name != "check_array_api_input":
                yield pytest.param(estimator, check, id=f"{model}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(scikit_learns_checks()))
def test_scikit_learn_has_no_complaint(estimator, check):
    check(estimator)


def penalised(X, y):
    """scikit-learn's on the same scaled data: its intercept, of a column of tens, is penalised like the others."""
    Z = np.concatenate([(X - X.mean(0)) / X.std(0), np.full((len(X), 1), 10.0)], axis=1)
    return SklearnLogistic(C=1.0, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(Z, y), Z


def test_the_likeliest_class_is_that_of_scikit_learns_logistic_regression():
    X, y = make_blobs(120, 4, centers=2, cluster_std=4.0, random_state=0)
    reference, Z = penalised(X, y)
    found = InContextClassifier().fit(X, y)
    # Laplace's method moves probabilities towards one half and leaves the sides.
    np.testing.assert_array_equal(found.predict(X), reference.predict(Z))
    theirs, ours = reference.predict_proba(Z)[:, 1], found.predict_proba(X)[:, 1]
    assert (np.abs(ours - 0.5) <= np.abs(theirs - 0.5) + 1e-9).all()


def test_weights_count_examples_as_often():
    X, y = make_blobs(40, 3, centers=3, cluster_std=4.0, random_state=1)
    weights = np.random.default_rng(0).integers(0, 4, 40)
    rows = np.repeat(np.arange(40), weights)
    for model in (None, NearestNeighbors(3)):
        weighted = InContextClassifier(model).fit(X, y, weights).predict_proba(X)
        np.testing.assert_allclose(
            weighted, InContextClassifier(model).fit(X[rows], y[rows]).predict_proba(X), rtol=1e-7
        )


def test_classes_are_words_in_any_number():
    X, y = load_iris(return_X_y=True)
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    found = InContextClassifier().fit(X, words)
    assert list(found.classes_) == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(found.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)
    assert (found.predict(X) == words).mean() > 0.9
    assert cross_val_score(InContextClassifier(NearestNeighbors(3)), X, words, cv=3).mean() > 0.9
    assert (InContextClassifier().fit(X, np.full(150, "one")).predict(X) == "one").all()


def test_a_predictor_of_two_classes_is_asked_for_each_against_the_rest():
    X, y = make_blobs(30, 2, centers=3, random_state=2)
    bayes = ClusterBayes(2.0)
    found = InContextClassifier(bayes).fit(X, y)
    Z = (X - X.mean(0)) / X.std(0)
    each = []
    for c in range(3):
        xs = np.concatenate([np.broadcast_to(Z, (30, 30, 2)), Z[:, None]], axis=1)
        ys = np.broadcast_to(np.append(y == c, 0), (30, 31)).astype(int)
        each.append(bayes(Prompts(xs, ys, xs, ys, 2))[:, -1, 1])
    expected = np.stack(each, 1) / np.sum(each, axis=0)[:, None]
    np.testing.assert_allclose(found.predict_proba(X), expected, rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_a_trained_model_answers_up_to_its_number_of_classes(classes):
    """With all that its folder would hold: contexts of 12 of 20 examples, a spare dimension, and three classes."""
    architecture = Architecture(dimension=3, max_points=13, width=8, layers=1, head="classes", outputs=3)
    predictor = TransformerPredictor(Transformer(architecture, seed=5))
    X, y = make_blobs(20, 2, centers=classes, random_state=3)
    found = InContextClassifier(predictor).fit(X, y)
    law = found.predict_proba(X)
    assert law.shape == (20, classes)
    np.testing.assert_allclose(law.sum(axis=1), 1.0, rtol=1e-12)
    if classes == 3:
        Z = np.concatenate([(X - X.mean(0)) / X.std(0), np.zeros((20, 1))], axis=1)
        shuffled = np.random.default_rng(0).permutation(20)
        said = predictor.answer(
            np.stack([Z[rows] for rows in (shuffled[:12], shuffled[8:])]),
            np.stack([y[rows] for rows in (shuffled[:12], shuffled[8:])]),
            Z,
        )
        np.testing.assert_allclose(law, said.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"penalty": 0.0}, "penalty must be greater than 0"),
        ({"model": "logistic_regresion"}, "Did you mean 'logistic_regression'"),
        ({"model": "gpt2-d20-identity"}, "must be a learner of classes"),
        ({"model": Ridge(1.0)}, "must have labels that are numbers"),
        ({"model": "os:system"}, "runs only if you allow it"),
        ({"random_state": -1}, "random_state must be"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(parameters, sentence):
    X, y = make_blobs(10, 2, centers=2, random_state=0)
    with pytest.raises(InvalidInputError, match=sentence):
        InContextClassifier(**parameters).fit(X, y).predict(X)
