"""Limits of d → ∞: published digits, a second derivation, random matrices, other known limits, and simulations."""

import math

import numpy as np
import pytest

from iclab.foundations import Draws, Estimate, InvalidInputError
from iclab.prompts import Gaussian
from iclab.theory import (
    extrapolate,
    minimum_loss,
    mismatch_asymptotics,
    ridge_asymptotics,
    ridgeless_asymptotics,
    simulate_attention,
)
from iclab.theory.finite_attention import _prompts

# κ = .5, ρ = .01, α = 10 (Lu et al., PNAS 2025).
PUBLISHED = {
    0.2: (0.8643, 0.5507),
    0.5: (0.8208, 0.2463),
    0.85: (2.2279, 0.4265),
    1.15: (2.7748, 0.4309),
    1.5: (1.2236, 0.1686),
    2: (0.8912, 0.1124),
    10: (0.5957, 0.0624),
}


@pytest.mark.parametrize("tau", PUBLISHED)
def test_published_digits(tau):
    limit = ridgeless_asymptotics(10, tau, 0.5, 0.01)
    assert (round(limit.icl, 4), round(limit.idg, 4)) == PUBLISHED[tau]


@pytest.mark.parametrize(("kappa", "gap"), [(0.2, 0.8253), (0.6, 0.4385), (1, 0.1636), (2, 0.0301), (8, 0.0037)])
def test_published_gaps(kappa, gap):
    assert round(ridgeless_asymptotics(10, 10, kappa, 0.01).task_gap, 4) == gap


def _stieltjes(z, kappa):
    """∫ 1/(s + z) of the Marchenko-Pastur law of the pool, in closed form."""
    b = z + 1 - 1 / kappa
    return 2 / (b + math.sqrt(b * b + 4 * z / kappa))


@pytest.mark.parametrize("kappa", [0.3, 1.0, 4.0])
def test_closed_form_above_the_threshold(kappa):
    """Without any effective penalty the errors are rational in the law's transform and its derivative."""
    alpha, tau, rho, h = 3.0, 1.7, 0.2, 1e-5
    q = (1 + rho) / alpha
    m = _stieltjes(q, kappa)
    slope = (_stieltjes(q + h, kappa) - _stieltjes(q - h, kappa)) / (2 * h)
    limit = ridgeless_asymptotics(alpha, tau, kappa, rho)
    assert limit.idg == pytest.approx(tau / (tau - 1) * (rho + q - q * q * m), rel=1e-12)
    icl = (1 + q) * (1 - 2 * q * m - q * q * slope + (rho + q - q * q * m) * m / (tau - 1)) - 2 * (1 - q * m) + 1 + rho
    assert limit.icl == pytest.approx(icl, rel=1e-8)


@pytest.mark.parametrize(("tau", "penalty"), [(0.5, 0.0), (2.0, 0.0), (0.8, 0.3)])
def test_against_a_drawn_pool(tau, penalty):
    """The errors of ridge regression with the spectrum of one large pool, from its matrices: no η, no derivative."""
    rng = np.random.default_rng(4)
    d, kappa, alpha, rho = 900, 0.7, 4.0, 0.1
    profile = np.repeat([2.0, 0.5, 0.5], d // 3)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    small = np.diag([2.0, 0.5, 0.5])
    other = turn @ np.diag([0.2, 1.0, 3.0]) @ turn.T
    B = np.kron(other, np.eye(d // 3))
    tasks = rng.standard_normal((int(kappa * d), d)) * np.sqrt(profile)
    R = tasks.T @ tasks / len(tasks)
    q = (profile.mean() + rho) / alpha
    F = R + q * np.eye(d)
    values = np.linalg.eigvalsh(F)

    def balance(xi):
        return xi * (1 - np.mean(values / (values + xi)) / tau) - penalty

    low, high = (1e-9, 1e9) if tau < 1 or penalty > 0 else (0.0, 0.0)
    for _ in range(200 if high else 0):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if balance(middle) > 0 else (middle, high)
    xi = high
    K = R @ np.linalg.inv(F + xi * np.eye(d))

    def error(second, cross, level):
        return level + (np.vdot(K @ second, K) - 2 * np.vdot(K, cross)) / d

    training = error(F, R, np.trace(R) / d + rho)
    gram = np.linalg.inv(F + xi * np.eye(d))
    room = 1 - np.mean((values / (values + xi)) ** 2) / tau
    new_q = (np.trace(B) / d + rho) / alpha
    second = B + new_q * np.eye(d)
    icl = error(second, B, np.trace(B) / d + rho) + np.vdot(gram @ F @ gram, second) / d / tau / room * training
    limit = mismatch_asymptotics(alpha, tau, kappa, rho, small, other, penalty)
    assert limit.effective_penalty == pytest.approx(xi, rel=0.01)
    assert limit.idg == pytest.approx(training / room, rel=0.01)
    assert limit.icl == pytest.approx(icl, rel=0.01)


def test_infinite_data_is_the_minimiser_of_theorem_4():
    """τ = κ = ∞: the exact minimum loss with label noise, whose distance to the limit falls like 1/d."""
    alpha, rho = 3, 0.4
    limit = ridgeless_asymptotics(alpha, math.inf, math.inf, rho)
    errors = [
        2 * minimum_loss(Gaussian(np.eye(d) / d), alpha * d, noise_variance=rho) + rho - limit.icl for d in (100, 200)
    ]
    assert abs(errors[1]) < 2e-3
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.01)
    assert limit.icl == pytest.approx(limit.idg, rel=1e-14)


def test_limits_of_the_penalty_and_of_the_pool():
    far = ridge_asymptotics(10, 0.5, 0.5, 0.01, 1e9)
    assert far.icl == pytest.approx(1.01, rel=1e-8)
    assert far.idg == pytest.approx(1.01, rel=1e-8)
    for tau in (0.6, 1.6):
        near, none = ridge_asymptotics(10, tau, 0.5, 0.01, 1e-10), ridgeless_asymptotics(10, tau, 0.5, 0.01)
        assert (near.icl, near.idg) == pytest.approx((none.icl, none.idg), rel=1e-8)
    whole, many = ridgeless_asymptotics(2, 2, math.inf, 0.1), ridgeless_asymptotics(2, 2, 1e8, 0.1)
    assert (many.icl, many.idg) == pytest.approx((whole.icl, whole.idg), rel=1e-7)
    assert whole.task_gap == pytest.approx(0, abs=1e-14)


def test_pole_at_the_interpolation_threshold():
    """The errors grow like 1/|τ − 1|, with the same factor on both sides; a penalty removes the pole."""
    assert math.isinf(ridgeless_asymptotics(10, 1, 0.5, 0.01).icl)
    factors = [ridgeless_asymptotics(10, 1 + x, 0.5, 0.01).icl * abs(x) for x in (-1e-6, 1e-6)]
    assert factors[0] == pytest.approx(factors[1], rel=1e-4)
    assert ridge_asymptotics(10, 1, 0.5, 0.01, 0.01).icl < 2


def test_equal_tasks_under_one_covariance():
    """Without a pool, tasks of C at test are those of training; and units of w cancel."""
    C = np.array([[1.0, 0.3], [0.3, 0.5]])
    one = mismatch_asymptotics(3, 0.7, math.inf, 0.2, C, C)
    assert one.icl == pytest.approx(one.idg, rel=1e-13)
    nine = mismatch_asymptotics(3, 0.7, math.inf, 1.8, 9 * C, 9 * C)
    assert nine.icl == pytest.approx(9 * one.icl, rel=1e-12)


def test_longer_prompts_at_test_do_no_harm():
    errors = [ridgeless_asymptotics(2, 3, 2, 0.1, test_alpha=a).icl for a in (1, 2, 4, 8)]
    assert np.all(np.diff(errors) < 0)
    assert errors[1] == ridgeless_asymptotics(2, 3, 2, 0.1).icl


@pytest.mark.parametrize(
    ("alpha", "tau", "kappa", "rho", "penalty"), [(10, 0.5, 0.5, 0.01, 0.0), (2, 2, math.inf, 0.2, 0.3)]
)
def test_simulations_tend_to_the_limit(alpha, tau, kappa, rho, penalty):
    """The intercept of a line in 1/d within 4 standard errors, which fits."""
    limit = ridge_asymptotics(alpha, tau, kappa, rho, penalty)
    sizes = (8, 16, 24)
    runs = [
        simulate_attention(d, alpha, tau, kappa, rho, penalty, n_runs=n, seed=3)
        for d, n in zip(sizes, (200, 60, 16), strict=True)
    ]
    for name in ("icl", "idg"):
        line = extrapolate(sizes, [getattr(run, name) for run in runs])
        assert line.chi_square < 16
        assert abs(line.value - getattr(limit, name)) < 4 * line.standard_error
        assert line.standard_error < 0.05 * getattr(limit, name)


@pytest.mark.slow
def test_simulated_mismatch_tends_to_the_limit():
    small, other = np.diag([1.8, 0.2]), np.array([[0.5, 0.4], [0.4, 1.5]])
    limit = mismatch_asymptotics(4, 1.8, 1.5, 0.1, small, other, 0.1)
    sizes = (8, 16, 32)
    runs = []
    for d, n in zip(sizes, (300, 100, 20), strict=True):
        C, D = (np.kron(m, np.eye(d // 2)) for m in (small, other))
        runs.append(
            simulate_attention(d, 4, 1.8, 1.5, 0.1, 0.1, training_covariance=C, test_covariance=D, n_runs=n, seed=2)
        )
    for name in ("icl", "idg"):
        line = extrapolate(sizes, [getattr(run, name) for run in runs])
        assert line.chi_square < 16
        assert abs(line.value - getattr(limit, name)) < 4 * line.standard_error


def test_extrapolation_of_an_exact_line():
    estimates = [Estimate(2 + 3 / d, 0.1, 9, 0) for d in (4, 8, 16)]
    line = extrapolate((4, 8, 16), estimates)
    assert line.value == pytest.approx(2)
    assert line.chi_square == pytest.approx(0, abs=1e-20)
    X = np.column_stack([np.ones(3), 1 / np.array([4, 8, 16])]) / 0.1
    assert line.standard_error == pytest.approx(math.sqrt(np.linalg.inv(X.T @ X)[0, 0]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 1, 1, 0), "alpha must lie between 1e-09 and 1e"),
        ((math.inf, 1, 1, 0), "alpha must lie between 1e-09 and 1e"),
        ((1, -1, 1, 0), "tau must lie between 1e-09 and 1e.*, or be infinite"),
        ((1, 2, 0, 0), "kappa must lie between 1e-09 and 1e.*, or be infinite"),
        ((1, 2, 1, -0.1), "noise_variance must lie between 0 and 1e"),
        ((1e-320, 2, 1, 0.1), "alpha must lie between 1e-09 and 1e"),
        ((1, 2, 1, 1e300), "noise_variance must lie between 0 and 1e"),
    ],
)
def test_numbers_out_of_range(arguments, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        ridgeless_asymptotics(*arguments)


def test_bad_input_of_the_siblings():
    with pytest.raises(InvalidInputError, match="penalty must lie between 0 and"):
        ridge_asymptotics(1, 1, 1, 0, -1)
    with pytest.raises(InvalidInputError, match="training_covariance must not be zero"):
        mismatch_asymptotics(1, 1, 1, 0, [[0.0]], [[1.0]])
    with pytest.raises(InvalidInputError, match="kappa times the dimension must be a whole number"):
        simulate_attention(8, 10, 1, 0.2, 0.01)
    with pytest.raises(InvalidInputError, match="tau must be finite"):
        simulate_attention(8, 10, math.inf, 1, 0.01)
    with pytest.raises(InvalidInputError, match="dimensions must hold at least 2"):
        extrapolate([4], [Estimate(1.0, 0.1, 2, 0)])


def test_drawn_prompts_have_the_law_of_prompts():
    """(h, s) from χ² numbers against sums over drawn examples: means and second moments, given w."""
    d, length, rho, n = 3, 5, 0.3, 40_000
    w = np.array([1.0, -0.5, 2.0])
    queries, features, labels = _prompts(np.tile(w, (n, 1)), length, rho, Draws(5, "verification", count=n))
    rng = np.random.default_rng(6)
    x = rng.standard_normal((n, length, d)) / math.sqrt(d)
    y = x @ w + math.sqrt(rho) * rng.standard_normal((n, length))
    direct = np.column_stack([d / length * np.einsum("nl,nld->nd", y, x), np.mean(y**2, axis=1)])
    index = np.triu_indices(d + 1)
    moments = [np.column_stack([z, (z[:, :, None] * z[:, None, :])[:, *index]]) for z in (features, direct)]
    errors = [m.std(axis=0) / math.sqrt(n) for m in moments]
    z = (moments[0].mean(axis=0) - moments[1].mean(axis=0)) / np.hypot(*errors)
    assert np.abs(z).max() < 4.5
    assert np.mean((labels - queries @ w) ** 2) == pytest.approx(rho, rel=5 * math.sqrt(2 / n))
    assert np.var(queries) == pytest.approx(1 / d, rel=5 * math.sqrt(2 / n / d))
