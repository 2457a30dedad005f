"""Properties of single laws beyond the common contract."""

import numpy as np
import pytest
from scipy.stats import invgamma, kstest, lomax, pareto, uniform

from iclab.foundations import Draws, InvalidInputError
from iclab.prompts import (
    Affine,
    Autoregressive,
    CovarianceMixture,
    CovariatesMixture,
    DecisionTree,
    FinitePool,
    Gaussian,
    Linear,
    Orthant,
    Outliers,
    PromptDistribution,
    RandomDiagonal,
    RandomRotation,
    RandomScale,
    Rotated,
    SparseLinear,
    StudentT,
    TaskMixture,
    Uniform,
    VectorLinear,
    Wishart,
)

DRAWS = Draws(3, count=20_000)


def test_random_rotations_have_the_spectrum_and_are_uniform():
    law = RandomRotation([3.0, 1.0, 0.0])
    covariances = law.covariances(DRAWS)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariances[:50]), np.tile([0, 1, 3], (50, 1)), atol=1e-12)
    # E Λ_11² for a uniform rotation: E(Σ s_k u_k²)² = (2Σs² + (Σs)²)/(d(d+2)).
    square = covariances[:, 0, 0] ** 2
    assert abs(square.mean() - (2 * 10 + 16) / 15) < 4 * square.std() / np.sqrt(len(square))
    assert np.linalg.matrix_rank(law.sample(Draws(1, count=1), 9)[0]) == 2


def test_wishart_trace_variance():
    trace = np.trace(Wishart(np.eye(3), 5).covariances(DRAWS), axis1=1, axis2=2)
    # tr ~ χ²(15)/5: variance 30/25.
    assert abs(trace.var() - 1.2) < 4 * 1.2 * np.sqrt(2.8 / len(trace))


def test_mixture_frequencies():
    law = CovarianceMixture(np.array([np.eye(2), 4 * np.eye(2)]), [0.2, 0.8])
    assert abs(law.components(DRAWS).mean() - 0.8) < 4 * 0.4 / np.sqrt(20_000)


def test_random_diagonal_moments():
    law = RandomDiagonal.exponential(3, 2.0)
    np.testing.assert_allclose([law.moments(k) for k in (1, 2, 3)], [[2] * 3, [8] * 3, [48] * 3])
    variances = law.variances(DRAWS)
    assert (np.abs(variances.mean(axis=0) - 2) < 4 * 2 / np.sqrt(20_000)).all()


def test_an_orthant_has_one_sign_per_coordinate():
    xs = Orthant(4).sample(Draws(0, count=200), 6)
    assert (np.sign(xs) == np.sign(xs[:, :1])).all()
    assert len({tuple(signs) for signs in np.sign(xs[:, 0])}) == 16


def test_a_prompt_has_one_scale_whose_logarithm_is_uniform():
    ratios = RandomScale(Gaussian.isotropic(2), 3.0).sample(DRAWS, 2) / Gaussian.isotropic(2).sample(
        DRAWS.at(channel=1), 2
    )
    np.testing.assert_allclose(ratios, np.broadcast_to(ratios[:, :1, :1], ratios.shape))
    assert kstest(np.log(ratios[:, 0, 0]) / np.log(3), uniform(-1, 2).cdf).pvalue > 1e-3


def test_a_rotation_keeps_lengths_and_angles_and_forgets_axes():
    spectrum, draws = Gaussian.from_spectrum([3.0, 0.0, 0.0]), Draws(2, count=500)
    xs, inner = Rotated(spectrum).sample(draws, 3), spectrum.sample(draws.at(channel=1), 3)
    np.testing.assert_allclose(xs @ xs.mT, inner @ inner.mT, atol=1e-12)
    directions = xs[:, 0] / np.linalg.norm(xs[:, 0], axis=1, keepdims=True)
    # A coordinate of a uniform direction in three dimensions is uniform (Archimedes).
    assert kstest(directions[:, 0], uniform(-1, 2).cdf).pvalue > 1e-3


def test_a_mixture_of_laws_has_whole_prompts_of_each_member():
    zero, one = Gaussian.isotropic(2, 0.0), Gaussian.isotropic(2)
    silent = (CovariatesMixture([zero, one], [0.3, 0.7]).sample(DRAWS, 3) == 0).all(axis=2)
    assert (silent == silent[:, :1]).all()
    assert abs(silent[:, 0].mean() - 0.3) < 4 * np.sqrt(0.21 / 20_000)
    with pytest.raises(InvalidInputError, match="one dimension"):
        CovariatesMixture([zero, Gaussian.isotropic(3)])


@pytest.mark.parametrize("law", [pareto(2.5), lomax(2.5), invgamma(2.5)])
def test_moments_that_do_not_exist_are_infinite(law):
    """SciPy integrates pareto(2.5) to about −5 for E λ³ and gives NaN for the other two."""
    moments = [RandomDiagonal([law]).moments(k)[0] for k in (1, 2, 3)]
    assert np.isfinite(moments[:2]).all()
    assert moments[2] == np.inf


def test_autoregressive_correlations():
    xs = Autoregressive(np.eye(2), 0.8).sample(DRAWS, 4)
    for lag in (1, 2, 3):
        product = xs[:, 0, 0] * xs[:, lag, 0]
        assert abs(product.mean() - 0.8**lag) < 4 * product.std() / np.sqrt(20_000)


def test_student_tails():
    xs = StudentT(np.eye(2), 5.0).sample(DRAWS, 1)[:, 0, 0]
    # P(|t_5| > 4.032) = 0.01
    assert abs((np.abs(xs) > 4.032).mean() - 0.01) < 4 * 0.1 / np.sqrt(20_000)


def test_sparse_weights():
    weights = SparseLinear(2).weights(DRAWS, 5)
    assert ((weights != 0).sum(axis=1) == 2).all()
    assert (np.abs((weights != 0).mean(axis=0) - 0.4) < 4 * 0.5 / np.sqrt(20_000)).all()


def test_larger_pool_extends_the_smaller():
    small, large = (FinitePool.gaussian(k, 3, seed=1).pool for k in (4, 9))
    np.testing.assert_array_equal(large[:4], small)
    weights = FinitePool(small).weights(DRAWS, 3)
    assert len(np.unique(weights, axis=0)) == 4


def test_tree_is_constant_on_orthants():
    function = DecisionTree(3).draw(Draws(0, count=5), 4)
    xs = np.random.default_rng(0).standard_normal((5, 30, 4))
    np.testing.assert_array_equal(function(xs), function(np.sign(xs) * 7))


def test_outliers_hit_labels_and_not_targets():
    base = PromptDistribution(Gaussian.isotropic(2), Linear(), 0.0, Outliers(0.1, 100.0))
    prompts = base.sample(5000, 4, seed=0)
    struck = prompts.ys != prompts.targets
    assert abs(struck.mean() - 0.1) < 4 * 0.3 / np.sqrt(20_000)


@pytest.mark.parametrize("tasks", [Linear(), VectorLinear(2)])
def test_a_share_of_the_prompts_is_noisy_as_a_whole(tasks):
    base = PromptDistribution(Gaussian.isotropic(2), tasks, 0.0, Outliers(0.1, 3.0, whole=True))
    prompts = base.sample(5000, 4, seed=0)
    added = (prompts.ys - prompts.targets).reshape(5000, -1)
    noisy = added.any(axis=1)
    np.testing.assert_array_equal(added != 0, np.repeat(noisy[:, None], added.shape[1], axis=1))
    assert abs(noisy.mean() - 0.1) < 4 * 0.3 / np.sqrt(5000)
    squares = added[noisy] ** 2 / 9
    assert abs(squares.mean() - 1) < 4 * np.sqrt(2 / squares.size)


def test_a_mixture_of_tasks_draws_each():
    tasks = TaskMixture([Linear(np.zeros((3, 3))), Linear()], [0.25, 0.75])
    labels = PromptDistribution(Gaussian.isotropic(3), tasks).sample(8000, 2, seed=0).targets
    assert abs((labels[:, 0] == 0).mean() - 0.25) < 4 * 0.44 / np.sqrt(8000)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RandomRotation([-1, 1]), "none of them negative"),
        (lambda: CovarianceMixture(np.eye(2)[None], [0.5]), "add to 1"),
        (lambda: Wishart(np.eye(2), 0), "degrees must be at least 1"),
        (lambda: StudentT(np.eye(2), 0), "degrees must be greater than 0"),
        (lambda: Uniform(0), "dimension must be at least 1"),
        (lambda: Autoregressive(np.eye(2), 1.0), "strictly between"),
        (lambda: Affine(Gaussian.isotropic(2), 0.0), "scale must not be 0"),
        (lambda: Affine(Gaussian.isotropic(2), 1.0, [1, 2, 3]), "bias must have shape"),
        (lambda: Gaussian.from_spectrum([1, 2], [[1, 1], [0, 1]]), "orthonormal"),
        (lambda: FinitePool(np.zeros((0, 2))), "at least one weight vector"),
        (lambda: TaskMixture([]), "at least one law"),
        (lambda: Outliers(2, 1), "between 0 and 1"),
        (lambda: SparseLinear(4).weights(DRAWS, 3), "at most the dimension 3"),
        (lambda: Linear(np.eye(2)).weights(DRAWS, 3), "must have the dimension 3"),
        (lambda: PromptDistribution(Gaussian.isotropic(2), Linear(), -1), "noise must be at least 0"),
        (
            lambda: PromptDistribution(Gaussian.isotropic(2), Linear()).sample(0, 3, seed=0),
            "n_prompts must be at least 1",
        ),
    ],
)
def test_bad_input(make, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        make()
