"""One changed label, or several: what the learner then predicts is the target, and no smaller change does it."""

import math

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from iclab.foundations import InvalidInputError
from iclab.predictors import Averaging, GradientDescent, LeastSquares, NearestNeighbors, Ridge, TrainedLSA
from iclab.prompts import Gaussian, Prompts
from iclab.theory import (
    LSAParameters,
    gamma,
    label_attack,
    label_attack_sizes,
    label_influence,
    minimal_label_attack,
    minimizer,
    predict,
)

D, M, BATCH = 3, 7, 5
RNG = np.random.default_rng(11)
COVARIANCE = np.diag([1.0, 0.5, 2.0])
XS = RNG.standard_normal((BATCH, M, D))
YS = RNG.standard_normal((BATCH, M))
QUERIES = RNG.standard_normal((BATCH, D))
TARGETS = np.linspace(-3, 4, BATCH)
KERNEL = RNG.standard_normal((D, D))
PREDICTORS = {
    "least squares": LeastSquares(),
    "ridge": Ridge(0.3),
    "averaging": Averaging(),
    "descent": GradientDescent(3, 0.1),
    "neighbours": NearestNeighbors(2),
    "layer": TrainedLSA(minimizer(Gaussian(COVARIANCE), M)),
}


def answer(learner, xs, ys, queries):
    """The prediction by the learner's own code."""
    if isinstance(learner, LSAParameters):
        return predict(learner, xs, ys, queries)
    if callable(learner):
        points = np.concatenate([xs, queries[:, None]], axis=1)
        labels = np.concatenate([ys, np.zeros((len(ys), 1))], axis=1)
        return learner(Prompts(points, labels, points, labels))[:, -1]
    return np.einsum("bi,ij,bmj,bm->b", queries, learner, xs, ys) / xs.shape[1]


def layer(b_scale=0.0, seed=5):
    rng = np.random.default_rng(seed)
    return LSAParameters.from_blocks(
        rng.standard_normal(D), 0.8, rng.standard_normal((D, D)), b_scale * rng.standard_normal(D)
    )


LEARNERS = {**PREDICTORS, "matrix": KERNEL, "parameters": minimizer(Gaussian(COVARIANCE), M), "a not 0": layer()}


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "neighbours"])
@pytest.mark.parametrize("position", [0, 3, M - 1])
def test_one_label_forces_the_prediction(name, position):
    learner = LEARNERS[name]
    changed = YS.copy()
    changed[:, position] = label_attack(learner, XS, YS, QUERIES, position, TARGETS)
    size = 1 + np.abs(changed).max(axis=1)
    assert np.all(np.abs(answer(learner, XS, changed, QUERIES) - TARGETS) < 1e-11 * size)


def test_closed_forms():
    """The two formulas of Anwar et al., written out."""
    x, y, query = XS[0], YS[0], QUERIES[0]
    G = gamma(COVARIANCE, M)
    fit = query @ np.linalg.solve(G, x.T @ y) / M
    expected = y[2] + M * (5 - fit) / (query @ np.linalg.solve(G, x[2]))
    assert label_attack(np.linalg.inv(G), x, y, query, 2, 5.0) == pytest.approx(expected, rel=1e-12)
    assert label_attack(minimizer(Gaussian(COVARIANCE), M), x, y, query, 2, 5.0) == pytest.approx(expected, rel=1e-12)
    gram = x.T @ x
    fit = query @ np.linalg.solve(gram, x.T @ y)
    expected = y[4] + (5 - fit) / (query @ np.linalg.solve(gram, x[4]))
    assert label_attack(LeastSquares(), x, y, query, 4, 5.0) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", LEARNERS)
def test_influence_is_the_derivative(name):
    learner = LEARNERS[name]
    influence = label_influence(learner, XS, QUERIES)
    for j in range(M):
        more = YS.copy()
        more[:, j] += 1
        change = answer(learner, XS, more, QUERIES) - answer(learner, XS, YS, QUERIES)
        assert influence[:, j] == pytest.approx(change, abs=1e-12)


def test_layers_with_b_are_quadratic():
    """The nearest of the two roots, against numpy's; a target beyond the vertex is refused."""
    parameters = layer(b_scale=1.0)
    moved = YS.copy()
    moved[:, 1] += 0.7
    targets = answer(parameters, XS, moved, QUERIES)
    new = label_attack(parameters, XS, YS, QUERIES, 1, targets)
    for k in range(BATCH):

        def respond(label, k=k):
            labels = YS[k].copy()
            labels[1] = label
            return float(predict(parameters, XS[k], labels, QUERIES[k]))

        low, middle, high = (respond(v) - targets[k] for v in (-1, 0, 1))
        roots = np.roots([(low + high) / 2 - middle, (high - low) / 2, middle])
        assert new[k] == pytest.approx(roots[np.argmin(np.abs(roots - YS[k, 1]))].real, rel=1e-8)
    curvature = float(QUERIES[0] @ parameters.blocks[3]) * parameters.blocks[1]
    with pytest.raises(InvalidInputError, match="target must be reached"):
        label_attack(parameters, XS[0], YS[0], QUERIES[0], 1, -1e6 * np.sign(curvature))


@pytest.mark.parametrize("norm", [1, 2, math.inf])
def test_several_labels_share_the_least_change(norm):
    learner, positions = LEARNERS["parameters"], [1, 4, 6]
    attack = minimal_label_attack(learner, XS, YS, QUERIES, positions, TARGETS, norm)
    assert answer(learner, XS, attack.labels, QUERIES) == pytest.approx(TARGETS, rel=1e-10)
    moved = attack.labels - YS
    assert np.all(np.delete(moved, positions, axis=1) == 0)
    assert attack.size == pytest.approx(np.linalg.norm(moved, norm, axis=1))
    c = label_influence(learner, XS, QUERIES)[:, positions]
    gap = TARGETS - answer(learner, XS, YS, QUERIES)
    for k in range(BATCH):  # an independent optimiser
        if norm == 2:
            least = np.linalg.norm(
                minimize(
                    lambda v: v @ v, np.ones(3), constraints={"type": "eq", "fun": lambda v, k=k: c[k] @ v - gap[k]}
                ).x
            )
        elif norm == 1:
            least = linprog(np.ones(6), A_eq=[np.r_[c[k], -c[k]]], b_eq=[gap[k]]).fun
        else:
            bound = np.vstack([np.c_[np.eye(3), -np.ones(3)], np.c_[-np.eye(3), -np.ones(3)]])
            least = linprog(
                [0, 0, 0, 1],
                A_ub=bound,
                b_ub=np.zeros(6),
                A_eq=[np.r_[c[k], 0]],
                b_eq=[gap[k]],
                bounds=[(None, None)] * 3 + [(0, None)],
            ).fun
        assert attack.size[k] == pytest.approx(least, rel=1e-5)


@pytest.mark.parametrize("norm", [1, 2, math.inf])
def test_sizes_by_number_are_the_best_over_all_positions(norm):
    learner = LEARNERS["ridge"]
    sizes = label_attack_sizes(learner, XS, YS, QUERIES, TARGETS, norm)
    singles = np.stack([np.abs(label_attack(learner, XS, YS, QUERIES, j, TARGETS) - YS[:, j]) for j in range(M)])
    assert sizes[:, 0] == pytest.approx(singles.min(axis=0), rel=1e-10)
    pairs = [
        minimal_label_attack(learner, XS, YS, QUERIES, [i, j], TARGETS, norm).size for i in range(M) for j in range(i)
    ]
    assert sizes[:, 1] == pytest.approx(np.min(pairs, axis=0), rel=1e-10)
    everything = minimal_label_attack(learner, XS, YS, QUERIES, range(M), TARGETS, norm)
    assert sizes[:, -1] == pytest.approx(everything.size, rel=1e-10)


def test_one_target_for_a_batch_and_many_for_one_prompt():
    learner = LEARNERS["matrix"]
    many = label_attack(learner, XS[0], YS[0], QUERIES[0], 2, TARGETS)
    assert many == pytest.approx([label_attack(learner, XS[0], YS[0], QUERIES[0], 2, t) for t in TARGETS])
    assert label_attack(learner, XS, YS, QUERIES, 2, 1.0).shape == (BATCH,)


@pytest.mark.parametrize("position", [-1, M, 1.5])
def test_positions_outside_the_context(position):
    with pytest.raises(InvalidInputError, match="position must be"):
        label_attack(KERNEL, XS, YS, QUERIES, position, 1.0)


def test_labels_without_influence():
    x = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    query = np.array([1.0, 0.0, 0.0])
    for learner in (np.eye(3), Averaging(), LeastSquares()):
        with pytest.raises(InvalidInputError, match="no finite label reaches the target"):
            label_attack(learner, x, [1.0, 2.0, 3.0], query, 1, 5.0)
    assert np.isinf(label_attack_sizes(np.eye(3), x[1:2], [1.0], query, 5.0)).all()
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    with pytest.raises(InvalidInputError, match="no finite label"):
        label_attack(np.eye(3), x @ turned, [1.0, 2.0, 3.0], query @ turned, 1, 5.0)


def test_what_is_not_affine_is_refused():
    def squares(prompts):
        return np.cumsum(prompts.ys**2, axis=1) - prompts.ys**2

    with pytest.raises(InvalidInputError, match="affine in the labels"):
        label_attack(squares, XS, YS, QUERIES, 0, 1.0)
    with pytest.raises(InvalidInputError, match="b = 0"):
        label_influence(layer(b_scale=1.0), XS, QUERIES)
    with pytest.raises(InvalidInputError, match="array of shape"):
        label_attack(lambda prompts: prompts.ys[:, -1], XS, YS, QUERIES, 0, 1.0)


def test_other_bad_input():
    with pytest.raises(InvalidInputError, match="at least 1"):
        label_attack(KERNEL, XS[:, :0], YS[:, :0], QUERIES, 0, 1.0)
    with pytest.raises(InvalidInputError, match="positions must be different"):
        minimal_label_attack(KERNEL, XS, YS, QUERIES, [1, 1], 1.0)
    with pytest.raises(InvalidInputError, match="norm must be"):
        minimal_label_attack(KERNEL, XS, YS, QUERIES, [1], 1.0, norm=3)
    with pytest.raises(InvalidInputError, match="target must be finite"):
        label_attack(KERNEL, XS, YS, QUERIES, 0, math.nan)
    with pytest.raises(InvalidInputError, match="broadcast"):
        label_attack(KERNEL, XS, YS, QUERIES, 0, [1.0, 2.0])
    with pytest.raises(InvalidInputError, match="learner"):
        label_attack(np.eye(4), XS, YS, QUERIES, 0, 1.0)
    with pytest.raises(InvalidInputError, match="finite"):
        label_attack(KERNEL, XS * np.nan, YS, QUERIES, 0, 1.0)
