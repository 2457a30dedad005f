"""Deep attention: three engines are one model, gradients are derivatives, forms hold one another."""

import numpy as np
import pytest

from iclab.flow import TwoLayerRisk, TwoLayerWeights
from iclab.flow.deep import FULL, GD_PLUS, INVARIANT, Contexts, MomentRisk, SpectralRisk, TokenRisk, form, gain
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal

D, N = 3, 8
SAMPLE = PromptDistribution(RandomDiagonal.exponential(D), Linear()).sample(40, N + 3, seed=1, stream="training")
CONTEXTS = Contexts.of(SAMPLE, N)
RNG = np.random.default_rng(0)
SCALARS = np.column_stack([RNG.normal(-0.2, 0.1, 3), RNG.uniform(0.2, 0.5, 3)])
WEIGHTS = RNG.normal(0, 0.2, (3, 2, D + 1, D + 1))


def slope(risk, at, direction, step=1e-5):
    return (risk(at + step * direction)[0] - risk(at - step * direction)[0]) / (2 * step)


def test_eigenvalues_moments_and_tokens_are_one_model():
    merged = form(GD_PLUS, D, diagonal=False).weights(SCALARS, 3)
    values = [
        SpectralRisk(CONTEXTS)(SCALARS)[0],
        MomentRisk(CONTEXTS)(merged)[0],
        TokenRisk(CONTEXTS, softmax=False)(merged)[0],
    ]
    np.testing.assert_allclose(values, values[0], rtol=1e-12)
    np.testing.assert_allclose(
        MomentRisk(CONTEXTS)(WEIGHTS)[1], TokenRisk(CONTEXTS, softmax=False)(WEIGHTS)[1], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    ("risk", "at"),
    [
        (SpectralRisk(CONTEXTS), SCALARS),
        (MomentRisk(CONTEXTS), WEIGHTS),
        (MomentRisk(CONTEXTS, own_key=True), WEIGHTS),
        (TokenRisk(CONTEXTS), WEIGHTS),
    ],
    ids=["eigenvalues", "moments", "own key", "softmax"],
)
def test_gradients_are_those_of_the_risk(risk, at):
    direction = np.random.default_rng(2).standard_normal(at.shape)
    assert np.sum(risk(at)[1] * direction) == pytest.approx(slope(risk, at, direction), rel=1e-5)


def test_own_key_is_the_papers_layer_twice():
    prompts = PromptDistribution(Gaussian.isotropic(D), Linear()).sample(30, N + 1, seed=3)
    two = WEIGHTS[:2]
    expected = TwoLayerRisk(prompts).predictions(TwoLayerWeights(two[:, 0], two[:, 1]))
    found = MomentRisk(Contexts.of(prompts, N), own_key=True).predictions(two)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_wider_forms_hold_the_narrower_ones():
    for diagonal in (False, True):
        narrow, middle, wide = (form(name, D, diagonal) for name in (GD_PLUS, INVARIANT, FULL))
        theta = np.random.default_rng(8).standard_normal(2 * narrow.size)
        weights = narrow.weights(theta, 2)
        np.testing.assert_allclose(narrow.coordinates(weights), theta, atol=1e-12)
        for other in (middle, wide):
            np.testing.assert_allclose(other.weights(other.coordinates(weights), 2), weights, atol=1e-12)


def test_best_polynomial_beats_every_rate():
    risk = SpectralRisk(CONTEXTS)
    best = np.polynomial.polynomial.polyval(risk.eigenvalues, risk.best_polynomial(2))
    for rate in (0.1, 0.3, 0.6):
        steps = gain(np.tile([0.0, rate], (3, 1)), risk.eigenvalues)
        assert risk.losses(best).mean() <= risk.losses(steps).mean()


def test_one_softmax_layer_is_a_smoother():
    """With W^PV = diag(0, -1) and W^KQ = diag(aI, 0) it is the weighted mean of labels with weights exp(a x_j'x_q)."""
    weights = form(GD_PLUS, D, diagonal=False).weights(np.array([0.0, 0.7]), 1)
    found = TokenRisk(CONTEXTS).predictions(weights)
    scores = np.exp(0.7 * np.einsum("bkd,bnd->bkn", CONTEXTS.queries, CONTEXTS.xs))
    expected = np.einsum("bkn,bn->bk", scores, CONTEXTS.ys) / scores.sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
