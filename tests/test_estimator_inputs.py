"""What people give to estimators: other containers of the same numbers, and what is no number."""

import numpy as np
import pandas as pd
import pytest
import torch

from iclab.estimators import InContextClassifier, InContextRegressor
from iclab.estimators.linear import triangular
from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4)) * [1, 2, 3, 0.1] + [5, 0, 0, 1]
    return X, X @ [1, -2, 0.5, 3] + 0.5 * rng.standard_normal(60) + 7


DAYS = np.datetime64("2001-01-01") + np.arange(60)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda X, y: (np.ma.masked_greater(X, 5), y), "no masked entries"),
        (lambda X, y: (X, np.ma.masked_greater(y, 7)), "no masked entries"),
        (lambda X, y: (X.astype(str), y), "words"),
        (lambda X, y: (X, y.astype(str)), "words"),
        (lambda X, y: ([*X.tolist()[:-1], ["1", "2", "3", "4"]], y), "words"),
        (lambda X, y: (DAYS[:, None], y), "dates"),
        (lambda X, y: (X, DAYS), "dates"),
        (lambda X, y: ((DAYS - DAYS[0])[:, None], y), "durations"),
        (lambda X, y: (pd.DataFrame(X).assign(day=DAYS), y), "dates"),
        (lambda X, y: (np.zeros(60, [("a", float)]), y), "records"),
        (lambda X, y: (np.where(X > 0, 1.7e308, -1.7e308), y), "means and standard deviations"),
    ],
)
def test_what_is_no_number_is_refused(data, change, why):
    X, y = change(*data)
    with pytest.raises(InvalidInputError, match=why):
        InContextRegressor("ridge").fit(X, y)


@pytest.mark.parametrize(
    "queries", [np.ma.masked_greater(np.ones((2, 4)), 0), np.full((2, 4), "1"), np.full((2, 4), DAYS[0])]
)
def test_queries_that_are_no_numbers_are_refused(data, queries):
    X, y = data
    for fitted in (InContextRegressor("ridge").fit(X, y), InContextClassifier().fit(X, y > y.mean())):
        with pytest.raises(InvalidInputError, match=r"masked|words|dates"):
            fitted.predict(queries)


def test_weights_that_are_masked_are_refused(data):
    with pytest.raises(InvalidInputError, match="sample_weight must have no masked entries"):
        InContextRegressor("ridge").fit(*data, sample_weight=np.ma.masked_less(np.arange(60.0), 3))


CONTAINERS = {
    "Fortran's order": np.asfortranarray,
    "big-endian": lambda X: X.astype(">f8"),
    "strided": lambda X: np.repeat(X, 2, 1)[:, ::2],
    "objects": lambda X: X.astype(object),
    "lists": lambda X: X.tolist(),
    "no mask": np.ma.array,
    "pandas": pd.DataFrame,
    "torch": torch.tensor,
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_numbers_in_another_container_are_the_same(data, container):
    (X, y), change = data, CONTAINERS[container]
    expected = InContextRegressor("ridge").fit(X, y).predict(X)
    np.testing.assert_allclose(InContextRegressor("ridge").fit(change(X), y).predict(change(X)), expected, rtol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(9000, 20), (2049, 1), (20, 20), (5, 20)])
def test_the_triangle_of_many_rows_is_that_of_all_at_once(rows, columns):
    values = np.random.default_rng(0).standard_normal((rows, columns)) * np.logspace(0, -9, columns)
    upper = triangular(values)
    assert len(upper) <= columns
    expected = np.linalg.qr(values, mode="r")
    assert np.abs(np.linalg.svd(upper)[1] / np.linalg.svd(expected)[1] - 1).max() < 1e-6  # at condition 1e9
    np.testing.assert_allclose(upper.T @ upper, values.T @ values, rtol=1e-9, atol=1e-30)


@pytest.mark.parametrize("model", ["ridge", "least_squares"])
def test_many_rows_are_fitted_as_least_squares_fits_them(model):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 20))
    y = X @ rng.standard_normal(20) + rng.standard_normal(100_000)
    fitted = InContextRegressor(model, noise=0.1).fit(X, y)
    A = np.c_[X, np.ones(100_000)]
    best = np.linalg.lstsq(A, y, rcond=None)[0]
    np.testing.assert_allclose(fitted.coef_, best[:-1], rtol=1e-4)
    residual = y - fitted.predict(X)
    assert residual @ residual < (1 + 1e-9) * np.square(y - A @ best).sum()


def test_a_model_of_classes_is_no_regressor(data):
    architecture = Architecture(dimension=4, max_points=61, width=8, head="classes", outputs=3)
    with pytest.raises(InvalidInputError, match=r"must be a learner of numbers; .* take InContextClassifier"):
        InContextRegressor(model=TransformerPredictor(Transformer(architecture))).fit(*data)
