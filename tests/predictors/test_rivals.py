"""Everybody who is compared on a problem answers it, and none is better than Bayes."""

import pytest

from iclab.evaluation import Suite, compare
from iclab.foundations import InvalidInputError
from iclab.predictors import FAST, rivals
from iclab.prompts import (
    Binary,
    Categories,
    Gaussian,
    GaussianMixture,
    Hypercube,
    Linear,
    LinearDynamics,
    Lookup,
    MarkovChainPool,
    MarkovChains,
    Parity,
    PromptDistribution,
    VectorLinear,
    shift,
)

X = Gaussian.isotropic(3)
PROBLEMS = {
    "functions": PromptDistribution(X, Linear(), 0.5),
    "vectors": PromptDistribution(X, VectorLinear(2), 0.5),
    "dynamics": LinearDynamics(3, "gaussian", 0.5),
    "chains": MarkovChains(3, start="uniform"),
    "urns": MarkovChains(3, order=0),
    "pool": MarkovChainPool.dirichlet(4, 3),
    "clusters": GaussianMixture(3, 1.0),
    "recall": PromptDistribution(Categories(4), Lookup(3)),
    "parity": PromptDistribution(Hypercube(5), Binary(Parity())),
    "logistic": PromptDistribution(X, Binary(Linear(), "logistic")),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_all_answer_and_none_is_better_than_bayes(name):
    law = PROBLEMS[name]
    found = rivals(law, 8)
    classes = law.labels.kind == "class"
    assert ("true_law" in found) == classes
    assert set(FAST) <= set(found) or classes
    assert ("bayes" in found) == (name != "logistic")
    table = compare(found, {name: law}, 8, n_prompts=100, seed=0)
    means = table.groupby("predictor")["mean"].mean()
    spread = table["stderr"].max()
    if "bayes" in found:
        assert (means.drop(["bayes", "true_law"], errors="ignore") > means["bayes"] - 4 * spread).all()
    if classes:
        assert (means > means["true_law"] - 4 * spread).all()


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_suite_of_the_problems_own_law(name):
    law = PROBLEMS[name]
    suite = Suite("own law", law, ("standard",))
    table = suite.run(rivals(law, 8), 5, n_prompts=20, seed=0)
    assert set(table["distribution"]) == {"standard"}


def test_shifts_are_of_functions():
    with pytest.raises(InvalidInputError, match="MarkovChains draws others: take 'standard'"):
        shift("scale-x=2").apply(MarkovChains(3))
    with pytest.raises(InvalidInputError, match="noise must be 0"):
        shift("noise=1").apply(PROBLEMS["logistic"])
    assert shift("standard").apply(PROBLEMS["chains"]) is PROBLEMS["chains"]
