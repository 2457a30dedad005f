"""Long sequences as chunks: within one everything is a product of matrices, between them goes a state.

A recurrence over C context tokens is cut into n chunks of L. Who reads the state has seen some tokens of its chunk:
token t, which reads after it has written, the first t + 1; branch i, which stands before example i, the first
``stride``·i of the whole sequence. In every chunk readers stand at the same places, so that all are read at once;
gathered branches all stand at the end of the last one.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from iclab.models.embedding import Layout


class Tokens(NamedTuple):
    """What tokens bring to a state of keys × values; axes batch, head and token, of which the first two may be 1.

    Attributes
    ----------
    q, k, v : Tensor, shapes (B, H, T, h), (B, H, T, h), (B, H, T, m)
        Queries, keys and values.
    decay : Tensor, shape (B, H, T, 1) or (B, H, T, h)
        Logarithm of what a token keeps of the state, at most 0.
    rate : Tensor, shape (B, H, T, 1)
        How strongly it writes.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    decay: Tensor
    rate: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Tokens:
        """The same of every part."""
        return Tokens(*(function(part) for part in self))


class State(ABC):
    """What the context tokens have written, made from them in chunks: ``Tokens`` of axes (B, H, n, L, ·).

    All its attributes are tensors whose third axis is that of the chunks.
    """

    def last(self) -> Self:
        """That of the last chunk alone."""
        alone = copy.copy(self)
        for name, value in vars(self).items():
            setattr(alone, name, value[:, :, -1:])
        return alone

    @abstractmethod
    def read(self, q: Tensor, seen: slice) -> Tensor:
        """S'q, shape (B, H, n, R, m), by readers (B, H, n, R, h) that have seen so many tokens of their chunk.

        One number of tokens may stand for all readers.
        """

    @abstractmethod
    def write_and_read(self, tokens: Tokens, seen: slice) -> Tensor:
        """What readers read when each has written its token on a copy of its own."""


@dataclass(frozen=True)
class Chunks:
    """C tokens in ``count`` chunks of ``size``.

    Attributes
    ----------
    layout : Layout
        Of the sequence.
    longest : int
        Even; shorter sequences are one chunk.
    """

    layout: Layout
    longest: int

    @property
    def size(self) -> int:
        """L, even, so that branches stand at the same places in every chunk; the least that needs no more chunks."""
        least = -(-self._places // -(-self._places // self.longest))
        return max(2, least + least % 2)

    @property
    def count(self) -> int:
        """Number n of chunks."""
        return -(-self._places // self.size)

    @property
    def _places(self) -> int:
        """Number of context tokens, and one more where there are branches: the last one stands behind them all."""
        return max(1, self.layout.context + (self.layout.branches > 0))

    def answer(self, tokens: Tokens, state: Callable[[Tokens], State], ask_context: bool) -> Tensor:
        """What context tokens, if asked, and branches read, shape (B, H, R, m)."""
        layout, size, count = self.layout, self.size, self.count
        context = tokens.map(lambda part: _cut(part[:, :, : layout.context], count, size))
        written, answers = state(context), list[Tensor]()
        if ask_context:
            answers.append(written.read(context.q, slice(1, size + 1)).flatten(2, 3)[:, :, : layout.context])
        if layout.branches:
            if layout.gathered:
                written, count, readers = written.last(), 1, layout.branches
                seen = slice(layout.context % size, layout.context % size + 1)
            else:
                readers, seen = size // layout.stride, slice(0, size, layout.stride)
            asking = tokens.map(lambda part: _cut(part[:, :, layout.context :], count, readers))
            found = written.read(asking.q, seen) if layout.questions else written.write_and_read(asking, seen)
            answers.append(found.flatten(2, 3)[:, :, : layout.branches])
        return torch.cat(answers, 2)


def visible(seen: slice, size: int, device: torch.device) -> Bool[Tensor, "R L"]:
    """Whether a reader has seen a token of its chunk."""
    places = torch.arange(size + 1, device=device)
    return places[:-1] < places[seen, None]


def cumulated(decay: Tensor) -> Tensor:
    """Logarithm of what is left of a chunk's first state after 0, …, L tokens, (B, H, n, L + 1, ·)."""
    return nn.functional.pad(decay.cumsum(3), (0, 0, 1, 0))


def kept(logs: Tensor, seen: slice) -> Tensor:
    """What is left, when a reader reads, of what a token of its chunk wrote, (B, H, n, R, L); 0 where not seen."""
    gap = logs[..., seen, :] - logs[..., 1:, :].mT
    return gap.masked_fill(~visible(seen, gap.shape[-1], gap.device), -torch.inf).exp()


def _cut(x: Tensor, count: int, size: int) -> Tensor:
    """(B, H, T, ·) as (B, H, n, L, ·), the last chunk filled up with zeros: they neither write nor forget."""
    return nn.functional.pad(x, (0, 0, 0, count * size - x.shape[2])).unflatten(2, (count, size))
