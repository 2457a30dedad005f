"""Risks under attack against drawn prompts, limits, and the best layer."""

import math

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.prompts import Gaussian
from iclab.theory import attacked_risk, learner_risk, minimal_label_attack, robust_layer


def drawn(K, d, M, budget, n, seed):
    """(|ŷ − w'x_q| + ε‖c‖)² of n prompts."""
    rng = np.random.default_rng(seed)
    xs, w, query = rng.standard_normal((n, M, d)), rng.standard_normal((n, d)), rng.standard_normal((n, d))
    c = np.einsum("nd,de,nme->nm", query, K, xs) / M
    error = np.einsum("nm,nmd,nd->n", c, xs, w) - np.einsum("nd,nd->n", query, w)
    return (np.abs(error) + budget * np.linalg.norm(c, axis=1)) ** 2


@pytest.mark.parametrize(("d", "M"), [(1, 3), (2, 4), (3, 1), (5, 12)])
@pytest.mark.parametrize("budget", [0.0, 0.5, 3.0])
def test_against_drawn_prompts(d, M, budget):
    values = drawn(0.6 * np.eye(d), d, M, budget, 40_000, 1)
    z = (values.mean() - attacked_risk(0.6, d, M, budget)) / (values.std() / math.sqrt(len(values)))
    assert abs(z) < 4


def test_attacks_reach_the_worst_case():
    """A change of norm ε of the labels that moves ŷ away from the target by ε‖c‖, by the attack itself."""
    rng = np.random.default_rng(3)
    xs, ys, query = rng.standard_normal((6, 3)), rng.standard_normal(6), rng.standard_normal(3)
    c = xs @ query / 6
    attack = minimal_label_attack(np.eye(3), xs, ys, query, range(6), c @ ys + 0.7 * np.linalg.norm(c))
    assert attack.size == pytest.approx(0.7)


def test_without_attack_it_is_the_minimiser():
    layer = robust_layer(4, 10, 0.0)
    assert layer.coefficient == pytest.approx(1 / 1.5)
    assert layer.clean == layer.attacked
    assert layer.clean == pytest.approx(learner_risk(layer.coefficient * np.eye(4), Gaussian(np.eye(4)), 10))
    assert attacked_risk(0.3, 4, 10, 0.0) == pytest.approx(learner_risk(0.3 * np.eye(4), Gaussian(np.eye(4)), 10))


def test_the_robust_layer_is_the_best_of_all_layers():
    """Stationary in k, and better on the same drawn prompts than layers that are no multiple of I."""
    d, M, budget = 3, 8, 1.0
    layer = robust_layer(d, M, budget)
    k = layer.coefficient
    assert layer.attacked < min(attacked_risk(k + 0.01, d, M, budget), attacked_risk(k - 0.01, d, M, budget))
    plain = 1 / (1 + (d + 1) / M)
    assert layer.attacked < attacked_risk(plain, d, M, budget)
    assert layer.clean > robust_layer(d, M, 0.0).clean
    base = drawn(k * np.eye(d), d, M, budget, 40_000, 5)
    for seed in range(3):
        S = np.random.default_rng(seed).standard_normal((d, d))
        other = drawn(k * (np.eye(d) + 0.3 * S), d, M, budget, 40_000, 5)
        difference = other - base
        assert difference.mean() > 4 * difference.std() / math.sqrt(len(difference))


def test_beyond_some_budget_the_best_layer_predicts_zero():
    assert robust_layer(3, 8, 50.0).coefficient == 0.0
    assert robust_layer(3, 8, 50.0).attacked == 3.0
    coefficients = [robust_layer(3, 8, budget).coefficient for budget in (0, 0.5, 1, 2)]
    assert (np.diff(coefficients) < 0).all()


def test_bad_input():
    with pytest.raises(InvalidInputError, match="budget must be at least 0"):
        robust_layer(3, 8, -1)
    with pytest.raises(InvalidInputError, match="n_test must be at least 1"):
        attacked_risk(1.0, 3, 0, 1)
