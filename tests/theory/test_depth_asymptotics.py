"""Depth in the limit: published digits, orthogonal polynomials by integration, ridge regression, and drawn spectra."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from iclab.foundations import InvalidInputError
from iclab.theory import depth_asymptotics


def _mean(function, alpha):
    """The mean over the Marchenko-Pastur law from its density and its atom at 0."""
    c = 1 / alpha
    low, high = (1 - math.sqrt(c)) ** 2, (1 + math.sqrt(c)) ** 2

    def integrand(angle):
        x = (high + low) / 2 + (high - low) / 2 * math.cos(angle)
        return function(x) * ((high - low) / 2 * math.sin(angle)) ** 2 / (2 * math.pi * c * x)

    return quad(integrand, 0, math.pi, epsabs=1e-13, epsrel=1e-12)[0] + max(0.0, 1 - alpha) * function(0.0)


@pytest.mark.parametrize(("depth", "untied", "tied"), [(2, 0.143, 0.185), (4, 0.032, 0.082)])
def test_published_digits(depth, untied, tied):
    """The last printed digit; .0828 is printed as .082."""
    limit = depth_asymptotics(2, depth)
    assert limit.untied == pytest.approx(untied, abs=5e-4)
    assert limit.tied == pytest.approx(tied, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 7.0])
def test_one_layer_is_linear_attention(alpha):
    limit = depth_asymptotics(alpha, 1)
    assert limit.untied == pytest.approx(1 / (1 + alpha), rel=1e-13)
    assert limit.tied == pytest.approx(1 / (1 + alpha), rel=1e-13)


@pytest.mark.parametrize("alpha", [0.6, 2.0])
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("depth", [2, 3])
def test_against_integrals_of_the_density(alpha, noise, depth):
    """Untied: the normal equations of Q in monomials. Tied: a search over γ."""
    level = noise / alpha
    moment = [_mean(lambda x, k=k: x**k, alpha) for k in range(2 * depth + 1)]
    gram = np.array([[moment[i + j + 2] + level * moment[i + j + 1] for j in range(depth)] for i in range(depth)])
    right = np.array([moment[i + 1] for i in range(depth)])
    limit = depth_asymptotics(alpha, depth, noise)
    assert limit.untied == pytest.approx(1 - right @ np.linalg.solve(gram, right), rel=1e-9)

    def error(gamma):
        def integrand(x):
            kept = (1 - gamma * x / depth) ** depth
            return kept**2 + (level * (1 - kept) ** 2 / x if x > 0 else 0.0)

        return _mean(integrand, alpha)

    assert limit.tied == pytest.approx(error(limit.rate), rel=1e-10)
    best = minimize_scalar(error, bounds=(0.2 * limit.rate, 1.6 * limit.rate), method="bounded")
    assert limit.tied <= best.fun + 1e-9
    assert limit.rate == pytest.approx(best.x, rel=1e-4)


@pytest.mark.parametrize(("alpha", "noise"), [(2.0, 0.5), (0.5, 0.2), (0.5, 0.0), (3.0, 0.0)])
def test_many_layers_reach_ridge_regression(alpha, noise):
    deep = depth_asymptotics(alpha, 60, noise)
    assert deep.untied == pytest.approx(deep.floor, abs=1e-12)
    ridge = _mean(lambda x: noise / alpha / (x + noise / alpha), alpha) if noise else max(0.0, 1 - alpha)
    assert deep.floor == pytest.approx(ridge, rel=1e-10)
    errors = [depth_asymptotics(alpha, L, noise) for L in (1, 2, 3, 5, 8)]
    assert np.all(np.diff([e.untied for e in errors]) < 0)
    assert np.all(np.diff([e.tied for e in errors]) < 0)
    assert all(e.tied >= e.untied * (1 - 1e-12) >= deep.floor * (1 - 2e-12) for e in errors)


def test_drawn_spectra_tend_to_the_limit():
    """The error of the best tied layers on drawn spectra, within 4 standard errors plus their distance of order 1/d."""
    rng = np.random.default_rng(0)
    alpha, depth, d = 2, 3, 150
    limit = depth_asymptotics(alpha, depth)
    errors = []
    for _ in range(30):
        x = rng.standard_normal((alpha * d, d)) / math.sqrt(d)
        spectrum = np.linalg.eigvalsh(x.T @ x / alpha)
        errors.append(np.mean((1 - limit.rate * spectrum / depth) ** (2 * depth)))
    assert abs(np.mean(errors) - limit.tied) < 4 * np.std(errors) / math.sqrt(30) + 3 * limit.tied / d


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 1), "alpha between 1e-6 and 1e6"),
        ((1, 0), "depth must lie between 1 and 500"),
        ((1, 501), "depth must lie between 1 and 500"),
        ((1, 1, -1), "noise_variance must be at least 0"),
    ],
)
def test_bad_input(arguments, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        depth_asymptotics(*arguments)
