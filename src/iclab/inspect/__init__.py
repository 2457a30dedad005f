"""Inside a model: what it computes on the way, what of that it needs, and what can be read from it.

An *activation* is a named tensor of a forward pass, such as ``blocks.0.attention.pattern``; ``run`` returns predictions
and a *cache* of activations. An *intervention* changes some (``ablate``, ``patch``, ``clamp``); a model with one is a
predictor like any other, and ``effect`` is what it costs. A *probe* is a linear map from an activation to a quantity of
the prompt; a *read-out* is what a model would predict after a block, and has a nearest algorithm. *Measures* are single
numbers of the field about a trained model.
"""

from iclab.inspect.activations import activations, run
from iclab.inspect.attention import attention_shares, induction_scores, mean_patterns
from iclab.inspect.beside import flow_beside, flow_time, plateaus_beside
from iclab.inspect.cache import Cache
from iclab.inspect.edits import Intervened
from iclab.inspect.effects import effect, importance
from iclab.inspect.interventions import ablate, clamp, patch
from iclab.inspect.measures import (
    Sensitivities,
    compare_with_descent,
    critical_distance,
    learner_and_theory,
    products_and_identity,
)
from iclab.inspect.overview import Overview, overview
from iclab.inspect.probes import at_positions, at_start, probe
from iclab.inspect.quantities import QUANTITIES, posterior_mean, task_index
from iclab.inspect.readouts import algorithms, nearest_steps, read_out
from iclab.inspect.strategies import StrategyPosterior, compressed_bits, fit_posterior, relative_distances
from iclab.inspect.tokens import token_table

__all__ = [
    "QUANTITIES",
    "Cache",
    "Intervened",
    "Overview",
    "Sensitivities",
    "StrategyPosterior",
    "ablate",
    "activations",
    "algorithms",
    "at_positions",
    "at_start",
    "attention_shares",
    "clamp",
    "compare_with_descent",
    "compressed_bits",
    "critical_distance",
    "effect",
    "fit_posterior",
    "flow_beside",
    "flow_time",
    "importance",
    "induction_scores",
    "learner_and_theory",
    "mean_patterns",
    "nearest_steps",
    "overview",
    "patch",
    "plateaus_beside",
    "posterior_mean",
    "probe",
    "products_and_identity",
    "read_out",
    "relative_distances",
    "run",
    "task_index",
    "token_table",
]
