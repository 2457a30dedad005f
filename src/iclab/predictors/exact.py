"""The exact Bayes predictor of a distribution, where one is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from iclab.foundations import InvalidInputError
from iclab.predictors.averaging import Zero
from iclab.predictors.base import Predictor
from iclab.predictors.bayes import FinitePoolBayes
from iclab.predictors.clusters import ClusterBayes
from iclab.predictors.enumeration import CodedFunctions, EnumerationBayes, ParityBayes
from iclab.predictors.evidence import EvidenceMixture, LinearBayes, RandomScaleBayes, ScaledLabels, Shifted
from iclab.predictors.expectation_propagation import ClassificationEP, SignEP
from iclab.predictors.features import InFeatures, LinearMap
from iclab.predictors.kernels import ArcCosine, KernelRegression, SharedLeaf
from iclab.predictors.least_squares import LeastSquares, Ridge
from iclab.predictors.low_rank import LowRankParticles
from iclab.predictors.ngrams import MarkovPoolBayes, NGramBayes
from iclab.predictors.recall import RecallBayes
from iclab.predictors.subsets import SparseBayes
from iclab.predictors.trees import MOST_TREES, TreeBayes
from iclab.prompts import (
    Binary,
    CentredLinear,
    Conjunction,
    DecisionTree,
    Disjunction,
    FinitePool,
    FixedLinear,
    FourierSums,
    GaussianMixture,
    Linear,
    LinearClassification,
    LinearDynamics,
    Lookup,
    LowRank,
    Majority,
    MarkovChainPool,
    MarkovChains,
    Monomials,
    Parity,
    PromptDistribution,
    Quadratic,
    RandomScaleLinear,
    ReluNetwork,
    Scaled,
    SignVectors,
    SparseLinear,
    SparseParity,
    TaskMixture,
    VectorLinear,
)
from iclab.prompts.boolean_functions import BooleanLaw
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
        If none is known in closed form for this law; ``near_bayes`` has approximations for some.

    Examples
    --------
    >>> from iclab.predictors import bayes_predictor
    >>> from iclab.prompts import Gaussian, Linear, MarkovChains, PromptDistribution
    >>> bayes_predictor(PromptDistribution(Gaussian.isotropic(2), Linear(), noise=0.5))
    LinearBayes(noise=0.5, weight_variance=1.0)
    >>> bayes_predictor(MarkovChains(3, start="uniform"))
    NGramBayes(order=1, concentration=1.0)
    """
    law, rules = distribution, _WHOLE
    if isinstance(distribution, PromptDistribution):
        require_plain(distribution)
        law, rules = distribution.tasks, _FUNCTIONS
    if type(law) not in rules:
        raise _unknown(distribution)
    return rules[type(law)](distribution)


def near_bayes(distribution: Any) -> dict[str, Predictor]:
    """Approximations of the posterior mean where it has no closed form, by name.

    Parameters
    ----------
    distribution : PromptDistribution, MarkovChains, …
        Of the prompts.

    Returns
    -------
    dict of str to predictor
        "expectation_propagation" for linear and logistic classification with Gaussian weights, "particles" for
        ``LowRank`` with noise, and "best_linear_in_labels" for ``LowRank``, ``ReluNetwork`` and ``DecisionTree``;
        nothing for other laws.
    """
    if not isinstance(distribution, PromptDistribution) or distribution.outliers is not None or distribution.changes:
        return {}
    tasks: Any = distribution.tasks
    noise = distribution.noise
    if isinstance(tasks, Binary) and isinstance(tasks.tasks, Linear):
        classifier = ClassificationEP(tasks.link, tasks.flips, tasks.slope)
        covariance = tasks.tasks.weight_covariance
        inner = classifier if covariance is None else InFeatures(classifier, LinearMap(symmetric_root(covariance)))
        return {"expectation_propagation": inner}
    if isinstance(tasks, LinearClassification) and noise == 0:
        return {"expectation_propagation": SignEP()}
    if isinstance(tasks, LowRank):
        linear: Predictor = Ridge(noise**2) if noise else LeastSquares()
        if noise == 0:
            return {"best_linear_in_labels": linear}
        particles = LowRankParticles(tasks.rows, tasks.columns, tasks.rank, noise)
        return {"particles": particles, "best_linear_in_labels": linear}
    if isinstance(tasks, ReluNetwork):
        return {"best_linear_in_labels": KernelRegression(ArcCosine(), noise)}
    if isinstance(tasks, DecisionTree):
        return {"best_linear_in_labels": KernelRegression(SharedLeaf(tasks.depth), noise)}
    return {}


def _tree(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    if TreeBayes.count(tasks.depth, distribution.dimension) > MOST_TREES:
        raise _unknown(distribution)
    return TreeBayes(tasks.depth, distribution.noise)


def require_plain(distribution: PromptDistribution) -> None:
    """Raise unless the prompts are as drawn from covariates, tasks and Gaussian noise."""
    if distribution.outliers is not None or distribution.changes:
        raise InvalidInputError(
            "prompts must be without outliers and changed inputs for their exact Bayes predictor to be known."
        )


def _unknown(distribution: object) -> InvalidInputError:
    law = distribution.tasks if isinstance(distribution, PromptDistribution) else distribution
    told = " ".join(repr(law).split())
    return InvalidInputError(f"an exact Bayes predictor must be known for the law of the prompts; none is for {told}.")


def _gaussian(noise: float) -> Predictor:
    """For weights N(0, I) of the inputs as they are."""
    return LinearBayes(noise) if noise else LeastSquares()


def _linear(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    bayes = _gaussian(distribution.noise)
    if tasks.weight_covariance is None:
        return bayes
    # Weights are isotropic in these inputs.
    return InFeatures(bayes, LinearMap(symmetric_root(tasks.weight_covariance)))


def _of_random_scale(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    return RandomScaleBayes(distribution.noise, tasks.largest) if distribution.noise else LeastSquares()


def _pool(distribution: PromptDistribution, pool: Any) -> Predictor:
    return FinitePoolBayes(pool, distribution.noise, first="prior")


def _in_features(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    return InFeatures(_gaussian(distribution.noise), tasks.features)


def _monomials(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    if tasks.terms is None:
        return _in_features(distribution)
    return InFeatures(SparseBayes(tasks.terms, distribution.noise), tasks.features)


def _scaled(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    if tasks.factor == 0:
        return Zero()
    inner = replace(distribution, tasks=tasks.tasks, noise=distribution.noise / abs(tasks.factor))
    return ScaledLabels(bayes_predictor(inner), tasks.factor)


def _mixture(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    if distribution.noise == 0 and distribution.labels.kind != "class":
        raise InvalidInputError(
            "noise must be positive for members of a mixture to be weighed by their evidence; 0 was given."
        )
    members = [bayes_predictor(replace(distribution, tasks=member)) for member in tasks.members]
    return EvidenceMixture(members, tasks.probabilities)


def _listed(distribution: PromptDistribution) -> Predictor:
    return _boolean(distribution.tasks, distribution)


def _parity(distribution: PromptDistribution) -> Predictor:
    return ParityBayes() if distribution.noise == 0 else _listed(distribution)


def _boolean(law: Any, distribution: PromptDistribution, classes: Any = None) -> Predictor:
    codes, logs = law.every(distribution.dimension)
    return EnumerationBayes(CodedFunctions(law, codes), logs, distribution.noise, classes)


def _binary(distribution: PromptDistribution) -> Predictor:
    tasks: Any = distribution.tasks
    inner = tasks.tasks
    if isinstance(inner, Parity) and tasks.link == "sign" and tasks.flips == 0:
        return ParityBayes()
    if isinstance(inner, BooleanLaw):
        return _boolean(inner, distribution, tasks.law)
    pools: dict[type, Callable[[], Any]] = {
        FinitePool: lambda: inner.pool,
        FixedLinear: lambda: np.array([inner.weight_vector]),
        SignVectors: lambda: inner.pool(distribution.dimension),
    }
    if type(inner) not in pools:
        raise _unknown(distribution)
    pool = pools[type(inner)]()
    return EnumerationBayes(LinearMap(pool.T), np.full(len(pool), -np.log(len(pool))), law=tasks.law)


def _dynamics(distribution: LinearDynamics) -> Predictor:
    if distribution.noise == 0:
        # Of the last label's part outside the span of earlier ones, the image has mean 0.
        return LeastSquares()
    if distribution.law == "orthogonal":
        raise _unknown(distribution)
    return LinearBayes(distribution.noise, distribution.scale**2 / distribution.size)


def _chains(distribution: MarkovChains) -> Predictor:
    if distribution.order > 0 and distribution.start == "stationary":
        raise InvalidInputError(
            "chains must start from uniform symbols for counts to be their exact posterior; these start from the "
            "stationary law, which tells of the table: take start='uniform'."
        )
    return NGramBayes(distribution.order, distribution.concentration)


_WHOLE: dict[type, Callable[[Any], Predictor]] = {
    MarkovChains: _chains,
    MarkovChainPool: lambda distribution: MarkovPoolBayes(distribution.chains),
    LinearDynamics: _dynamics,
    GaussianMixture: lambda distribution: ClusterBayes(distribution.radius, distribution.flips),
}
_FUNCTIONS: dict[type, Callable[[Any], Predictor]] = {
    Linear: _linear,
    FixedLinear: lambda given: _pool(given, [given.tasks.weight_vector]),
    FinitePool: lambda given: _pool(given, given.tasks.pool),
    SignVectors: lambda given: _pool(given, given.tasks.pool(given.dimension)),
    RandomScaleLinear: _of_random_scale,
    SparseLinear: lambda given: SparseBayes(given.tasks.nonzeros, given.noise),
    CentredLinear: lambda given: Shifted(_gaussian(given.noise), given.tasks.centre),
    VectorLinear: lambda given: _gaussian(given.noise),
    DecisionTree: _tree,
    Quadratic: _in_features,
    FourierSums: _in_features,
    Monomials: _monomials,
    **dict.fromkeys((Conjunction, Disjunction, Majority, SparseParity), _listed),
    Parity: _parity,
    Binary: _binary,
    Lookup: lambda given: RecallBayes(),
    Scaled: _scaled,
    TaskMixture: _mixture,
}
