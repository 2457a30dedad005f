"""The exact Bayes predictor of a distribution, where one is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iclab.foundations import InvalidInputError
from iclab.predictors.base import Predictor
from iclab.predictors.bayes import FinitePoolBayes
from iclab.predictors.features import InFeatures, LinearMap
from iclab.predictors.least_squares import LeastSquares, Ridge
from iclab.predictors.ngrams import MarkovPoolBayes, NGramBayes
from iclab.prompts import FinitePool, Linear, MarkovChainPool, MarkovChains, PromptDistribution
from iclab.prompts.linear_algebra import symmetric_root


def bayes_predictor(distribution: Any) -> Predictor:
    """The predictor that answers E[y | context, query], or for classes their probabilities, at every position.

    No predictor has a smaller expected score on these prompts, and what it answers can replace labels as training
    targets (Rao-Blackwell). At position 0 it answers the mean or law before any example.

    Parameters
    ----------
    distribution : PromptDistribution, MarkovChains, …
        Of the prompts, as drawn: without shifts of inputs or queries, without outliers.

    Returns
    -------
    predictor

    Raises
    ------
    InvalidInputError
        If none is known in closed form for this law.
    """
    law, rules = distribution, _SEQUENCES
    if isinstance(distribution, PromptDistribution):
        require_plain(distribution)
        law, rules = distribution.tasks, _FUNCTIONS
    if type(law) not in rules:
        raise _unknown(distribution)
    return rules[type(law)](distribution)


def require_plain(distribution: PromptDistribution) -> None:
    """Raise unless the prompts are as drawn from covariates, tasks and Gaussian noise."""
    if distribution.outliers is not None or distribution.changes:
        raise _unknown(distribution)


def _unknown(distribution: object) -> InvalidInputError:
    return InvalidInputError(
        f"an exact Bayes predictor must be known for the law of the prompts; none is for {distribution!r}."
    )


def _linear(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    bayes = Ridge(distribution.noise**2) if distribution.noise else LeastSquares()
    if tasks.weight_covariance is None:
        return bayes
    # Weights are isotropic in these inputs.
    return InFeatures(bayes, LinearMap(symmetric_root(tasks.weight_covariance)))


def _pool(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    return FinitePoolBayes(tasks.pool, distribution.noise, first="prior")


def _chains(distribution: MarkovChains) -> Predictor:
    if distribution.order > 0 and distribution.start == "stationary":
        raise InvalidInputError(
            "chains must start from uniform symbols for counts to be their exact posterior; these start from the "
            "stationary law, which tells of the table: take start='uniform'."
        )
    return NGramBayes(distribution.order, distribution.concentration)


_SEQUENCES: dict[type, Callable[[Any], Predictor]] = {
    MarkovChains: _chains,
    MarkovChainPool: lambda distribution: MarkovPoolBayes(distribution.chains),
}
_FUNCTIONS: dict[type, Callable[[PromptDistribution], Predictor]] = {
    Linear: _linear,
    FinitePool: _pool,
}
