"""Many starts of two layers: the same paths as the explicit integrator, plateaus, invariants, and what is learned."""

import numpy as np
import pytest

from iclab.flow import TwoLayerRisk, TwoLayerWeights, two_layer_flow, two_layer_runs
from iclab.flow.two_layer_runs import TwoLayerPath
from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.theory import minimum_loss

DISTRIBUTION = PromptDistribution(Gaussian.isotropic(2), Linear())
PROMPTS = DISTRIBUTION.sample(200, 11, seed=0, stream="training")


def test_paths_converge_in_second_order_to_the_explicit_integrator():
    start, t = TwoLayerWeights.random(2, 0.2, 4), 4.0
    exact = two_layer_flow(start, PROMPTS, t, tolerance=1e-9).weights(t).vector
    errors, steps = [], []
    for tolerance in (1e-3, 1e-5):
        (path,) = two_layer_runs([start], PROMPTS, t, tolerance=tolerance)
        assert path.times[-1] == pytest.approx(t)
        errors.append(np.linalg.norm(path.end.vector - exact) / np.linalg.norm(exact))
        steps.append(len(path.times))
    assert errors[-1] < 2e-4
    order = np.log(errors[0] / errors[1]) / np.log(steps[1] / steps[0])
    assert order == pytest.approx(2, abs=0.5)


def test_one_run_is_the_same_alone_and_among_others():
    starts = [TwoLayerWeights.random(2, 0.1, k) for k in range(3)]
    together = two_layer_runs(starts, PROMPTS, 20.0)
    (alone,) = two_layer_runs(starts[1:2], PROMPTS, 20.0)
    assert alone.losses[-1] == pytest.approx(together[1].losses[-1], rel=1e-6)


def _balance(weights):
    return np.sum(weights.w_pv**2, axis=(1, 2)) - np.sum(weights.w_kq**2, axis=(1, 2))


def test_loss_falls_as_the_squared_gradient_says_and_invariants_stay():
    starts = [TwoLayerWeights.random(2, 0.1, k) for k in range(3)]
    for start, path in zip(starts, two_layer_runs(starts, PROMPTS, 30.0, tolerance=1e-4), strict=True):
        assert (np.diff(path.losses) <= 1e-9).all()
        # L(0) − L(t) = ∫ ‖∇L‖² dt.
        fall = np.sum(np.diff(path.times) * (path.speeds[1:] + path.speeds[:-1]) / 2)
        assert path.losses[0] - path.losses[-1] == pytest.approx(fall, rel=2e-2)
        assert path.drift < 1e-14
        np.testing.assert_allclose(_balance(path.end), _balance(start), rtol=0, atol=1e-12)
        # Rows of the second W^PV that do not reach ŷ never move.
        np.testing.assert_array_equal(path.end.w_pv[1, :-1], start.w_pv[1, :-1])
        assert path.correction < 1e-3
        final = TwoLayerRisk(PROMPTS)(path.end)
        assert path.losses[-1] == pytest.approx(final, rel=1e-9)


def test_small_starts_wait_and_then_learn_more_than_one_layer():
    """Near 0 the weights grow as e^{ct}, so a start ten times as small waits ln(10)/c longer at the risk of 0."""
    risk, times = TwoLayerRisk(PROMPTS), []
    for scale in (1e-2, 1e-3):
        (path,) = two_layer_runs([TwoLayerWeights.random(2, scale, 0)], PROMPTS, 200.0)
        assert path.plateaus[0].start == 0
        assert path.plateaus[0].height == pytest.approx(path.scale, rel=1e-2)
        assert path.losses[-1] < 0.6 * minimum_loss(DISTRIBUTION.covariates, 10)
        times.append(np.interp(-0.8 * path.scale, -path.losses, path.times))
    # The part of L of second order in a layer's weights is −Σ W^PV_yi W^KQ_jk E y_q S_ij x_qk.
    slope = np.einsum("b,bij,bk->ijk", risk.targets, risk.moments, risk.query) / len(risk.targets)
    growth = np.linalg.norm(slope.reshape(3, 9), 2)
    assert times[1] - times[0] == pytest.approx(np.log(10) / growth, rel=0.05)


def test_corrections_shrink_with_the_tolerance():
    start = [TwoLayerWeights.random(2, 0.3, 1)]
    loose, tight = (two_layer_runs(start, PROMPTS, 30.0, tolerance=tolerance)[0] for tolerance in (1e-3, 1e-5))
    assert 0 < tight.correction < loose.correction / 10


def test_plateaus_of_a_known_curve():
    """A loss of two steps, 1 → ½ → 0, has one plateau at its start and one at ½."""
    t = np.linspace(0, 40, 2001)
    losses = 0.5 / (1 + np.exp(t - 10)) + 0.5 / (1 + np.exp(t - 30))
    speeds = -np.gradient(losses, t)
    path = TwoLayerPath(t, losses, speeds, TwoLayerWeights.random(2, 1.0, 0), False, 0.0, 0.0, 1.0)
    first, second = path.plateaus
    assert (first.start, first.height) == (0.0, pytest.approx(1.0, abs=1e-3))
    assert second.height == pytest.approx(0.5, abs=1e-3)
    assert second.start + second.end == pytest.approx(40, abs=0.1)


def test_bad_input():
    with pytest.raises(InvalidInputError, match="at least one start"):
        two_layer_runs([], PROMPTS, 1.0)
    with pytest.raises(InvalidInputError, match="dimension"):
        two_layer_runs([TwoLayerWeights.random(3, 0.1, 0)], PROMPTS, 1.0)
    with pytest.raises(InvalidInputError, match="t_end"):
        two_layer_runs([TwoLayerWeights.random(2, 0.1, 0)], PROMPTS, np.inf)
