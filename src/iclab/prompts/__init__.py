"""Prompts and where they come from.

A *prompt* is a list of labelled examples with a query at every position. A *prompt distribution* draws
prompts: covariates (law of x) × tasks (law of the function h) × noise. A *shift* makes another distribution
of a distribution, by name. Everything drawn is a pure function of (seed, stream, step, prompt index).

Covariates, tasks and shifts of one's own need no registration: an object with ``dimension`` and ``sample``
is covariates, one with ``draw`` and ``mean_square`` is tasks. ``iclab.prompts.specification`` reads
distributions from plain data.
"""

from iclab.prompts.covariates import Covariates, Gaussian, RandomDiagonal
from iclab.prompts.distribution import Outliers, PointChange, PromptDistribution
from iclab.prompts.labels import Labels
from iclab.prompts.markov_chains import MarkovChainPool, MarkovChains
from iclab.prompts.nonlinear_laws import Cubic, LinearPlusQuadratic
from iclab.prompts.nonlinear_tasks import (
    DecisionTree,
    LinearClassification,
    Quadratic,
    ReluNetwork,
    Scaled,
    TaskMixture,
)
from iclab.prompts.other_covariates import Affine, Autoregressive, StudentT, Uniform
from iclab.prompts.point_changes import (
    IndependentQueries,
    MultipliedInputs,
    OrthogonalQueries,
    OverlappingQueries,
    Quadrants,
    RotatedSpectrum,
    ScaledInputs,
)
from iclab.prompts.prompt import Prompts
from iclab.prompts.random_covariances import CovarianceMixture, RandomRotation, Wishart
from iclab.prompts.shift_table import GARG, SHIFTS, shift
from iclab.prompts.shifts import LinearSetting, Shift, linear_setting, normaliser
from iclab.prompts.tasks import FinitePool, FixedLinear, Linear, SparseLinear, Tasks

__all__ = [
    "GARG",
    "SHIFTS",
    "Affine",
    "Autoregressive",
    "CovarianceMixture",
    "Covariates",
    "Cubic",
    "DecisionTree",
    "FinitePool",
    "FixedLinear",
    "Gaussian",
    "IndependentQueries",
    "Labels",
    "Linear",
    "LinearClassification",
    "LinearPlusQuadratic",
    "LinearSetting",
    "MarkovChainPool",
    "MarkovChains",
    "MultipliedInputs",
    "OrthogonalQueries",
    "Outliers",
    "OverlappingQueries",
    "PointChange",
    "PromptDistribution",
    "Prompts",
    "Quadrants",
    "Quadratic",
    "RandomDiagonal",
    "RandomRotation",
    "ReluNetwork",
    "RotatedSpectrum",
    "Scaled",
    "ScaledInputs",
    "Shift",
    "SparseLinear",
    "StudentT",
    "TaskMixture",
    "Tasks",
    "Uniform",
    "Wishart",
    "linear_setting",
    "normaliser",
    "shift",
]
