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
    Binary,
    BurstyClasses,
    Categories,
    CentredLinear,
    Conjunction,
    CovarianceMixture,
    Covariates,
    CovariatesMixture,
    Cubic,
    DecisionTree,
    Disjunction,
    FinitePool,
    FixedLinear,
    FourierSums,
    Gaussian,
    GaussianMixture,
    Hypercube,
    Linear,
    LinearClassification,
    LinearDynamics,
    LinearPlusQuadratic,
    Lookup,
    LowRank,
    Majority,
    MarkovChainPool,
    MarkovChains,
    Monomials,
    Orthant,
    Outliers,
    Parity,
    PromptDistribution,
    Quadratic,
    RandomDiagonal,
    RandomRotation,
    RandomScale,
    RandomScaleLinear,
    ReluNetwork,
    Rotated,
    Scaled,
    SignVectors,
    SparseLinear,
    SparseParity,
    StudentT,
    TaskMixture,
    Tasks,
    Uniform,
    VectorLinear,
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
    "orthant": (Orthant(3), IDENTITY),
    "random_scale": (RandomScale(Gaussian(LAMBDA), 2.0), (4 - 1 / 4) / (4 * np.log(2)) * LAMBDA),
    "rotated": (Rotated(Gaussian(LAMBDA)), np.trace(LAMBDA) / 3 * IDENTITY),
    "laws": (CovariatesMixture([Gaussian(LAMBDA), Orthant(3)], [0.25, 0.75]), 0.25 * LAMBDA + 0.75 * IDENTITY),
    "nested": (RandomScale(Rotated(RandomDiagonal.exponential(3)), 2.0), (4 - 1 / 4) / (4 * np.log(2)) * IDENTITY),
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
    "signs": SignVectors(),
    "low-rank": LowRank(3, 1, 2),
    "random-scale": RandomScaleLinear(2.0),
    "centred": CentredLinear([1, 0, -2]),
    "fourier": FourierSums(3),
    "monomials": Monomials(),
    "few-monomials": Monomials(2),
}
# Of vectors E |h(x)|²; of classes no square is asked for.
VECTORS = {"vectors": VectorLinear(2), "scaled-vectors": Scaled(VectorLinear(2), 3.0)}
CLASSES = {
    "sign": Binary(Linear()),
    "logistic": Binary(Linear(), "logistic", 0.1, 2.0),
    "mixture-of-classes": TaskMixture([Binary(Linear()), Binary(Quadratic(), flips=0.2)]),
}
BOOLEAN = {
    "conjunction": Conjunction(0.2),
    "disjunction": Disjunction(0.2),
    "majority": Majority(3),
    "parity": Parity(),
    "sparse-parity": SparseParity(2),
}
WHOLE = {
    "chains": MarkovChains(4),
    "second-order": MarkovChains(3, 0.5, 2),
    "urns": MarkovChains(4, order=0),
    "pool-of-chains": MarkovChainPool.dirichlet(3, 4, seed=1),
    "dynamics": LinearDynamics(3),
    "gaussian-dynamics": LinearDynamics(3, "gaussian", 0.2),
    "clusters": GaussianMixture(3, 1.0, 0.1),
    "bursts": BurstyClasses(3, 20, 5, n_pairs=24, burst=3, copies=0.5),
    "new-classes": BurstyClasses(3, 20, 5, n_pairs=24, burst=3, shown="new"),
    "recall": PromptDistribution(Categories(5), Lookup(4)),
    **{f"classes-{name}": PromptDistribution(Gaussian(LAMBDA), tasks) for name, tasks in CLASSES.items()},
    **{f"boolean-{name}": PromptDistribution(Hypercube(8), tasks) for name, tasks in BOOLEAN.items()},
    **{f"vectors-{name}": PromptDistribution(Gaussian(LAMBDA), tasks, 0.3) for name, tasks in VECTORS.items()},
}


def covariates_of(name):
    return COVARIATES[name][0]


DISTRIBUTIONS = {
    **{f"covariates-{name}": PromptDistribution(covariates_of(name), Linear(), 0.3) for name in COVARIATES},
    **{f"tasks-{name}": PromptDistribution(Gaussian(LAMBDA), tasks, 0.3) for name, tasks in TASKS.items()},
    **{f"shift-{name}": shift(name).apply(PromptDistribution(Gaussian.isotropic(3), Linear(), 0.3)) for name in SHIFTS},
    "outliers": PromptDistribution(Gaussian(LAMBDA), Linear(), 0.3, Outliers(0.2, 5.0)),
    "noisy-prompts": PromptDistribution(Gaussian(LAMBDA), Linear(), 0.3, Outliers(0.4, 2.0, whole=True)),
    "composed": shift("noisyLR+half_subspace-per-prompt+random_quadrants").apply(
        PromptDistribution(Gaussian.isotropic(3), Linear())
    ),
}
REAL, DISTRIBUTIONS = DISTRIBUTIONS, DISTRIBUTIONS | WHOLE
EVERY = pytest.mark.parametrize("name", DISTRIBUTIONS)


def parts(prompts):
    law = [] if prompts.probabilities is None else [prompts.probabilities]
    return prompts.xs, prompts.ys, prompts.queries, prompts.targets, *law


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
    points = 3 if name in REAL else 20
    base = distribution.sample(3, points, seed=1)
    for other in (
        distribution.sample(3, points, seed=2),
        distribution.sample(3, points, seed=1, step=1),
        distribution.sample(3, points, seed=1, start=3),
        distribution.sample(3, points, seed=1, stream="training"),
    ):
        if name in REAL:
            assert not np.isclose(other.xs, base.xs).any()
        else:
            assert not any(np.array_equal(one, two) for one in other.xs for two in base.xs if one.size)
            assert not np.array_equal(other.ys, base.ys)


@pytest.mark.parametrize("name", WHOLE)
def test_labels_are_what_the_distribution_says(name):
    distribution = WHOLE[name]
    prompts = distribution.sample(300, 6, seed=4)
    assert prompts.labels == distribution.labels
    assert prompts.xs.shape == (300, 6, distribution.dimension)
    again = pickle.loads(pickle.dumps(distribution)).sample(300, 6, seed=4)
    np.testing.assert_array_equal(again.ys, prompts.ys)
    if prompts.n_classes is None:
        assert prompts.ys.shape == prompts.targets.shape == (300, 6, *distribution.labels.shape)
        return
    law = prompts.probabilities
    np.testing.assert_allclose(law.sum(axis=2), 1, rtol=1e-12)
    assert (law >= 0).all()
    # Labels follow their law: indicators minus probabilities have mean 0, and no label is one the law calls impossible.
    gap = np.eye(prompts.n_classes)[prompts.ys] - law
    assert (np.abs(gap.mean(axis=0)) < 4.5 * gap.std(axis=0) / np.sqrt(300) + 0.02).all()
    assert (np.take_along_axis(law, prompts.ys[..., None], axis=2) > 0).all()


@pytest.mark.parametrize("name", REAL)
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
    n = 10_000
    xs = law.sample(Draws(5, count=n), 2)
    assert xs.shape == (n, 2, 3)
    products = xs[:, 1, :, None] * xs[:, 1, None, :]  # the second input: stationarity too
    stderr = products.std(axis=0) / np.sqrt(n) + 1e-12
    assert (np.abs(products.mean(axis=0) - expected) < 4.5 * stderr).all()


@pytest.mark.parametrize("name", [*TASKS, *VECTORS])
def test_mean_square(name):
    tasks = (TASKS | VECTORS)[name]
    assert isinstance(tasks, Tasks)
    n = 10_000
    targets = PromptDistribution(Gaussian(LAMBDA), tasks).sample(n, 1, seed=6).targets[:, 0]
    squares = (targets.reshape(n, -1) ** 2).sum(axis=1)
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
    n = 5_000
    squares = member.apply(base).sample(n, 3, seed=8).targets[:, 2] ** 2
    assert abs(squares.mean() - expected) < 4.5 * squares.std() / np.sqrt(n)
