"""Separate keys and queries: invariants, the chain rule, plateaus at known heights, and the best rank-r end."""

import numpy as np
import pytest

from iclab.flow import factored_flow
from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian
from iclab.theory import flow_coefficients, population_loss

COVARIATES = Gaussian(np.diag([1.0, 0.6, 0.3]))


def _small(rank, scale, seed=0):
    rng = np.random.default_rng(seed)
    key, query = np.zeros((rank, 4)), np.zeros((rank, 3))
    key[:, :3], query[:] = scale * rng.standard_normal((2, rank, 3))
    return np.array([0, 0, 0, scale]), key, query


def test_conserved_quantities_and_decreasing_loss():
    rng = np.random.default_rng(3)
    initial = (0.5 * rng.standard_normal(4), 0.5 * rng.standard_normal((2, 4)), 0.5 * rng.standard_normal((2, 3)))
    flow = factored_flow(initial, COVARIATES, 8, 20.0)
    t = np.linspace(0, 20, 12)
    balances, difference = flow.conserved(t)
    assert np.abs(balances - balances[0]).max() < 1e-7
    assert np.abs(difference - difference[0]).max() < 1e-7
    assert (np.diff(flow.excess(t)) <= 1e-12).all()
    assert flow.excess(7.0)[0] + population_loss(flow.parameters(0.0), COVARIATES, 8) - flow.excess(0.0)[
        0
    ] == pytest.approx(population_loss(flow.parameters(7.0), COVARIATES, 8))


def test_speed_is_the_squared_gradient():
    """d/dt L = −‖∇L‖²: the loss falls as the speed of all factors says, so the chain rule is right."""
    rng = np.random.default_rng(4)
    initial = (rng.standard_normal(4), rng.standard_normal((3, 4)), rng.standard_normal((3, 3)))
    h = 1e-5
    flow = factored_flow(initial, COVARIATES, 8, 1.0, tolerance=1e-12)
    before, after = (np.concatenate([x.ravel() for x in flow.factors(0.3 + s * h)]) for s in (-1, 1))
    speed = np.sum(((after - before) / (2 * h)) ** 2)
    fall = (flow.excess(0.3 - h) - flow.excess(0.3 + h)) / (2 * h)
    assert fall[0] == pytest.approx(speed, rel=1e-5)


@pytest.mark.parametrize("rank", [1, 2])
def test_rank_r_ends_at_the_best_r_directions(rank):
    """Unlearned directions leave ½ Σ ξ_i²/k_ii; from small weights the strongest are learned first."""
    flow = factored_flow(_small(rank, 0.05), COVARIATES, 8, 150.0)
    coefficients = flow_coefficients(COVARIATES, 8)
    gains = coefficients.drive**2 / np.diagonal(coefficients.decay) / 2
    assert flow.excess(150.0)[0] == pytest.approx(gains[rank:].sum(), rel=1e-7)
    assert np.linalg.matrix_rank(flow.parameters(150.0).blocks[2], tol=1e-3) == rank


def test_full_rank_passes_the_plateaus():
    """From small weights the loss waits at the height of each rank before it falls to the next."""
    covariates = Gaussian(np.diag([1.0, 0.4]))
    rng = np.random.default_rng(1)
    key, query = np.zeros((2, 3)), np.zeros((2, 2))
    key[:, :2], query[:] = 0.01 * rng.standard_normal((2, 2, 2))
    flow = factored_flow((np.array([0, 0, 0.01]), key, query), covariates, 8, 300.0, tolerance=1e-8)
    coefficients = flow_coefficients(covariates, 8)
    gains = coefficients.drive**2 / np.diagonal(coefficients.decay) / 2
    excess = flow.excess(np.linspace(0, 300, 300))
    shares = [np.mean(np.abs(excess / height - 1) < 0.05) for height in (gains.sum(), gains[1])]
    assert shares[0] > 0.3
    assert shares[1] > 0.04
    # A straight passage would spend far less: the fall between the plateaus takes few of the samples.
    assert np.mean((excess > 1.05 * gains[1]) & (excess < 0.95 * gains.sum())) < 0.5 * sum(shares)
    assert excess[-1] < 1e-9


@pytest.mark.parametrize(("index", "shape"), [(0, 3), (1, (2, 3)), (2, (3, 3))])
def test_bad_shapes(index, shape):
    initial = list(_small(2, 0.1))
    initial[index] = np.zeros(shape)
    with pytest.raises(InvalidInputError, match="shape"):
        factored_flow(tuple(initial), COVARIATES, 8, 1.0)
