"""Gradient flow with label noise and any prior of w: against an integrator on prompts' moments, and its limit."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import expon

from iclab.flow import Status, gradient_flow
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory import LSAParameters, assumption3, minimizer

LAMBDA = np.array([[1.0, 0.3], [0.3, 0.5]])
PRIOR = np.array([[1.2, -0.5], [-0.5, 0.8]])


def learner_equations(n, noise, W):
    """u̇ and U̇ of ½u² tr(U'AUΛ) − u tr(UΛWΛ), with A = E mm' as it stands: no eigenbasis."""
    signal = LAMBDA @ W @ LAMBDA
    A = (1 + 1 / n) * signal + (np.trace(W @ LAMBDA) + noise) / n * LAMBDA

    def velocity(t, y):
        u, U = y[0], y[1:].reshape(2, 2)
        pull = A @ U @ LAMBDA
        U_dot = -(u**2) * pull + u * signal
        return np.concatenate([[-u * np.sum(pull * U) + np.sum(signal * U)], U_dot.ravel()])

    return velocity


@pytest.mark.parametrize("prior", ["identity", "commuting", "any"])
def test_against_the_equations_of_the_learner(prior):
    W = {"identity": np.eye(2), "commuting": 0.3 * np.eye(2) + LAMBDA, "any": PRIOR}[prior]
    start = assumption3(np.eye(2), 0.2)
    given = None if prior == "identity" else W
    flow = gradient_flow(start, Gaussian(LAMBDA), 8, 6.0, noise_variance=0.7, weight_covariance=given)
    assert ("spectral" in flow.method) == (prior != "any")
    _, u, U, _ = start.blocks
    path = solve_ivp(
        learner_equations(8, 0.7, W), (0, 6), [u, *U.ravel()], method="DOP853", rtol=1e-12, atol=1e-14, t_eval=[1, 3, 6]
    )
    for t, y in zip(path.t, path.y.T, strict=True):
        _, u, U, _ = flow.blocks(t)
        np.testing.assert_allclose([u, *U.ravel()], y, rtol=1e-9)


def test_random_covariances_reach_the_minimiser():
    law, W = RandomDiagonal([expon(), expon(scale=0.4)]), np.diag([2.0, 0.5])
    flow = gradient_flow(assumption3(np.eye(2), 0.1), law, 12, math.inf, noise_variance=0.5, weight_covariance=W)
    assert flow.status is Status.GLOBAL_MINIMUM
    best = minimizer(law, 12, 0.5, W)
    np.testing.assert_allclose(flow.limit.learner, best.learner, rtol=1e-10)
    assert flow.excess(math.inf) < 1e-25
    assert flow.balance_drift() < 1e-10


def test_isotropic_noise_keeps_the_closed_form():
    """The traceless part of a start decays in either method; the closed form against the integrator."""
    start = assumption3(np.diag([0.8, 0.6]), 0.3)
    noisy = gradient_flow(start, Gaussian.isotropic(2), 5, 4.0, noise_variance=0.5)
    assert "closed form" in noisy.method
    a, u, U, b = start.blocks
    moved = LSAParameters.from_blocks(a + 1e-9, u, U, b)
    general = gradient_flow(moved, Gaussian.isotropic(2), 5, 4.0, noise_variance=0.5)
    np.testing.assert_allclose(noisy.loss([0.5, 4.0]), general.loss([0.5, 4.0]), rtol=1e-9)
