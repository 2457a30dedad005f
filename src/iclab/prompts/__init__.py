"""Prompts and where they come from.

A *prompt* is a list of labelled examples with a query at every position. A *prompt distribution* draws
prompts: covariates (law of x) × tasks (law of the function h) × noise. A *shift* makes another distribution
of a distribution, by name. Everything drawn is a pure function of (seed, stream, step, prompt index).

Covariates, tasks and shifts of your own need no registration: an object with ``dimension`` and ``sample``
is covariates, one with ``draw`` and ``mean_square`` is tasks. ``iclab.prompts.specification`` reads
distributions from plain data.
"""

from iclab.prompts.boolean_functions import Conjunction, Disjunction, Hypercube, Majority, Parity, SparseParity
from iclab.prompts.bursty_classes import BurstyClasses
from iclab.prompts.classification import Binary
from iclab.prompts.covariates import Covariates, Gaussian, RandomDiagonal
from iclab.prompts.distribution import Outliers, PointChange, PromptDistribution
from iclab.prompts.dynamics import LinearDynamics
from iclab.prompts.feature_functions import FourierSums, Monomials
from iclab.prompts.gaussian_mixture import GaussianMixture
from iclab.prompts.input_mixtures import CovariatesMixture, Orthant, RandomScale, Rotated
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
from iclab.prompts.recall import Categories, Lookup
from iclab.prompts.shift_table import GARG, SHIFTS, shift
from iclab.prompts.shifts import LinearSetting, Shift, linear_setting, normaliser
from iclab.prompts.structured_linear import CentredLinear, LowRank, RandomScaleLinear, SignVectors
from iclab.prompts.tasks import FinitePool, FixedLinear, Linear, SparseLinear, Tasks
from iclab.prompts.vector_functions import VectorLinear

__all__ = [
    "GARG",
    "SHIFTS",
    "Affine",
    "Autoregressive",
    "Binary",
    "BurstyClasses",
    "Categories",
    "CentredLinear",
    "Conjunction",
    "CovarianceMixture",
    "Covariates",
    "CovariatesMixture",
    "Cubic",
    "DecisionTree",
    "Disjunction",
    "FinitePool",
    "FixedLinear",
    "FourierSums",
    "Gaussian",
    "GaussianMixture",
    "Hypercube",
    "IndependentQueries",
    "Labels",
    "Linear",
    "LinearClassification",
    "LinearDynamics",
    "LinearPlusQuadratic",
    "LinearSetting",
    "Lookup",
    "LowRank",
    "Majority",
    "MarkovChainPool",
    "MarkovChains",
    "Monomials",
    "MultipliedInputs",
    "Orthant",
    "OrthogonalQueries",
    "Outliers",
    "OverlappingQueries",
    "Parity",
    "PointChange",
    "PromptDistribution",
    "Prompts",
    "Quadrants",
    "Quadratic",
    "RandomDiagonal",
    "RandomRotation",
    "RandomScale",
    "RandomScaleLinear",
    "ReluNetwork",
    "Rotated",
    "RotatedSpectrum",
    "Scaled",
    "ScaledInputs",
    "Shift",
    "SignVectors",
    "SparseLinear",
    "SparseParity",
    "StudentT",
    "TaskMixture",
    "Tasks",
    "Uniform",
    "VectorLinear",
    "Wishart",
    "linear_setting",
    "normaliser",
    "shift",
]
