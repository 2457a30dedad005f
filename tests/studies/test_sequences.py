"""Sequences: counts, lines and divergences of known answers, and the order of phases."""

import numpy as np
import pandas as pd
import pytest

from iclab.predictors import NGramBayes
from iclab.prompts import MarkovChainPool, MarkovChains
from iclab.studies.sequences import questions
from iclab.studies.sequences.lines import (
    BIGRAM,
    DAMPED,
    FREQUENCIES,
    NEW,
    POOL,
    POOL_BIGRAM,
    POOL_UNIGRAM,
    TRUE,
    UNIFORM,
    UNIGRAM,
    chain_lines,
    damped,
    pool_lines,
    strategies,
    transitions,
    with_pool,
)
from iclab.studies.sequences.models import TRUTH, divergences
from iclab.studies.study import Verdict


def test_transitions_are_what_followed_the_last_symbol():
    prompts = MarkovChains(3).sample(5, 12, seed=0)
    found = transitions(prompts)
    for b, ys in enumerate(prompts.ys):
        for i in range(1, 12):
            expected = [sum(ys[j - 1] == ys[i - 1] and ys[j] == k for j in range(1, i)) for k in range(3)]
            np.testing.assert_array_equal(found[b, i], expected)
    counts = found + 1
    np.testing.assert_allclose((counts / counts.sum(2, keepdims=True))[:, 1:], NGramBayes(1)(prompts)[:, 1:])


def test_damped_logits_are_frequencies_without_damping():
    counts = np.array([[[3.0, 1.0], [0.0, 0.0]]])
    np.testing.assert_allclose(damped(counts, 2.0), [[[1.5, 0.5], [0.0, 0.0]]])
    np.testing.assert_allclose(damped(counts, 2.0, 4.0), [[[0.75, 0.25], [0.0, 0.0]]])


@pytest.mark.parametrize(
    ("k", "bigram", "unigram", "frequency", "last"),
    [pytest.param(2, 0.030, 0.096, 0.041, 0.009, marks=pytest.mark.slow), (3, 0.067, 0.187, 0.095, 0.026)],
)
def test_lines_of_chains(k, bigram, unigram, frequency, last):
    """Excesses over the true chain, which vary less than cross-entropies; independent numbers of 4000 chains."""
    table = chain_lines(k, 100, 300, 0).set_index("predictor")
    lines, ends = table["mean"], table["last"]
    assert abs(ends[BIGRAM] - ends[TRUE] - last) < 0.006
    assert lines[TRUE] < lines[BIGRAM] < lines[DAMPED] <= lines[FREQUENCIES] < lines[UNIGRAM] < lines[UNIFORM]
    assert lines[UNIFORM] == pytest.approx(np.log(k))
    assert abs(lines[BIGRAM] - lines[TRUE] - bigram) < 0.002
    assert abs(lines[UNIGRAM] - lines[TRUE] - unigram) < 0.025
    assert abs(lines[FREQUENCIES] - lines[TRUE] - frequency) < 0.004


@pytest.mark.slow
@pytest.mark.parametrize(("size", "own", "new"), [(4, 0.011, 0.466), (64, 0.032, 0.188), (1024, 0.052, 0.101)])
def test_lines_of_urns(size, own, new):
    """Mean divergences at k = 8 and T = 128: independent numbers of one pool each; ours are of 6 pools."""
    lines = pool_lines(size, 8, 0, 128, tuple(range(6)), 1200, 0).set_index(["tasks", "predictor"])
    for tasks, value in ((POOL, own), (NEW, new)):
        mean, stderr = lines.loc[(tasks, POOL_UNIGRAM), ["mean", "stderr"]]
        assert abs(mean - value) < 3.5 * np.hypot(3 * stderr, 0.001)
    assert 0.070 < lines.loc[(NEW, UNIGRAM), "mean"] < 0.074


def test_bayes_of_a_pool_is_best_on_it_and_counts_elsewhere():
    lines = pool_lines(2, 3, 1, 30, (0, 1), 100, 0).set_index(["tasks", "predictor"])["mean"]
    assert lines[POOL].idxmin() == POOL_BIGRAM
    assert lines[NEW].idxmin() == BIGRAM


def test_a_strategy_is_no_distance_from_itself():
    chains = MarkovChainPool.dirichlet(4, 3, seed=1)
    prompts = chains.sample(20, 15, seed=0)
    references = {**strategies(), **with_pool(chains.chains)}
    for name, predictor in references.items():
        table = divergences(predictor(prompts), prompts, references).set_index("reference")["mean"]
        assert table[name] == pytest.approx(0, abs=1e-12)
        assert (table.drop(name) > 0).all()
    table = divergences(prompts.probabilities, prompts, {})
    assert table["reference"].tolist() == [TRUTH]
    assert table["mean"].tolist() == pytest.approx([0], abs=1e-12)


def _phases(nearest, stderr=0.1):
    own = {"model": "attention only", "training_seed": 0, "stderr": stderr}
    rows = [
        {**own, "step": step, "reference": name, "mean": float(name != best)}
        for step, best in enumerate(nearest)
        for name in (UNIFORM, UNIGRAM, BIGRAM)
    ]
    return {"phases": pd.DataFrame(rows)}


def test_phases_must_come_in_their_order():
    assert questions.phases(_phases([UNIFORM, UNIGRAM, UNIGRAM, BIGRAM])).verdict is Verdict.CONFIRMED
    assert questions.phases(_phases([UNIFORM, BIGRAM, BIGRAM])).verdict is Verdict.REFUTED
    assert questions.phases(_phases([UNIGRAM, UNIFORM, BIGRAM])).verdict is Verdict.REFUTED
    assert questions.phases(_phases([UNIFORM, UNIGRAM])).verdict is Verdict.UNDECIDED


def test_a_strategy_is_nearest_by_more_than_chance():
    """A distance of 1 is seen beyond 1.96 √2 standard errors."""
    ordered = [UNIFORM, UNIGRAM, BIGRAM]
    assert questions.phases(_phases(ordered, 0.35)).verdict is Verdict.CONFIRMED
    assert questions.phases(_phases(ordered, 0.37)).verdict is Verdict.UNDECIDED


def _mixtures(pool, counts):
    """Divergences of models from a posterior over their pool and from counts, a seed each; all else is farther."""
    rows = [
        {"family": "chains", "tasks": NEW, "n_chains": 2, "training_seed": seed, "reference": name, "mean": mean}
        for seed, both in enumerate(zip(pool, counts, strict=True))
        for name, mean in zip((POOL_BIGRAM, BIGRAM, POOL_UNIGRAM, UNIGRAM), (*both, 9.0, 9.0), strict=True)
    ]
    return {"mixtures": pd.DataFrame(rows)}


def test_what_models_are_nearest_to_is_decided_over_seeds():
    """Three seeds that agree by the same ratio decide; a mean that is smaller by chance, a tie and one seed do not."""
    for remembers, verdicts in ((True, ("CONFIRMED", "REFUTED")), (False, ("REFUTED", "CONFIRMED"))):

        def ask(pool, counts, remembers=remembers):
            return questions.nearest(_mixtures(pool, counts), family="chains", remembers=remembers).verdict

        assert ask([0.1, 0.2, 0.3], [0.2, 0.41, 0.59]) is Verdict[verdicts[0]]
        assert ask([0.2, 0.41, 0.59], [0.1, 0.2, 0.3]) is Verdict[verdicts[1]]
        assert ask([0.1, 0.2, 0.3], [0.11, 0.3, 0.2]) is Verdict.UNDECIDED
        assert ask([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) is Verdict.UNDECIDED
        assert ask([0.1], [0.2]) is Verdict.UNDECIDED
