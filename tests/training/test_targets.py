"""Rao-Blackwell targets: the same expected gradient, less noise; refused where they are unknown."""

from dataclasses import replace

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.predictors import LeastSquares, Ridge
from iclab.prompts import (
    SHIFTS,
    Binary,
    DecisionTree,
    FinitePool,
    Gaussian,
    Linear,
    LinearClassification,
    Outliers,
    PromptDistribution,
    RandomDiagonal,
    RandomScaleLinear,
    ReluNetwork,
    Scaled,
    TaskMixture,
    shift,
)
from iclab.training import posterior_mean, preset
from iclab.training.batches import Batches
from iclab.training.curriculum import Truncated
from iclab.training.distributed import World

W = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.2]])
LAWS = {
    "plain": PromptDistribution(Gaussian.isotropic(3), Linear()),
    "noisy": PromptDistribution(Gaussian(W), Linear(), noise=0.7),
    "random covariance": PromptDistribution(RandomDiagonal.exponential(3), Linear()),
    "prior": PromptDistribution(Gaussian.isotropic(3), Linear(W), noise=0.5),
    "pool": PromptDistribution(Gaussian.isotropic(3), FinitePool([[1, 0, 2], [0, -1, 1], [2, 2, 0]]), noise=0.8),
    "some noisy": PromptDistribution(Gaussian.isotropic(3), Linear(), outliers=Outliers(0.4, 0.7, whole=True)),
    "scaled, some noisy": PromptDistribution(
        Gaussian.isotropic(3), RandomScaleLinear(2.0), outliers=Outliers(0.4, 0.7, whole=True)
    ),
    "truncated": PromptDistribution(Truncated(Gaussian.isotropic(3), 2), Linear()),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_expected_gradient_is_the_same_and_its_noise_smaller(law):
    """For f = θ·g(context, query) the gradients differ by 2 (m − y) g, of mean zero for every g of the context."""
    prompts = law.sample(20_000, 6, seed=1)
    means = posterior_mean(law)(prompts)
    features = {
        "query": prompts.xs,
        "average": np.cumsum(np.roll(prompts.xs * prompts.ys[..., None], 1, axis=1), axis=1)
        * (np.arange(6) > 0)[:, None],
    }
    for values in features.values():
        gap = ((means - prompts.ys)[..., None] * values).reshape(len(prompts), -1)
        # position 0's average holds nothing: its gap is identically 0
        spread = gap.std(axis=0, ddof=1) / np.sqrt(len(prompts))
        assert (np.abs(gap.mean(axis=0)) <= 5 * spread + 1e-12).all()
        rao_blackwell = (means[..., None] * values).reshape(len(prompts), -1).var(axis=0)
        plain = (prompts.ys[..., None] * values).reshape(len(prompts), -1).var(axis=0)
        assert (rao_blackwell <= plain * (1 + 1e-9)).mean() > 0.9


def test_the_posterior_mean_has_the_least_error_of_all():
    """Ridge with the prior's own covariance beats ridge with another and the prior's mean, and has its known risk."""
    law = LAWS["prior"]
    prompts = law.sample(20_000, 6, seed=2)
    errors = (posterior_mean(law)(prompts) - prompts.ys) ** 2
    others = [(Ridge(0.25)(prompts) - prompts.ys) ** 2, prompts.ys**2]
    for other in others:
        gap = other[:, 2:] - errors[:, 2:]
        assert (gap.mean(0) > 3 * gap.std(0) / np.sqrt(len(prompts))).all()
    # Bayes risk at position 0: x'Wx averaged, and the noise.
    z = (errors[:, 0].mean() - np.trace(W) - 0.25) / (errors[:, 0].std() / np.sqrt(len(prompts)))
    assert abs(z) < 4


@pytest.mark.parametrize("law", ["plain", "random covariance", "truncated"])
def test_without_noise_targets_are_least_squares_at_every_position(law):
    prompts = LAWS[law].sample(500, 9, seed=3)
    expected = LeastSquares()(prompts)
    np.testing.assert_allclose(posterior_mean(LAWS[law])(prompts), expected, rtol=1e-6, atol=1e-8)


def test_targets_without_a_closed_form_are_refused():
    class Cubic:
        def draw(self, draws, dimension):
            return lambda xs: (xs**3).sum(-1)

        def mean_square(self, covariance):
            return 15 * float((np.diag(covariance) ** 3).sum())

    plain = LAWS["plain"]
    for law in (
        replace(plain, tasks=Cubic()),
        replace(plain, outliers=Outliers(0.1, 3.0)),
        replace(plain, noise=0.1, outliers=Outliers(0.1, 3.0, whole=True)),
        replace(plain, tasks=DecisionTree(4), outliers=Outliers(0.1, 3.0, whole=True)),
        replace(plain, changes=(id,)),
    ):
        with pytest.raises(InvalidInputError, match="'posterior_mean' must be known") as refused:
            posterior_mean(law)
        assert str(refused.value).count("posterior_mean") == 1


def test_shifted_laws_keep_their_posterior_mean_or_are_refused():
    """Accepted are shifts that leave queries alone and tasks known; for linear ones that is least squares or ridge."""
    base, accepted = PromptDistribution(Gaussian.isotropic(4), Linear()), set()
    for name in SHIFTS:
        law = shift(name).apply(base)
        try:
            targets = posterior_mean(law)
        except InvalidInputError:
            continue
        accepted.add(name)
        if name.startswith("task-"):
            continue
        factor = law.tasks.factor if isinstance(law.tasks, Scaled) else 1.0
        prompts = law.sample(20, 9, seed=4)
        means = targets(prompts)
        for b in range(20):
            for i in range(9):
                X, y = prompts.xs[b, :i], prompts.ys[b, :i]
                gram = X @ X.T + (law.noise / factor) ** 2 * np.eye(i)
                expected = prompts.xs[b, i] @ X.T @ np.linalg.pinv(gram, rtol=1e-13) @ y
                assert np.isclose(means[b, i], expected, rtol=1e-5, atol=1e-5)
    tasks = {name for name in SHIFTS if name.startswith(("scale-y", "task-quadratic", "task-sparse"))}
    assert accepted == {"standard", "random-covariance", "noise=0.5", "noise=1", "noisyLR", "length=100"} | tasks


@pytest.mark.parametrize(
    "tasks",
    [
        ReluNetwork(5),
        DecisionTree(4),  # 3^15 of them
        LinearClassification(),
        Binary(Linear()),
        TaskMixture([Linear(), Linear(W)]),  # without noise evidence is no density
    ],
    ids=lambda tasks: type(tasks).__name__,
)
def test_other_tasks_are_refused(tasks):
    with pytest.raises(InvalidInputError, match="'posterior_mean' must be known"):
        posterior_mean(PromptDistribution(Gaussian.isotropic(3), tasks))


def test_a_process_draws_its_rows_of_the_global_batch():
    config = preset("tiny", dimension=5, n_train=9, covariates="random-exponential", steps=50, batch_size=12)
    with Batches(config, World()) as whole, Batches(config, World(1, 2)) as part:
        for step in (0, 7, 49):
            a, b = whole.draw(step), part.draw(step)
            assert a.stage == b.stage
            np.testing.assert_array_equal(a.xs[6:], b.xs)
            np.testing.assert_array_equal(a.ys[6:], b.ys)
            np.testing.assert_allclose(a.targets[6:], b.targets, rtol=1e-12)
            # What is hidden does not reach the labels: 2 visible dimensions are fitted by 2 examples.
            assert not a.xs[..., a.stage.dimensions :].any()
            np.testing.assert_allclose(
                a.targets[:, a.stage.dimensions :], a.ys[:, a.stage.dimensions :], rtol=1e-6, atol=1e-8
            )


def test_batches_resume_in_the_middle():
    config = preset("tiny", dimension=3, n_train=5, steps=9, batch_size=4)
    with Batches(config, World()) as whole, Batches(config, World(), start=6) as rest:
        for a, b in zip(list(whole)[6:], rest, strict=True):
            np.testing.assert_array_equal(a.xs, b.xs)


@pytest.mark.parametrize(
    "covariates",
    [Gaussian(np.diag([1.0, 2.0, 0.0])), Gaussian(np.diag([1.0, 1e-24, 3.0])), RandomDiagonal.exponential(3)],
)
def test_dependent_examples_fall_back_to_least_squares(covariates):
    """A covariance of lower rank, or nearly so: the factor is singular, and the targets are still those of theory."""
    law = PromptDistribution(covariates, Linear())
    prompts = law.sample(50, 6, seed=5)
    np.testing.assert_allclose(posterior_mean(law)(prompts), LeastSquares()(prompts), rtol=1e-6, atol=1e-8)
