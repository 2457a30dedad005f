"""Where the posterior has no closed form: what comes near it, against brute force at small size."""

from itertools import product

import numpy as np
import pytest
from scipy.special import expit, softmax

from iclab.evaluation import differences, error_curve
from iclab.foundations import InvalidInputError
from iclab.predictors import (
    ArcCosine,
    ClassificationEP,
    KernelRegression,
    LowRankParticles,
    Ridge,
    SharedLeaf,
    TreeBayes,
    bayes_predictor,
    near_bayes,
    rivals,
)
from iclab.prompts import (
    Binary,
    DecisionTree,
    Gaussian,
    Linear,
    LinearClassification,
    LowRank,
    PromptDistribution,
    ReluNetwork,
)


def by_brute_force(prompts, weights, likelihood):
    """P(class 1) at every position, from many weights of the prior; likelihood of class 1 by w'x."""
    found = np.empty(prompts.ys.shape)
    for b in range(len(prompts)):
        one = likelihood(prompts.xs[b] @ weights)  # (P, K)
        asked = likelihood(prompts.queries[b] @ weights)
        terms = np.log(np.maximum(np.where(prompts.ys[b][:, None] == 1, one, 1 - one), 1e-300))
        logs = np.cumsum(np.concatenate([np.zeros((1, terms.shape[1])), terms[:-1]]), axis=0)
        found[b] = (softmax(logs, axis=1) * asked).sum(axis=1)
    return found


def plane():
    """Directions and lengths of w ~ N(0, I) in the plane: quadrature by angle, quantiles of the length."""
    angles = (np.arange(720) + 0.5) * 2 * np.pi / 720
    lengths = np.sqrt(-2 * np.log1p(-(np.arange(40) + 0.5) / 40))
    return np.stack([np.outer(np.cos(angles), lengths).ravel(), np.outer(np.sin(angles), lengths).ravel()])


@pytest.mark.parametrize("link", ["sign", "logistic"])
@pytest.mark.parametrize("flips", [0.0, 0.2])
@pytest.mark.parametrize("dimension", [2, 4])
def test_expectation_propagation_is_near_the_posterior(link, flips, dimension):
    law = PromptDistribution(Gaussian.isotropic(dimension), Binary(Linear(), link, flips, slope=2.0))
    prompts = law.sample(20, 9, seed=0)
    own = near_bayes(law)["expectation_propagation"](prompts)
    weights = plane() if dimension == 2 else np.random.default_rng(0).standard_normal((dimension, 40_000))

    def likelihood(values):
        return flips + (1 - 2 * flips) * ((values >= 0) if link == "sign" else expit(2 * values))

    error = np.abs(own[..., 1] - by_brute_force(prompts, weights, likelihood))
    # A Gaussian has no edges; of 40 000 weights about 150 are left after eight halvings.
    assert error.mean() < (0.006 if link == "logistic" else {2: 0.04, 4: 0.02}[dimension])
    np.testing.assert_allclose(own[:, 0], 0.5, atol=1e-12)


def test_one_example_of_a_sign_by_the_arc_it_leaves():
    law = PromptDistribution(Gaussian.isotropic(3), Binary(Linear()))
    prompts = law.sample(200, 2, seed=1)
    x, q = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (prompts.xs[:, 0], prompts.xs[:, 1]))
    cosine = (2 * prompts.ys[:, 0] - 1) * (x * q).sum(axis=1)
    exact = 0.5 + np.arcsin(cosine) / np.pi
    # Exact where the query is orthogonal to the example; a Gaussian misses most where they are nearly parallel.
    error = np.abs(ClassificationEP()(prompts)[:, 1, 1] - exact)
    assert error[np.abs(cosine) < 0.5].max() < 0.003
    assert error.max() < 0.1


def test_labels_of_one_and_minus_one_are_the_two_classes():
    law = PromptDistribution(Gaussian.isotropic(3), LinearClassification())
    prompts = law.sample(10, 8, seed=2)
    classes = PromptDistribution(Gaussian.isotropic(3), Binary(Linear())).sample(10, 8, seed=2)
    found = near_bayes(law)["expectation_propagation"](prompts)
    np.testing.assert_allclose(found, 2 * ClassificationEP()(classes)[..., 1] - 1, rtol=1e-12)
    worse = differences(
        {"ep": near_bayes(law)["expectation_propagation"], "ridge": Ridge(1.0)}, {"law": law}, 12,
        baseline="ep", n_prompts=300, seed=0,
    ).set_index("position")  # fmt: skip
    assert worse.loc[11, "lower"] > 0


def test_weights_of_another_covariance_are_asked_in_their_own_inputs():
    covariance = np.diag([4.0, 0.25])
    law = PromptDistribution(Gaussian.isotropic(2), Binary(Linear(covariance)))
    prompts = law.sample(20, 6, seed=3)
    weights = np.diag([2.0, 0.5]) @ plane()
    exact = by_brute_force(prompts, weights, lambda values: values >= 0)
    assert np.abs(near_bayes(law)["expectation_propagation"](prompts)[..., 1] - exact).mean() < 0.04


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_trees_are_those_of_conditioning_on_each_ones_labels(depth, noise):
    """Given its splits, labels are Gaussian with covariance 1 within a leaf: trees are weighed by their density."""
    law = PromptDistribution(Gaussian.isotropic(3), DecisionTree(depth), noise)
    prompts = law.sample(4, 6, seed=depth)
    found = bayes_predictor(law)(prompts)
    splits = list(product(range(3), repeat=2**depth - 1))
    jitter = noise**2 or 1e-11
    for b in range(4):
        logs, means = [], []
        for tree in splits:
            leaves = []
            for x in prompts.xs[b]:
                node = 0
                for _ in range(depth):
                    node = 2 * node + 1 + int(x[tree[node]] > 0)
                leaves.append(node)
            shared = np.equal.outer(leaves, leaves).astype(float)
            gram, y = shared[:5, :5] + jitter * np.eye(5), prompts.ys[b, :5]
            solved = np.linalg.solve(gram, y)
            logs.append(-0.5 * (y @ solved + np.linalg.slogdet(gram)[1]))
            means.append(shared[5, :5] @ solved)
        assert found[b, 5] == pytest.approx(softmax(logs) @ np.array(means), abs=1e-4)


@pytest.mark.parametrize(
    ("tasks", "kernel", "dimension"),
    [(ReluNetwork(7), ArcCosine(), 3), (DecisionTree(3), SharedLeaf(3), 4)],
    ids=["network", "tree"],
)
def test_kernels_are_the_covariances_of_the_labels(tasks, kernel, dimension):
    law = PromptDistribution(Gaussian.isotropic(dimension), tasks)
    xs = law.sample(1, 3, seed=0).xs
    from iclab.foundations import Draws

    values = tasks.draw(Draws(1, "evaluation", 0, 0, 20_000), dimension)(np.repeat(xs, 20_000, axis=0))
    products = values[:, :, None] * values[:, None]
    error = products.std(axis=0) / np.sqrt(len(values))
    assert (np.abs(products.mean(axis=0) - kernel(xs, xs)[0]) < 4.5 * error + 1e-12).all()


def test_kernel_regression_is_conditioning_and_of_a_linear_kernel_ridge():
    law = PromptDistribution(Gaussian.isotropic(3), Linear(), 0.5)
    prompts = law.sample(3, 8, seed=0)
    linear = KernelRegression(lambda xs, others: xs @ others.mT, 0.5)
    np.testing.assert_allclose(linear(prompts), Ridge(0.25)(prompts), atol=1e-7)


@pytest.mark.parametrize("tasks", [ReluNetwork(20), DecisionTree(4), LowRank(2, 2)], ids=str)
def test_what_is_best_linear_in_the_labels_is_better_than_another_ridge(tasks):
    law = PromptDistribution(Gaussian.isotropic(4), tasks, 0.3)
    own = near_bayes(law)["best_linear_in_labels"]
    worse = differences({"own": own, "ridge": Ridge(1.0)}, {"law": law}, 9, baseline="own", n_prompts=800, seed=0)
    assert worse.set_index("position").loc[8, "upper"] > 0
    assert worse.set_index(["predictor", "position"]).loc[("ridge", 8), "lower"] > -1e-3


def test_particles_come_near_the_posterior_of_low_rank():
    law = PromptDistribution(Gaussian.isotropic(4), LowRank(2, 2), 0.5)
    prompts = law.sample(12, 5, seed=0)
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, 100_000, 2))
    weights = (u[:, :, None] * v[:, None]).reshape(-1, 4)
    exact = np.empty((12, 5))
    for b in range(12):
        values = prompts.xs[b] @ weights.T
        for i in range(5):
            logs = -0.5 * ((values[:i] - prompts.ys[b, :i, None]) / 0.5) ** 2
            exact[b, i] = softmax(logs.sum(axis=0)) @ values[i]
    errors = [np.abs(LowRankParticles(2, 2, 1, 0.5, particles=n)(prompts) - exact).mean() for n in (16, 1024)]
    assert errors[1] < 0.06
    assert errors[1] < errors[0] / 2
    assert errors[1] < np.abs(Ridge(0.25)(prompts) - exact).mean() / 4
    # A prompt's answers do not depend on its batch.
    one = law.sample(1, 5, seed=0, start=3)
    few = LowRankParticles(2, 2, 1, 0.5, particles=32)
    np.testing.assert_allclose(few(one)[0], few(prompts)[3], rtol=1e-9)


def test_particles_beat_the_best_linear_predictor():
    law = PromptDistribution(Gaussian.isotropic(9), LowRank(3, 3), 1.0)
    table = differences(near_bayes(law), {"law": law}, 14, baseline="particles", n_prompts=80, seed=0)
    assert table.set_index("position").loc[13, "lower"] > 0


def test_large_trees_are_refused_with_what_to_take():
    law = PromptDistribution(Gaussian.isotropic(20), DecisionTree(4))
    with pytest.raises(InvalidInputError, match="none is for"):
        bayes_predictor(law)
    with pytest.raises(InvalidInputError, match="KernelRegression"):
        TreeBayes(4)(law.sample(1, 3, seed=0))
    assert "best_linear_in_labels" in rivals(law, 40)
    assert error_curve(near_bayes(law)["best_linear_in_labels"], law, 5, n_prompts=50, seed=0).mean[4] < 1.5
