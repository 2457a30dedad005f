"""Transformers that learn in context, as one family.

An *architecture* is data: sizes, embedding, attention, positions, and the parts of a block. A *transformer* is
the torch module built from it; one causal pass gives the predictions at every position, also for queries that
are not the examples themselves (each is a branch that sees only its own context). A trained transformer is a
*predictor* like any other: ``load(path)(prompts)``. Models are kept as safetensors and JSON; ``shipped_models()`` come
with the package.
"""

from iclab.models.architecture import SIZES, Architecture
from iclab.models.predictor import TransformerPredictor, load
from iclab.models.storage import read_model, save_model
from iclab.models.transformer import Transformer
from iclab.predictors.registry import shipped_models

__all__ = [
    "SIZES",
    "Architecture",
    "Transformer",
    "TransformerPredictor",
    "load",
    "read_model",
    "save_model",
    "shipped_models",
]
