"""The loss on all parameters against exact cubature through the forward pass, and its derivatives."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import expon, randint, uniform
from scipy.stats import gamma as gamma_law

from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian, RandomDiagonal, Wishart
from iclab.theory import (
    AllPositions,
    DiagonalMoments,
    LSAParameters,
    PopulationLoss,
    covariance_rule,
    cubature_loss,
    flow_coefficients,
    gamma,
    minimum_loss,
    population_gradient,
    population_loss,
    prompt_cubature,
)

seeds = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (4, 1)])
LAWS = [expon(), expon(scale=0.4), uniform(0.1, 2), gamma_law(2.5, scale=0.5), gamma_law(0.7), randint(1, 5)]


def random_covariance(rng, d: int, rank: int | None = None) -> np.ndarray:
    factor = rng.normal(size=(d, d if rank is None else rank))
    return factor @ factor.T / d


def random_layer(rng, d: int) -> LSAParameters:
    return LSAParameters(rng.normal(size=(d + 1, d + 1)), rng.normal(size=(d + 1, d + 1)))


@settings(max_examples=60, deadline=None)
@given(seeds, SIZES)
def test_the_loss_on_all_parameters_is_exact(seed, size):
    (d, n), rng = size, np.random.default_rng(seed)
    covariance = random_covariance(rng, d)
    parameters = random_layer(rng, d)
    assert population_loss(parameters, Gaussian(covariance), n) == pytest.approx(
        cubature_loss(parameters, covariance, n), rel=1e-12
    )


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([(2, 2), (3, 2), (3, 1)]))
def test_singular_covariances_are_allowed(seed, size):
    (d, n), rng = size, np.random.default_rng(seed)
    covariance = random_covariance(rng, d, rank=d - 1)
    parameters = random_layer(rng, d)
    exact = cubature_loss(parameters, covariance, n)
    assert population_loss(parameters, Gaussian(covariance), n) == pytest.approx(exact, rel=1e-12)
    best = minimum_loss(Gaussian(covariance), n)
    G = gamma(covariance, n)
    closed = (np.trace(covariance) - np.trace(np.linalg.solve(G, covariance @ covariance))) / 2
    assert best == pytest.approx(closed, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([(1, 3), (2, 2)]))
def test_random_covariances_against_quadrature_of_the_forward_pass(seed, size):
    (d, n), rng = size, np.random.default_rng(seed)
    # λ ~ uniform(0.2, 2.2) and triangular-like densities by Gauss-Legendre: exact for polynomials.
    nodes, weights = np.polynomial.legendre.leggauss(3)
    laws = [uniform(0.2, 2.0), uniform(0.5, 0.7)][:d]
    values = [law.mean() + law.std() * np.sqrt(3) * nodes for law in laws]
    parameters = random_layer(rng, d)
    exact = 0.0
    for index in np.ndindex(*(3,) * d):
        diagonal = [values[i][k] for i, k in enumerate(index)]
        exact += np.prod(weights[list(index)] / 2) * cubature_loss(parameters, np.diag(diagonal), n)
    assert population_loss(parameters, RandomDiagonal(laws), n) == pytest.approx(exact, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([(1, 4), (2, 3), (3, 2)]))
def test_the_loss_over_all_positions_is_the_mean_of_the_losses(seed, size):
    (d, n), rng = size, np.random.default_rng(seed)
    covariance = random_covariance(rng, d)
    parameters = random_layer(rng, d)
    mean = np.mean([cubature_loss(parameters, covariance, i) for i in range(1, n + 1)])
    assert population_loss(parameters, Gaussian(covariance), AllPositions(n)) == pytest.approx(mean, rel=1e-12)
    harmonic = sum(1 / i for i in range(1, n + 1)) / n
    expected = covariance + harmonic * (covariance + np.trace(covariance) * np.eye(d))
    np.testing.assert_allclose(gamma(covariance, AllPositions(n)), expected, rtol=1e-14)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(1, 30), st.booleans())
def test_gradient_and_hessian_are_derivatives(seed, d, n, random):
    rng = np.random.default_rng(seed)
    law = (
        RandomDiagonal([LAWS[i] for i in rng.integers(0, len(LAWS), d)])
        if random
        else Gaussian(random_covariance(rng, d))
    )
    loss = PopulationLoss(law, n)
    t, direction = rng.normal(size=(2, (d + 1) ** 2))
    # On a line L is a polynomial of degree 8 at most: its derivative at 0 from 9 Chebyshev nodes is exact.
    nodes = np.cos(np.pi * (np.arange(9) + 0.5) / 9)
    line = np.polynomial.Polynomial.fit(nodes, loss.values(t + nodes[:, None] * direction), 8)
    size = np.abs(line.coef).max()
    parameters = LSAParameters.from_vector(t)
    assert loss.gradients(t) @ direction == pytest.approx(line.deriv()(0), abs=1e-10 * size)
    assert direction @ loss.hessian(parameters) @ direction == pytest.approx(line.deriv(2)(0), abs=1e-9 * size)
    np.testing.assert_allclose(
        population_gradient(parameters, law, n).vector, loss.gradients(t), rtol=0, atol=1e-13 * size
    )
    assert loss(parameters) == pytest.approx(float(loss.values(t)), rel=1e-13)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 30), st.booleans())
def test_the_restricted_loss_has_one_form_for_both_theorems(seed, d, n, random):
    rng = np.random.default_rng(seed)
    law = (
        RandomDiagonal([LAWS[i] for i in rng.integers(0, len(LAWS), d)])
        if random
        else Gaussian(random_covariance(rng, d))
    )
    u, U = rng.normal(), rng.normal(size=(d, d))
    parameters = LSAParameters.from_blocks(np.zeros(d), u, U, np.zeros(d))
    coefficients = flow_coefficients(law, n)
    rotated = coefficients.to_eigenbasis(U)
    loss = PopulationLoss(law, n)
    assert coefficients.loss(u, rotated) == pytest.approx(float(loss.values(parameters.vector)), rel=1e-11)
    excess = coefficients.excess(u, rotated)
    assert excess == pytest.approx(loss(parameters) - minimum_loss(law, n), rel=1e-9, abs=1e-11 * loss(parameters))
    gradient = loss.gradient(parameters)
    general = loss.gradients(parameters.vector)
    np.testing.assert_allclose(gradient.vector, general, rtol=0, atol=1e-11 * np.abs(general).max())
    a, grad_u, grad_U, b = gradient.blocks
    assert not a.any()
    assert not b.any()
    flow_U = u**2 * coefficients.decay * rotated - u * np.diag(coefficients.drive)
    flow_u = u * np.sum(coefficients.decay * rotated**2) - coefficients.drive @ np.diagonal(rotated)
    np.testing.assert_allclose(coefficients.to_eigenbasis(grad_U), flow_U, rtol=0, atol=1e-11 * np.abs(flow_U).max())
    assert grad_u == pytest.approx(flow_u, abs=1e-11 * np.abs(flow_U).max())


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 4))
def test_the_rule_integrates_monomials_of_degree_three(seed, d):
    rng = np.random.default_rng(seed)
    laws = [LAWS[i] for i in rng.integers(0, len(LAWS), d)]
    law = RandomDiagonal(laws, scale=1.7)
    rule = covariance_rule(law)
    moments = [np.ones(d), *(law.moments(k) for k in (1, 2, 3))]
    for powers in np.ndindex(*(4,) * d):
        if sum(powers) <= 3:
            exact = np.prod([moments[k][i] for i, k in enumerate(powers)])
            assert rule.mean(np.prod(rule.spectra ** np.array(powers), axis=1)) == pytest.approx(exact, rel=1e-11)


def test_large_rules_are_worked_off_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 3, 16))
    for law in (RandomDiagonal.exponential(3), Wishart(random_covariance(rng, 3), 4)):
        whole = PopulationLoss(law, 5)
        values, gradients = whole.values(vectors), whole.gradients(vectors)
        with monkeypatch.context() as patch:
            patch.setattr("iclab.theory.population._MAXIMUM_ELEMENTS", 200)
            np.testing.assert_allclose(whole.values(vectors), values, rtol=1e-11)
            np.testing.assert_allclose(whole.gradients(vectors), gradients, rtol=1e-9, atol=1e-11)


def test_moments_say_all_that_matters_of_a_law():
    law = RandomDiagonal([expon(), uniform(0.1, 2)])
    moments = DiagonalMoments(*(law.moments(k) for k in (1, 2, 3)))
    parameters = random_layer(np.random.default_rng(0), 2)
    assert population_loss(parameters, moments, 4) == population_loss(parameters, law, 4)


def test_a_law_without_randomness_is_a_fixed_covariance():
    parameters = random_layer(np.random.default_rng(0), 2)
    fixed = DiagonalMoments([2, 0.5], [4, 0.25], [8, 0.125])
    expected = population_loss(parameters, Gaussian(np.diag([2, 0.5])), 4)
    assert population_loss(parameters, fixed, 4) == pytest.approx(expected, rel=1e-13)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 5), st.integers(1, 20))
def test_rotations_change_nothing(seed, d, n):
    rng = np.random.default_rng(seed)
    covariance, (a, u, U, b) = random_covariance(rng, d), random_layer(rng, d).blocks
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    turned = LSAParameters.from_blocks(Q @ a, u, Q @ U @ Q.T, Q @ b)
    assert population_loss(turned, Gaussian(Q @ covariance @ Q.T), n) == pytest.approx(
        population_loss(LSAParameters.from_blocks(a, u, U, b), Gaussian(covariance), n), rel=1e-11
    )


def test_cubature_integrates_what_it_says():
    covariance = random_covariance(np.random.default_rng(2), 3)
    nodes = prompt_cubature(covariance, 2)
    assert nodes.weights.sum() == pytest.approx(1, rel=1e-13)
    assert nodes.weights.min() > 0
    fourth = nodes.mean(np.einsum("ki,kj,kl,km->kijlm", *(nodes.xs[:, 1],) * 4))
    pairs = (
        np.einsum("ij,lm->ijlm", covariance, covariance),
        np.einsum("il,jm->ijlm", covariance, covariance),
        np.einsum("im,jl->ijlm", covariance, covariance),
    )
    np.testing.assert_allclose(fourth, sum(pairs), rtol=0, atol=1e-12 * np.abs(sum(pairs)).max())
    sixth = nodes.mean(nodes.queries[:, 0] ** 6)
    assert sixth == pytest.approx(15 * covariance[0, 0] ** 3, rel=1e-13)
    np.testing.assert_allclose(nodes.mean(nodes.targets**2), np.trace(covariance), rtol=1e-13)


@pytest.mark.parametrize(
    "call",
    [
        lambda layer: population_loss(layer, Gaussian(np.eye(3)), 4),
        lambda layer: population_loss(layer, Gaussian(np.eye(2)), 0),
        lambda layer: population_loss(layer, Gaussian(np.eye(2)), 2.5),
        lambda layer: population_loss(layer, Gaussian(np.eye(2)), math.nan),
        lambda layer: population_loss(layer, np.eye(2), 4),
        lambda layer: population_loss(layer, RandomDiagonal([expon(), heavy_tail()]), 4),
        lambda layer: population_gradient(layer, Gaussian(np.eye(3)), 4),
        lambda layer: PopulationLoss(Gaussian(np.eye(2)), 4).values(np.ones(8)),
        lambda layer: DiagonalMoments([1, 1], [0.5, 1], [1, 1]),
        lambda layer: DiagonalMoments([1], [2], [3]),
        lambda layer: DiagonalMoments([1], [np.inf], [3]),
        lambda layer: gamma([[1, 2], [0, 1]], 4),
        lambda layer: gamma([[1, 2], [2, 1]], 4),
        lambda layer: AllPositions(0),
        lambda layer: cubature_loss(layer, np.eye(2), 30),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call):
    layer = random_layer(np.random.default_rng(0), 2)
    with pytest.raises(InvalidInputError, match=r"^[^\n]+\.$"):
        call(layer)


def heavy_tail():
    from scipy.stats import pareto

    return pareto(2.5)
