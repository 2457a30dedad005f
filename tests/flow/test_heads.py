"""Several heads: against one head, closed forms, SciPy on the full equations, invariants, and the plateaus of Zhang."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import solve_ivp

from iclab.flow import (
    FactoredHeads,
    HeadsLoss,
    MergedHeads,
    factored_flow,
    gradient_flow,
    head_descent,
    head_flow,
    predicted_drops,
)
from iclab.foundations import InvalidInputError
from iclab.prompts import CovarianceMixture, Gaussian, RandomDiagonal, RandomRotation, Wishart
from iclab.theory import (
    LSAParameters,
    assumption3,
    gamma,
    learner_loss,
    minimum_loss,
    optimal_learner,
    plateau_losses,
    population_gradient,
    random_theta,
)

TURN = np.linalg.eigh(random_theta(4, 3))[1]
ZHANG = Gaussian(TURN @ np.diag([0.1, 0.2, 0.3, 0.4]) @ TURN.T)
A = np.array([[1.0, 0.3, 0.1], [0.3, 0.7, -0.2], [0.1, -0.2, 0.5]])
LAWS = {
    "fixed": Gaussian(A),
    "diagonal": RandomDiagonal([stats.expon(), stats.gamma(2.0), stats.uniform(0.5, 1.0)]),
    "mixture": CovarianceMixture([A, np.diag([1.0, 2.0, 0.2])], [0.3, 0.7]),
    "wishart": Wishart(A, 5),
    "rotation": RandomRotation([2.0, 1.0, 0.1]),
}


def _dense(loss, matrix):
    """A matrix given in the coordinates of x, in those of the loss."""
    return matrix if loss.rotation is None else loss.rotation.T @ matrix @ loss.rotation


@pytest.mark.parametrize("name", LAWS)
def test_the_quadratic_is_the_population_loss(name):
    """∂L/∂V is ∂L/∂U at u = 1, and the minimum is that of Theorems 4 and 8; noise as in the loss of learners."""
    V = np.random.default_rng(0).standard_normal((3, 3))
    loss = HeadsLoss(LAWS[name], 6)
    slope = population_gradient(LSAParameters.from_blocks(np.zeros(3), 1.0, V, np.zeros(3)), LAWS[name], 6).blocks[2]
    assert loss.slope(_dense(loss, V)) == pytest.approx(_dense(loss, slope), abs=1e-11)
    noisy = HeadsLoss(LAWS[name], 6, 0.4)
    assert noisy.minimum == pytest.approx(minimum_loss(LAWS[name], 6, noise_variance=0.4), rel=1e-10)
    assert noisy.target == pytest.approx(_dense(noisy, optimal_learner(LAWS[name], 6, 0.4).T), abs=1e-9)
    value = noisy.excess(_dense(noisy, V)) + noisy.minimum
    assert value == pytest.approx(learner_loss(V.T, LAWS[name], 6, 0.4), rel=1e-11)


@pytest.mark.parametrize("name", ["fixed", "wishart"])
@pytest.mark.parametrize("start", [FactoredHeads.random(2, 2, 3, 0.5, 1), MergedHeads.random(3, 3, 0.5, 1)])
def test_derivatives_of_all_weights(start, name):
    loss = HeadsLoss(LAWS[name], 6)
    slope = start.pull(loss.slope(start.product)).vector
    step = 1e-5
    for index in range(len(slope)):
        move = np.zeros(len(slope))
        move[index] = step
        ahead, behind = (loss.excess(start.from_vectors(start.vector + s * move).product) for s in (1, -1))
        assert slope[index] == pytest.approx((ahead - behind) / (2 * step), abs=1e-8)


def test_one_merged_head_is_the_flow_of_the_paper():
    theta, times = np.array([[2.0, 1, 0], [1, 2, 1], [0, 1, 2]]), np.array([0.5, 1, 5, 20])
    initial = assumption3(theta, 0.3)
    u, U = initial.blocks[1:3]
    flow = head_flow(MergedHeads([u], [U]), LAWS["fixed"], 6, 20.0, tolerance=1e-12)
    exact = gradient_flow(initial, LAWS["fixed"], 6, 20.0)
    assert flow.heads(times).values[:, 0] == pytest.approx(exact.u(times), rel=1e-9)
    assert flow.excess(times) == pytest.approx(exact.excess(times), rel=1e-8)
    assert flow.learner(5.0) == pytest.approx(exact.parameters(5.0).learner, abs=1e-9)


def test_merged_heads_in_proportion_are_one_head_and_logistic():
    """Λ = λI from v_h = c_h u0, W_h = c_h u0 I/√d, Σ c_h² = 1: u² = Σ v_h² is logistic (isotropic closed form)."""
    d, n, lam, u0 = 3, 10, 0.7, 1e-3
    share = np.array([0.5, -0.1, 0.7])
    share /= np.linalg.norm(share)
    cores = u0 * share[:, None, None] * np.eye(d) / math.sqrt(d)
    times = np.array([1.0, 5, 8, 10, 12, 20])
    flow = head_flow(MergedHeads(u0 * share, cores), Gaussian(lam * np.eye(d)), n, 20.0, tolerance=1e-12)
    u2 = np.sum(flow.heads(times).values ** 2, axis=1)
    beta, kappa = lam**2 * math.sqrt(d), (1 + (d + 1) / n) * lam**3
    limit = beta / kappa
    assert u2 == pytest.approx(limit / (1 + (limit / u0**2 - 1) * np.exp(-2 * beta * times)), rel=1e-9)


def test_one_factored_head_is_the_flow_with_keys_and_queries_apart():
    start = FactoredHeads.random(1, 2, 3, 0.4, 2)
    key = np.concatenate([start.keys[0], np.zeros((2, 1))], axis=1)
    other = factored_flow(
        (np.array([0, 0, 0, start.values[0]]), key, start.queries[0]), LAWS["wishart"], 6, 9.0, tolerance=1e-12
    )
    flow = head_flow(start, LAWS["wishart"], 6, 9.0, tolerance=1e-12)
    times = np.array([0.0, 1, 3, 9])
    assert flow.excess(times) == pytest.approx(other.excess(times), rel=1e-8)
    assert flow.heads(9.0).keys[0] == pytest.approx(other.factors(9.0)[1][0, :, :3], abs=1e-9)


def test_against_scipy_on_the_full_equations():
    """In the coordinates of x, with Γ and the matrices of every head written out; noise in Γ."""
    n, noise, H, r, d = 6, 0.3, 3, 2, 3
    G = gamma(A, n) + noise / n * np.eye(d)
    start = FactoredHeads.random(H, r, d, 0.3, 7)

    def velocity(t, y):
        v, K, Q = y[:H], y[H : H + H * r * d].reshape(H, r, d), y[H + H * r * d :].reshape(H, r, d)
        V = sum(v[h] * K[h].T @ Q[h] for h in range(H))
        slope = G @ A @ V @ A - A @ A
        parts = [
            np.array([-np.sum(slope * (K[h].T @ Q[h])) for h in range(H)]),
            np.array([-v[h] * Q[h] @ slope.T for h in range(H)]),
            np.array([-v[h] * K[h] @ slope for h in range(H)]),
        ]
        return np.concatenate([part.ravel() for part in parts])

    full = solve_ivp(velocity, (0, 15), start.vector, method="DOP853", rtol=1e-12, atol=1e-14)
    flow = head_flow(start, Gaussian(A), n, 15.0, noise_variance=noise, tolerance=1e-12)
    assert flow.heads(15.0).vector == pytest.approx(full.y[:, -1], abs=1e-9)


@pytest.mark.parametrize("start", [FactoredHeads.random(3, 2, 3, 0.5, 4), MergedHeads.random(2, 3, 0.5, 4)])
def test_conserved_quantities_and_the_minimum(start):
    law = Gaussian(np.diag([1.0, 0.8, 0.9]))
    flow = head_flow(start, law, 6, 60.0, tolerance=1e-11)
    times = np.linspace(0, 30, 7)
    balance = flow.balance(times)
    assert np.abs(balance - balance[0]).max() < 1e-8
    assert (np.diff(flow.excess(times)) < 0).all()
    assert flow.learner(60.0) == pytest.approx(optimal_learner(law, 6), abs=1e-5)


def test_plateaus_of_five_rank_one_heads():
    """N(0, 1e-4) at N = 32, Λ of trace 1 and spectrum 1 … 4: it sits at .64, .375, .206 and falls on to the minimum."""
    levels = plateau_losses(ZHANG, 32)
    flow = head_flow(FactoredHeads.random(5, 1, 4, 0.01, 0), ZHANG, 32, 10_000.0)
    drops = flow.drop_times(levels)
    assert (np.diff(drops) > 0).all()
    between = (drops[1:] + drops[:-1]) / 2
    assert flow.error(between).round(3) == pytest.approx([0.639, 0.375, 0.207])
    assert flow.error(between) == pytest.approx(levels[1:4], rel=1e-3)
    assert flow.error(10_000.0) == pytest.approx(levels[4], rel=1e-3)
    assert flow.error(drops[0] / 2) == pytest.approx(1, rel=1e-3)


def test_eight_merged_heads_fall_once():
    """From 1e-6 no level in between is rested at: the error passes each within 2 % in a small part of the fall."""
    levels = plateau_losses(ZHANG, 31)
    flow = head_flow(MergedHeads.random(8, 4, 1e-6, 0), ZHANG, 31, 1_000.0)
    start, end = flow.drop_times([1, 0.98])[0], flow.drop_times([0.19, 0.18])[0]
    times = np.linspace(start, end, 400)
    assert [np.mean(np.abs(flow.error(times) / level - 1) < 0.02) for level in levels[1:4]] < [0.1] * 3
    assert flow.error(1_000.0) == pytest.approx(levels[-1], rel=1e-4)


@pytest.mark.parametrize("seed", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_drops_come_when_they_are_predicted(seed):
    """The first drop to 1e-3; all to a few percent, and nearer from smaller weights."""
    levels = plateau_losses(ZHANG, 32)
    deviations = []
    for scale in (0.01, 0.002):
        start = FactoredHeads.random(5, 1, 4, scale, seed)
        predicted = predicted_drops(start, ZHANG, 32)
        assert predicted.kept
        assert predicted.directions.tolist() == [0, 1, 2, 3]
        assert predicted.errors == pytest.approx(levels, rel=1e-12)
        flow = head_flow(start, ZHANG, 32, 1.1 * predicted.times[-1], tolerance=1e-7)
        deviations.append(np.abs(predicted.times / flow.drop_times(levels) - 1))
    assert deviations[0].max() < 0.04
    assert deviations[1].max() < 0.006
    assert deviations[0][0] < 1e-3
    assert deviations[1][0] < 1e-4


def test_random_covariances_need_not_keep_their_plateaus():
    """E λ² = 10 is learned before E λ² = 4 although it gains 1 of 3 only; the same head then turns to the other."""
    law = CovarianceMixture([np.diag([2.0, 0.0]), np.diag([2.0, 10.0])], [0.9, 0.1])
    start = FactoredHeads.random(3, 1, 2, 0.003, 0)
    predicted = predicted_drops(start, law, math.inf)
    assert not predicted.kept
    assert predicted.errors == pytest.approx([3, 2], abs=1e-12)
    flow = head_flow(start, law, math.inf, 60.0)
    drops = flow.drop_times(plateau_losses(law, math.inf))
    assert flow.error(drops.mean()) == pytest.approx(2, rel=1e-2)
    assert predicted.times == pytest.approx(drops[:1], rel=0.01)
    keys = np.abs(flow.heads(drops[1] + 2).keys[predicted.heads[0], 0])
    assert keys[0] > 2 * keys[1]
    others = np.delete(flow.heads(drops[1] + 2).values, predicted.heads[0])
    assert np.abs(others).max() < 0.05


@pytest.mark.parametrize("n_train", [1, 5, math.inf])
def test_fixed_covariances_keep_their_plateaus(n_train):
    for seed in range(2):
        start = FactoredHeads.random(5, 1, 4, 1e-3, seed)
        predicted = predicted_drops(start, ZHANG, n_train)
        assert predicted.kept
        assert (np.diff(predicted.times) >= 0).all()
        assert len(set(predicted.heads)) == 4


def test_the_first_drops_are_the_first_of_all():
    start = FactoredHeads.random(5, 1, 4, 1e-3, 0)
    every = predicted_drops(start, ZHANG, 32)
    for most in (1, 3, 9):
        first = predicted_drops(start, ZHANG, 32, most=most)
        for part, one_more in (("times", 0), ("heads", 0), ("directions", 0), ("errors", 1)):
            np.testing.assert_array_equal(getattr(first, part), getattr(every, part)[: most + one_more])


def test_fewer_heads_than_directions_stop_at_their_level():
    levels = plateau_losses(ZHANG, 32)
    start = FactoredHeads.random(2, 1, 4, 0.02, 0)
    predicted = predicted_drops(start, ZHANG, 32)
    assert predicted.errors == pytest.approx(levels[:3], rel=1e-12)
    flow = head_flow(start, ZHANG, 32, 4_000.0)
    assert flow.error(4_000.0) == pytest.approx(levels[2], rel=1e-6)
    assert np.isinf(flow.drop_times(levels)[2:]).all()


def test_small_steps_of_descent_follow_the_flow():
    """Euler's method: the deviation halves with the step."""
    start = FactoredHeads.random(2, 1, 3, 0.3, 3)
    exact = head_flow(start, LAWS["diagonal"], 6, 2.0, tolerance=1e-11).error(2.0)
    deviations = []
    for rate in (0.001, 0.0005):
        run = head_descent(start, LAWS["diagonal"], 6, rate, round(2 / rate))
        assert run.errors[0] == pytest.approx(head_flow(start, LAWS["diagonal"], 6, 1.0).error(0.0))
        deviations.append(run.errors[-1] - exact)
    assert deviations[0] / deviations[1] == pytest.approx(2, rel=0.05)


def test_first_steps_of_the_rules():
    start, rate = FactoredHeads.random(2, 2, 3, 0.5, 3), 1e-3
    loss = HeadsLoss(LAWS["fixed"], 6)
    turned = start.rotated(loss.rotation)
    slope = turned.pull(loss.slope(turned.product)).rotated(loss.rotation.T)
    moves = {
        rule: head_descent(start, LAWS["fixed"], 6, rate, 1, rule=rule).end.vector - start.vector
        for rule in ("gradient", "momentum", "adam", "muon")
    }
    assert moves["gradient"] == pytest.approx(-rate * slope.vector, abs=1e-15)
    assert moves["momentum"] == pytest.approx(-rate * slope.vector, abs=1e-15)
    assert moves["adam"] == pytest.approx(-rate * np.sign(slope.vector), rel=1e-5)
    step = start.from_vectors(moves["muon"])
    assert np.abs(step.values) == pytest.approx(rate)
    for part, gradient in ((step.keys, slope.keys), (step.queries, slope.queries)):
        assert part @ np.swapaxes(part, 1, 2) == pytest.approx(np.broadcast_to(rate**2 * np.eye(2), (2, 2, 2)))
        singular = np.linalg.svd(gradient, compute_uv=False).sum((-2, -1) if gradient.ndim > 3 else -1)
        assert -np.sum(part * gradient, axis=(1, 2)) == pytest.approx(rate * singular)


def test_steps_of_a_fixed_size_shorten_the_plateaus():
    """Where gradients are small Adam and Muon go on: gradient descent waits longer at each level."""
    levels = plateau_losses(ZHANG, 32)
    start = FactoredHeads.random(5, 1, 4, 0.01, 3)
    runs = {
        rule: head_descent(start, ZHANG, 32, rate, n, rule=rule, record_every=5)
        for rule, rate, n in (("gradient", 0.5, 15_000), ("adam", 0.003, 2_000), ("muon", 0.003, 2_000))
    }
    waits = {rule: np.array([run.time_near(level) for level in levels[1:4]]) for rule, run in runs.items()}
    assert all(run.errors[-1] < 1.01 * levels[-1] for run in runs.values())
    assert (waits["gradient"] > 3 * waits["adam"]).all()
    assert (waits["gradient"] > 3 * waits["muon"]).all()


def test_descent_that_diverges_says_so():
    run = head_descent(MergedHeads.random(2, 3, 1.0, 0), LAWS["fixed"], 6, 5.0, 100)
    assert run.diverged
    assert run.steps[-1] < 100


def test_bad_input():
    start = FactoredHeads.random(2, 1, 4, 0.01, 0)
    with pytest.raises(InvalidInputError, match="dimension 3 of the covariates"):
        head_flow(start, LAWS["fixed"], 6, 1.0)
    with pytest.raises(InvalidInputError, match="must have shapes"):
        FactoredHeads(np.ones(2), np.ones((2, 1, 3)), np.ones((2, 2, 3)))
    with pytest.raises(InvalidInputError, match="must have shapes"):
        MergedHeads(np.ones(2), np.ones((2, 3, 4)))
    with pytest.raises(InvalidInputError, match="finite weights of one start"):
        head_flow(MergedHeads([np.nan], np.ones((1, 3, 3))), LAWS["fixed"], 6, 1.0)
    with pytest.raises(InvalidInputError, match="levels must be at least two and fall"):
        head_flow(MergedHeads.random(1, 3, 0.1, 0), LAWS["fixed"], 6, 1.0).drop_times([1, 2])
    with pytest.raises(InvalidInputError, match="t must lie in"):
        head_flow(MergedHeads.random(1, 3, 0.1, 0), LAWS["fixed"], 6, 1.0).error(2.0)
    with pytest.raises(InvalidInputError, match="heads of rank 1"):
        predicted_drops(FactoredHeads.random(2, 2, 3, 0.01, 0), LAWS["fixed"], 6)
    with pytest.raises(InvalidInputError, match="must be small"):
        predicted_drops(FactoredHeads.random(2, 1, 3, 1.0, 0), LAWS["fixed"], 6)
    with pytest.raises(InvalidInputError, match="commute"):
        predicted_drops(FactoredHeads.random(2, 1, 3, 0.01, 0), LAWS["wishart"], 6)
    with pytest.raises(InvalidInputError, match="most must be at least 1"):
        predicted_drops(FactoredHeads.random(2, 1, 3, 0.01, 0), LAWS["fixed"], 6, most=0)
    with pytest.raises(InvalidInputError, match="rule must be one of"):
        head_descent(start, ZHANG, 6, 0.1, 1, rule="lion")
    with pytest.raises(InvalidInputError, match="momentum must be below 1"):
        head_descent(start, ZHANG, 6, 0.1, 1, rule="adam", momentum=1.0)
