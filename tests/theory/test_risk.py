"""Risks against cubature of the forward pass, simulation, and one another."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, expon

from iclab.foundations import InvalidInputError
from iclab.prompts import CovarianceMixture, Gaussian, RandomDiagonal, RandomRotation, Wishart
from iclab.theory import (
    AllPositions,
    corollary6_bound,
    corollary6_floor,
    cubic_law,
    embed,
    estimate_label_law,
    estimate_theorem5_risk,
    expected_risk,
    gamma,
    geometric_spectrum,
    layer_risk,
    learner_risk,
    lsa,
    minimizer,
    minimum_loss,
    noisy_linear_law,
    optimal_learner,
    prompt_cubature,
    quadratic_law,
    risk_by_condition_number,
    risk_distribution,
    sample_complexity,
    shift_risk,
    theorem5_risk,
)

seeds = st.integers(0, 2**32 - 1)


def random_covariance(rng, d: int) -> np.ndarray:
    factor = rng.normal(size=(d, d))
    return factor @ factor.T / d + 0.05 * np.eye(d)


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([(1, 1), (1, 3), (2, 1), (2, 2), (3, 1)]), st.integers(1, 9))
def test_theorem_5_and_corollary_6_through_the_forward_pass(seed, size, n_train):
    (d, n_test), rng = size, np.random.default_rng(seed)
    covariance, w = random_covariance(rng, d), rng.normal(size=d)
    layer = minimizer(Gaussian(covariance), n_train)
    nodes = prompt_cubature(covariance, n_test)

    def error(tasks):
        ys, targets = np.einsum("knd,kd->kn", nodes.xs, tasks), np.einsum("kd,kd->k", nodes.queries, tasks)
        output = lsa(embed(nodes.xs, ys, nodes.queries), layer)[:, -1, -1]
        return float(nodes.mean((output - targets) ** 2))

    fixed = error(np.broadcast_to(w, nodes.queries.shape))
    assert theorem5_risk(covariance, n_train, n_test, *noisy_linear_law(covariance, w)) == pytest.approx(
        fixed, rel=1e-10
    )
    mean = error(nodes.tasks)
    assert expected_risk(Gaussian(covariance), n_train, n_test) == pytest.approx(mean, rel=1e-10)
    assert layer_risk(layer, Gaussian(covariance), n_test) == pytest.approx(mean, rel=1e-10)
    assert mean <= corollary6_bound(covariance, n_train, n_test) * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seeds, st.integers(1, 6), st.sampled_from([1, 5, 40, math.inf, AllPositions(7)]), st.sampled_from([1, 8, math.inf])
)
def test_theorem_5_is_a_shift_without_shift(seed, d, n_train, n_test):
    rng = np.random.default_rng(seed)
    covariance, w, noise = random_covariance(rng, d), rng.normal(size=d), float(rng.uniform(0, 1))
    law = noisy_linear_law(covariance, w, noise)
    K = optimal_learner(Gaussian(covariance), n_train)
    shifted = shift_risk(K, covariance, covariance, n_test, np.outer(w, w), noise)
    theorem = theorem5_risk(covariance, n_train, n_test, *law)
    # Theorem 5 scores against the noisy label of the query.
    assert theorem == pytest.approx(shifted + noise, rel=1e-8)
    exact = expected_risk(Gaussian(covariance), n_train, n_test, noise_variance=noise)
    assert exact == pytest.approx(shift_risk(K, covariance, covariance, n_test, np.eye(d), noise), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 30), st.integers(1, 30))
def test_corollary_6_in_closed_form(seed, d, n_train, n_test):
    covariance = random_covariance(np.random.default_rng(seed), d)
    law = Gaussian(covariance)
    inverse, square = np.linalg.inv(gamma(covariance, n_train)), covariance @ covariance
    traces = (covariance, -2 * inverse @ square, inverse @ inverse @ square @ gamma(covariance, n_test))
    assert expected_risk(law, n_train, n_test) == pytest.approx(sum(np.trace(x) for x in traces), rel=1e-9)
    assert expected_risk(law, n_train, n_train) == pytest.approx(2 * minimum_loss(law, n_train), rel=1e-10)
    isotropic = Gaussian.isotropic(d)
    k = 1 / (1 + (d + 1) / n_train)
    per_dimension = k**2 * (1 + (d + 1) / n_test) - 2 * k + 1
    assert expected_risk(isotropic, n_train, n_test) / d == pytest.approx(per_dimension, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([(1, 2), (2, 1), (2, 2)]))
def test_the_shift_formula_through_cubature(seed, size):
    (d, n), rng = size, np.random.default_rng(seed)
    context, query, W = (random_covariance(rng, d) for _ in range(3))
    K = rng.normal(size=(d, d))
    examples, queries = prompt_cubature(context, n), prompt_cubature(query, n)
    root = np.linalg.cholesky(W)
    total = 0.0
    w = examples.tasks @ root.T
    # The query's law is independent of the context: average its second moment.
    moment = np.einsum("k,ki,kj->ij", queries.weights, queries.queries, queries.queries)
    learned = np.einsum("knd,kn->kd", examples.xs, np.einsum("knd,kd->kn", examples.xs, w)) @ K.T / n
    total = float(examples.mean(np.einsum("ki,ij,kj->k", learned - w, moment, learned - w)))
    assert shift_risk(K, context, query, n, W) == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("name", ["noisy", "quadratic", "cubic"])
def test_ready_made_laws_against_quadrature(name):
    rng = np.random.default_rng(5)
    covariance, w, v = random_covariance(rng, 2), rng.normal(size=2), rng.normal(size=2)
    points, weights = np.polynomial.hermite_e.hermegauss(8)
    x = np.array([(p, q) for p in points for q in points]) @ np.linalg.cholesky(covariance).T
    p = np.outer(weights, weights).ravel() / weights.sum() ** 2
    q = v @ covariance @ v
    law, y, noise = {
        "noisy": (noisy_linear_law(covariance, w, 0.3), x @ w, 0.3),
        "quadratic": (quadratic_law(covariance, w, v, 0.4), x @ w + 0.4 * ((x @ v) ** 2 - q), 0.0),
        "cubic": (cubic_law(covariance, v, 0.7), 0.7 * (x @ v) ** 3, 0.0),
    }[name]
    mean = p @ (y[:, None] * x)
    second = np.einsum("k,k,ki,kj->ij", p, y**2 + noise, x, x)
    a = np.linalg.solve(covariance, mean)
    np.testing.assert_allclose(law.a, a, rtol=1e-11)
    np.testing.assert_allclose(law.sigma, second - np.outer(mean, mean), rtol=1e-11)
    assert law.best == pytest.approx(p @ y**2 + noise - a @ covariance @ a, rel=1e-10)


def test_laws_and_risks_from_samples():
    rng = np.random.default_rng(1)
    covariance, w, v, n = np.array([[1.0, 0.3], [0.3, 0.6]]), np.array([1, -0.5]), np.array([0.4, 0.7]), 200_000
    x = rng.normal(size=(n, 2)) @ np.linalg.cholesky(covariance).T
    q = v @ covariance @ v
    y = x @ w + 0.5 * ((x @ v) ** 2 - q)
    exact = quadratic_law(covariance, w, v, 0.5)
    estimate = estimate_label_law(covariance, x, y, seed=1)
    assert np.abs((estimate.law.a - exact.a) / estimate.a_standard_error).max() < 5
    assert np.abs((estimate.law.sigma - exact.sigma) / estimate.sigma_standard_error).max() < 5
    assert abs(estimate.best.z_score(exact.best)) < 5
    risk = estimate_theorem5_risk(covariance, 6, 9, x, y, seed=1)
    assert abs(risk.z_score(theorem5_risk(covariance, 6, 9, *exact))) < 5
    assert (risk.n, risk.seed) == (n, 1)
    # Plugging the estimated law into Theorem 5 is the same number.
    plugged = theorem5_risk(covariance, 6, 9, *estimate.law)
    assert plugged == pytest.approx(risk.value, abs=1e-3 * risk.standard_error + 1e-5)


def test_standard_errors_of_estimates_are_honest():
    covariance, w = np.array([[1.0, 0.3], [0.3, 0.6]]), np.array([1, -0.5])
    exact = theorem5_risk(covariance, 6, 9, *noisy_linear_law(covariance, w, 0.5))
    scores = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(2000, 2)) @ np.linalg.cholesky(covariance).T
        y = x @ w + math.sqrt(0.5) * rng.normal(size=2000)
        scores.append(estimate_theorem5_risk(covariance, 6, 9, x, y, seed).z_score(exact))
    assert np.std(scores) == pytest.approx(1, abs=5 / math.sqrt(600))
    assert abs(np.mean(scores)) < 5 / math.sqrt(300) + 0.1


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 50), st.floats(1e-3, 3.0))
def test_sample_complexity_is_the_smallest(seed, d, n_train, epsilon):
    covariance = random_covariance(np.random.default_rng(seed), d)
    law = Gaussian(covariance)
    needed = sample_complexity(covariance, n_train, epsilon)
    assert needed.floor == pytest.approx(expected_risk(law, n_train, math.inf), rel=1e-12)
    assert needed.floor <= needed.bound_floor * (1 + 1e-12)
    for m, floor in ((needed.exact, needed.floor), (needed.exact_to_bound_floor, needed.bound_floor)):
        slack = 1e-9 * (1 + floor)
        assert expected_risk(law, n_train, m) <= floor + epsilon + slack
        if m > 1:
            assert expected_risk(law, n_train, m - 1) > floor + epsilon - slack
    assert needed.exact_to_bound_floor <= needed.exact <= needed.by_bound
    assert (
        corollary6_bound(covariance, n_train, needed.by_bound)
        <= corollary6_floor(covariance, n_train) + epsilon * 1.001
    )


def test_the_risk_falls_while_its_bound_grows():
    curve = risk_by_condition_number(20, [1, 3, 10, 100, 1000], 40, 40)
    np.testing.assert_allclose(curve.spectra.sum(1), 20, rtol=1e-13)
    np.testing.assert_allclose(curve.spectra[:, 0] / curve.spectra[:, -1], curve.condition_numbers, rtol=1e-12)
    assert np.all(np.diff(curve.exact) < 0)
    assert np.all(np.diff(curve.bound) > 0)
    assert round(curve.exact[0], 2) == 6.89
    assert round(curve.exact[-1], 2) == 4.10
    assert [round(curve.bound[0]), round(curve.bound[-1])] == [16, 5011]
    # For M much larger than N the remark can hold.
    long_prompts = risk_by_condition_number(5, [1, 3], 100, math.inf)
    assert long_prompts.exact[1] > long_prompts.exact[0]


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 8), st.integers(1, 50))
def test_isotropic_is_the_worst_of_all_spectra_of_one_trace(seed, d, n):
    spectrum = np.random.default_rng(seed).uniform(0.01, 2, d)
    trace = spectrum.sum()
    flat = expected_risk(Gaussian(np.diag(geometric_spectrum(d, 1.0, trace))), n, n)
    risk = expected_risk(Gaussian(np.diag(spectrum)), n, n)
    assert risk <= flat * (1 + 1e-12)
    closed = np.sum(spectrum * (spectrum + trace) / ((1 + 1 / n) * spectrum + trace / n)) / n
    assert risk == pytest.approx(closed, rel=1e-11)


@pytest.mark.parametrize(
    "law",
    [
        RandomDiagonal.exponential(3),
        Wishart(np.diag([1.0, 0.5, 0.2]), 5),
        RandomRotation([1.0, 0.5, 0.2]),
        CovarianceMixture([np.eye(3), np.diag([1.0, 0.2, 0.1])]),
    ],
    ids=lambda law: type(law).__name__,
)
def test_errors_over_new_covariances(law):
    distribution = risk_distribution(law, 9, 14, n=4000, seed=3, noise_variance=0.2)
    assert distribution.mean == pytest.approx(expected_risk(law, 9, 14, noise_variance=0.2), rel=1e-12)
    if distribution.sampled_mean.standard_error > 1e-12:  # all rotations are alike to a learner that is ∝ I
        assert abs(distribution.sampled_mean.z_score(distribution.mean)) < 5
    else:
        assert distribution.sampled_mean.value == pytest.approx(distribution.mean, rel=1e-10)
    assert np.all(distribution.lower <= distribution.quantiles)
    assert np.all(distribution.quantiles <= distribution.upper)
    assert distribution.exceedance(-1.0) == 1
    assert distribution.exceedance(distribution.risks[-1]) == 0


def test_quantiles_in_one_dimension_are_those_of_the_formula():
    # d = 1, N = M = ∞: the error is λ(kλ − 1)², k = 1/3, whose law follows from that of λ.
    distribution = risk_distribution(RandomDiagonal.exponential(1), math.inf, math.inf, n=40_000, seed=1)
    grid = np.linspace(0, 60, 600_001)
    errors = grid * (grid / 3 - 1) ** 2
    weights = np.diff(-np.exp(-grid))
    order = np.argsort(errors[:-1])
    cumulative = np.cumsum(weights[order])
    for level, lower, upper in zip(distribution.levels, distribution.lower, distribution.upper, strict=True):
        exact = errors[:-1][order][np.searchsorted(cumulative, level)]
        width = upper - lower
        assert lower - width <= exact <= upper + width


def test_confidence_limits_of_quantiles_are_binomial():
    law = RandomDiagonal.exponential(2)
    for n in (12, 500):
        distribution = risk_distribution(law, 9, 14, n=n, seed=3)
        for level, lower, upper in zip(distribution.levels, distribution.lower, distribution.upper, strict=True):
            below = [np.sum(distribution.risks <= limit) for limit in (lower, upper)]
            # P(lower < quantile ≤ upper): the number of draws below the quantile is binomial.
            coverage = binom.cdf(below[1] - 1, n, level) if math.isfinite(upper) else 1.0
            coverage -= binom.cdf(below[0] - 1, n, level) if math.isfinite(lower) else 0.0
            assert coverage >= 0.95


def test_high_probability_does_not_rescue_theorem_8():
    # With exponential covariances, N = M = ∞: the error stays of order d with probability tending to one.
    distribution = risk_distribution(RandomDiagonal.exponential(200), math.inf, math.inf, n=2000, seed=0)
    assert distribution.mean / 200 == pytest.approx(1 / 3, rel=1e-12)
    assert distribution.quantiles[0] / 200 > 0.15


def test_trained_on_random_covariances_but_tested_on_others():
    K = optimal_learner(RandomDiagonal.exponential(4), 20)
    risk = expected_risk(RandomDiagonal.exponential(4), 20, 30, Gaussian.isotropic(4))
    assert risk == pytest.approx(learner_risk(K, Gaussian.isotropic(4), 30), rel=1e-13)
    assert risk == pytest.approx(shift_risk(K, np.eye(4), np.eye(4), 30, np.eye(4)), rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: theorem5_risk(np.eye(2), 4, 0, [1, 2], np.eye(2), 0.0),
        lambda: theorem5_risk(np.eye(2), 4, 5, [1, 2, 3], np.eye(2), 0.0),
        lambda: theorem5_risk(np.eye(2), 4, 5, [1, 2], -np.eye(2), 0.0),
        lambda: theorem5_risk(np.eye(2), 4, 5, [1, 2], np.eye(2), -1.0),
        lambda: theorem5_risk(np.diag([1.0, 0]), math.inf, 5, [1, 2], np.eye(2), 0.0),
        lambda: shift_risk(np.eye(2), np.eye(2), np.eye(3), 4, np.eye(2)),
        lambda: shift_risk(np.eye(2), np.eye(2), np.eye(2), 4, np.eye(2), -0.1),
        lambda: expected_risk(Gaussian(np.eye(2)), 4, 5, Gaussian(np.eye(3))),
        lambda: expected_risk(Gaussian(np.eye(2)), 4, -1),
        lambda: expected_risk(Gaussian(np.eye(2) * 1e-160), 5, 5),
        lambda: expected_risk(Gaussian(np.eye(2)), 5, 5, Gaussian(np.eye(2) * 1e160)),
        lambda: theorem5_risk(np.eye(2) * 1e-160, 5, 5, [1, 2], np.eye(2), 0.0),
        lambda: shift_risk(np.eye(2), np.eye(2) * 1e160, np.eye(2), 4, np.eye(2)),
        lambda: corollary6_bound(np.eye(2), 4, 0.5),
        lambda: sample_complexity(np.eye(2), 4, 0.0),
        lambda: quadratic_law(np.eye(2), [1, 2], [1, 2, 3], 0.5),
        lambda: estimate_label_law(np.eye(2), np.ones((5, 2)), np.ones(4)),
        lambda: estimate_label_law(np.zeros((2, 2)), np.ones((5, 2)), np.ones(5)),
        lambda: risk_by_condition_number(1, [1, 2], 4, 4),
        lambda: risk_by_condition_number(3, [0.5], 4, 4),
        lambda: risk_distribution(Gaussian(np.eye(2)), 4, 4),
        lambda: risk_distribution(RandomDiagonal([expon()] * 2), 4, 4, RandomDiagonal([expon()] * 3)),
        lambda: risk_distribution(RandomDiagonal([expon()] * 2), 4, 4, levels=[0.0]),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises(InvalidInputError, match=r"^[^\n]+\.$"):
        call()
