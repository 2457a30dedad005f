"""Predictors by name, as the command line and the comparison of algorithms know them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from iclab.foundations import InvalidInputError, check_choice
from iclab.predictors.averaging import Averaging, Zero
from iclab.predictors.base import Predictor
from iclab.predictors.descent import GradientDescent, Newton
from iclab.predictors.exact import bayes_predictor, near_bayes
from iclab.predictors.fitted import GradientBoosting, Lasso, RegressionTree
from iclab.predictors.gradient_descent_plus import GradientDescentPlusPlus
from iclab.predictors.least_squares import LeastSquares, Ridge
from iclab.predictors.logistic import LogisticRegression
from iclab.predictors.lsa import TrainedLSA
from iclab.predictors.neighbours import NearestNeighbors
from iclab.predictors.network import TwoLayerNetwork
from iclab.predictors.ngrams import NGramBayes, TrueLaw
from iclab.prompts import Gaussian
from iclab.prompts.labels import labels_of


@dataclass(frozen=True)
class Entry:
    """A named predictor.

    Attributes
    ----------
    make : callable
        From the dimension d and the training length N.
    about : str
        One line.
    milliseconds : float
        Rough cost of one prediction at d = 20 and 40 examples; 0 where the whole prompt costs microseconds.
    """

    make: Callable[[int, int], Predictor]
    about: str
    milliseconds: float = 0.0


def _trained_layer(dimension: int, n_train: int) -> Predictor:
    from iclab.theory import minimizer  # a third of a second, which most uses of predictors need not wait for

    return TrainedLSA(minimizer(Gaussian.isotropic(dimension), n_train))


def _stable_rate(dimension: int) -> float:
    """1/(1 + √d)²: below 2/λ_max of (1/i)X'X for typical standard normal inputs from i = 1 on."""
    return float(1 / (1 + np.sqrt(dimension)) ** 2)


REGISTRY: dict[str, Entry] = {
    "zero": Entry(lambda d, n: Zero(), "Predicts 0."),
    "least_squares": Entry(lambda d, n: LeastSquares(), "Minimum-norm least squares."),
    "ridge": Entry(lambda d, n: Ridge(1.0), "Ridge with penalty 1: Bayes for noise of standard deviation 1."),
    "averaging": Entry(lambda d, n: Averaging(), "Query times the mean of y x."),
    "3_nearest_neighbors": Entry(lambda d, n: NearestNeighbors(3), "Mean label of the 3 nearest examples."),
    "gradient_descent": Entry(
        lambda d, n: GradientDescent(20, _stable_rate(d)), "20 steps of rate 1/(1 + √d)², from w = 0."
    ),
    "gradient_descent_plus_plus": Entry(
        lambda d, n: GradientDescentPlusPlus(8, _stable_rate(d), _stable_rate(d) / 3),
        "8 steps of GD++, rate 1/(1 + √d)², curvature a third of it.",
        0.05,
    ),
    "newton": Entry(lambda d, n: Newton(12), "12 Newton iterations for the inverse of X'X.", 0.05),
    "lsa": Entry(
        _trained_layer,
        "Linear self-attention at the limit of Theorem 4 for Λ = I.",
    ),
    **{
        f"lasso-{alpha:g}": Entry(lambda d, n, alpha=alpha: Lasso(alpha), f"Lasso, alpha = {alpha:g}.", 0.3)
        for alpha in (1.0, 0.1, 0.01, 1e-3, 1e-4)
    },
    "tree-4": Entry(lambda d, n: RegressionTree(4), "Regression tree of depth 4.", 0.5),
    "tree": Entry(lambda d, n: RegressionTree(), "Regression tree, unlimited.", 0.6),
    "boosting": Entry(lambda d, n: GradientBoosting(), "Gradient-boosted trees.", 50.0),
    "network": Entry(lambda d, n: TwoLayerNetwork(), "Two-layer network, 100 Adam steps.", 8.0),
}
"""The named predictors: what makes each for d and N, one line on it, and its cost per prompt and position."""

FAST: tuple[str, ...] = tuple(name for name, entry in REGISTRY.items() if entry.milliseconds == 0)
"""Names of those that answer all positions in one pass."""


def predictor(name: str, dimension: int, n_train: int) -> Predictor:
    """The predictor of that name.

    Parameters
    ----------
    name : str
        One of ``REGISTRY``.
    dimension, n_train : int
        d of the prompts and N of trained ones.

    Raises
    ------
    InvalidInputError
        If there is no such predictor; the sentence names the closest one.

    Examples
    --------
    >>> from iclab.predictors import predictor
    >>> predictor("averaging", dimension=5, n_train=10)
    Averaging()
    """
    return REGISTRY[check_choice(name, "predictor", REGISTRY)].make(dimension, n_train)


def rivals(distribution: Any, n_train: int) -> dict[str, Predictor]:
    """What a learner of these prompts is compared with: all fast predictors that answer their labels, and Bayes.

    Parameters
    ----------
    distribution : PromptDistribution, MarkovChains, …
        Of the prompts.
    n_train : int
        N of trained ones.

    Returns
    -------
    dict of str to predictor
        Of numbers the fast predictors of ``REGISTRY``; of symbols "unigram", "bigram", "trigram"; of classes of inputs
        "3_nearest_neighbors", and of two "logistic_regression"; of all classes "true_law", the law that the prompt was
        drawn from; "bayes" where it is known, and what ``near_bayes`` names.
    """
    labels = labels_of(distribution)
    size = distribution.dimension or labels.size
    if labels.kind != "class":
        found = {name: predictor(name, size, n_train) for name in FAST}
    elif distribution.dimension:
        found: dict[str, Predictor] = {"3_nearest_neighbors": NearestNeighbors(3), "true_law": TrueLaw()}
        if labels.size == 2:
            found["logistic_regression"] = LogisticRegression()
    else:
        grams = {"unigram": 0, "bigram": 1, "trigram": 2}
        found = {**{name: NGramBayes(order) for name, order in grams.items()}, "true_law": TrueLaw()}
    with suppress(InvalidInputError):
        found["bayes"] = bayes_predictor(distribution)
    return found | near_bayes(distribution)


def shipped_models() -> dict[str, Path]:
    """The trained models that come with the package: name to folder, as ``iclab.models.load`` takes either."""
    folder = Path(str(files("iclab"))) / "models" / "shipped"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name: path for path in found if (path / "manifest.json").exists()}
