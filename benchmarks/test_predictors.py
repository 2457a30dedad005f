"""One-pass learners against a loop over prefixes, in the same run, at 1280 prompts × 101 positions × d = 20.

The loop runs on a part of the prompts; ``extra_info["times_faster"]`` scales it up. Both are timed in CPU seconds of
this process, which other work on the machine disturbs least. Run with ``OMP_NUM_THREADS=1 pytest -n 0 -s benchmarks``.
"""

import time

import numpy as np
import pytest

from iclab.predictors import Averaging, GradientDescent, LeastSquares, NearestNeighbors, Ridge, TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.theory import gamma, minimizer

N_PROMPTS, N_POINTS, D = 1280, 101, 20
PROMPTS = PromptDistribution(Gaussian.isotropic(D), Linear(), 0.5).sample(N_PROMPTS, N_POINTS, seed=0)
INVERSE = np.linalg.inv(gamma(np.eye(D), 40))


def least_squares(X, y, q):
    return q @ np.linalg.lstsq(X, y, rcond=None)[0]


def ridge(X, y, q):
    return q @ np.linalg.solve(X.T @ X + np.eye(D), X.T @ y)


def averaging(X, y, q):
    return q @ (y @ X) / len(y)


def nearest(X, y, q):
    return y[np.argsort(((X - q) ** 2).sum(axis=1))[:3]].mean()


def descent(X, y, q):
    w = np.zeros(D)
    for _ in range(20):
        w -= 0.03 / len(y) * (X.T @ (X @ w - y))
    return q @ w


def lsa(X, y, q):
    return q @ INVERSE @ (y @ X) / len(y)


CASES = {
    "least_squares": (LeastSquares(), least_squares, 40),
    "ridge": (Ridge(1.0), ridge, 20),
    "averaging": (Averaging(), averaging, 20),
    "3_nearest_neighbors": (NearestNeighbors(3), nearest, 20),
    "gradient_descent": (GradientDescent(20, 0.03), descent, 20),
    "lsa": (TrainedLSA(minimizer(Gaussian.isotropic(D), 40)), lsa, 20),
}


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("name", CASES)
def test_against_a_loop_over_prefixes(benchmark, name):
    predictor, rule, aim = CASES[name]
    some = 40
    elapsed = []
    for _ in range(2):
        begin = time.process_time()
        expected = [
            [rule(PROMPTS.xs[b, :i], PROMPTS.ys[b, :i], PROMPTS.queries[b, i]) for i in range(1, N_POINTS)]
            for b in range(some)
        ]
        elapsed.append(time.process_time() - begin)
    found = benchmark.pedantic(predictor, args=(PROMPTS,), rounds=5, warmup_rounds=1)
    np.testing.assert_allclose(found[:some, 1:], expected, rtol=1e-6, atol=1e-6)
    ratio = min(elapsed) * N_PROMPTS / some / benchmark.stats["min"]
    benchmark.extra_info["times_faster"] = round(ratio, 1)
    print(f"{name}: {1e3 * benchmark.stats['min']:.0f} ms, {ratio:.0f} times faster than a loop (aim {aim})")
    assert ratio >= aim
