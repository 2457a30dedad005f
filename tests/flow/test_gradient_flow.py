"""Gradient flow against end points of independent integrators, closed forms and conservation laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import expon, gamma, lomax, pareto

from iclab.flow import Status, gradient_flow
from iclab.foundations import InvalidInputError
from iclab.prompts import CovarianceMixture, Gaussian, RandomDiagonal, RandomRotation, Wishart
from iclab.theory import (
    LSAParameters,
    assumption3,
    asymptotic_rate,
    certificate,
    flow_coefficients,
    minimizer,
    minimum_loss,
    mixed_point,
    population_loss,
    rank_one_point,
)

from .problems import equation_27, equation_52, implicit, integrate, random_covariance, random_theta, start

SEEDS = st.integers(0, 2**32 - 1)


def _errors(trajectory, t, u, U):
    """The three measures of the accuracy promised: u relative, U relative in norm, excess over L(0)."""
    _, value, matrix, _ = trajectory.blocks(t)
    truth = population_loss(start(u, U), trajectory.covariates, trajectory.n_train)
    return (
        abs(value / u - 1),
        np.linalg.norm(matrix - U) / np.linalg.norm(U),
        abs(trajectory.loss(t) - truth) / trajectory.loss(0.0),
    )


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_assumption_3_against_equation_27(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 11))
    covariance = random_covariance(rng, d, 10 ** rng.uniform(0, 2))
    n_train = int(rng.integers(1, 60))
    theta = random_theta(rng, d)
    proof = certificate(Gaussian(covariance), n_train, theta, 1.0)
    scale = np.exp(rng.uniform(np.log(1e-4), np.log(2 * proof.threshold)))
    t = 3 * 10 ** rng.uniform(-1, 0.7) / np.linalg.norm(covariance @ covariance)
    trajectory = gradient_flow(assumption3(theta, scale), Gaussian(covariance), n_train, t)
    u, U = integrate(equation_27(covariance, n_train), scale, scale * theta, t)
    assert max(_errors(trajectory, t, u, U)) < 1e-11


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_unbalanced_starts_against_equation_27(seed):
    """Any u (also 0 or negative) and any U, so that u crosses zero in many of them."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 6))
    covariance = random_covariance(rng, d, 10 ** rng.uniform(0, 2))
    n_train = int(rng.integers(1, 60))
    u0 = rng.choice([0.0, *(rng.standard_normal(3) * [1e-3, 0.3, 1])])
    U0 = rng.standard_normal((d, d)) * 10 ** rng.uniform(-2, 0)
    t = 4 * rng.uniform() / np.linalg.norm(covariance @ covariance)
    trajectory = gradient_flow(start(u0, U0), Gaussian(covariance), n_train, t)
    u, U = integrate(equation_27(covariance, n_train), u0, U0, t)
    # Relative to the larger of |u| and what it came from: u itself passes through 0.
    scale = max(abs(u), 1e-2 * np.linalg.norm(U))
    assert abs(trajectory.u(t) - u) < 1e-11 * scale
    assert np.linalg.norm(trajectory.blocks(t)[2] - U) < 1e-11 * np.linalg.norm(U)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_random_covariances_against_equation_52(seed):
    rng = np.random.default_rng(seed)
    d, n_train = int(rng.integers(1, 6)), int(rng.integers(1, 40))
    laws = [rng.choice([expon(), gamma(2.5), gamma(0.7, scale=1.5)]) for _ in range(d)]
    covariates = RandomDiagonal(laws)
    first, second, third = (covariates.moments(k) for k in (1, 2, 3))
    trace = first.sum()
    factor = (n_train + 1) / n_train
    gammas = factor * third + (third + second * (trace - first)) / n_train
    pairs = np.outer(second, first)
    others = trace - first[:, None] - first[None, :]
    zetas = factor * pairs + (pairs + pairs.T + np.outer(first, first) * others) / n_train
    theta, scale = random_theta(rng, d), 10 ** rng.uniform(-3, 0)
    t = 3 * rng.uniform() / np.linalg.norm(second)
    trajectory = gradient_flow(assumption3(theta, scale), covariates, n_train, t)
    u, U = integrate(equation_52(gammas, zetas, second), scale, scale * theta, t)
    assert max(_errors(trajectory, t, u, U)) < 1e-11


def _integrate_mean(matrices, weights, n_train, u, U, t):
    """(27) averaged over covariances: Lemma 21 for laws whose covariances need not commute."""
    fields = [equation_27(matrix, n_train) for matrix in matrices]
    return integrate(lambda s, y: sum(w * field(s, y) for w, field in zip(weights, fields, strict=True)), u, U, t)


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_covariances_that_do_not_commute(seed):
    rng = np.random.default_rng(seed)
    d, n_train = int(rng.integers(2, 5)), int(rng.integers(1, 40))
    matrices = [random_covariance(rng, d, 10 ** rng.uniform(0, 1)) for _ in range(3)]
    law, theta = CovarianceMixture(matrices, [0.5, 0.3, 0.2]), random_theta(rng, d)
    trajectory = gradient_flow(assumption3(theta, 0.2), law, n_train, 5.0)
    assert "integrator" in trajectory.method
    u, U = _integrate_mean(matrices, [0.5, 0.3, 0.2], n_train, 0.2, 0.2 * theta, 5.0)
    assert trajectory.u(5.0) == pytest.approx(u, rel=1e-10)
    assert np.linalg.norm(trajectory.blocks(5.0)[2] - U) < 1e-10 * np.linalg.norm(U)
    assert trajectory.balance_drift() < 1e-11


@pytest.mark.parametrize(
    "law",
    [
        Wishart(np.array([[1.0, 0.3], [0.3, 0.6]]), 5),
        RandomRotation([1.5, 0.5]),
        CovarianceMixture([np.diag([2.0, 0.5]), np.array([[1.0, 0.6], [0.6, 1.0]])]),
    ],
)
def test_laws_that_do_not_commute_reach_their_minimiser(law):
    trajectory = gradient_flow(assumption3(np.array([[2.0, 1.0], [1.0, 1.0]]), 0.1), law, 10, math.inf)
    expected = minimizer(law, 10)
    assert trajectory.status is Status.GLOBAL_MINIMUM
    assert trajectory.parameters(math.inf).learner == pytest.approx(expected.learner, abs=1e-8)


def _against_implicit(seed, d, condition):
    rng = np.random.default_rng(seed)
    covariance = random_covariance(rng, d, condition)
    n_train = int(rng.integers(2, 60))
    covariates, theta = Gaussian(covariance), random_theta(rng, d)
    scale = 10 ** rng.uniform(-3, 0) * certificate(covariates, n_train, theta, 1.0).threshold
    coefficients = flow_coefficients(covariates, n_train)
    U0 = scale * coefficients.to_eigenbasis(theta)
    trajectory = gradient_flow(assumption3(theta, scale), covariates, n_train, math.inf)
    t = trajectory.time_to(0.999)
    u, D = implicit(coefficients.decay, coefficients.drive, scale, U0, t)
    _, value, U, _ = trajectory.blocks(t)
    diagonal = np.diagonal(coefficients.to_eigenbasis(U))
    assert abs(value / u - 1) < 1e-9
    assert np.linalg.norm(diagonal - D) < 1e-9 * np.linalg.norm(D)


@pytest.mark.parametrize(("seed", "d", "condition"), [(0, 8, 1e4), (1, 20, 1e3)])
def test_stiff_problems_against_an_implicit_solver(seed, d, condition):
    _against_implicit(seed, d, condition)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_dimension_fifty_against_an_implicit_solver(seed):
    _against_implicit(seed, 50, 1e4)


PROBLEM_A = np.array([[1, 0.3, 0.1], [0.3, 0.7, -0.2], [0.1, -0.2, 0.5]])
THETA_A = np.array([[2.0, 1, 0], [1, 2, 1], [0, 1, 2]])


@pytest.fixture(scope="module")
def problem_a():
    return gradient_flow(assumption3(THETA_A, 0.3), Gaussian(PROBLEM_A), 6, math.inf)


def test_reference_values(problem_a):
    times = [0.5, 1, 2, 5, 10, 20, 50]
    printed = ".501244874781 .711360764515 .896965092941 1.04990957804 1.13444075561 1.25659379984 1.32074194327"
    assert problem_a.u(times) == pytest.approx(np.array(printed.split(), float), rel=6e-12)
    assert problem_a.excess([1, 10]) == pytest.approx([0.193759913159, 0.0115868969162], rel=3e-12)
    assert problem_a.u(math.inf) == pytest.approx(1.32167033471, rel=4e-12)


def test_reference_values_isotropic():
    trajectory = gradient_flow(assumption3(THETA_A, 0.3), Gaussian(np.eye(3)), 6, math.inf)
    assert "closed form" in trajectory.method
    assert trajectory.u(1.0) == pytest.approx(0.863625537638, rel=1e-12)
    assert trajectory.blocks(1.0)[2][0, 1] == pytest.approx(0.0408491399601, rel=1e-12)


def test_reference_values_random_covariances():
    trajectory = gradient_flow(assumption3(THETA_A, 0.1), RandomDiagonal.exponential(3), 10, math.inf)
    assert trajectory.u([0.5, 1, 2]) == pytest.approx([0.418870988843, 0.658856679247, 0.67512730357], rel=2e-12)
    assert trajectory.u(math.inf) == pytest.approx(0.675131723516, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_closed_form_equals_the_spectral_method(seed):
    """Λ = λI moved by one unit in the last place takes the spectral path, and must give the same."""
    rng = np.random.default_rng(seed)
    d, n_train, level = int(rng.integers(2, 6)), int(rng.integers(1, 30)), rng.uniform(0.3, 3)
    U = rng.standard_normal((d, d))
    u = np.linalg.norm(U)
    exact = gradient_flow(start(u, U), Gaussian(level * np.eye(d)), n_train, math.inf)
    spectrum = np.full(d, level)
    spectrum[0] = np.nextafter(level, 4)
    spectral = gradient_flow(start(u, U), Gaussian(np.diag(spectrum)), n_train, math.inf)
    assert "closed form" in exact.method
    assert "spectral" in spectral.method
    times = np.append(np.geomspace(1e-3, 30, 9) / level**2, math.inf)
    lost = 1 + np.trace(U) / (np.sqrt(d) * u)  # how near the start is to the saddle's stable manifold
    assert spectral.u(times) == pytest.approx(exact.u(times), rel=1e-13 / lost + 1e-12)
    difference = np.abs(spectral.blocks(times)[2] - exact.blocks(times)[2]).max()
    assert difference < (1e-13 / lost + 1e-12) * u


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_conserved_monotone_and_convergent(seed):
    """(42) along the whole trajectory, L never rises, and the limit is the minimum with the same balance."""
    rng = np.random.default_rng(seed)
    d, n_train = int(rng.integers(1, 9)), int(rng.integers(1, 60))
    covariates = Gaussian(random_covariance(rng, d, 10 ** rng.uniform(0, 4)))
    u0, U0 = rng.standard_normal(), rng.standard_normal((d, d)) * 10 ** rng.uniform(-3, 0)
    trajectory = gradient_flow(start(u0, U0), covariates, n_train, math.inf)
    assert trajectory.balance_drift() < 1e-12
    times = np.append(0, np.geomspace(1e-3, min(trajectory.horizon, 1e12), 60))
    losses = trajectory.loss(times)
    assert (np.diff(losses) <= 4e-15 * losses[0]).all()
    balance, rho = u0**2 - np.sum(U0**2), np.linalg.norm(minimizer(covariates, n_train).blocks[1] ** 2)
    expected = np.sqrt((balance + np.hypot(balance, 2 * rho)) / 2)
    assert abs(trajectory.u(math.inf)) == pytest.approx(expected, rel=1e-8)
    assert trajectory.loss(math.inf) == pytest.approx(minimum_loss(covariates, n_train), rel=1e-12)
    assert trajectory.status is Status.GLOBAL_MINIMUM


def test_limit_of_theorem_4(problem_a):
    theorem = minimizer(Gaussian(PROBLEM_A), 6)
    for reached in (problem_a.limit, problem_a.parameters(math.inf)):
        assert np.abs(reached.w_pv - theorem.w_pv).max() < 1e-13
        assert np.abs(reached.w_kq - theorem.w_kq).max() < 1e-13


def test_late_rate_is_the_exact_one(problem_a):
    low, high = 100.0, 140.0
    rate = np.log(problem_a.excess(low) / problem_a.excess(high)) / (high - low)
    assert rate == pytest.approx(asymptotic_rate(Gaussian(PROBLEM_A), 6), rel=1e-6)


def test_time_to_inverts_the_loss(problem_a):
    for fraction in (0.0, 0.1, 0.5, 0.9, 0.99, 1 - 1e-9):
        t = problem_a.time_to(fraction)
        assert problem_a.excess(t) / problem_a.excess(0.0) == pytest.approx(1 - fraction, rel=1e-9)


def test_mirror_image():
    """θ enters ŷ as a product: the flow from (−u, −U) is the mirror image of the flow from (u, U)."""
    U = np.array([[0.2, -0.5], [0.1, 0.4]])
    covariates = Gaussian([[2.0, 0.3], [0.3, 1.0]])
    one = gradient_flow(start(0.4, U), covariates, 5, 10)
    other = gradient_flow(start(-0.4, -U), covariates, 5, 10)
    t = np.linspace(0, 10, 7)
    assert np.array_equal(one.u(t), -other.u(t))
    assert np.array_equal(one.blocks(t)[2], -other.blocks(t)[2])


def test_rotation_and_scale_covariance():
    """Rotating x rotates U; Λ → cΛ, (u, U) → (u, U)/√c makes time run c² times as fast."""
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    base = gradient_flow(assumption3(THETA_A, 0.3), Gaussian(PROBLEM_A), 6, 20)
    rotated = gradient_flow(assumption3(Q @ THETA_A @ Q.T, 0.3), Gaussian(Q @ PROBLEM_A @ Q.T), 6, 20)
    assert rotated.u([1, 5, 20]) == pytest.approx(base.u([1, 5, 20]), rel=1e-13)
    assert rotated.blocks(5.0)[2] == pytest.approx(Q @ base.blocks(5.0)[2] @ Q.T, abs=1e-13)
    c = 3.0
    scaled = gradient_flow(assumption3(THETA_A, 0.3 / c**0.5), Gaussian(c * PROBLEM_A), 6, 20)
    assert c**0.5 * scaled.u(2.0 / c**2) == pytest.approx(base.u(2.0), rel=1e-13)


def test_singular_covariance_leaves_unseen_directions():
    covariates = Gaussian(np.diag([1.0, 0.5, 0.0]))
    U = np.array([[0.3, 0.1, 0.2], [0.1, 0.2, 0.1], [0.2, 0.1, 0.4]])
    trajectory = gradient_flow(start(0.5, U), covariates, 6, math.inf)
    end = trajectory.blocks(math.inf)
    assert np.array_equal(end[2][:, 2], U[:, 2])
    assert np.array_equal(end[2][2], U[2])
    assert trajectory.excess(math.inf) < 1e-28
    u, final = integrate(equation_27(np.diag([1.0, 0.5, 0.0]), 6), 0.5, U, 7.0)
    assert trajectory.u(7.0) == pytest.approx(u, rel=1e-12)
    assert trajectory.blocks(7.0)[2] == pytest.approx(final, abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_stable_manifold_of_the_saddle_isotropic(d):
    trajectory = gradient_flow(start(0.8, -0.8 * np.eye(d) / np.sqrt(d)), Gaussian(np.eye(d)), 6, math.inf)
    assert trajectory.status is Status.SADDLE
    assert trajectory.u(math.inf) == 0
    assert trajectory.loss(math.inf) == pytest.approx(d / 2)
    assert trajectory.time_to(0.9) == math.inf
    # u² = e^{−2x}/(1/u0² + (κ/β)(1 − e^{−2x})) there.
    beta, kappa, t = np.sqrt(d), 1 + (d + 1) / 6, 3.0
    fade = np.exp(-2 * beta * t)
    assert trajectory.u(t) == pytest.approx(np.sqrt(fade / (1 / 0.64 + kappa / beta * (1 - fade))), rel=1e-13)


def test_stable_manifold_of_the_saddle_anisotropic():
    """A start on the manifold comes from following the flow backwards out of the saddle along −Λ²/‖Λ²‖."""
    covariance = np.diag([1.0, 0.4, 0.7])
    square = covariance @ covariance / np.linalg.norm(covariance @ covariance)
    forwards = equation_27(covariance, 6)
    u, U = integrate(lambda t, y: -forwards(t, y), 1e-6, -1e-6 * square, np.log(0.3e6) / np.linalg.norm(covariance**2))
    assert u > 0.1
    trajectory = gradient_flow(start(u, U), Gaussian(covariance), 6, math.inf)
    assert np.min(trajectory.u(np.geomspace(0.1, 100, 400))) < 1e-8
    assert trajectory.status is Status.SADDLE
    nudged = gradient_flow(start(u, U + 1e-3 * square), Gaussian(covariance), 6, math.inf)
    assert nudged.status is Status.GLOBAL_MINIMUM
    # The nearer the start is to the manifold, the more the passage amplifies: in inverse proportion, as is measured.
    nearer = gradient_flow(start(u, U + 1e-6 * square), Gaussian(covariance), 6, math.inf)
    assert nearer.status is Status.GLOBAL_MINIMUM
    assert nearer.amplification == pytest.approx(1e3 * nudged.amplification, rel=0.02)
    moved = gradient_flow(start(u, U + (1e-6 + 1e-10) * square), Gaussian(covariance), 6, math.inf)
    half = nearer.time_to(0.5)
    measured = abs(moved.u(half) / nearer.u(half) - 1) / 1e-10
    assert 0.1 < measured / nearer.amplification < 10


def test_what_the_integrators_reach_is_told_by_the_hessian():
    """On all parameters: starts at local minima and at saddles stay, and a short time reaches no limit."""
    covariates = Gaussian.isotropic(2)
    for point, n_train, status in (
        (rank_one_point(covariates, 3).parameters, 3, Status.LOCAL_MINIMUM),
        (mixed_point(covariates, 20).parameters, 20, Status.LOCAL_MINIMUM),
        (rank_one_point(covariates, 20).parameters, 20, Status.SADDLE),
        (LSAParameters.from_vector(np.zeros(9)), 20, Status.SADDLE),
    ):
        trajectory = gradient_flow(point, covariates, n_train, math.inf)
        assert trajectory.status is status
        assert trajectory.limit is not None
    moving = gradient_flow(LSAParameters.from_vector(np.arange(9) / 9), covariates, 20, 0.5)
    assert moving.status is Status.MOVING
    assert moving.limit is None


def test_starts_that_never_move():
    covariates = Gaussian(np.diag([1.0, 0.5]))
    for U in (np.zeros((2, 2)), np.array([[0.0, 1.0], [-1.0, 0.0]])):
        trajectory = gradient_flow(start(0.0, U), covariates, 6, math.inf)
        assert trajectory.status is Status.SADDLE
        assert np.array_equal(trajectory.parameters(math.inf).blocks[2], U)
        assert trajectory.excess(math.inf) == pytest.approx(trajectory.excess(0.0))


def test_crossing_zero_of_the_notes():
    trajectory = gradient_flow(start(0.3, -np.eye(3)), Gaussian(np.diag([1, 0.5, 0.2])), 6, math.inf)
    assert "across u = 0" in trajectory.method
    assert trajectory.u(1.0) == pytest.approx(-0.56, abs=5e-3)
    u, U = integrate(equation_27(np.diag([1, 0.5, 0.2]), 6), 0.3, -np.eye(3), 3.0)
    assert trajectory.u(3.0) == pytest.approx(u, rel=1e-11)
    assert trajectory.blocks(3.0)[2] == pytest.approx(U, abs=1e-11)


def test_times_in_any_shape_and_order(problem_a):
    times = np.array([[5.0, 0.0], [math.inf, 0.5]])
    assert problem_a.u(times).shape == (2, 2)
    assert problem_a.blocks(times)[2].shape == (2, 2, 3, 3)
    assert np.array_equal(problem_a.u(times).ravel(), [problem_a.u(t) for t in times.ravel()])
    assert problem_a.u(0.0) == pytest.approx(0.3, rel=1e-15)
    assert [p.blocks[1] for p in problem_a.parameters([1.0, 2.0])] == list(problem_a.u([1.0, 2.0]))


def test_other_entries_of_the_weights_stay():
    w_pv, w_kq = np.random.default_rng(0).standard_normal((2, 3, 3))
    w_pv[2, :2] = w_kq[2, :2] = 0
    initial = LSAParameters(w_pv, w_kq)
    moved = gradient_flow(initial, Gaussian.isotropic(2), 5, 3.0).parameters(3.0)
    assert np.array_equal(moved.w_pv[:2], w_pv[:2])
    assert np.array_equal(moved.w_kq[:, 2], w_kq[:, 2])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"t_end": 0.0}, "t_end"),
        ({"t_end": math.nan}, "t_end"),
        ({"n_train": 0}, "n_train"),
        ({"covariates": Gaussian(np.eye(2))}, "dimension"),
        ({"covariates": RandomDiagonal([pareto(2.5)] * 3)}, "finite third moment"),
        ({"covariates": RandomDiagonal([lomax(2.5)] * 3)}, "finite third moment"),
    ],
)
def test_bad_input(change, word):
    arguments = {"covariates": Gaussian(np.eye(3)), "n_train": 6, "t_end": 1.0} | change
    with pytest.raises(InvalidInputError, match=word):
        gradient_flow(assumption3(np.eye(3), 0.1), **arguments)


@pytest.mark.parametrize("t", [-1.0, 3.0, math.nan, [0.5, math.inf]])
def test_times_outside(t):
    trajectory = gradient_flow(assumption3(np.eye(3), 0.1), Gaussian(np.eye(3)), 6, 2.0)
    with pytest.raises(InvalidInputError, match="t_end"):
        trajectory.u(t)


@pytest.mark.parametrize("size", [1e-60, 1e-20, 1e10, 1e60])
def test_the_unit_of_the_inputs_only_sets_the_unit_of_time_and_u(size):
    """Λ → cΛ takes u → u/√c, t → t/c²: the whole line of time, its end included, without a warning."""
    covariance = np.array([[1.0, 0.3], [0.3, 0.5]])
    small = gradient_flow(assumption3(np.eye(2), 0.1), Gaussian(covariance), 5, math.inf)
    large = gradient_flow(assumption3(np.eye(2), 0.1 / size**0.5), Gaussian(size * covariance), 5, math.inf)
    t = np.array([0.1, 1.0, 10.0, 1e3, math.inf])
    np.testing.assert_allclose(large.u(t / size**2) * size**0.5, small.u(t), rtol=1e-12)
    assert large.time_to(0.9) * size**2 == pytest.approx(small.time_to(0.9), rel=1e-11)
    assert large.balance_drift() < 1e-13


def test_without_inputs_nothing_moves():
    layer = assumption3(np.eye(2), 0.3)
    trajectory = gradient_flow(layer, Gaussian(np.zeros((2, 2))), 5, math.inf)
    np.testing.assert_array_equal(trajectory.parameters(7.0).vector, layer.vector)
    assert trajectory.excess(math.inf) == 0


@pytest.mark.parametrize("t", ["soon", 1j, [1.0, [2.0]]])
def test_times_are_real_numbers(t):
    trajectory = gradient_flow(assumption3(np.eye(2), 0.3), Gaussian(np.eye(2)), 5, 10.0)
    with pytest.raises(InvalidInputError, match="t must be an array of real numbers"):
        trajectory.u(t)


def test_covariances_out_of_the_range_of_numbers_are_refused():
    for size in (1e-150, 1e150):
        with pytest.raises(InvalidInputError, match="change the unit"):
            gradient_flow(assumption3(np.eye(2), 0.3), Gaussian(size * np.eye(2)), 5, 10.0)
        with pytest.raises(InvalidInputError, match="change the unit"):
            certificate(Gaussian(size * np.eye(2)), 5, np.eye(2), 0.1)


def test_a_flow_that_never_leaves_u_0_is_refused_and_not_called_converged(monkeypatch):
    monkeypatch.setattr("iclab.flow.paths._CROSSINGS", 1)
    with pytest.raises(InvalidInputError, match="choose a t_end"):
        gradient_flow(start(0.3, -np.eye(3)), Gaussian(np.diag([1, 0.5, 0.2])), 6, math.inf)


@pytest.mark.parametrize(("unit", "size"), [(1.0, 1e3), (1.0, 1e-41), (1e65, 1e-32), (1e-65, 1e32)])
def test_sizes_beyond_float64_are_refused(unit, size):
    with pytest.raises(InvalidInputError, match="change the unit"):
        gradient_flow(assumption3(THETA_A, size), Gaussian(unit * PROBLEM_A), 6, 1.0)
