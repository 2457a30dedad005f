"""Closed forms of the population: the mathematics of the paper as functions of covariates, N and M.

The nouns. ``LSAParameters`` are the weights of one linear self-attention layer; only their blocks (a, u, U, b)
matter to its prediction. A *law of covariances* (``Gaussian`` with a fixed Λ, ``RandomDiagonal`` with a Λ_τ per
prompt) enters through a ``CovarianceRule`` that integrates polynomials of degree 3 in Λ exactly. From these come the
``PopulationLoss`` on all parameters, its minimisers (a *learner* K, ŷ = x_q'K (1/M) Σ y_i x_i), the ``Certificate``
of gradient flow, and the risk of what was learned. Everything is NumPy in float64; docstrings name the theorem.
"""

from incontext.theory.certificates import Certificate, asymptotic_rate, certificate
from incontext.theory.covariance_rules import (
    CovarianceLaw,
    CovarianceRule,
    DiagonalMoments,
    FlowCoefficients,
    covariance_rule,
    flow_coefficients,
)
from incontext.theory.critical_points import (
    CriticalPoint,
    classify,
    descend,
    mixed_limit,
    mixed_point,
    random_descents,
    rank_one_limit,
    rank_one_point,
)
from incontext.theory.cubature import PromptCubature, cubature_loss, prompt_cubature
from incontext.theory.lengths import AllPositions, RealLength, TrainLength
from incontext.theory.lsa import (
    LSAParameters,
    assumption3,
    attention,
    embed,
    lsa,
    negative_eigenvalues,
    predict,
    quadratic_form,
    random_theta,
)
from incontext.theory.minimizers import (
    MinimizerComparison,
    compare_to_minimizer,
    learner_loss,
    minimizer,
    minimum_loss,
    optimal_learner,
)
from incontext.theory.population import PopulationLoss, gamma, population_gradient, population_loss
from incontext.theory.risk import (
    LabelLaw,
    SampleComplexity,
    corollary6_bound,
    corollary6_floor,
    cubic_law,
    expected_risk,
    learner_risk,
    noisy_linear_law,
    quadratic_law,
    sample_complexity,
    shift_risk,
    theorem5_risk,
)

__all__ = [
    "AllPositions",
    "Certificate",
    "CovarianceLaw",
    "CovarianceRule",
    "CriticalPoint",
    "DiagonalMoments",
    "FlowCoefficients",
    "LSAParameters",
    "LabelLaw",
    "MinimizerComparison",
    "PopulationLoss",
    "PromptCubature",
    "RealLength",
    "SampleComplexity",
    "TrainLength",
    "assumption3",
    "asymptotic_rate",
    "attention",
    "certificate",
    "classify",
    "compare_to_minimizer",
    "corollary6_bound",
    "corollary6_floor",
    "covariance_rule",
    "cubature_loss",
    "cubic_law",
    "descend",
    "embed",
    "expected_risk",
    "flow_coefficients",
    "gamma",
    "learner_loss",
    "learner_risk",
    "lsa",
    "minimizer",
    "minimum_loss",
    "mixed_limit",
    "mixed_point",
    "negative_eigenvalues",
    "noisy_linear_law",
    "optimal_learner",
    "population_gradient",
    "population_loss",
    "predict",
    "prompt_cubature",
    "quadratic_form",
    "quadratic_law",
    "random_descents",
    "random_theta",
    "rank_one_limit",
    "rank_one_point",
    "sample_complexity",
    "shift_risk",
    "theorem5_risk",
]
