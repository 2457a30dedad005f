"""Logistic regression: the stationary point, scikit-learn's numbers, and how close it comes to Bayes."""

import numpy as np
import pytest
from scipy.special import expit

from iclab.evaluation import error_curve
from iclab.foundations import InvalidInputError
from iclab.predictors import LogisticRegression, NearestNeighbors
from iclab.prompts import Binary, Gaussian, Linear, MarkovChains, PromptDistribution

LAW = PromptDistribution(Gaussian([[1, 0.3], [0.3, 2]]), Binary(Linear(), "logistic", slope=2.0))


def test_the_mode_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression as Reference

    prompts = LAW.sample(6, 25, seed=1)
    answers = LogisticRegression(0.7, spread=False)(prompts)
    for b in range(6):
        for i in (8, 16, 24):
            if len(set(prompts.ys[b, :i])) < 2:
                continue
            fitted = Reference(C=1 / 0.7, fit_intercept=False, tol=1e-12, max_iter=1000)
            fitted.fit(prompts.xs[b, :i], prompts.ys[b, :i])
            expected = fitted.predict_proba(prompts.xs[b, i : i + 1])[0]
            np.testing.assert_allclose(answers[b, i], expected, atol=1e-6)


def test_separable_labels_far_away_still_converge():
    law = PromptDistribution(Gaussian.isotropic(3, 1e6), Binary(Linear()))
    prompts = law.sample(20, 30, seed=0)
    for spread in (False, True):
        answers = LogisticRegression(1e-3, spread=spread)(prompts)
        assert np.isfinite(answers).all()
        np.testing.assert_array_equal(answers[:, 0], 0.5)


def test_it_is_close_to_the_posterior_by_quadrature():
    """d = 2: the posterior mean of the law on a grid of weights."""
    law = PromptDistribution(Gaussian.isotropic(2), Binary(Linear(), "logistic"))
    prompts = law.sample(40, 12, seed=3)
    side = np.linspace(-5, 5, 81)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    prior = np.exp(-(grid**2).sum(axis=1) / 2)
    signs = 2.0 * prompts.ys - 1
    answers = LogisticRegression()(prompts)
    for i in (0, 1, 5, 11):
        likelihood = expit(signs[:, :i, None] * (prompts.xs[:, :i] @ grid.T)).prod(axis=1) * prior
        one = (likelihood * expit(prompts.xs[:, i] @ grid.T)).sum(axis=1) / likelihood.sum(axis=1)
        assert np.abs(answers[:, i, 1] - one).max() < 0.04
    curve, neighbours = (
        error_curve(p, law, 20, n_prompts=100, seed=0) for p in (LogisticRegression(), NearestNeighbors(3))
    )
    assert (curve.mean[5:] < neighbours.mean[5:]).all()


@pytest.mark.parametrize("law", [MarkovChains(3), MarkovChains(2), PromptDistribution(Gaussian.isotropic(2), Linear())])
def test_two_classes_with_inputs_are_needed(law):
    with pytest.raises(InvalidInputError):
        LogisticRegression()(law.sample(2, 3, seed=0))
