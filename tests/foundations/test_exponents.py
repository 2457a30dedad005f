"""Exponents of power laws are read exactly where the laws are exact, and covered by their intervals where not."""

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.foundations.exponents import exponents, local_slopes, regressed


def test_exponents_of_exact_power_laws():
    a, b = np.meshgrid([1.0, 2.0, 5.0], [3.0, 4.0])
    keys = np.column_stack([a.ravel(), b.ravel()])
    samples = np.outer([1.0, 2.0, 3.0], keys[:, 0] ** 1.5 / keys[:, 1])
    found = exponents(keys, samples)
    for one, exact in zip(found, (1.5, -1.0), strict=True):
        np.testing.assert_allclose([one.value, one.low, one.high], exact, atol=1e-12)
    np.testing.assert_allclose(local_slopes([1, 2, 8], [3.0, 0.75, 3 / 64])[1:], -2.0)
    with pytest.raises(InvalidInputError, match="replicates"):
        exponents([1.0, 2.0], np.ones((1, 2)))


def test_intervals_cover_the_exponent():
    rng = np.random.default_rng(0)
    x = np.array([1.0, 2.0, 4.0, 8.0])
    covered = 0
    for _ in range(200):
        [found] = exponents(x, x**-1.0 * rng.gamma(2.0, size=(12, 4)))
        covered += found.low <= -1 <= found.high
    assert 180 <= covered <= 200  # 95 % of 200, and slack


def test_intervals_of_a_regression_cover_the_powers():
    rng = np.random.default_rng(0)
    x = np.array([[a, b] for a in (1.0, 2.0, 4.0) for b in (1.0, 3.0, 9.0)])
    covered = np.zeros(2)
    for _ in range(300):
        found = regressed(x, x[:, 0] * x[:, 1] ** -0.5 * rng.lognormal(0, 0.3, size=9))
        covered += [one.low <= power <= one.high for one, power in zip(found, (1.0, -0.5), strict=True)]
    assert (np.abs(covered - 285) < 16).all()  # 95 % of 300, and four standard errors
    with pytest.raises(InvalidInputError, match="at least 4 values"):
        regressed(x[:3], [1.0, 2.0, 3.0])
