"""A named shift of the prompts that a predictor was made for, its best predictor, and the layer's exact error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from iclab.predictors import LeastSquares, Predictor, Ridge, Zero
from iclab.prompts import Linear, PromptDistribution, RandomDiagonal, Shift, shift
from iclab.studies.measuring import OWN
from iclab.theory import expected_risk, optimal_learner, shift_risk

# The member of the suites that is what a family was made for.
UNSHIFTED = {"fixed": "standard", "random": "random-covariance"}
# Members that are distributions of x themselves and not a change of one.
DISTRIBUTIONS = ("standard", "random-covariance", "random-covariance+covariance=4", "random-covariance+covariance=9")
# Inputs of random covariances times 2 and 3 are those with c = 4 and 9, which are members themselves.
SAME_INPUTS = ("scale-x=2", "scale-x=3")
# Label noise of standard deviation 1 in other units of the labels: noise=1, which is a member itself.
SAME_NOISE = "noisyLR"
ORTHOGONAL, _INDEPENDENT = "orthogonal_train_test", "independent-query"


@dataclass(frozen=True)
class Problem:
    """A member of the suites, by name, applied to a family's inputs: "fixed" if it is a distribution itself."""

    name: str
    family: str

    @classmethod
    def of(cls, name: str, family: str) -> Problem:
        """What a predictor of a family meets under that name."""
        return cls(name, "fixed" if name in DISTRIBUTIONS else family)

    def base(self, dimension: int) -> PromptDistribution:
        """What is shifted."""
        return PromptDistribution(OWN[self.family].covariates(dimension), Linear())


def kind_of(member: Shift) -> str:
    """What a shift changes, in a word: task, labels, query or inputs."""
    changes = set(member.changes)
    if "task" in changes:
        return "task"
    if changes and changes <= {"labels", "noise"}:
        return "labels"
    return "query" if changes == {"query"} else "inputs"


def best_predictor(member: Shift, base: PromptDistribution) -> Predictor:
    """The posterior mean of a shifted linear problem with w ~ N(0, cI); zero, the best linear one, for other tasks.

    Zero is the best linear predictor of tasks whose labels are uncorrelated with the inputs, such as quadratic ones
    on symmetric inputs.
    """
    setting = member.setting(base)
    if setting.weight_moment is None:
        return Zero()
    penalty = setting.noise_variance / float(setting.weight_moment[0, 0])
    return Ridge(penalty) if penalty > 0 else LeastSquares()


def exact_error(family: str, name: str, dimension: int, n_train: int, n_test: int) -> float:
    """Error of the layer trained on a family's inputs under a shift of them; NaN where no formula is at hand.

    The learner is a multiple of the identity for both families, so a rotation of isotropic inputs does not matter.
    """
    d = dimension
    trained_on = OWN[family].covariates(d)
    if name.startswith("random-covariance"):
        scale = float(name.partition("covariance=")[2] or 1)
        return expected_risk(trained_on, n_train, n_test, RandomDiagonal.exponential(d, scale))
    if name == ORTHOGONAL:
        return float(d)  # no answer is orthogonal to nothing: the prediction is 0
    learner = optimal_learner(trained_on, n_train)
    spectra = {"half_subspace": np.arange(d) < d // 2, "skewed": 1 / np.arange(1.0, d + 1)}
    # What the shift makes of isotropic inputs: covariances a²I of the context and b²I of the query, E ww' = cI.
    setting = shift(name).setting(PromptDistribution(OWN["fixed"].covariates(d), Linear()))
    context, query, weights = setting.context_covariance, setting.query_covariance, setting.weight_moment
    if Problem.of(name, family).family == "fixed":
        if name in spectra:
            squares = spectra[name].astype(float) ** 2
            covariance = np.diag(squares * d / squares.sum())
            return shift_risk(learner, covariance, covariance, n_test, np.eye(d))
        if context is None or query is None or weights is None:
            return math.nan
        return shift_risk(learner, context, query, n_test, weights, setting.noise_variance)
    if name in spectra or name == _INDEPENDENT or context is None or query is None or weights is None:
        return math.nan
    # Random inputs times a, queries times b instead of a: the error is quadratic in the query and in the labels.
    a, b, c = float(context[0, 0]), float(query[0, 0]), float(weights[0, 0])
    scaled = RandomDiagonal.exponential(d, a)
    return b / a * c * expected_risk(trained_on, n_train, n_test, scaled, setting.noise_variance / c)
