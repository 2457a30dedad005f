"""The one-pass fits against an independent solver at every prefix, on contexts that break weaker recursions."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from iclab.foundations import InvalidInputError
from iclab.predictors import LeastSquares, Ridge, fit_prefixes
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts

EPS = np.finfo(float).eps
B, P, D = 6, 30, 7


def contexts():
    rng = np.random.default_rng(3)
    xs = rng.standard_normal((B, P, D))
    rotation = ortho_group.rvs(D, random_state=1)
    pairs = xs.copy()
    pairs[:, 1::2] = pairs[:, ::2]
    close = xs.copy()
    close[:, :12] = close[:, :1] + 1e-7 * close[:, :12]
    zeros = xs.copy()
    zeros[:, ::3] = 0
    growing, shrinking = xs.copy(), xs.copy()
    growing[:, 15:] *= 1e8
    shrinking[:, 15:] *= 1e-8
    return {
        "plain": xs,
        "graded to 1e-6": xs * 10.0 ** -np.arange(D),
        "graded to 1e-12": xs * 100.0 ** -np.arange(D),
        "graded to 1e-18": xs * 1000.0 ** -np.arange(D),
        "half a subspace": xs @ (rotation * [1, 1, 1, 0, 0, 0, 0]) @ rotation.T,
        "every example twice": pairs,
        "nearly twice, 1e-9": np.where(np.arange(P)[:, None] % 2, pairs * (1 + 1e-9 * xs), pairs),
        "nearly twice, 1e-14": np.where(np.arange(P)[:, None] % 2, pairs * (1 + 1e-14 * xs), pairs),
        "close together, then not": close,
        "zeros": zeros,
        "far from the origin": xs + 1e6,
        "huge": xs * 1e150,
        "tiny": xs * 1e-150,
        "one dimension": xs[:, :, :1],
        "growing": growing,
        "shrinking": shrinking,
    }


CONTEXTS = contexts()


def size(vector):
    return float(np.sqrt(np.sum(np.square(vector / max(np.abs(vector).max(), 1e-300))))) * np.abs(vector).max()


@pytest.mark.parametrize("name", CONTEXTS)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_agrees_with_the_pseudoinverse_at_every_prefix(name, noise):
    xs = CONTEXTS[name]
    rng = np.random.default_rng(4)
    ys = np.einsum("bpd,bd->bp", xs, rng.standard_normal((B, xs.shape[2])))
    ys += noise * np.abs(ys).max() * rng.standard_normal(ys.shape)
    weights = fit_prefixes(xs, ys).weights
    checked = 0
    for b in range(B):
        for i in range(1, P):
            X = xs[b, :i]
            values = np.linalg.svd(X, compute_uv=False)
            if values[0] == 0:
                assert (weights[b, i] == 0).all()
                continue
            values = values[values > max(X.shape) * EPS * values[0]]
            condition = values[0] / values[-1]
            expected = np.linalg.pinv(X, rtol=max(X.shape) * EPS) @ ys[b, :i]
            # The bound of a backward stable solver (Wedin): κ, and κ² times the residual.
            residual = size(ys[b, :i] - X @ expected) / (values[0] * size(expected) + 1e-300)
            stable = 30 * D * EPS * condition * (1 + condition * residual)
            allowed = max(stable, 1e-8 if condition**2 * EPS < 1e-10 else 0.0)
            assert size(weights[b, i] - expected) <= allowed * size(expected), (b, i, condition)
            checked += 1
    assert checked > B * P / 2


@pytest.mark.parametrize("penalty", [1e-12, 1e-6, 1.0, 1e6])
@pytest.mark.parametrize("name", ["plain", "graded to 1e-6", "half a subspace", "every example twice", "one dimension"])
def test_ridge_agrees_with_the_augmented_system(name, penalty):
    xs = CONTEXTS[name]
    d = xs.shape[2]
    ys = np.random.default_rng(5).standard_normal((B, P))
    weights = fit_prefixes(xs, ys, penalty).weights
    for b in range(B):
        for i in range(P):
            rows = np.vstack([xs[b, :i], np.sqrt(penalty) * np.eye(d)])
            labels = np.concatenate([ys[b, :i], np.zeros(d)])
            expected = np.linalg.lstsq(rows, labels, rcond=None)[0]
            condition = np.linalg.cond(rows)
            residual = size(labels - rows @ expected) / (np.linalg.norm(rows, 2) * max(size(expected), 1e-9))
            tolerance = max(1e-8, 30 * D * EPS * condition * (1 + condition * residual))
            np.testing.assert_allclose(weights[b, i], expected, atol=tolerance * max(size(expected), 1e-9))


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_ridge_keeps_its_digits_on_both_sides_of_the_switch(ratio):
    # |X|² at twice and at half of 1e5 penalties, and both kinds of prompt in one batch.
    xs = CONTEXTS["graded to 1e-6"].copy()
    xs[::2] *= 3
    ys = np.random.default_rng(6).standard_normal((B, P))
    penalty = ratio * float(np.square(xs[1::2]).sum(axis=(1, 2)).mean()) / 1e5
    fit = fit_prefixes(xs, ys, penalty)
    for b in range(B):
        alone = fit_prefixes(xs[b : b + 1], ys[b : b + 1], penalty)
        np.testing.assert_allclose(alone.weights[0], fit.weights[b], rtol=1e-9, atol=1e-11)
        for i in range(1, P):
            rows = np.vstack([xs[b, :i], np.sqrt(penalty) * np.eye(D)])
            expected = np.linalg.lstsq(rows, np.append(ys[b, :i], np.zeros(D)), rcond=None)[0]
            assert np.linalg.norm(fit.weights[b, i] - expected) <= 1e-10 * np.linalg.norm(expected)


def test_leverages_are_predictive_variances():
    xs = CONTEXTS["plain"]
    fit = fit_prefixes(xs, np.zeros((B, P)), 0.4)
    for i in (0, 1, 6, 7, 20):
        gram = np.einsum("bpi,bpj->bij", xs[:, :i], xs[:, :i]) + 0.4 * np.eye(D)
        expected = np.einsum("bi,bij,bj->b", xs[:, i], np.linalg.inv(gram), xs[:, i])
        np.testing.assert_allclose(fit.leverages[:, i], expected, rtol=1e-10)


def test_a_restart_repairs_a_prefix_that_was_nearly_singular():
    # Two examples 1e-12 apart leave a huge covariance; the third pins it, and nothing may be lost.
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((50, 12, 2))
    xs[:, 1] = xs[:, 0] + 1e-12 * xs[:, 1]
    w = rng.standard_normal((50, 2))
    ys = np.einsum("bpd,bd->bp", xs, w) + 0.1 * rng.standard_normal((50, 12))
    weights = fit_prefixes(xs, ys).weights
    for b in range(50):
        for i in range(4, 12):
            expected = np.linalg.lstsq(xs[b, :i], ys[b, :i], rcond=None)[0]
            np.testing.assert_allclose(weights[b, i], expected, rtol=1e-8, atol=1e-10)


def test_ten_thousand_positions():
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((2, 10_000, 5))
    ys = xs @ rng.standard_normal(5) + rng.standard_normal((2, 10_000))
    weights = fit_prefixes(xs, ys).weights
    for i in (10, 1000, 9_999):
        np.testing.assert_allclose(weights[1, i], np.linalg.lstsq(xs[1, :i], ys[1, :i], rcond=None)[0], rtol=1e-10)


def test_ridge_tends_to_least_squares():
    prompts = PromptDistribution(Gaussian.isotropic(4), Linear(), 0.5).sample(20, 12, seed=2)
    exact = LeastSquares()(prompts)
    gaps = [np.abs(Ridge(penalty)(prompts) - exact).max() for penalty in (1e-3, 1e-5, 1e-7)]
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]


def test_scaling_metamorphism():
    # (c x, s y) → w s/c: powers of two are exact, so the bits must agree.
    xs, ys = CONTEXTS["plain"], np.random.default_rng(8).standard_normal((B, P))
    base = fit_prefixes(xs, ys).weights
    np.testing.assert_array_equal(fit_prefixes(4 * xs, 8 * ys).weights, 2 * base)
    prompts = Prompts(xs, ys, xs, ys)
    np.testing.assert_array_equal(LeastSquares()(prompts)[:, 0], 0)


def test_fits_of_no_shape_or_a_negative_penalty_are_refused():
    with pytest.raises(InvalidInputError, match="shapes"):
        fit_prefixes(np.ones((2, 3, 2)), np.ones((2, 2)))
    with pytest.raises(InvalidInputError, match="penalty must be at least 0"):
        fit_prefixes(np.ones((2, 3, 2)), np.ones((2, 3)), -1.0)


@pytest.mark.parametrize("penalty", [1e2, 1e-6, 1e-12, 1e-16, 1e-20, 1e-30, 1e-100, 1e-250])
def test_small_penalties_lose_no_digits(penalty):
    """Against singular values at every prefix: below 1e-16 |X|² a penalty is next to nothing, and must stay so."""
    rng = np.random.default_rng(5)
    xs, ys = rng.standard_normal((4, 12, 5)), rng.standard_normal((4, 12))
    weights = fit_prefixes(xs, ys, penalty).weights
    for b in range(4):
        for i in range(1, 12):
            left, values, right = np.linalg.svd(xs[b, :i], full_matrices=False)
            expected = right.T @ (values / (values**2 + penalty) * (left.T @ ys[b, :i]))
            assert np.linalg.norm(weights[b, i] - expected) < 1e-10 * np.linalg.norm(expected)
