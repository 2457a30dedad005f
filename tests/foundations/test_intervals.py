"""Interval ends are those of closed forms and defining equations, and hold the truth as often as stated."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iclab.foundations import (
    Estimate,
    InvalidInputError,
    bootstrap_interval,
    bootstrap_weights,
    clopper_pearson_interval,
    jackknife_error,
    mean_interval,
    normal_interval,
    normal_quantile,
    paired_interval,
    percentile_interval,
    standard_error,
    student_interval,
    student_quantile,
    welch_freedom,
    welch_interval,
    wilson_interval,
)

LEVELS = (0.5, 0.9, 0.95, 0.99, 1 - 1e-9)


def binomial(n: int, p: float, ks: range) -> float:
    return math.fsum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in ks)


@pytest.mark.parametrize("level", LEVELS)
def test_quantiles_are_those_of_closed_forms(level):
    assert normal_quantile(level) == pytest.approx(-NormalDist().inv_cdf((1 - level) / 2), rel=1e-12)
    # One degree of freedom is Cauchy's law; with two the distribution function is ½ + t/(2√(2 + t²)).
    assert student_quantile(1, level) == pytest.approx(1 / math.tan(math.pi * (1 - level) / 2), rel=1e-9)
    assert student_quantile(2, level) == pytest.approx(math.sqrt(2 / (1 / level**2 - 1)), rel=1e-9)
    assert student_quantile(math.inf, level) == pytest.approx(normal_quantile(level), rel=1e-12)
    falling = student_quantile([1, 2, 5, 50, math.inf], level)
    assert (np.diff(falling) < 0).all()


def test_the_standard_error_is_the_textbooks():
    # 1, …, n: s² = n(n + 1)/12.
    assert standard_error(np.arange(1, 8)) == pytest.approx(math.sqrt(8 / 12), rel=1e-14)
    low, high = mean_interval([1.0, 3.0])  # s/√2 = 1, one degree of freedom
    assert (low, high) == pytest.approx((2 - 12.7062047361747, 2 + 12.7062047361747), rel=1e-12)
    assert Estimate.from_samples(np.array([1.0, 3.0]), seed=0).interval() == (low, high)


def test_each_position_of_a_table_has_the_interval_of_its_column():
    samples = np.random.default_rng(0).normal(size=(7, 3, 2))
    other = np.random.default_rng(1).normal(size=(5, 3, 2))
    drawn = bootstrap_weights(7, 20, seed=1)
    for whole, alone in (
        (mean_interval(samples), lambda i, j: mean_interval(samples[:, i, j])),
        (mean_interval(np.moveaxis(samples, 0, 1), axis=1), lambda i, j: mean_interval(samples[:, i, j])),
        (welch_interval(samples, other), lambda i, j: welch_interval(samples[:, i, j], other[:, i, j])),
        (bootstrap_interval(samples, drawn), lambda i, j: bootstrap_interval(samples[:, i, j], drawn)),
    ):
        for i, j in np.ndindex(3, 2):
            assert (whole.low[i, j], whole.high[i, j]) == pytest.approx(alone(i, j), rel=1e-12)


def test_pairing_is_the_interval_of_differences():
    a, b = np.random.default_rng(2).normal(size=(2, 30))
    shared = 100 * np.random.default_rng(3).normal(size=30)
    assert paired_interval(a + shared, b + shared) == pytest.approx(mean_interval(a - b), rel=1e-10)


def test_welch_is_student_where_variances_and_sizes_are_equal_and_one_sample_where_the_other_is_known():
    first = np.array([0.0, 1.0, 5.0, 6.0])
    second = first + 2.5
    pooled = math.sqrt(2 * np.var(first, ddof=1) / 4)
    assert welch_interval(first, second) == pytest.approx(student_interval(-2.5, pooled, 6), rel=1e-12)
    assert welch_interval(first, np.full(3, 2.0)) == pytest.approx(np.array(mean_interval(first)) - 2, rel=1e-12)
    assert welch_freedom([0.0, 0.0], [3, 3]) == math.inf
    assert welch_freedom([1.0, 1.0], [3, math.inf]) == 12


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.data(), st.sampled_from(LEVELS[:-1]))
def test_proportions_solve_the_equations_that_define_them(n, data, level):
    k = data.draw(st.integers(0, n))
    z, tail = normal_quantile(level), (1 - level) / 2
    wilson, exact = wilson_interval(k, n, level), clopper_pearson_interval(k, n, level)
    for p in wilson:
        if 0 < p < 1:
            assert (k / n - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / n, rel=1e-9, abs=1e-15)
    assert exact.low == 0 if k == 0 else binomial(n, exact.low, range(k, n + 1)) == pytest.approx(tail, rel=1e-9)
    assert exact.high == 1 if k == n else binomial(n, exact.high, range(k + 1)) == pytest.approx(tail, rel=1e-9)
    for interval in (wilson_interval, clopper_pearson_interval):  # failures are successes seen from the other side
        low, high = interval(n - k, n, level)
        assert interval(k, n, level) == pytest.approx((1 - high, 1 - low), rel=1e-9, abs=1e-12)
    assert 0 <= wilson.low <= k / n <= wilson.high <= 1
    if k == 0:
        assert exact.high == pytest.approx(1 - tail ** (1 / n), rel=1e-12)


def test_proportions_are_held_as_often_as_stated():
    """Coverage summed exactly over the binomial law: never below for the exact interval, about right for Wilson's."""
    for n in (5, 20, 60):
        grid = np.linspace(0.02, 0.98, 49)
        for interval, floor, mean in ((clopper_pearson_interval, 0.95, 0.95), (wilson_interval, 0.83, 0.94)):
            ends = [interval(k, n) for k in range(n + 1)]
            held = [
                binomial(n, p, [k for k, (low, high) in enumerate(ends) if low <= p <= high]) for p in grid.tolist()
            ]
            assert min(held) >= floor
            assert np.mean(held) >= mean


RUNS = 4_000


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_means_and_differences_are_held_as_often_as_stated(level):
    """Normal samples with a mean of 3: the share of intervals that hold it, to five standard errors of that share."""
    rng = np.random.default_rng(4)
    few, many = 3 + rng.normal(size=(4, RUNS)), 3 + rng.normal(size=(400, RUNS))
    wide = 4 * rng.normal(size=(12, RUNS))
    exact = {"mean": mean_interval(few, level), "paired": paired_interval(few, np.zeros_like(few), level)}
    near = {
        "normal": normal_interval(many.mean(axis=0), standard_error(many), level),
        "welch": welch_interval(few, wide, level),
    }
    slack = 5 * math.sqrt(level * (1 - level) / RUNS)
    for name, (low, high) in (exact | near).items():
        held = np.mean((low <= 3) & (high >= 3))
        assert abs(held - level) <= slack + (0.01 if name in near else 0), name  # Welch's law is an approximation


def test_the_bootstrap_holds_a_mean_as_often_as_stated_and_errs_as_theory_says():
    n, runs = 80, 1_500
    samples = np.random.default_rng(5).exponential(size=(n, runs))
    weights = bootstrap_weights(n, 999, seed=2)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    low, high = bootstrap_interval(samples, weights)
    # Skewed samples: short of 95 % by O(1/n), here some 2 %.
    assert abs(np.mean((low <= 1) & (high >= 1)) - 0.94) <= 0.03
    # The variance over all resamples is that of the sample over n.
    spread = (weights @ samples).std(axis=0)
    np.testing.assert_allclose(spread, samples.std(axis=0) / math.sqrt(n), rtol=6 / math.sqrt(2 * 999))


def test_percentiles_leave_out_resamples_without_a_value():
    values = np.arange(101.0)
    assert percentile_interval(values, 0.9) == pytest.approx((5, 95))
    gaps = np.column_stack([np.append(values, np.nan), np.full(102, np.nan)])
    low, high = percentile_interval(gaps, 0.9)
    np.testing.assert_allclose([low[0], high[0]], [5, 95])
    assert np.isnan([low[1], high[1]]).all()


def test_the_jackknife_of_a_mean_is_its_standard_error():
    samples = np.random.default_rng(6).normal(size=(9, 2))
    left_out = (samples.sum(axis=0) - samples) / 8
    np.testing.assert_allclose(jackknife_error(left_out), standard_error(samples), rtol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_interval([1.0]),
        lambda: mean_interval(3.0),
        lambda: mean_interval(np.ones((3, 1)), axis=1),
        lambda: mean_interval([1.0, 2.0], 1.0),
        lambda: mean_interval([1.0, 2.0], 95),
        lambda: normal_quantile(0.0),
        lambda: normal_interval(0.0, -1.0),
        lambda: student_interval(0.0, 1.0, 0),
        lambda: student_quantile(float("nan")),
        lambda: welch_freedom([1.0], [0]),
        lambda: paired_interval([1.0, 2.0], [1.0, 2.0, 3.0]),
        lambda: wilson_interval(3, 2),
        lambda: wilson_interval(0, 0),
        lambda: clopper_pearson_interval(-1, 2),
        lambda: clopper_pearson_interval(0.5, 2),
        lambda: bootstrap_weights(0, 10, 0),
        lambda: bootstrap_interval([1.0, 2.0], np.ones((3, 3))),
        lambda: percentile_interval([]),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises(InvalidInputError, match=r"^[^\n]+\.$"):
        call()
