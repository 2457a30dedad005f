"""Closed forms of the population: the mathematics of the paper as functions of covariates, N and M.

The terms. ``LSAParameters`` are the weights of one linear self-attention layer; only their blocks (a, u, U, b)
matter to its prediction. A *law of covariances* (``Gaussian`` with a fixed Λ, ``RandomDiagonal`` with a Λ_τ per
prompt) enters through a ``CovarianceRule`` that integrates polynomials of degree 3 in Λ exactly. From these come the
``PopulationLoss`` on all parameters, its minimisers (a *learner* K, ŷ = x_q'K (1/M) Σ y_i x_i), the ``Certificate``
of gradient flow, and the risk of what was learned. Everything is NumPy in float64; docstrings name the theorem.
"""

from iclab.theory.adversarial import RobustLayer, attacked_risk, robust_layer
from iclab.theory.asymptotics import Asymptotics, mismatch_asymptotics, ridge_asymptotics, ridgeless_asymptotics
from iclab.theory.attacks import LabelAttack, label_attack, label_attack_sizes, label_influence, minimal_label_attack
from iclab.theory.certificates import Certificate, asymptotic_rate, certificate
from iclab.theory.concentration import RiskConcentration, risk_concentration
from iclab.theory.conditioning import ConditioningCurve, geometric_spectrum, risk_by_condition_number
from iclab.theory.covariance_rules import (
    CovarianceLaw,
    CovarianceRule,
    DiagonalMoments,
    covariance_rule,
)
from iclab.theory.critical_points import (
    CriticalPoint,
    PointKind,
    classify,
    descend,
    mixed_limit,
    mixed_point,
    random_descents,
    rank_one_limit,
    rank_one_point,
)
from iclab.theory.cubature import PromptCubature, cubature_loss, prompt_cubature
from iclab.theory.depth_asymptotics import DepthAsymptotics, depth_asymptotics
from iclab.theory.finite_attention import Extrapolation, FiniteAttention, extrapolate, simulate_attention
from iclab.theory.general_rules import ScaledCovariance
from iclab.theory.input_attacks import InputAttack, context_attack, query_attack, ridge_attack
from iclab.theory.label_laws import (
    EstimatedLabelLaw,
    LabelLaw,
    cubic_law,
    estimate_label_law,
    estimate_theorem5_risk,
    noisy_linear_law,
    quadratic_law,
)
from iclab.theory.lengths import AllPositions, RealLength, TrainLength
from iclab.theory.lsa import (
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
from iclab.theory.minimizers import (
    MinimizerComparison,
    compare_to_minimizer,
    learner_loss,
    minimizer,
    minimum_loss,
    optimal_learner,
)
from iclab.theory.modes import FlowCoefficients, flow_coefficients
from iclab.theory.plateaus import plateau_losses
from iclab.theory.population import PopulationLoss, gamma, population_gradient, population_loss
from iclab.theory.random_covariance import RiskDistribution, risk_distribution
from iclab.theory.rescaling import ScaledRisk, coordinate_scaling, trace_scaling
from iclab.theory.risk import (
    SampleComplexity,
    corollary6_bound,
    corollary6_floor,
    expected_risk,
    layer_risk,
    learner_risk,
    sample_complexity,
    shift_risk,
    theorem5_risk,
)

__all__ = [
    "AllPositions",
    "Asymptotics",
    "Certificate",
    "ConditioningCurve",
    "CovarianceLaw",
    "CovarianceRule",
    "CriticalPoint",
    "DepthAsymptotics",
    "DiagonalMoments",
    "EstimatedLabelLaw",
    "Extrapolation",
    "FiniteAttention",
    "FlowCoefficients",
    "InputAttack",
    "LSAParameters",
    "LabelAttack",
    "LabelLaw",
    "MinimizerComparison",
    "PointKind",
    "PopulationLoss",
    "PromptCubature",
    "RealLength",
    "RiskConcentration",
    "RiskDistribution",
    "RobustLayer",
    "SampleComplexity",
    "ScaledCovariance",
    "ScaledRisk",
    "TrainLength",
    "assumption3",
    "asymptotic_rate",
    "attacked_risk",
    "attention",
    "certificate",
    "classify",
    "compare_to_minimizer",
    "context_attack",
    "coordinate_scaling",
    "corollary6_bound",
    "corollary6_floor",
    "covariance_rule",
    "cubature_loss",
    "cubic_law",
    "depth_asymptotics",
    "descend",
    "embed",
    "estimate_label_law",
    "estimate_theorem5_risk",
    "expected_risk",
    "extrapolate",
    "flow_coefficients",
    "gamma",
    "geometric_spectrum",
    "label_attack",
    "label_attack_sizes",
    "label_influence",
    "layer_risk",
    "learner_loss",
    "learner_risk",
    "lsa",
    "minimal_label_attack",
    "minimizer",
    "minimum_loss",
    "mismatch_asymptotics",
    "mixed_limit",
    "mixed_point",
    "negative_eigenvalues",
    "noisy_linear_law",
    "optimal_learner",
    "plateau_losses",
    "population_gradient",
    "population_loss",
    "predict",
    "prompt_cubature",
    "quadratic_form",
    "quadratic_law",
    "query_attack",
    "random_descents",
    "random_theta",
    "rank_one_limit",
    "rank_one_point",
    "ridge_asymptotics",
    "ridge_attack",
    "ridgeless_asymptotics",
    "risk_by_condition_number",
    "risk_concentration",
    "risk_distribution",
    "robust_layer",
    "sample_complexity",
    "shift_risk",
    "simulate_attention",
    "theorem5_risk",
    "trace_scaling",
]
