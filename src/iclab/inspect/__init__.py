"""Inside a model: what it computes on the way, what of that it needs, and what can be read from it.

An *activation* is a named tensor of a forward pass, such as ``blocks.0.attention.pattern``; ``run`` returns predictions
and a *cache* of activations. An *intervention* changes some (``ablate``, ``patch``, ``clamp``); a model with one is a
predictor like any other, and ``effect`` is what it costs.
"""

from iclab.inspect.activations import activations, run
from iclab.inspect.cache import Cache
from iclab.inspect.edits import Intervened
from iclab.inspect.effects import effect, importance
from iclab.inspect.interventions import ablate, clamp, patch
from iclab.inspect.strategies import StrategyPosterior, compressed_bits, fit_posterior, relative_distances
from iclab.inspect.tokens import token_table

__all__ = [
    "Cache",
    "Intervened",
    "StrategyPosterior",
    "ablate",
    "activations",
    "clamp",
    "compressed_bits",
    "effect",
    "fit_posterior",
    "importance",
    "patch",
    "relative_distances",
    "run",
    "token_table",
]
