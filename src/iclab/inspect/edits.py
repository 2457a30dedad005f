"""Changes of activations in a forward pass, and a model that answers with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from iclab.foundations import InvalidInputError, PromptLabels, check_integer
from iclab.inspect.cache import check_activation
from iclab.models.taps import Axes, Place, Watch, watching
from iclab.prompts import Prompts

Source: TypeAlias = Callable[[slice], np.ndarray]
"""What replaces an activation: from the prompts that are answered to an array, whose first axis they are, or 1."""


@dataclass(frozen=True)
class Edit:
    """What is done to one activation.

    Attributes
    ----------
    to : float, ndarray or callable
        A number; values for given prompts, a function of their slice; or a function of the tensor itself.
    head : int, optional
        The only head that is changed; all when omitted.
    tokens : tuple of int, optional
        The only tokens that are changed, by their numbers; all when omitted.
    of_prompts : bool
        Whether ``to`` is a function of prompts.
    """

    to: Any
    head: int | None = None
    tokens: tuple[int, ...] | None = None
    of_prompts: bool = False


class Edits(Watch):
    """Replaces activations by name, and notes which there were."""

    def __init__(self, edits: Mapping[str, Edit]) -> None:
        self._edits = edits
        self._prompts = slice(0, 0)
        self.seen: dict[str, None] = {}

    @property
    def changes(self) -> tuple[str, ...]:
        """The activations by name."""
        return tuple(self._edits)

    def begin(self, prompts: slice) -> None:
        """These prompts come next."""
        self._prompts = prompts

    def see(self, name: str, value: Tensor, axes: Axes, place: Place) -> Tensor:
        """The value, or what replaces it."""
        self.seen[name] = None
        edit = self._edits.get(name)
        if edit is None:
            return value
        rows = np.arange(place.length)[place.rows]
        axis = axes.index("token") if "token" in axes else None
        if axis is None or len(rows) != value.shape[axis]:
            rows = np.arange(value.shape[axis] if axis is not None else 0)
        new = self._new(edit, name, value, axis, rows, place)
        if edit.head is None and edit.tokens is None:
            return new
        changed = torch.ones(1, dtype=torch.bool, device=value.device)
        for key, wanted in (("head", edit.head), ("token", edit.tokens)):
            if wanted is not None:
                changed = changed & _marks(name, value, axes, key, rows if key == "token" else None, wanted)
        return torch.where(changed, new, value)

    def _new(self, edit: Edit, name: str, value: Tensor, axis: int | None, rows: np.ndarray, place: Place) -> Tensor:
        """The whole tensor that would replace it."""
        if not edit.of_prompts:
            made: Any = edit.to(value) if callable(edit.to) else torch.as_tensor(edit.to, dtype=value.dtype)
            return made.to(value.device).expand_as(value)
        array = edit.to(self._prompts)
        if axis is not None and array.shape[axis] == (place.length or value.shape[axis]):
            array = np.take(array, rows, axis)
        shared = len(value) == 1 < len(array)  # a part that is the same for all prompts is computed once
        if array.shape[1:] != value.shape[1:] or (len(array) not in (1, len(value)) and not shared):
            raise InvalidInputError(
                f"{name} must be replaced by values of its shape {tuple(value.shape[1:])}; {array.shape[1:]} were "
                "given: take prompts of as many positions, with queries of their own or without."
            )
        if shared and (array == array[:1]).all():
            array = array[:1]
        new = torch.tensor(array, dtype=value.dtype, device=value.device)
        return new.expand(max(len(array), len(value)), *value.shape[1:])


def _marks(name: str, value: Tensor, axes: Axes, key: str, rows: np.ndarray | None, wanted: Any) -> Tensor:
    """True along one axis of a tensor where it is to be changed."""
    if key not in axes:
        raise InvalidInputError(
            f"{name} must have an axis {key!r} for one {key} to be changed; its are {', '.join(axes)}."
        )
    axis = axes.index(key)
    numbers = np.arange(value.shape[axis]) if rows is None else rows
    if key == "head":
        check_head(wanted, len(numbers), name)
    mask = torch.from_numpy(np.isin(numbers, wanted)).to(value.device)
    return mask.reshape([-1 if i == axis else 1 for i in range(value.ndim)])


@dataclass(frozen=True, eq=False)
class Intervened:
    """A model whose activations are changed, as a predictor.

    Attributes
    ----------
    predictor : predictor
        The model, perhaps with interventions of its own, which come first.
    edits : mapping
        Activation's name to what is done to it.
    """

    predictor: Any
    edits: Mapping[str, Edit] = field(repr=False)

    @property
    def model(self) -> Any:
        """The module."""
        return self.predictor.model

    @property
    def architecture(self) -> Any:
        """What the model is."""
        return self.predictor.architecture

    @property
    def n_train(self) -> int | None:
        """Number of examples N that it was trained for, if known."""
        return self.predictor.n_train

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, in the model's shape.

        Raises
        ------
        InvalidInputError
            If an activation that is to be changed does not occur, or has another shape than what replaces it.
        """
        watch = Edits(self.edits)
        with watching(watch):
            answers = self.predictor(prompts)
        for name in self.edits:
            check_activation(name, watch.seen)
        return answers


def check_head(head: Any, count: int, name: str) -> int:
    """Return the number of a head that there is.

    Raises
    ------
    InvalidInputError
        If there is none such.
    """
    head = check_integer(head, "head", minimum=0)
    if head >= count:
        raise InvalidInputError(f"head must be one of 0 … {count - 1}, the heads of {name}; {head} was given.")
    return head


def check_head_of(shape: tuple[int, ...], axes: Axes, head: int | None, name: str) -> None:
    """Raise if a head is named and an activation of this shape and these axes has none such."""
    if head is None:
        return
    if "head" not in axes:
        raise InvalidInputError(f"{name} must have heads for one to be changed; its axes are {', '.join(axes)}.")
    check_head(head, shape[axes.index("head")], name)
