"""Chains and urns: stationarity, frequencies, and what a pool is."""

from itertools import product

import numpy as np
import pytest

from iclab.foundations import Draws, InvalidInputError
from iclab.predictors import NGramBayes
from iclab.prompts import MarkovChainPool, MarkovChains
from iclab.prompts.markov_chains import openings, order_of, stationary

TABLES = {order: MarkovChains(3, 0.5, order).tables(Draws(1, count=40)) for order in (0, 1, 2)}


def transitions(table):
    """The matrix over states, written out."""
    rows, k = table.shape
    order = order_of(table)
    matrix = np.zeros((rows, rows))
    states = list(product(range(k), repeat=order))
    for i, state in enumerate(states):
        for symbol in range(k):
            matrix[i, states.index((*state, symbol)[1:])] += table[i, symbol]
    return matrix


@pytest.mark.parametrize("order", [1, 2])
def test_the_stationary_law_does_not_move(order):
    law = stationary(TABLES[order])
    for table, row in zip(TABLES[order], law, strict=True):
        np.testing.assert_allclose(row @ transitions(table), row, rtol=0, atol=1e-15)


def test_small_probabilities_keep_their_digits():
    """A cycle that is left with probability ε: the stationary law is known to full relative precision."""
    for leave in (1e-3, 1e-150):
        table = np.array([[1 - leave, leave], [1.0, 0.0]])
        np.testing.assert_allclose(stationary(table[None])[0], [1 / (1 + leave), leave / (1 + leave)], rtol=1e-15)


def test_chains_that_are_not_irreducible_have_a_stationary_law_all_the_same():
    closed = [
        [[0.5, 0.5, 0], [0, 1, 0], [0.2, 0.3, 0.5]],  # ends in 1
        [[0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 1]],  # ends in 1 or 2
        [[1, 0, 0], [0, 0, 1], [0, 1, 0]],  # two classes
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    ]
    for table in np.array(closed, dtype=float):
        (law,) = stationary(table[None])
        np.testing.assert_allclose(law @ table, law, atol=1e-15)
        np.testing.assert_allclose(law.sum(), 1, rtol=1e-15)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_every_window_has_the_stationary_law(order):
    """Of first symbols and of later ones alike."""
    table = TABLES[order][:1]
    prompts = MarkovChainPool(table).sample(60_000, 6, seed=2)
    joint = stationary(table)[0].reshape((3,) * order) if order else np.ones(())
    expected = (joint[..., None] * table[0].reshape((3,) * (order + 1))).ravel()
    for begin in (0, 5 - order):
        window = prompts.ys[:, begin : begin + order + 1] @ 3 ** np.arange(order + 1)[::-1]
        found = np.bincount(window, minlength=3 ** (order + 1)) / len(prompts)
        assert (np.abs(found - expected) < 4.5 * np.sqrt(expected / len(prompts)) + 1e-12).all()


@pytest.mark.parametrize("order", [0, 1, 2])
def test_probabilities_are_the_conditional_laws(order):
    chains = MarkovChains(3, 1.0, order)
    prompts = chains.sample(20, 7, seed=5)
    tables = chains.tables(Draws(5, count=20))
    for b in range(20):
        for i in range(order, 7):
            state = int("0" + "".join(map(str, prompts.ys[b, i - order : i])), 3)
            np.testing.assert_array_equal(prompts.probabilities[b, i], tables[b, state])
    first = openings(tables)
    for i in range(order):
        np.testing.assert_allclose(first[i].sum(axis=-1), 1, rtol=1e-12)


def test_uniform_starts_are_uniform():
    prompts = MarkovChains(3, 0.2, 2, start="uniform").sample(50, 4, seed=0)
    assert (prompts.probabilities[:, :2] == 1 / 3).all()


def test_a_larger_pool_extends_a_smaller_one():
    small, large = (MarkovChainPool.dirichlet(n, 3, seed=4) for n in (2, 5))
    np.testing.assert_array_equal(large.chains[:2], small.chains)
    used = {tuple(law) for law in large.sample(200, 3, seed=1).probabilities[:, 2]}
    assert used <= {tuple(row) for table in large.chains for row in table}
    assert len({round(law[0], 12) for law in used}) > 8


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: MarkovChains(1), "n_symbols must be at least 2"),
        (lambda: MarkovChains(3, 0.0), "concentration must be greater than 0"),
        (lambda: MarkovChains(3, 1.0, -1), "order must be at least 0"),
        (lambda: MarkovChains(100, order=2), "at most 1024 rows"),
        (lambda: MarkovChains(3, start="stationery"), "Did you mean 'stationary'"),
        (lambda: MarkovChainPool(np.full((1, 2, 3), 1 / 3)), "k\\^order rows"),
        (lambda: MarkovChainPool(np.ones((1, 3, 3))), "sum to 1"),
        (lambda: MarkovChainPool([[[2.0, -1.0], [0.5, 0.5]]]), "at least 0"),
    ],
)
def test_what_is_no_chain_is_refused(make, why):
    with pytest.raises(InvalidInputError, match=why):
        make()


def test_an_absurd_order_is_refused_at_once():
    """Its number of rows is not computed: 3^(10^18) has half a quintillion digits."""
    with pytest.raises(InvalidInputError, match=r"n_symbols\^order must be at most"):
        MarkovChains(3, order=10**18)
    prompts = MarkovChains(2).sample(1, 3, seed=0)
    with pytest.raises(InvalidInputError, match="to be counted"):
        NGramBayes(10**18)(prompts)
