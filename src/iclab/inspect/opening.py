"""What can be looked into: a trained model, by name, folder or as an object."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from iclab.foundations import InvalidInputError, PromptLabels
from iclab.models import OwnModel, OwnModule, Transformer, TransformerPredictor, load
from iclab.models.architecture import Architecture
from iclab.prompts import Prompts

Inspectable: TypeAlias = "str | Path | nn.Module | TransformerPredictor"


@dataclass(frozen=True, eq=False)
class ModulePredictor:
    """A torch module of one's own that answers prompts of any dimension and labels that it takes.

    Attributes
    ----------
    net : Module
        As ``OwnModel`` describes it: ``forward(xs, ys, queries=None)``.
    """

    net: nn.Module = field(repr=False)
    n_train: int | None = None

    @cached_property
    def model(self) -> OwnModule:
        """The module as a model."""
        return OwnModule.around(self.net, self.architecture)

    @property
    def architecture(self) -> OwnModel:
        """What is known of it: its class."""
        kind = type(self.net)
        return OwnModel(object=f"{kind.__module__}:{kind.__qualname__}")

    @property
    def name(self) -> str:
        """Its class."""
        return type(self.net).__name__

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, in the shape of the labels."""
        description = self.architecture.of(prompts.dimension, prompts.labels)
        return TransformerPredictor(OwnModule.around(self.net, description))(prompts)


def opened(model: Any, *, allow_code: bool = False) -> Any:
    """The predictor to look into.

    Parameters
    ----------
    model : str, Path, Module or predictor
        A model's name or folder, a transformer or a module of one's own, or the predictor of one, with interventions or
        without.
    allow_code : bool
        As in ``iclab.models.load``.

    Returns
    -------
    TransformerPredictor, ModulePredictor or Intervened

    Raises
    ------
    InvalidInputError
        If it is no model, as a classical predictor, which has no inside.
    """
    if isinstance(model, str | Path):
        return load(model, allow_code=allow_code)
    if isinstance(model, Transformer | OwnModule):
        return TransformerPredictor(model)
    if isinstance(model, nn.Module):
        return ModulePredictor(model)
    if not hasattr(model, "model") or not isinstance(model.model, Transformer | OwnModule):
        raise InvalidInputError(
            f"a model to look into must be a transformer or a module of one's own, its name or its folder; "
            f"{type(model).__name__} was given."
        )
    return model


def transformer_of(model: Any, what: str) -> Transformer:
    """The transformer of a model that must be one, for ``what``.

    Raises
    ------
    InvalidInputError
        If it is a module of one's own, of whose inside nothing is known.
    """
    module = opened(model).model
    if not isinstance(module, Transformer):
        raise InvalidInputError(
            f"{what} must be those of a transformer; {module.architecture.object} is a module of one's own."
        )
    return module


def architecture_of(model: Any, what: str) -> Architecture:
    """Its architecture, likewise."""
    return transformer_of(model, what).architecture
