"""Transformers that learn in context, as one family.

An *architecture* is data: sizes, embedding, attention, positions, and the parts of a block. A *transformer* is
the torch module built from it; one causal pass gives the predictions at every position, also for queries that
are not the examples themselves (each is a branch that sees only its own context). A trained transformer is a
*predictor* like any other: ``load(path)(prompts)``. Models are kept as safetensors and JSON; ``shipped_models()`` come
with the package. A module of your own takes a transformer's place everywhere; it is described by what makes it.
"""

from iclab.models.architecture import SIZES, Architecture
from iclab.models.own import Model, OwnModel, OwnModule, make
from iclab.models.predictor import TransformerPredictor, load
from iclab.models.storage import read_model, save_model
from iclab.models.transformer import Transformer
from iclab.predictors.registry import shipped_models

__all__ = [
    "SIZES",
    "Architecture",
    "Model",
    "OwnModel",
    "OwnModule",
    "Transformer",
    "TransformerPredictor",
    "load",
    "make",
    "read_model",
    "save_model",
    "shipped_models",
]
