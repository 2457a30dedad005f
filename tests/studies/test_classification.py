"""Classification: exact answers beside which models stand, and verdicts of known tables."""

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit, ndtr

from iclab.predictors import NearestNeighbors
from iclab.prompts import Binary, BurstyClasses, Gaussian, Linear, PromptDistribution
from iclab.studies.classification import questions
from iclab.studies.classification.bursts import OWN, SHOWN, TESTS
from iclab.studies.classification.clusters import clusters
from iclab.studies.classification.logistic import MODEL, bayes_of
from iclab.studies.study import Verdict


def test_bayes_by_sampling_is_the_integral_over_the_weight():
    """D = 1: Gauss-Hermite quadrature, within four standard errors of importance sampling at most."""
    slope, law = 2.0, PromptDistribution(Gaussian.isotropic(1), Binary(Linear(), "logistic", slope=2.0))
    prompts = law.sample(20, 6, seed=0)
    nodes, weights = hermegauss(60)
    values = expit(slope * prompts.xs * nodes)  # (B, P, nodes): P(class 1)
    likelihood = np.where(prompts.ys[..., None] == 1, values, 1 - values)
    before = np.cumprod(np.concatenate([np.ones((20, 1, 60)), likelihood[:, :-1]], axis=1), axis=1) * weights
    exact = (before * values).sum(2) / before.sum(2)
    found = bayes_of(1, slope, 20_000, 0)(prompts)[..., 1]
    assert np.abs(found - exact).max() < 0.02


def test_the_clusters_are_those_of_the_matrix():
    table = clusters(20, (0.3, 0.6), (0, 1), 200, 0)
    assert len(table) == 4
    np.testing.assert_allclose(table["bayes"], ndtr(20.0 ** table["exponent"]))
    assert (table["clean"] < table["bayes"] + 4 * table["clean_stderr"] + 1e-9).all()
    assert all(table[name].between(0.5, 1).all() for name in ("clean", "memory"))


@pytest.mark.parametrize(("test", "shown", "score"), TESTS)
def test_the_nearest_example_answers_by_the_context(test, shown, score):
    from iclab.evaluation import error_curve

    law = BurstyClasses(16, 64, 8, burst=2, shown=shown, spread=0.05)
    accuracy = error_curve(NearestNeighbors(1), law, 9, n_prompts=200, seed=0, score=score).mean[-1]
    if test in ("as trained", "new classes", SHOWN):
        assert accuracy == 1
    else:
        assert accuracy == 0 if test == OWN else accuracy < 0.35


def _bursts(accuracy):
    rows = [
        {"predictor": MODEL, "test": test, "n_classes": k, "burst": b, "training_seed": s, "mean": accuracy(test, k, b)}
        for test, *_ in TESTS
        for k in (8, 64)
        for b in (1, 4)
        for s in range(3)
    ]
    return {"bursts": pd.DataFrame(rows).assign(stderr=0.01)}


def test_verdicts_on_bursts():
    by_name = {question.name: question.ask for question in questions.QUESTIONS}
    told = _bursts(
        lambda test, k, b: {"new classes": 0.1 * b + k / 200, "no copies": 1 - k / 100, SHOWN: 0.6, OWN: 0.2}.get(
            test, 1
        )
    )
    for name in ("bursts", "classes", "weights", "conflict"):
        assert by_name[name](told).verdict is Verdict.CONFIRMED, name
    other = _bursts(
        lambda test, k, b: {"new classes": 0.9 - 0.1 * b, "no copies": k / 100, SHOWN: 0.2, OWN: 0.6}.get(test, 1)
    )
    for name in ("bursts", "weights", "conflict"):
        assert by_name[name](other).verdict is Verdict.REFUTED, name
    assert by_name["classes"](other).verdict is Verdict.UNDECIDED


def test_accuracies_are_held_against_those_of_independent_code():
    rows = [
        {"dimension": d, "exponent": 0.3, "training_seed": seed, "memory": m + 0.001 * seed, "clean": c + 0.001 * seed}
        for d, m, c in ((50, 0.842, 0.95), (100, 0.5, 0.5), (200, 0.9, 0.98))
        for seed in range(3)
    ]
    answer = questions.published({"clusters": pd.DataFrame(rows).assign(bayes=0.99)})
    assert (answer.met, answer.missed, answer.undecided) == (3, 1, 0)
    assert answer.numbers["memory, d = 50, less 0.843"].value == pytest.approx(0, abs=1e-9)
