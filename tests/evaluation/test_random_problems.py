"""Measured error curves against closed forms, on problems drawn at random: 10⁵ prompts, 4 standard errors."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import beta, chi2, gamma, norm, uniform

from iclab.evaluation import compare, least_squares_risk
from iclab.predictors import (
    Averaging,
    BestLinear,
    FinitePoolBayes,
    GradientDescent,
    LeastSquares,
    Ridge,
    TrainedLSA,
    Zero,
)
from iclab.prompts import (
    Cubic,
    FinitePool,
    FixedLinear,
    Gaussian,
    IndependentQueries,
    Linear,
    LinearPlusQuadratic,
    PromptDistribution,
    RandomDiagonal,
)
from iclab.theory import (
    cubic_law,
    expected_risk,
    minimizer,
    noisy_linear_law,
    optimal_learner,
    quadratic_law,
    shift_risk,
    theorem5_risk,
)

# The first seed in every run; eight more, with four times the prompts, where there is time.
N_PROMPTS = 25_000
SEEDS = pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))])


def covariance(rng, dimension):
    """A random covariance matrix of condition number up to about 20."""
    factor = rng.standard_normal((dimension, dimension))
    return rng.uniform(0.3, 1.5) * (factor @ factor.T / dimension + 0.2 * np.eye(dimension))


def check(predictors, distribution, exact, seed, n_points):
    """``exact`` gives for (name, position) the expected squared error."""
    table = compare(predictors, {"it": distribution}, n_points, n_prompts=N_PROMPTS * (4 if seed else 1), seed=seed)
    found = table.set_index(["predictor", "position"])
    off = {
        place: (row["mean"], value, row["stderr"])
        for place, value in exact.items()
        if not abs((row := found.loc[place])["mean"] - value) <= 4 * row["stderr"] + 1e-12 * abs(value) + 1e-20
    }
    assert len(exact) > 0
    assert off == {}


@SEEDS
def test_least_squares_and_zero(seed):
    rng = np.random.default_rng([seed, 1])
    d, s = int(rng.integers(1, 5)), rng.uniform(0.1, 2)
    context, query = covariance(rng, d), covariance(rng, d)
    # Six examples more than dimensions leave the error a finite fourth moment.
    exact = {("ls", m): least_squares_risk(context, query, m, s**2) for m in (d + 6, d + 9)}
    exact |= {("zero", m): np.trace(query) for m in (0, 5)}
    distribution = PromptDistribution(Gaussian(context), Linear(), s, changes=(IndependentQueries(query),))
    check({"ls": LeastSquares(), "zero": Zero()}, distribution, exact, seed, d + 10)


@SEEDS
def test_least_squares_from_few_examples(seed):
    rng = np.random.default_rng([seed, 2])
    d, s, variance = 7, rng.uniform(0.1, 1), rng.uniform(0.2, 3)
    query = covariance(rng, d)
    exact = {("ls", m): least_squares_risk(variance * np.eye(d), query, m, s**2) for m in range(3)}
    distribution = PromptDistribution(
        Gaussian.isotropic(d, variance), Linear(), s, changes=(IndependentQueries(query),)
    )
    check({"ls": LeastSquares()}, distribution, exact, seed, 3)


@SEEDS
def test_every_linear_learner_under_every_shift_at_once(seed):
    rng = np.random.default_rng([seed, 3])
    d, n_train, s = int(rng.integers(2, 5)), int(rng.integers(2, 20)), rng.uniform(0, 1)
    trained, context, query, prior = (covariance(rng, d) for _ in range(4))
    matrix = rng.standard_normal((d, d))  # no symmetry helps
    distribution = PromptDistribution(Gaussian(context), Linear(prior), s, changes=(IndependentQueries(query),))
    best = PromptDistribution(Gaussian(trained), Linear(prior), s)
    positions = (1, 4, 9)
    learners = {
        "layer": (
            TrainedLSA(minimizer(Gaussian(trained), n_train, s**2, prior)),
            lambda m: optimal_learner(Gaussian(trained), n_train, s**2, prior),
        ),
        "averaging": (Averaging(), lambda m: np.eye(d)),
        "one step": (GradientDescent(1, 0.3, matrix), lambda m: 0.3 * matrix),
        "best": (BestLinear(best), lambda m: optimal_learner(Gaussian(trained), m, s**2, prior)),
    }
    exact = {
        (name, m): shift_risk(learner(m), context, query, m, prior, s**2)
        for name, (_, learner) in learners.items()
        for m in positions
    }
    check({name: predictor for name, (predictor, _) in learners.items()}, distribution, exact, seed, 10)


@SEEDS
def test_layer_on_random_covariances(seed):
    rng = np.random.default_rng([seed, 4])
    d, n_train, s = int(rng.integers(1, 5)), int(rng.integers(2, 20)), rng.uniform(0, 1)

    def law():
        kind = int(rng.integers(3))
        a, b = rng.uniform(1, 4), rng.uniform(0.3, 1)
        return [gamma(a, scale=b / a), uniform(0.1, 2 * b), beta(a, 2, scale=2)][kind]

    training, test = (RandomDiagonal([law() for _ in range(d)], rng.uniform(0.5, 2)) for _ in range(2))
    predictors = {"layer": TrainedLSA(minimizer(training, n_train))}
    for there in (training, test):
        exact = {("layer", m): expected_risk(training, n_train, m, there, s**2) for m in (1, 4, 9)}
        check(predictors, PromptDistribution(there, Linear(), s), exact, seed, 10)


@SEEDS
def test_layer_on_fixed_laws_of_labels(seed):
    rng = np.random.default_rng([seed, 5])
    d, n_train, s, c = int(rng.integers(1, 4)), int(rng.integers(2, 20)), rng.uniform(0.1, 1), rng.uniform(-0.5, 0.5)
    law, w, v = covariance(rng, d), rng.standard_normal(d), rng.standard_normal(d) / np.sqrt(d)
    predictors = {"layer": TrainedLSA(minimizer(Gaussian(law), n_train))}
    cases = (
        # Theorem 5 counts the query's noise, a curve does not.
        (FixedLinear(w), s, noisy_linear_law(law, w, s**2), s**2),
        (LinearPlusQuadratic(w, v, c, law), 0.0, quadratic_law(law, w, v, c), 0.0),
        (Cubic(v, c), 0.0, cubic_law(law, v, c), 0.0),
    )
    for tasks, noise, known, excess in cases:
        exact = {("layer", m): theorem5_risk(law, n_train, m, *known) - excess for m in (1, 8)}
        check(predictors, PromptDistribution(Gaussian(law), tasks, noise), exact, seed, 9)


@SEEDS
def test_bayes_ridge_in_one_dimension(seed):
    # The posterior variance given Σx² ~ λχ²_M, averaged by quadrature.
    rng = np.random.default_rng([seed, 6])
    variance, prior, s = rng.uniform(0.3, 2, size=3)

    def exact(m):
        return variance * quad(lambda q: chi2(m).pdf(q) / (1 / prior + variance * q / s**2), 0, np.inf)[0]

    distribution = PromptDistribution(Gaussian([[variance]]), Linear([[prior]]), s)
    positions = {("bayes", m): exact(m) for m in (2, 5, 9)} | {("bayes", 0): variance * prior}
    check({"bayes": Ridge.bayes(s, prior)}, distribution, positions, seed, 10)


@SEEDS
def test_bayes_over_two_tasks(seed):
    # Given S = Σ(δ'x)² ~ δ'Λδ χ²_M, δ = w_1 − w_2, the log odds of the true task are N(S/2s², S/s²).
    rng = np.random.default_rng([seed, 7])
    d, s = int(rng.integers(1, 5)), rng.uniform(0.5, 2)
    law, pool = covariance(rng, d), rng.standard_normal((2, d))
    gap = float((pool[0] - pool[1]) @ law @ (pool[0] - pool[1]))

    def doubt(strength):
        """E p(1 − p), p the posterior of the true task, at S/s²."""
        spread = np.sqrt(strength)
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        p = expit(strength / 2 + spread * nodes)
        return float(weights @ ((1 - p) * p)) / np.sqrt(2 * np.pi)

    def exact(m):
        return gap * quad(lambda q: chi2(m).pdf(q) * doubt(gap * q / s**2), 0, np.inf, limit=200)[0]

    wrong = quad(lambda z: norm.pdf(z) * expit(-0.5 - z) * expit(0.5 + z), -12, 12)[0]
    assert abs(doubt(1.0) - wrong) < 1e-8  # the rule integrates
    positions = {("bayes", m): exact(m) for m in (2, 5)}
    check(
        {"bayes": FinitePoolBayes(pool, s)}, PromptDistribution(Gaussian(law), FinitePool(pool), s), positions, seed, 6
    )
