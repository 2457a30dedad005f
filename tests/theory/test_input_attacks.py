"""Changed inputs: what is then predicted is the target, no nearer input does it, and refusals are right."""

import numpy as np
import pytest
from scipy.optimize import minimize

from iclab.foundations import InvalidInputError
from iclab.theory import context_attack, query_attack, ridge_attack
from iclab.theory.input_attacks import _nearest_on_quadric

D, M = 3, 7
RNG = np.random.default_rng(2)
K = RNG.standard_normal((D, D))
XS, YS, QUERY = RNG.standard_normal((M, D)), RNG.standard_normal(M), RNG.standard_normal(D)


def ridge(xs, ys, query, penalty):
    return float(query @ np.linalg.solve(xs.T @ xs + penalty * np.eye(D), xs.T @ ys))


@pytest.mark.parametrize("position", [0, 4, M - 1])
def test_context_of_a_linear_learner(position):
    attack = context_attack(K, XS, YS, QUERY, position, 5.0)
    changed = XS.copy()
    changed[position] = attack.x
    prediction = QUERY @ K @ changed.T @ YS / M
    assert prediction == pytest.approx(5, rel=1e-12)
    change = attack.x - XS[position]
    assert np.linalg.norm(change) == pytest.approx(attack.size)
    key = K.T @ QUERY  # the change is along the gradient, so that it is the smallest of a linear equation
    assert abs(change @ key) == pytest.approx(np.linalg.norm(change) * np.linalg.norm(key))


def test_query_of_least_squares():
    w = np.linalg.lstsq(XS, YS)[0]
    attack = query_attack(w, QUERY, -2.0)
    assert attack.x @ w == pytest.approx(-2, rel=1e-12)
    assert attack.size == pytest.approx(abs(-2 - QUERY @ w) / np.linalg.norm(w))


def predict(z, penalty):
    moved = XS.copy()
    moved[2] = z
    return ridge(moved, YS, QUERY, penalty)


@pytest.mark.parametrize("penalty", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_context_of_ridge_regression(penalty, seed):
    """The prediction is that of a drawn input, and a constrained optimiser from many starts finds nothing nearer."""
    rng = np.random.default_rng(seed)
    target = predict(2 * rng.standard_normal(D), penalty)
    attack = ridge_attack(penalty, XS, YS, QUERY, 2, target)
    assert predict(attack.x, penalty) == pytest.approx(target, rel=1e-9)
    found = [
        minimize(
            lambda z: np.sum((z - XS[2]) ** 2),
            XS[2] + rng.standard_normal(D),
            constraints={"type": "eq", "fun": lambda z: predict(z, penalty) - target},
            options={"maxiter": 300, "ftol": 1e-12},
        )
        for _ in range(12)
    ]
    best = min(np.sqrt(run.fun) for run in found if abs(predict(run.x, penalty) - target) < 1e-8)
    assert attack.size <= best * (1 + 1e-6)
    assert best == pytest.approx(attack.size, rel=1e-3)


def test_the_range_of_ridge_regression():
    """What an optimiser of the prediction finds is reached, and a little more is refused."""
    starts = 3 * np.random.default_rng(0).standard_normal((20, D))
    top = -min(minimize(lambda z: -predict(z, 0.1), start).fun for start in starts)
    assert predict(ridge_attack(0.1, XS, YS, QUERY, 2, top - 1e-6).x, 0.1) == pytest.approx(top - 1e-6, abs=1e-9)
    with pytest.raises(InvalidInputError, match="target must be reached"):
        ridge_attack(0.1, XS, YS, QUERY, 2, top + 1e-6)


def test_targets_out_of_reach_of_ridge_regression():
    """One dimension, one other example: ŷ(z) = x_q(xy + z y_j)/(x² + z² + λ) is bounded, with known extremes."""
    x, y, label, penalty = 1.0, 0.5, 2.0, 0.3
    z = np.linspace(-20, 20, 400_001)
    predictions = (x * y + z * label) / (x**2 + z**2 + penalty)
    top = predictions.max()
    attack = ridge_attack(penalty, [[x], [0.4]], [y, label], [1.0], 1, 0.999 * top)
    nearest = z[predictions >= 0.999 * top]
    assert attack.x[0] == pytest.approx(nearest[np.argmin(np.abs(nearest - 0.4))], abs=1e-3)
    with pytest.raises(InvalidInputError, match="target must be reached"):
        ridge_attack(penalty, [[x], [0.4]], [y, label], [1.0], 1, 1.001 * top)


@pytest.mark.parametrize("seed", range(6))
def test_nearest_points_of_quadrics(seed):
    """Against many points of the quadric along random directions."""
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((3, 3))
    B, h, c = B + B.T, rng.standard_normal(3), float(rng.standard_normal())
    delta = _nearest_on_quadric(B, h, c)
    assert delta @ B @ delta + h @ delta + c == pytest.approx(0, abs=1e-9)
    directions = rng.standard_normal((200_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    second, first = np.einsum("nd,de,ne->n", directions, B, directions), directions @ h
    root = first**2 - 4 * second * c
    steps = np.array([(-first + s * np.sqrt(np.maximum(root, 0))) / (2 * second) for s in (1, -1)])
    lengths = np.where(root >= 0, np.abs(steps), np.inf).min()
    size = np.linalg.norm(delta)
    assert size <= lengths * (1 + 1e-12)
    assert lengths == pytest.approx(size, rel=0.01)


def test_hard_case_of_the_quadric():
    """No linear part along the lowest eigenvector: 1 − x² + y² + y = 0 is nearest at x² = 1 + y + y², by hand."""
    delta = _nearest_on_quadric(np.diag([-1.0, 1.0]), np.array([0.0, 1.0]), 1.0)
    y = np.linspace(-2, 2, 100_001)
    assert np.linalg.norm(delta) == pytest.approx(np.sqrt(1 + y + 2 * y**2).min(), rel=1e-8)
    assert delta @ np.diag([-1.0, 1.0]) @ delta + delta[1] + 1 == pytest.approx(0, abs=1e-12)
    assert _nearest_on_quadric(np.eye(2), np.zeros(2), 1.0) is None


def test_bad_input():
    with pytest.raises(InvalidInputError, match="position must be one of the 7 examples"):
        context_attack(K, XS, YS, QUERY, 7, 1.0)
    with pytest.raises(InvalidInputError, match="label other than 0"):
        context_attack(K, XS, np.zeros(M), QUERY, 1, 1.0)
    with pytest.raises(InvalidInputError, match="weights must not be zero"):
        query_attack(np.zeros(2), np.ones(2), 1.0)
    with pytest.raises(InvalidInputError, match="penalty must be positive"):
        ridge_attack(0.0, XS[:3], YS[:3], QUERY, 1, 1.0)
    with pytest.raises(InvalidInputError, match="shape"):
        ridge_attack(0.1, XS, YS[:3], QUERY, 1, 1.0)
