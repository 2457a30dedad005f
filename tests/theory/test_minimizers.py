"""Minimisers are minima: against the formulas of the theorems, stationarity, and perturbations of every kind."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import expon, randint, uniform
from scipy.stats import gamma as gamma_law

from iclab.foundations import InvalidInputError
from iclab.prompts import CovarianceMixture, Gaussian, RandomDiagonal, RandomRotation, Wishart
from iclab.theory import (
    AllPositions,
    LSAParameters,
    PopulationLoss,
    ScaledCovariance,
    compare_to_minimizer,
    covariance_rule,
    cubature_loss,
    flow_coefficients,
    gamma,
    learner_loss,
    minimizer,
    minimum_loss,
    optimal_learner,
    population_loss,
    prompt_cubature,
    shift_risk,
)

seeds = st.integers(0, 2**32 - 1)


def random_covariance(rng, d: int) -> np.ndarray:
    factor = rng.normal(size=(d, d))
    return factor @ factor.T / d


def any_law(rng, kind: str, d: int):
    """One law of every kind that the theory knows."""
    match kind:
        case "Gaussian":
            return Gaussian(random_covariance(rng, d))
        case "RandomDiagonal":
            return RandomDiagonal([expon(scale=s) for s in rng.uniform(0.3, 2, d)])
        case "CovarianceMixture":
            return CovarianceMixture([random_covariance(rng, d) for _ in range(3)], [0.2, 0.5, 0.3])
        case "ScaledCovariance":
            return ScaledCovariance(random_covariance(rng, d), uniform(0.2, 2))
        case "Wishart":
            return Wishart(random_covariance(rng, d), d + 2)
        case _:
            return RandomRotation(rng.uniform(0.2, 2, d))


KINDS = ["Gaussian", "RandomDiagonal", "CovarianceMixture", "ScaledCovariance", "Wishart", "RandomRotation"]


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6), st.sampled_from([1, 2, 7, 40, AllPositions(9), math.inf]))
def test_theorem_4(seed, d, n):
    covariance = random_covariance(np.random.default_rng(seed), d)
    law = Gaussian(covariance)
    inverse = np.linalg.inv(gamma(covariance, n))
    a, u, U, b = minimizer(law, n).blocks
    assert not a.any()
    assert not b.any()
    scale = np.linalg.norm(inverse)
    assert u == pytest.approx(math.sqrt(scale), rel=1e-9)
    np.testing.assert_allclose(U, inverse / math.sqrt(scale), rtol=0, atol=1e-8 * math.sqrt(scale))
    # Corollary 16.
    minimum = (np.trace(covariance) - np.trace(covariance @ covariance @ inverse)) / 2
    assert minimum_loss(law, n) == pytest.approx(minimum, rel=1e-8, abs=1e-10 * np.trace(covariance))


def test_theorem_8():
    laws = [expon(), uniform(0.5, 1), expon(scale=0.3)]
    law, n = RandomDiagonal(laws), 9
    m = [np.array([distribution.moment(k) for distribution in laws]) for k in (1, 2, 3)]
    gammas = (n + 1) / n * m[2] + (m[2] + m[1] * (m[0].sum() - m[0])) / n
    _, u, U, _ = minimizer(law, n).blocks
    np.testing.assert_allclose(u * U, np.diag(m[1] / gammas), rtol=1e-12)
    assert u**4 == pytest.approx(np.sum((m[1] / gammas) ** 2), rel=1e-12)
    assert minimum_loss(law, n) == pytest.approx(m[0].sum() / 2 - np.sum(m[1] ** 2 / gammas) / 2, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(seed=seeds, d=st.integers(1, 4), n=st.integers(1, 12))
def test_it_is_a_critical_point_and_the_least_over_all_parameters(kind, seed, d, n):
    rng = np.random.default_rng(seed)
    law = any_law(rng, kind, d)
    best, minimum = minimizer(law, n), minimum_loss(law, n)
    loss = PopulationLoss(law, n)
    hessian = loss.hessian(best)
    size = np.abs(hessian).max()
    # A gradient's terms are of the size of the Hessian times the parameters, which come from solving with covariances.
    rule = covariance_rule(law)
    rounding = 64 * np.finfo(float).eps * np.linalg.cond(rule.mean(rule.matrices))
    assert np.abs(loss.gradient(best).vector).max() <= rounding * size * max(1.0, np.abs(best.vector).max())
    assert np.linalg.eigvalsh(hessian)[0] >= -1e-9 * size
    assert loss(best) == pytest.approx(minimum, rel=1e-9)
    others = best.vector + rng.normal(size=(50, (d + 1) ** 2)) * rng.choice([1e-2, 0.3, 2.0], size=(50, 1))
    assert np.all(loss.values(others) >= minimum * (1 - 1e-9))


@pytest.mark.parametrize("kind", KINDS)
def test_nodes_average_to_the_mean_covariance_and_weights_to_one(kind):
    rng = np.random.default_rng(4)
    for d in (1, 2, 3, 5):
        law = any_law(rng, kind, d)
        rule = covariance_rule(law)
        mean = {
            "Gaussian": lambda law: law.covariance,
            "RandomDiagonal": lambda law: np.diag(law.moments(1)),
            "CovarianceMixture": lambda law: np.tensordot(law.probabilities, law.covariance_matrices, 1),
            "ScaledCovariance": lambda law: law.law.mean() * law.covariance,
            "Wishart": lambda law: law.mean,
            "RandomRotation": lambda law: law.spectrum.mean() * np.eye(law.dimension),
        }[kind](law)
        assert rule.weights.sum() == pytest.approx(1, rel=1e-11)
        np.testing.assert_allclose(rule.mean(rule.matrices), mean, atol=1e-11 * np.abs(mean).max())


def test_wishart_moments_are_those_of_the_literature():
    # E Λ² = (1 + 1/n)V² + trV V/n and E tr Λ³ of Wishart(n, V)/n (Letac and Massam).
    V, n = random_covariance(np.random.default_rng(1), 4), 6
    rule = covariance_rule(Wishart(V, n))
    nodes = rule.matrices
    t, t2 = np.trace(V), np.trace(V @ V)
    np.testing.assert_allclose(rule.mean(nodes @ nodes), (1 + 1 / n) * V @ V + t / n * V, rtol=1e-10, atol=1e-12)
    third = ((n**2 + 3 * n + 4) * np.trace(V @ V @ V) + 3 * (n + 1) * t * t2 + t**3) / n**2
    traces = np.trace(nodes @ nodes @ nodes, axis1=-2, axis2=-1)
    assert float(rule.mean(traces)) == pytest.approx(third, rel=1e-10)


def test_random_rotations_keep_the_traces_of_powers():
    spectrum = np.array([2.0, 0.7, 0.3, 0.1, 0.0])
    rule = covariance_rule(RandomRotation(spectrum))
    nodes = rule.matrices
    powers = [np.trace(np.linalg.matrix_power(nodes, k), axis1=-2, axis2=-1) for k in (1, 2, 3)]
    sums = [np.sum(spectrum**k) for k in (1, 2, 3)]
    for i, mine in enumerate(powers):
        assert float(rule.mean(mine)) == pytest.approx(sums[i], rel=1e-10)
    assert float(rule.mean(powers[0] * powers[1])) == pytest.approx(sums[0] * sums[1], rel=1e-10)
    # E (UΛU')_11³ over the orthogonal group: (p1³ + 6 p1p2 + 8 p3)/(d(d+2)(d+4)).
    exact = (sums[0] ** 3 + 6 * sums[0] * sums[1] + 8 * sums[2]) / (5 * 7 * 9)
    assert float(rule.mean(nodes[:, 2, 2] ** 3)) == pytest.approx(exact, rel=1e-10)


def test_wishart_in_one_dimension_is_a_gamma_law():
    layer = LSAParameters(*np.random.default_rng(0).normal(size=(2, 2, 2)))
    as_law = RandomDiagonal([gamma_law(2.5, scale=0.8 / 2.5)])
    wishart = Wishart([[0.8]], 5)
    for n in (1, 6, AllPositions(5)):
        assert population_loss(layer, wishart, n) == pytest.approx(population_loss(layer, as_law, n), rel=1e-11)
        assert minimum_loss(wishart, n) == pytest.approx(minimum_loss(as_law, n), rel=1e-11)


def test_wishart_loss_by_cubature_of_its_factors():
    # Λ = G'G/2 with G of 2 × 2 normals: a polynomial of degree 6 in them, so four Gauss nodes each are exact.
    rng = np.random.default_rng(3)
    layer, root = LSAParameters(*rng.normal(size=(2, 3, 3))), np.linalg.cholesky(random_covariance(rng, 2))
    points, weights = np.polynomial.hermite_e.hermegauss(4)
    weights = weights / weights.sum()
    total = 0.0
    for index in np.ndindex(4, 4, 4, 4):
        G = points[list(index)].reshape(2, 2) @ root.T
        total += np.prod(weights[list(index)]) * population_loss(layer, Gaussian(G.T @ G / 2), 3)
    assert population_loss(layer, Wishart(root @ root.T, 2), 3) == pytest.approx(total, rel=1e-11)


def test_loss_over_random_rotations_by_the_trapezoidal_rule():
    rng = np.random.default_rng(4)
    layer, spectrum = LSAParameters(*rng.normal(size=(2, 3, 3))), np.array([1.3, 0.2])
    angles = np.pi * np.arange(8) / 8  # a trigonometric polynomial of degree 3 in twice the angle
    losses = []
    for angle in angles:
        Q = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        losses.append(population_loss(layer, Gaussian(Q @ np.diag(spectrum) @ Q.T), 3))
    assert population_loss(layer, RandomRotation(spectrum), 3) == pytest.approx(np.mean(losses), rel=1e-11)


def test_a_random_factor_is_a_mixture():
    layer = LSAParameters(*np.random.default_rng(5).normal(size=(2, 3, 3)))
    covariance = np.array([[1.0, 0.4], [0.4, 0.6]])
    by_law = population_loss(layer, ScaledCovariance(covariance, randint(1, 4)), 5)
    by_atoms = population_loss(layer, CovarianceMixture([covariance, 2 * covariance, 3 * covariance]), 5)
    assert by_law == pytest.approx(by_atoms, rel=1e-12)
    modes = flow_coefficients(ScaledCovariance(covariance, randint(1, 4)), 5)
    fixed = flow_coefficients(Gaussian(covariance), 5)
    np.testing.assert_allclose(modes.decay, (1 + 8 + 27) / 3 * fixed.decay, rtol=1e-12)


def test_mixtures_are_averages_and_commuting_ones_are_recognised():
    rng = np.random.default_rng(0)
    matrices, probabilities = [random_covariance(rng, 3) for _ in range(2)], [0.3, 0.7]
    layer = LSAParameters(rng.normal(size=(4, 4)), rng.normal(size=(4, 4)))
    mixture = population_loss(layer, CovarianceMixture(matrices, probabilities), 5)
    parts = [population_loss(layer, Gaussian(matrix), 5) for matrix in matrices]
    assert mixture == pytest.approx(np.dot(probabilities, parts), rel=1e-12)
    with pytest.raises(InvalidInputError, match="commute"):
        flow_coefficients(CovarianceMixture(matrices, probabilities), 5)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = CovarianceMixture([Q @ np.diag(spectrum) @ Q.T for spectrum in ([1, 1, 2], [3, 0.5, 0.5])], probabilities)
    straight = CovarianceMixture([np.diag(spectrum) for spectrum in ([1, 1, 2], [3, 0.5, 0.5])], probabilities)
    np.testing.assert_allclose(
        np.sort(flow_coefficients(turned, 5).target), np.sort(flow_coefficients(straight, 5).target), rtol=1e-12
    )


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 20))
def test_noise_and_priors(seed, d, n):
    rng = np.random.default_rng(seed)
    covariance, W, noise = random_covariance(rng, d), random_covariance(rng, d), float(rng.uniform(0, 2))
    law = Gaussian(covariance)
    K = optimal_learner(law, n, noise, W)
    # The general shift formula at Λ' = Λ_q = Λ, M = N is twice the loss that K minimises.
    risk = shift_risk(K, covariance, covariance, n, W, noise)
    assert 2 * learner_loss(K, law, n, noise, W) == pytest.approx(risk, rel=1e-9)
    assert 2 * minimum_loss(law, n, noise, W) == pytest.approx(risk, rel=1e-9)
    for _ in range(5):
        other = K + rng.normal(size=(d, d)) * rng.choice([1e-3, 0.1, 1.0])
        assert shift_risk(other, covariance, covariance, n, W, noise) >= risk * (1 - 1e-10)
    # W = ψ²I in the eigenbasis: g_i = (1 + 1/N)l_i + (trΛ + s²/ψ²)/N.
    psi2 = float(rng.uniform(0.2, 2))
    spectrum = np.linalg.eigvalsh(covariance)
    g = (1 + 1 / n) * spectrum + (spectrum.sum() + noise / psi2) / n
    learned = np.linalg.eigvalsh(optimal_learner(law, n, noise, psi2 * np.eye(d)))
    np.testing.assert_allclose(np.sort(learned), np.sort(1 / g), rtol=1e-8)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 3), st.integers(1, 9))
def test_random_covariances_with_noise_and_prior(seed, d, n):
    rng = np.random.default_rng(seed)
    W, noise = random_covariance(rng, d), float(rng.uniform(0, 1))
    for kind in ("RandomDiagonal", "CovarianceMixture"):
        law = any_law(rng, kind, d)
        K = optimal_learner(law, n, noise, W)
        least = learner_loss(K, law, n, noise, W)
        for _ in range(5):
            other = K + rng.normal(size=(d, d)) * rng.choice([1e-2, 1.0])
            assert learner_loss(other, law, n, noise, W) >= least * (1 - 1e-10)


def test_label_noise_in_the_real_forward_pass():
    # Cubature of noisy prompts: three Gauss nodes for every label's noise.
    covariance, noise, n = np.array([[1.0, 0.4], [0.4, 0.6]]), 0.5, 2
    nodes = prompt_cubature(covariance, n)
    K = optimal_learner(Gaussian(covariance), n, noise)
    points, weights = np.polynomial.hermite_e.hermegauss(3)
    total = 0.0
    for i, j in np.ndindex(3, 3):
        ys = nodes.ys + math.sqrt(noise) * points[[i, j]]
        prediction = np.einsum("ki,ij,kn,knj->k", nodes.queries, K, ys, nodes.xs) / n
        total += weights[i] * weights[j] / weights.sum() ** 2 * float(nodes.mean((prediction - nodes.targets) ** 2))
    assert total / 2 == pytest.approx(minimum_loss(Gaussian(covariance), n, noise), rel=1e-12)


def test_singular_covariances_have_the_least_minimiser():
    laws = (Gaussian(np.diag([2.0, 1.0, 0.0])), RandomDiagonal([expon(), expon(), uniform(0, 1e-300)]))
    for law in laws:
        for n in (5, math.inf):
            K = optimal_learner(law, n)
            assert np.isfinite(K).all()
            assert minimum_loss(law, n) >= 0
    assert optimal_learner(laws[0], math.inf)[2, 2] == 0
    assert minimum_loss(Gaussian(np.zeros((2, 2))), 5) == 0


def test_comparison_with_the_minimiser():
    law, n = Gaussian([[1.0, 0.3], [0.3, 0.5]]), 7
    best = minimizer(law, n)
    same = compare_to_minimizer(LSAParameters(5 * best.w_pv, best.w_kq / 5), law, n)
    assert same.learner_distance < 1e-14
    assert same.alignment == pytest.approx(1, rel=1e-14)
    assert same.scale_ratio == pytest.approx(1, rel=1e-14)
    assert abs(same.excess) < 1e-14
    a, u, U, b = best.blocks
    doubled = compare_to_minimizer(LSAParameters.from_blocks(a, 2 * u, U, b), law, n)
    assert doubled.block_distance == pytest.approx(1, rel=1e-13)
    assert doubled.scale_ratio == pytest.approx(2, rel=1e-13)
    zero = compare_to_minimizer(LSAParameters.from_blocks(a, 0.0, 0 * U, b), law, n)
    assert zero.relative_excess == pytest.approx(1, rel=1e-13)
    assert zero.alignment == 0
    rng = np.random.default_rng(0)
    layer = LSAParameters(rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))
    scaled = LSAParameters(3 * layer.w_pv, layer.w_kq / 3)
    mine, theirs = (compare_to_minimizer(x, law, 2) for x in (layer, scaled))
    for name in ("learner_distance", "block_distance", "alignment", "scale_ratio", "ab_size", "excess"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=1e-12)
    assert mine.loss == pytest.approx(cubature_loss(layer, law.covariance, 2), rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: minimizer(Gaussian(np.eye(2)), 0),
        lambda: minimizer(Gaussian(np.eye(2)), 4, noise_variance=-1.0),
        lambda: minimizer(Gaussian(np.eye(2)), 4, weight_covariance=np.eye(3)),
        lambda: minimizer(Gaussian(np.eye(2)), 4, weight_covariance=-np.eye(2)),
        lambda: compare_to_minimizer(minimizer(Gaussian(np.eye(2)), 4), Gaussian(np.zeros((2, 2))), 4),
        lambda: compare_to_minimizer(minimizer(Gaussian(np.eye(2)), 4), Gaussian(np.eye(3)), 4),
        lambda: ScaledCovariance(np.eye(2), 3.0),
        lambda: minimum_loss(Wishart(np.eye(40), 50), 4),
        lambda: minimum_loss("identity", 4),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises(InvalidInputError, match=r"^[^\n]+\.$"):
        call()
