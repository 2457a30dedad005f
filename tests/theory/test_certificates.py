"""Bounds bound, thresholds are thresholds, and the rate is the rate, along integrated flows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.stats import expon, pareto, randint, uniform
from scipy.stats import gamma as gamma_law

from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, RandomDiagonal, Wishart
from iclab.theory import (
    DiagonalMoments,
    assumption3,
    asymptotic_rate,
    certificate,
    flow_coefficients,
    gamma,
    minimum_loss,
    population_loss,
    random_theta,
)
from iclab.theory.certificates import maximum_moment


def random_law(rng, d: int, random: bool):
    if random:
        return RandomDiagonal([expon(scale=s) for s in rng.uniform(0.5, 1.5, d)])
    factor = rng.normal(size=(d, d))
    return Gaussian(factor @ factor.T / d + 0.2 * np.eye(d))


def integrate(law, n, theta, scale, times):
    """u and excess on the flow (27)/(52), by a general-purpose integrator in the eigenbasis."""
    coefficients = flow_coefficients(law, n)
    k, xi, d = coefficients.decay, coefficients.drive, coefficients.dimension

    def field(_, state):
        u, U = state[0], state[1:].reshape(d, d)
        return np.concatenate(
            [[-u * np.sum(k * U**2) + xi @ np.diagonal(U)], (-(u**2) * k * U + u * np.diag(xi)).ravel()]
        )

    start = np.concatenate([[scale], scale * coefficients.to_eigenbasis(theta).ravel()])
    result = solve_ivp(field, (0, times[-1]), start, method="DOP853", t_eval=times, rtol=1e-10, atol=1e-16)
    us = result.y[0]
    excess = [coefficients.excess(u, U.reshape(d, d)) for u, U in zip(us, result.y[1:].T, strict=True)]
    return us, np.array(excess)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(2, 12), st.floats(0.05, 0.98), st.booleans())
def test_bounds_hold_on_the_flow(seed, d, n, share, random):
    rng = np.random.default_rng(seed)
    law, theta = random_law(rng, d, random), random_theta(d, seed)
    scale = share * certificate(law, n, theta, 1.0).threshold
    constants = certificate(law, n, theta, scale)
    assert constants.guaranteed
    assert 0 < constants.u_lower_bound <= constants.sharp_u_lower_bound * (1 + 1e-12)
    assert 0 < constants.pl_constant <= constants.sharp_pl_constant * (1 + 1e-12)
    times = np.linspace(0, min(40 / constants.asymptotic_rate, 60.0), 60)
    us, excess = integrate(law, n, theta, scale, times)
    assert us.min() >= constants.sharp_u_lower_bound * (1 - 1e-8)
    start = constants.initial_loss - constants.minimum_loss
    bound = np.exp(-constants.sharp_pl_constant * times) * start
    assert np.all(excess <= bound * (1 + 1e-8) + 1e-14)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 12), st.booleans())
def test_thresholds_and_losses(seed, d, n, random):
    rng = np.random.default_rng(seed)
    law, theta = random_law(rng, d, random), random_theta(d, seed)
    constants = certificate(law, n, theta, 0.1)
    assert constants.threshold <= constants.sharp_threshold * (1 + 1e-12)
    assert constants.sharp_threshold <= constants.exact_threshold * (1 + 1e-12)
    assert constants.initial_loss == pytest.approx(population_loss(assumption3(theta, 0.1), law, n), rel=1e-12)
    assert constants.minimum_loss == pytest.approx(minimum_loss(law, n), rel=1e-12)
    at_zero = flow_coefficients(law, n).mean_trace / 2
    above = population_loss(assumption3(theta, constants.exact_threshold), law, n)
    assert above == pytest.approx(at_zero, rel=1e-11)
    beyond = certificate(law, n, theta, 1.01 * constants.exact_threshold)
    assert not beyond.guaranteed
    assert beyond.u_lower_bound == beyond.pl_constant == beyond.sharp_u_lower_bound == 0
    # The paper's √d can be dropped: σ²‖Γ‖_op‖ΘΘ'‖_op < 2 suffices.
    if not random:
        operator = math.sqrt(2 / (np.linalg.norm(gamma(law.covariance, n), 2) * np.linalg.norm(theta, 2)))
        assert constants.sharp_threshold == pytest.approx(operator, rel=1e-12)


@pytest.mark.parametrize("random", [False, True])
def test_the_asymptotic_rate_is_seen_on_the_flow(random):
    # Well separated modes, so that the slowest is soon alone.
    law = RandomDiagonal([expon(scale=s) for s in (0.4, 1.0, 1.8)]) if random else Gaussian(np.diag([0.3, 0.6, 1.3]))
    theta = random_theta(3, 5)
    rate = certificate(law, 9, theta, 0.3).asymptotic_rate
    _, excess = integrate(law, 9, theta, 0.3, np.array([0, 12, 14, 16, 18]) / rate)
    # The rates over intervals near the limit geometrically, as higher terms of the excess die; Aitken's rule takes
    # them away up to squares, e⁻¹² here. The deviation, √excess ≥ 1e-5, is 1e3 times the integrator's noise (explicit
    # steps at their limit of stability leave some 1e-9), which the rule amplifies threefold.
    first, second, third = np.log(excess[1:-1] / excess[2:]) / 2
    limit = third - (third - second) ** 2 / ((third - second) - (second - first))
    assert abs(third - 1) < abs(second - 1) < abs(first - 1) < 0.03
    assert limit == pytest.approx(1, abs=5e-4)


def test_the_rate_is_that_of_the_linearised_flow():
    rng = np.random.default_rng(2)
    law = random_law(rng, 3, False)
    coefficients = flow_coefficients(law, 5)
    rho = np.linalg.norm(coefficients.target)
    for balance in (-2.0, 0.0, 0.7, 300.0):
        u2 = (balance + math.sqrt(balance**2 + 4 * rho**2)) / 2
        u = math.sqrt(u2)
        U = np.diag(coefficients.target) / u
        # Jacobian of the flow at its limit by complex steps; the scaling symmetry gives one zero eigenvalue.
        state = np.concatenate([[u], U.ravel()]).astype(complex)

        def field(s, k=coefficients.decay, xi=coefficients.drive):
            v, X = s[0], s[1:].reshape(3, 3)
            return np.concatenate(
                [[-v * np.sum(k * X**2) + xi @ np.diagonal(X)], (-(v**2) * k * X + v * np.diag(xi)).ravel()]
            )

        jacobian = np.array([field(state + 1e-30j * e).imag / 1e-30 for e in np.eye(10)]).T
        eigenvalues = np.sort(-np.linalg.eigvalsh((jacobian + jacobian.T) / 2))
        assert abs(eigenvalues[0]) < 1e-9 * eigenvalues[-1]
        assert asymptotic_rate(law, 5, balance) == pytest.approx(2 * eigenvalues[1], rel=1e-9)


@pytest.mark.parametrize(
    ("law", "exact"),
    [
        # E max(λ)·Σλ² of Exp(1): d = 1 gives E λ³ = 6.
        (RandomDiagonal([expon()]), 6.0),
        # Two atoms {1, 2} twice: max·Σ of (1,1), (1,2), (2,1), (2,2).
        (RandomDiagonal([randint(1, 3)] * 2), (2 + 2 * 10 + 16) / 4),
        # Two uniforms on [0, 1]: E max³ + E max·min² = 2/5 + 2∫∫_{y<x} x y² = 2/5 + 2/15.
        (RandomDiagonal([uniform()] * 2), 2 / 5 + 2 / 15),
        # Exp(1) twice: ∫∫_{y<x} 2 x (x² + y²) e^{−x−y}.
        (RandomDiagonal([expon()] * 2), 2 * (6 - 6 / 16) + 2 * (2 - (2 * (1 / 4) + 2 * (2 / 8) + 6 / 16))),
        (RandomDiagonal([expon()] * 2, scale=3.0), 27 * (2 * (6 - 6 / 16) + 2 * (2 - 11 / 8))),
    ],
)
def test_the_moment_of_the_largest_eigenvalue(law, exact):
    assert maximum_moment(law) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    "law",
    [
        RandomDiagonal([expon(), gamma_law(0.4), uniform(0.2, 2)]),
        RandomDiagonal([gamma_law(3.0, scale=0.2)] * 5 + [expon(scale=2)]),
        RandomDiagonal([pareto(7.0), expon()]),
        RandomDiagonal([randint(1, 4), expon()]),
    ],
)
def test_the_moment_of_the_largest_eigenvalue_against_sampling(law):
    rng = np.random.default_rng(3)
    samples = np.column_stack([distribution.rvs(size=400_000, random_state=rng) for distribution in law.laws])
    values = samples.max(1) * np.sum(samples**2, 1)
    error = values.std() / math.sqrt(values.size)
    assert abs(values.mean() - maximum_moment(law)) < 5 * error


def test_equation_21_is_a_limit_of_the_fixed_threshold():
    # λ nearly constant: E‖Γ‖‖Λ‖_F² and ‖EΛΘ‖ become those of Λ = diag, where (21) is σ² < 2‖ΛΘ‖²/(√d‖Γ‖‖Λ‖_F²).
    spectrum, n, theta = np.array([1.0, 0.5, 0.25]), 7, random_theta(3, 1)
    law = RandomDiagonal([uniform(x - 1e-7, 2e-7) for x in spectrum])
    G = gamma(np.diag(spectrum), n)
    reach = np.trace(np.diag(spectrum**2) @ theta)
    exact = math.sqrt(2 * reach / (math.sqrt(3) * np.linalg.norm(G, 2) * np.sum(spectrum**2)))
    assert certificate(law, n, theta, 0.1).threshold == pytest.approx(exact, rel=1e-6)


def test_a_singular_covariance_has_the_sharp_certificate_only():
    constants = certificate(Gaussian(np.diag([1.0, 0.5, 0.0])), 5, np.eye(3), 0.3)
    assert constants.pl_constant == 0
    assert constants.sharp_pl_constant > 0
    assert constants.asymptotic_rate > 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: certificate(Gaussian(np.eye(2)), 4, np.eye(3), 0.1),
        lambda: certificate(Gaussian(np.eye(2)), 4, np.zeros((2, 2)), 0.1),
        lambda: certificate(Gaussian(np.eye(2)), 4, -np.eye(2), 0.1),
        lambda: certificate(Gaussian(np.eye(2)), 4, np.eye(2), 0.0),
        lambda: certificate(Gaussian(np.eye(2)), 4, np.eye(2), -1.0),
        lambda: certificate(Gaussian(np.eye(2)), 0, np.eye(2), 0.1),
        lambda: certificate(Gaussian(np.diag([1.0, 0.0])), 4, np.diag([0.0, 1.0]), 0.1),
        lambda: certificate(DiagonalMoments([1], [2], [6]), 4, np.eye(1), 0.1),
        lambda: certificate(Wishart(np.eye(2), 3), 4, np.eye(2), 0.1),
        lambda: certificate(RandomDiagonal([pareto(2.5)]), 4, np.eye(1), 0.1),
        lambda: certificate(np.eye(2), 4, np.eye(2), 0.1),
        lambda: asymptotic_rate(Gaussian(np.zeros((2, 2))), 4),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises(InvalidInputError, match=r"^[^\n]+\.$"):
        call()
