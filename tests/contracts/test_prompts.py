"""What every law of covariates and of tasks and every shift must do, run on all of them."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iclab.foundations import Draws
from iclab.prompts import (
    SHIFTS,
    Affine,
    Autoregressive,
    CovarianceMixture,
    Covariates,
    Cubic,
    DecisionTree,
    FinitePool,
    FixedLinear,
    Gaussian,
    Linear,
    LinearClassification,
    LinearPlusQuadratic,
    Outliers,
    PromptDistribution,
    Quadratic,
    RandomDiagonal,
    RandomRotation,
    ReluNetwork,
    Scaled,
    SparseLinear,
    StudentT,
    TaskMixture,
    Tasks,
    Uniform,
    Wishart,
    shift,
)

LAMBDA = np.array([[1.0, 0.3, 0.1], [0.3, 0.7, -0.2], [0.1, -0.2, 0.5]])
IDENTITY = np.eye(3)

# With E xx' of each, None where it is infinite.
COVARIATES = {
    "gaussian": (Gaussian(LAMBDA), LAMBDA),
    "spectrum": (Gaussian.from_spectrum([2, 1, 0], np.linalg.qr(LAMBDA)[0]), None),
    "random_diagonal": (RandomDiagonal.exponential(3, 2.0), 2 * IDENTITY),
    "random_rotation": (RandomRotation([3, 1, 0]), 4 / 3 * IDENTITY),
    "mixture": (CovarianceMixture([LAMBDA, 2 * IDENTITY], [0.25, 0.75]), 0.25 * LAMBDA + 1.5 * IDENTITY),
    "wishart": (Wishart(LAMBDA, 4), LAMBDA),
    "student": (StudentT(LAMBDA, 9.0), LAMBDA * 9 / 7),
    "uniform": (Uniform(3), IDENTITY),
    "autoregressive": (Autoregressive(LAMBDA, 0.6), LAMBDA),
    "affine": (Affine(Gaussian(LAMBDA), 2.0, [1, 0, -1]), 4 * LAMBDA + np.outer([1, 0, -1], [1, 0, -1])),
}
rotation = np.linalg.qr(LAMBDA)[0]
COVARIATES["spectrum"] = (COVARIATES["spectrum"][0], rotation @ np.diag([2, 1, 0]) @ rotation.T)

TASKS = {
    "linear": Linear(),
    "linear-weighted": Linear(LAMBDA),
    "fixed": FixedLinear([1, -2, 0.5]),
    "sparse": SparseLinear(2),
    "pool": FinitePool.gaussian(4, 3, seed=3),
    "quadratic": Quadratic(),
    "relu": ReluNetwork(7),
    "tree": DecisionTree(3),
    "stump": DecisionTree(0),
    "classification": LinearClassification(),
    "mixture": TaskMixture([Linear(), Quadratic()], [0.3, 0.7]),
    "scaled": Scaled(Linear(), -3.0),
    "linear-plus-quadratic": LinearPlusQuadratic([1, 0, 0], [0, 1, 1], 0.5, LAMBDA),
    "cubic": Cubic([0.5, 0.5, 0], 0.4),
}


def covariates_of(name):
    return COVARIATES[name][0]


DISTRIBUTIONS = {
    **{f"covariates-{name}": PromptDistribution(covariates_of(name), Linear(), 0.3) for name in COVARIATES},
    **{f"tasks-{name}": PromptDistribution(Gaussian(LAMBDA), tasks, 0.3) for name, tasks in TASKS.items()},
    **{f"shift-{name}": shift(name).apply(PromptDistribution(Gaussian.isotropic(3), Linear(), 0.3)) for name in SHIFTS},
    "outliers": PromptDistribution(Gaussian(LAMBDA), Linear(), 0.3, Outliers(0.2, 5.0)),
    "composed": shift("noisyLR+half_subspace-per-prompt+random_quadrants").apply(
        PromptDistribution(Gaussian.isotropic(3), Linear())
    ),
}
EVERY = pytest.mark.parametrize("name", DISTRIBUTIONS)


def parts(prompts):
    return prompts.xs, prompts.ys, prompts.queries, prompts.targets


@EVERY
@settings(max_examples=8, deadline=None)
@given(cut=st.integers(1, 10), seed=st.integers(0, 2**32), step=st.integers(0, 5))
def test_a_prompt_is_the_same_whatever_the_split(name, cut, seed, step):
    whole = DISTRIBUTIONS[name].sample(11, 3, seed=seed, step=step)
    second = DISTRIBUTIONS[name].sample(11 - cut, 3, seed=seed, step=step, start=cut)  # out of order
    first = DISTRIBUTIONS[name].sample(cut, 3, seed=seed, step=step)
    for one, two, all_ in zip(parts(first), parts(second), parts(whole), strict=True):
        np.testing.assert_array_equal(np.concatenate([one, two]), all_)


@EVERY
def test_more_points_extend_the_same_prompt(name):
    short = DISTRIBUTIONS[name].sample(4, 2, seed=7)
    long = DISTRIBUTIONS[name].sample(4, 3, seed=7)
    for few, many in zip(parts(short), parts(long), strict=True):
        np.testing.assert_array_equal(few, many[:, :2])


@EVERY
def test_addresses_do_not_share_prompts(name):
    distribution = DISTRIBUTIONS[name]
    base = distribution.sample(3, 3, seed=1).xs
    for other in (
        distribution.sample(3, 3, seed=2),
        distribution.sample(3, 3, seed=1, step=1),
        distribution.sample(3, 3, seed=1, start=3),
        distribution.sample(3, 3, seed=1, stream="training"),
    ):
        assert not np.isclose(other.xs, base).any()


@EVERY
def test_targets_are_noise_free_and_travel(name):
    distribution = DISTRIBUTIONS[name]
    prompts = distribution.sample(5, 3, seed=4)
    assert all(part.dtype == np.float64 and np.isfinite(part).all() for part in parts(prompts))
    if not prompts.shifted_queries:
        residual = prompts.ys - prompts.targets
        assert 0.01 < np.abs(residual).max() < 30
    again = pickle.loads(pickle.dumps(distribution)).sample(5, 3, seed=4)
    np.testing.assert_array_equal(again.ys, prompts.ys)


@pytest.mark.parametrize("name", COVARIATES)
def test_second_moment(name):
    law, expected = COVARIATES[name]
    assert isinstance(law, Covariates)
    n = 40_000
    xs = law.sample(Draws(5, count=n), 2)
    assert xs.shape == (n, 2, 3)
    products = xs[:, 1, :, None] * xs[:, 1, None, :]  # the second input: stationarity too
    stderr = products.std(axis=0) / np.sqrt(n) + 1e-12
    assert (np.abs(products.mean(axis=0) - expected) < 4.5 * stderr).all()


@pytest.mark.parametrize("name", TASKS)
def test_mean_square(name):
    tasks = TASKS[name]
    assert isinstance(tasks, Tasks)
    n = 40_000
    squares = PromptDistribution(Gaussian(LAMBDA), tasks).sample(n, 1, seed=6).targets[:, 0] ** 2
    assert abs(squares.mean() - tasks.mean_square(LAMBDA)) < 4.5 * squares.std() / np.sqrt(n) + 1e-12


@pytest.mark.parametrize("name", SHIFTS)
def test_zero_error_of_shift(name):
    member = shift(name)
    base = PromptDistribution(Gaussian.isotropic(4, 1.5), Linear(), 0.2)
    expected = member.zero_error(base)
    assert member.name == name
    assert member.definition.endswith(".")
    if expected is None:
        assert member.changes == ("task",)
        return
    n = 20_000
    squares = member.apply(base).sample(n, 3, seed=8).targets[:, 2] ** 2
    assert abs(squares.mean() - expected) < 4.5 * squares.std() / np.sqrt(n)
