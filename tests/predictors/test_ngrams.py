"""Predictors of symbols against enumeration and the field's numbers."""

from itertools import product

import numpy as np
import pytest
from scipy.special import gammaln

from iclab.evaluation import error_curve
from iclab.foundations import InvalidInputError
from iclab.predictors import MarkovPoolBayes, NGramBayes, TrueLaw, bayes_predictor
from iclab.prompts import Gaussian, Linear, MarkovChainPool, MarkovChains, PromptDistribution, Prompts


def sequences(k, length):
    ys = np.array(list(product(range(k), repeat=length)))
    xs = np.empty((*ys.shape, 0))
    return Prompts(xs, ys, xs, ys, k)


@pytest.mark.parametrize(("order", "concentration"), [(0, 1.0), (1, 1.0), (1, 0.3), (2, 2.0)])
def test_counts_are_ratios_of_the_evidence_of_dirichlet_rows(order, concentration):
    """P(y_i | y_<i) = Z(y_≤i)/Z(y_<i), Z the product over rows of Dirichlet-multinomial evidences."""
    k, length = 3, 6
    prompts = sequences(k, length)

    def evidence(sequence):
        counts = np.zeros((k,) * (order + 1))
        for i in range(order, len(sequence)):
            counts[tuple(sequence[i - order : i + 1])] += 1
        rows = counts.reshape(-1, k)
        log = gammaln(rows + concentration) - gammaln(concentration)
        total = gammaln(k * concentration) - gammaln(rows.sum(axis=1) + k * concentration)
        return log.sum() + total.sum() - min(order, len(sequence)) * np.log(k)

    answers = NGramBayes(order, concentration)(prompts)
    for b in range(0, len(prompts), 7):
        for i in range(length):
            expected = [np.exp(evidence([*prompts.ys[b, :i], c]) - evidence(prompts.ys[b, :i])) for c in range(k)]
            np.testing.assert_allclose(answers[b, i], expected, rtol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_pools_posterior_is_the_ratio_of_its_likelihoods(order):
    pool = MarkovChainPool.dirichlet(4, 2, 0.7, order, seed=3)
    length = 6
    prompts = sequences(2, length)
    likelihood = np.empty((4, 2**length))
    for n, table in enumerate(pool.chains):
        laws = MarkovPoolBayes(table[None])(prompts)  # of one chain, its own law
        likelihood[n] = np.take_along_axis(laws, prompts.ys[..., None], axis=2)[..., 0].prod(axis=1)
    np.testing.assert_allclose(likelihood.sum(axis=1), 1, rtol=1e-12)
    total = likelihood.mean(axis=0)
    answers = bayes_predictor(pool)(prompts)
    for i in range(length):
        marginal = total.reshape(2**i, 2, -1).sum(axis=2)
        expected = marginal / marginal.sum(axis=1, keepdims=True)
        context = (prompts.ys[:, :i] @ 2 ** np.arange(i)[::-1]).astype(int)
        np.testing.assert_allclose(answers[:, i], expected[context], rtol=1e-11)


def test_unigrams_of_a_pool_weigh_chains_by_their_stationary_laws():
    pool = MarkovChainPool.dirichlet(5, 3, seed=1)
    law = np.array([np.linalg.matrix_power(table, 200)[0] for table in pool.chains])  # rows of P^∞
    prompts = pool.sample(4, 8, seed=2)
    answers = MarkovPoolBayes(pool.chains, order=0)(prompts)
    for b, i in product(range(4), range(8)):
        weights = law[:, prompts.ys[b, :i]].prod(axis=1)
        np.testing.assert_allclose(answers[b, i], weights @ law / weights.sum(), rtol=1e-9)


@pytest.mark.parametrize(
    ("k", "expected"),
    # Cross-entropies of true law, bigrams and unigrams: mean over 100 predictions, and the last one.
    [(2, [(0.481, 0.484), (0.511, 0.493), (0.577, 0.573)]), (3, [(0.814, 0.812), (0.881, 0.838), (1.001, 0.983)])],
)
def test_the_fields_cross_entropies(k, expected):
    """Independent simulation of 4000 chains; its errors are those of one run of as many here."""
    chains = MarkovChains(k)
    for predictor, (mean, last) in zip((TrueLaw(), NGramBayes(1), NGramBayes(0)), expected, strict=True):
        curve = error_curve(predictor, chains, 101, n_prompts=4000, seed=0)
        assert curve.score == "cross_entropy"
        # Neighbouring positions share their chain, so the mean is hardly surer than one position.
        assert abs(curve.mean[1:].mean() - mean) < 4 * np.sqrt(2) * curve.stderr[-1] + 5e-4
        assert abs(curve.mean[-1] - last) < 4 * np.sqrt(2) * curve.stderr[-1] + 5e-4


def test_the_entropy_rate_against_a_solve():
    """E Σ π_i H(row_i), from numpy's own Dirichlet numbers and a linear solve."""
    rng = np.random.default_rng(5)
    rows = rng.dirichlet(np.ones(3), size=(50_000, 3))
    system = np.eye(3) - rows.transpose(0, 2, 1) + 1.0
    law = np.linalg.solve(system, np.ones((len(rows), 3, 1)))[..., 0]
    rates = -(law[..., None] * rows * np.log(rows)).sum(axis=(1, 2))
    curve = error_curve(TrueLaw(), MarkovChains(3), 4, n_prompts=50_000, seed=8)
    assert abs(curve.mean[3] - rates.mean()) < 4 * np.hypot(curve.stderr[3], rates.std() / np.sqrt(len(rates)))


@pytest.mark.parametrize(("size", "own", "new"), [(64, 0.032, 0.188)])
def test_the_fields_divergences_of_urns(size, own, new):
    """k = 8, T = 128, mean over positions; the pool is another one, which moves the second by a tenth."""
    pool, fresh = MarkovChainPool.dirichlet(size, 8, order=0, seed=1), MarkovChains(8, order=0)
    bayes = MarkovPoolBayes(pool.chains)
    measured = [
        error_curve(*pair, 128, n_prompts=1000, seed=3, score="kl_divergence").mean.mean()
        for pair in ((NGramBayes(0), fresh), (bayes, pool), (bayes, fresh))
    ]
    np.testing.assert_allclose(measured, [0.072, own, new], rtol=0.1)


def test_bayes_is_refused_where_it_is_not_exact():
    with pytest.raises(InvalidInputError, match="start='uniform'"):
        bayes_predictor(MarkovChains(3))
    assert bayes_predictor(MarkovChains(3, start="uniform")) == NGramBayes(1)
    assert bayes_predictor(MarkovChains(8, 0.5, order=0)) == NGramBayes(0, 0.5)


@pytest.mark.parametrize("predictor", [NGramBayes(1), MarkovPoolBayes(np.eye(2)[None]), TrueLaw()])
def test_numbers_are_no_symbols(predictor):
    with pytest.raises(InvalidInputError, match="labels that are classes"):
        predictor(PromptDistribution(Gaussian.isotropic(2), Linear()).sample(2, 3, seed=0))
    with pytest.raises(InvalidInputError):
        MarkovPoolBayes(np.eye(2)[None])(MarkovChains(3).sample(2, 3, seed=0))
