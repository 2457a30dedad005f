"""Inside a model: what it computes on the way, what of that it needs, and what can be read from it.

An *activation* is a named tensor of a forward pass, such as ``blocks.0.attention.pattern``.
"""

from iclab.inspect.strategies import StrategyPosterior, compressed_bits, fit_posterior, relative_distances

__all__ = ["StrategyPosterior", "compressed_bits", "fit_posterior", "relative_distances"]
