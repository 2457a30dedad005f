"""Gradient flow of the population loss, and the discrete training it idealises.

A *trajectory* gives the parameters θ(t) of a linear self-attention layer, its loss and its conserved quantity at any
time. ``gradient_flow`` makes one; it picks the method: a closed form, the spectral method, an adaptive integrator.
A *descent* is the same in steps: gradient descent, momentum, or SGD on fresh prompts; ``empirical_minimizer`` is where
descent on B prompts ends. ``flow_ends`` follows many starts
at once and says where each ends; ``factored_flow`` keeps keys and queries apart; ``head_flow`` follows several heads,
merged or apart, and ``predicted_drops`` tells when it leaves its plateaus; ``two_layer_flow`` and ``two_layer_runs``
stack two layers.
"""

from iclab.flow.descent import (
    Descent,
    empirical_gradient,
    gradient_descent,
    stability_limit,
    stochastic_gradient_descent,
)
from iclab.flow.empirical import empirical_minimizer, empirical_minimizer_of_all, excess_coefficient
from iclab.flow.ensemble import Ends, flow_ends
from iclab.flow.factored import FactoredFlow, factored_flow
from iclab.flow.gradient import gradient_flow
from iclab.flow.head_descent import HeadDescent, head_descent
from iclab.flow.head_flow import HeadFlow, head_flow
from iclab.flow.heads import FactoredHeads, HeadsLoss, MergedHeads
from iclab.flow.predicted_drops import PredictedDrops, predicted_drops
from iclab.flow.status import Status
from iclab.flow.tables import sample_times, trajectory_table
from iclab.flow.trajectory import Trajectory
from iclab.flow.two_layer import TwoLayerFlow, TwoLayerRisk, TwoLayerWeights, two_layer_flow
from iclab.flow.two_layer_runs import Plateau, TwoLayerPath, two_layer_runs

__all__ = [
    "Descent",
    "Ends",
    "FactoredFlow",
    "FactoredHeads",
    "HeadDescent",
    "HeadFlow",
    "HeadsLoss",
    "MergedHeads",
    "Plateau",
    "PredictedDrops",
    "Status",
    "Trajectory",
    "TwoLayerFlow",
    "TwoLayerPath",
    "TwoLayerRisk",
    "TwoLayerWeights",
    "empirical_gradient",
    "empirical_minimizer",
    "empirical_minimizer_of_all",
    "excess_coefficient",
    "factored_flow",
    "flow_ends",
    "gradient_descent",
    "gradient_flow",
    "head_descent",
    "head_flow",
    "predicted_drops",
    "sample_times",
    "stability_limit",
    "stochastic_gradient_descent",
    "trajectory_table",
    "two_layer_flow",
    "two_layer_runs",
]
