"""Pools of linear tasks: the Bayes lines of Raventós et al. (2023) in their setting, against independent numbers."""

import numpy as np
import pytest

from iclab.evaluation import error_curve
from iclab.predictors import FinitePoolBayes, Ridge
from iclab.prompts import FinitePool, Gaussian, Linear, PromptDistribution

D, NOISE = 8, 0.5
X = Gaussian.isotropic(D)
TRUE = PromptDistribution(X, Linear(), NOISE)


def mean(predictor, law, n_prompts=1000):
    return error_curve(predictor, law, 16, n_prompts=n_prompts, seed=3).mean.mean() / D


def test_ridge_on_new_tasks():
    curve = error_curve(Ridge.bayes(NOISE), TRUE, 16, n_prompts=8000, seed=0)
    assert abs(curve.mean.mean() / D - 0.346) < 0.006
    assert abs(curve.mean[-1] / D - 0.0373) < 4 * curve.stderr[-1] / D


@pytest.mark.parametrize(("size", "new", "own"), [(16, 1.079, 0.114), (64, 0.862, 0.147), (1024, 0.612, 0.229)])
def test_the_pools_posterior_mean(size, new, own):
    """Mean over 16 positions, the first predicted by the pool's mean; means of 4 pools, as pools differ."""
    found = []
    for seed in range(4):
        pool = FinitePool.gaussian(size, D, seed=seed)
        bayes = FinitePoolBayes(pool.pool, NOISE, first="prior")
        found.append((mean(bayes, TRUE, 300), mean(bayes, PromptDistribution(X, pool, NOISE), 300)))
    average, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / 2
    assert (np.abs(average - (new, own)) < 3 * spread + 0.01).all()


def test_the_first_position_is_the_prior_or_nothing():
    pool = FinitePool.gaussian(5, D, seed=1)
    prompts = PromptDistribution(X, pool, NOISE).sample(4, 6, seed=0)
    prior, zero = (FinitePoolBayes(pool.pool, NOISE, first=first)(prompts) for first in ("prior", "zero"))
    np.testing.assert_allclose(prior[:, 0], prompts.xs[:, 0] @ pool.pool.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(zero[:, 0], 0)
    np.testing.assert_array_equal(prior[:, 1:], zero[:, 1:])
