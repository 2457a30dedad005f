"""Where one may look into a forward pass and reach into it: named tensors on their way through a model.

A *tap* is a place of the code where a tensor passes under a name, such as ``blocks.0.attention.pattern``. A *watch*
sees what passes all taps while it is on, and returns what goes on in its place. Without a watch a tap costs a look at a
variable.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor

from iclab.models.embedding import Layout

Axes: TypeAlias = tuple[str, ...]
STREAM: Axes = ("prompt", "token", "coordinate")
HEADS: Axes = ("prompt", "token", "head", "coordinate")
PATTERN: Axes = ("prompt", "head", "token", "seen")
ANSWERS: Axes = ("prompt", "position", "coordinate")

_ALL = slice(None)


class Place(NamedTuple):
    """Where in a forward pass a tensor passes.

    Attributes
    ----------
    prefix : str
        Before the names of a block, such as ``blocks.0.``.
    rows : slice
        The tokens that the block computes; the last block only those that are read out.
    length : int
        Number of tokens.
    again : bool
        Whether the block runs once more for the tokens that it need not compute.
    """

    prefix: str = ""
    rows: slice = _ALL
    length: int = 0
    again: bool = False


class Watch:
    """Sees what passes the taps; this one changes nothing.

    Attributes
    ----------
    complete : bool
        Whether it wants all tokens of the last block, which otherwise computes those that are read out. Such a watch
        looks on, and comes after those that change something.
    """

    complete: ClassVar[bool] = False

    @property
    def changes(self) -> tuple[str, ...]:
        """Names of the activations that it replaces and that nothing else tells of."""
        return ()

    def begin(self, prompts: slice) -> None:
        """A forward pass begins, of these prompts of all that are answered."""

    def see(self, name: str, value: Tensor, axes: Axes, place: Place) -> Tensor:
        """What goes on in place of a tensor."""
        del name, axes, place
        return value


_WATCHES: ContextVar[tuple[Watch, ...]] = ContextVar("watches", default=())
_PLACE: ContextVar[Place] = ContextVar("place", default=Place())  # noqa: B039 it cannot change


@contextmanager
def watching(watch: Watch) -> Generator[None]:
    """Let a watch see all forward passes within, before those that are on already unless it only looks on."""
    on = _WATCHES.get()
    token = _WATCHES.set((*on, watch) if watch.complete else (watch, *on))
    try:
        yield
    finally:
        _WATCHES.reset(token)


def watched() -> bool:
    """Whether any watch is on."""
    return bool(_WATCHES.get())


def changed() -> tuple[str, ...]:
    """Names of the activations that are replaced by the watches that are on, and that nothing else tells of."""
    return tuple(sorted({name for watch in _WATCHES.get() for name in watch.changes}))


def begin(prompts: slice) -> None:
    """Tell all watches which prompts come next."""
    for watch in _WATCHES.get():
        watch.begin(prompts)


def tap(name: str, value: Tensor, axes: Axes = STREAM) -> Tensor:
    """Let a tensor pass under a name; what goes on is returned."""
    watches = _WATCHES.get()
    if watches:
        place = _PLACE.get()
        for watch in watches:
            value = watch.see(place.prefix + name, value, axes, place)
    return value


def tap_heads(name: str, value: Tensor) -> Tensor:
    """The same for a tensor (B, H, T, h), which watches see as (B, T, H, h)."""
    return tap(name, value.transpose(1, 2), HEADS).transpose(1, 2) if _WATCHES.get() else value


def through(
    block: Callable[[Tensor, Layout, slice], Tensor], number: int, x: Tensor, where: Layout, rows: slice
) -> Tensor:
    """A block's tokens ``rows``, its taps under the name of its number."""
    watches = _WATCHES.get()
    if not watches:
        return block(x, where, rows)
    place = Place(f"blocks.{number}.", rows, x.shape[1])
    answer = _at(place, block, x, where)
    if rows != _ALL and any(watch.complete for watch in watches):
        with torch.no_grad():
            _at(Place(place.prefix, _ALL, place.length, again=True), block, x, where)
    return answer


def _at(place: Place, block: Callable[[Tensor, Layout, slice], Tensor], x: Tensor, where: Layout) -> Tensor:
    token = _PLACE.set(place)
    try:
        return block(x, where, place.rows)
    finally:
        _PLACE.reset(token)
