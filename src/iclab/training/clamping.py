"""Activations that are held fixed while a model is trained (Singh et al. 2024 clamp heads)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from iclab.foundations import InvalidInputError, check_choice
from iclab.models import make
from iclab.models.taps import Axes, Place, Watch, watching


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Clamp:
    """An activation that has one value in every forward pass of a training, its evaluations among them.

    Attributes
    ----------
    activation : str
        Its name, as ``iclab.inspect.run`` has it: ``blocks.0.attention.mixed`` is what the heads of a block mix.
    to : float
        The value: 0 takes a head out.
    head : int, optional
        The only head that is held; all when omitted.
    """

    activation: str
    to: float = 0.0
    head: int | None = Field(default=None, ge=0)


class _Held(Watch):
    """Puts values in place of activations, and notes which there were."""

    def __init__(self, clamps: Sequence[Clamp]) -> None:
        self._clamps = clamps
        self.seen: dict[str, None] = {}

    def see(self, name: str, value: Tensor, axes: Axes, place: Place) -> Tensor:
        self.seen[name] = None
        for clamp in self._clamps:
            if clamp.activation == name:
                value = _clamped(value, clamp, axes)
        return value


def _clamped(value: Tensor, clamp: Clamp, axes: Axes) -> Tensor:
    if clamp.head is None:
        return torch.full_like(value, clamp.to)
    axis = axes.index("head") if "head" in axes else None
    if axis is None or clamp.head >= value.shape[axis]:
        heads = "no heads" if axis is None else f"the heads 0 to {value.shape[axis] - 1}"
        raise InvalidInputError(
            f"clamp must hold a head that is there; {clamp.activation} has {heads}, and {clamp.head} was given."
        )
    shape = [-1 if i == axis else 1 for i in range(value.ndim)]
    held = (torch.arange(value.shape[axis], device=value.device) == clamp.head).view(shape)
    return value.masked_fill(held, clamp.to)


@contextmanager
def clamped(clamps: Sequence[Clamp]) -> Generator[None]:
    """Hold activations in all forward passes within; at least one must be, for their names to be checked at the end.

    Raises
    ------
    InvalidInputError
        If there is no such activation or head.
    """
    if not clamps:
        yield
        return
    watch = _Held(clamps)
    with watching(watch):
        yield
    for clamp in clamps:
        check_choice(clamp.activation, "the activation of clamp", list(watch.seen))


def check_clamps(clamps: Sequence[Clamp], architecture: Any, n_points: int) -> None:
    """Say before a training which activation or head is not there.

    Raises
    ------
    InvalidInputError
        If one is not.
    """
    if not clamps:
        return
    model = make(architecture, seed=None)
    labels = architecture.labels
    xs = torch.zeros(1, n_points, architecture.dimension)
    ys = torch.zeros(1, n_points, *([labels.size] if labels.kind == "vector" else []))
    with torch.no_grad(), clamped(clamps):
        model(xs, ys.long() if labels.kind == "class" else ys)
