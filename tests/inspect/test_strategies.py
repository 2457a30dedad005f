"""Between memorising and generalising: known mixtures are found where they are, known constants are found again."""

import numpy as np
import pandas as pd
import pytest

from iclab.foundations import InvalidInputError
from iclab.inspect.strategies import compressed_bits, fit_posterior, relative_distances
from iclab.predictors import FinitePoolBayes, NGramBayes, Ridge
from iclab.prompts import FinitePool, Gaussian, Linear, MarkovChains, PromptDistribution

D, NOISE = 4, 0.5
POOL = FinitePool.gaussian(8, D, seed=1)
MEMORISING, GENERALISING = FinitePoolBayes(POOL.pool, NOISE, first="prior"), Ridge.bayes(NOISE)
X = Gaussian.isotropic(D)
LAWS = {"pool": PromptDistribution(X, POOL, NOISE), "new": PromptDistribution(X, Linear(), NOISE)}


class Mixture:
    """λM + (1 − λ)G, and something beside that is uncorrelated with both."""

    def __init__(self, share, noise=0.0, predictors=(MEMORISING, GENERALISING)):
        self.share, self.noise, self.predictors = share, noise, predictors

    def __call__(self, prompts):
        one, other = (predictor(prompts) for predictor in self.predictors)
        mixed = self.share * one + (1 - self.share) * other
        return mixed + self.noise * np.where(np.arange(len(prompts)) % 2, 1.0, -1.0)[:, None] if self.noise else mixed


@pytest.mark.parametrize("by_position", [False, True])
def test_a_mixture_stands_where_it_was_mixed(by_position):
    shares = {0: 0.0, 10: 0.3, 20: 1.0}
    models = {step: Mixture(share) for step, share in shares.items()}
    table = relative_distances(models, MEMORISING, GENERALISING, LAWS, 9, n_prompts=64, seed=2, by_position=by_position)
    assert len(table) == 3 * 2 * (9 if by_position else 1)
    expected = table["step"].map(shares)
    np.testing.assert_allclose(table["relative"], expected, atol=1e-10)
    np.testing.assert_allclose(table["off_line"], 0, atol=1e-10)
    assert (table["stderr"] < 1e-7).all()


def test_what_is_off_the_line_is_told_and_the_error_bar_covers():
    models = {seed: Mixture(0.4, noise=0.5) for seed in range(1)}
    laws = {"new": LAWS["new"]}
    found = [
        relative_distances(models, MEMORISING, GENERALISING, laws, 9, n_prompts=200, seed=seed).iloc[0]
        for seed in range(12)
    ]
    z = [(row["relative"] - 0.4) / row["stderr"] for row in found]
    assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1, abs=0.65)
    for row in found:
        assert row["off_line"] == pytest.approx(0.25 / row["between"], rel=0.2)


def test_probabilities_of_classes_have_a_place_too():
    chains, strategies = MarkovChains(3), (NGramBayes(1), NGramBayes(0))
    models = {0: Mixture(0.25, predictors=strategies)}
    table = relative_distances(models, *strategies, {"chains": chains}, 12, n_prompts=16, seed=0)
    np.testing.assert_allclose(table["relative"], 0.25, atol=1e-10)


def synthetic(gamma, alpha, beta, noise=0.0):
    rng = np.random.default_rng(0)
    rows = []
    for size in 2 ** np.arange(2, 12):
        memorising, generalising = 0.1 + 0.02 * np.log(size), 0.34
        for seen in np.geomspace(1e3, 1e7, 15):
            bits = 32 * D * size
            odds = gamma * seen ** (1 - alpha) * (generalising - memorising) - np.log(2) * bits**beta
            relative = 1 / (1 + np.exp(-odds)) + noise * rng.standard_normal()
            rows.append((size, seen, relative, memorising, generalising, bits))
    names = ["run", "seen", "relative", "loss_memorising", "loss_generalising", "bits"]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize("constants", [(0.02, 0.4, 0.2), (2e-5, 0.0, 0.25), (0.6, 0.7, 0.1)])
def test_known_constants_are_found_again(constants):
    fit = fit_posterior(synthetic(*constants), n_bootstrap=5)
    np.testing.assert_allclose([fit.gamma, fit.alpha, fit.beta], constants, rtol=1e-4, atol=1e-5)
    assert fit.correlation > 1 - 1e-8


def test_the_less_noise_the_narrower_the_intervals_about_the_constants():
    truth, widths = {"gamma": 0.02, "alpha": 0.4, "beta": 0.2}, []
    for noise in (0.03, 0.003):
        table = synthetic(*truth.values(), noise=noise)
        fit = fit_posterior(table, n_bootstrap=60, seed=1)
        ends = {name: fit.intervals[name] for name in truth}
        widths.append([high - low for low, high in ends.values()])
        for (name, value), width in zip(truth.items(), widths[-1], strict=True):
            assert abs(getattr(fit, name) - value) < 1.5 * width
        low, high = fit.intervals["correlation"]
        assert low < fit.correlation < high < 1
    np.testing.assert_allclose(np.divide(*widths), 10, rtol=0.4)
    assert (fit.resampled, fit.n_resampled, fit.n) == ("run", 10, 150)
    np.testing.assert_array_equal(fit.predict(table.drop(columns="relative")), fit.predicted)


def test_bits_grow_with_what_there_is_to_remember():
    random = np.random.default_rng(0).standard_normal((500, D))
    assert 0.7 < compressed_bits(random) / (32 * random.size) < 1.05
    assert compressed_bits(np.zeros((500, D))) < 0.05 * compressed_bits(random)


def test_bad_input_is_one_sentence():
    table = synthetic(0.02, 0.4, 0.2)
    with pytest.raises(InvalidInputError, match="lacks 'bits'"):
        fit_posterior(table.drop(columns="bits"))
    with pytest.raises(InvalidInputError, match="at least four rows"):
        fit_posterior(table.head(3))
    with pytest.raises(InvalidInputError, match="column seen"):
        fit_posterior(table.assign(seen=np.nan))
    with pytest.raises(InvalidInputError, match="at least one"):
        relative_distances({}, MEMORISING, GENERALISING, LAWS, 3, n_prompts=4, seed=0)
