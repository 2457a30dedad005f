"""What can be looked into: a trained model, by name, folder or as an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from iclab.foundations import InvalidInputError
from iclab.models import OwnModule, Transformer, TransformerPredictor, load
from iclab.models.architecture import Architecture

Inspectable: TypeAlias = "str | Path | Transformer | OwnModule | TransformerPredictor"


def opened(model: Any, *, allow_code: bool = False) -> Any:
    """The predictor to look into.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        A model's name or folder, a module, or the predictor of one, with interventions or without.
    allow_code : bool
        As in ``iclab.models.load``.

    Returns
    -------
    TransformerPredictor or Intervened

    Raises
    ------
    InvalidInputError
        If it is no model, as a classical predictor, which has no inside.
    """
    if isinstance(model, str | Path):
        return load(model, allow_code=allow_code)
    if isinstance(model, Transformer | OwnModule):
        return TransformerPredictor(model)
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
