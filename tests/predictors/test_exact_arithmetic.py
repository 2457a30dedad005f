"""Neighbours and ridge against rational arithmetic, from the smallest scales to the largest, outliers anywhere."""

from fractions import Fraction

import numpy as np
import pytest

from iclab.predictors import NearestNeighbors, fit_prefixes
from iclab.prompts import Prompts


def rational(array):
    return [[Fraction(value) for value in row] for row in np.asarray(array, dtype=float).tolist()]


def neighbours(xs, queries, ys, k):
    means = np.zeros(ys.shape)
    for b in range(len(xs)):
        points, asked = rational(xs[b]), rational(queries[b])
        for i in range(1, ys.shape[1]):
            squares = [sum((p - q) ** 2 for p, q in zip(points[j], asked[i], strict=True)) for j in range(i)]
            nearest = sorted(range(i), key=lambda j: (squares[j], j))[:k]
            means[b, i] = ys[b, nearest].sum() / len(nearest)
    return means


def inputs(kind, rng):
    shape = (3, 13, 3)
    scale = 10.0 ** rng.integers(-150, 150)
    xs = rng.standard_normal(shape)
    if kind == "any scale":
        return xs * scale
    if kind == "an outlier":
        xs[:, rng.integers(shape[1])] *= 10.0 ** rng.integers(1, 150)
        return xs
    if kind == "a fill value":
        xs[:, rng.integers(shape[1]), 1] = 9.96921e36
        return xs
    if kind == "a scale each":
        return xs * 10.0 ** rng.integers(-150, 150, (1, shape[1], 1))
    if kind == "ties":
        return np.round(xs) * scale
    if kind == "whole numbers beyond 2^53":
        return 1e16 + 2.0 * rng.integers(-3, 4, shape)
    if kind == "time stamps":
        xs[..., 2] = 1.7e18 + 1e9 * rng.integers(0, 20, shape[:2])
        return xs
    return xs / np.abs(xs).max() * 1.7e308


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "kind",
    [
        "any scale",
        "an outlier",
        "a fill value",
        "a scale each",
        "ties",
        "whole numbers beyond 2^53",
        "time stamps",
        "largest",
    ],
)
def test_neighbours_are_those_of_exact_arithmetic(kind, seed):
    rng = np.random.default_rng(seed)
    xs = inputs(kind, rng)
    ys = rng.standard_normal(xs.shape[:2])
    queries = rng.permutation(xs, axis=1) if seed else xs
    for k in (1, 3, 10):
        found = NearestNeighbors(k)(Prompts(xs, ys, queries, ys))
        np.testing.assert_allclose(found, neighbours(xs, queries, ys, k), rtol=1e-12, atol=1e-13)


def ridge(xs, ys, penalty):
    points, labels = rational(xs), [Fraction(value) for value in ys.tolist()]
    size = len(points[0])
    rows = [
        [sum(p[i] * p[j] for p in points) + (Fraction(penalty) if i == j else 0) for j in range(size)]
        + [sum(p[i] * label for p, label in zip(points, labels, strict=True))]
        for i in range(size)
    ]
    for column in range(size):
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for row in range(size):
            if row != column:
                rows[row] = [a - rows[row][column] * b for a, b in zip(rows[row], rows[column], strict=True)]
    return [row[-1] for row in rows]


@pytest.mark.parametrize("seed", range(40))
def test_ridge_is_that_of_exact_arithmetic_where_penalty_and_scales_leave_double_precision(seed):
    rng = np.random.default_rng(seed)
    scale, unit, penalty = (10.0 ** rng.integers(-150, 150) for _ in range(3))
    penalty = penalty**2
    xs, ys = scale * rng.standard_normal((1, 8, 3)), unit * rng.standard_normal((1, 8))
    with np.errstate(over="ignore"):
        found = fit_prefixes(xs, ys, penalty).weights[0, -1]
    for value, exact in zip(found.tolist(), ridge(xs[0, :-1], ys[0, :-1], penalty), strict=True):
        if Fraction(1, 10**290) < abs(exact) < Fraction(10) ** 300:
            assert abs(Fraction(value) - exact) < abs(exact) / 10**7
