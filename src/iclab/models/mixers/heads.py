"""Heads with a state of keys × values: what all recurrences of matrices share, but for the rule they write by."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout
from iclab.models.mixers.chunks import Chunks, State, Tokens
from iclab.models.mixers.kernels import answer, kernel_of
from iclab.models.taps import tap_heads


class ShortConvolution(nn.Module):
    """Each channel mixed over a token and the ``size`` − 1 tokens before it, then SiLU.

    It lets a key and the value that follows it meet in one token. With ``size`` 0 it does nothing at all.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, 1, size)) if size else None

    def forward(self, x: Float[Tensor, "B T c"], layout: Layout) -> Float[Tensor, "B T c"]:
        """All tokens, a branch after the context tokens that it sees."""
        if self.weight is None:
            return x
        weights = self.weight[:, 0].T  # (size, c), the token itself last
        before = len(weights) - 1
        context, branches = x.split((layout.context, layout.branches), 1)
        padded = nn.functional.pad(context, (0, 0, before, 0))
        mixed = context * weights[-1]
        for i, weight in enumerate(weights[:-1]):
            mixed = mixed + padded[:, i : i + layout.context] * weight
        if layout.branches:
            places, own = layout.places, branches * weights[-1]
            for i, weight in enumerate(weights[:-1]):
                own = own + padded[:, i + places.start : i + places.stop : places.step] * weight
            mixed = torch.cat([mixed, own], 1)
        return nn.functional.silu(mixed)

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> None:
        """Uniform within ±1/√size, as convolutions are started."""
        if self.weight is not None:
            bound = 1 / math.sqrt(self.weight.shape[2])
            self.weight.copy_(torch.from_numpy(rng.uniform(-bound, bound, self.weight.shape)))


class StateMixer(nn.Module):
    """Tokens write into a state per head and read from it."""

    longest: ClassVar[int] = 64  # tokens of a chunk
    precise: ClassVar[bool] = False  # whether states are kept in float64
    kind: str
    size: int

    def tokens(self, x: Tensor, layout: Layout) -> Tokens:
        """What the tokens (B, T, w) bring."""
        raise NotImplementedError

    def state(self, tokens: Tokens) -> State:
        """What the context tokens write."""
        raise NotImplementedError

    def finish(self, read: Tensor, tokens: Tokens, x: Tensor, rows: slice) -> Tensor:
        """The update (B, R, w) of tokens x (B, R, w), the given ``rows``, by what they read (B, H, R, m)."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "B T w"], layout: Layout, rows: slice) -> Float[Tensor, "B R w"]:
        """The update of the tokens ``rows``, each from all tokens it sees."""
        tokens = self.tokens(x, layout)
        tokens = Tokens(*(tap_heads(f"mixer.{name}", part) for name, part in zip(Tokens._fields, tokens, strict=True)))
        only_branches = layout.branches > 0 and rows == layout.readout
        # States add up over long sequences, and factorisations know no half precision.
        with torch.autocast(x.device.type, enabled=False):
            kernel = kernel_of(self.kind, layout, self.size)
            if kernel is not None:
                read = answer(kernel, tokens, layout, not only_branches).to(x.dtype)
            else:
                dtype = torch.float64 if self.precise else torch.promote_types(torch.float32, x.dtype)
                exact = tokens.map(lambda part: part.to(dtype))
                read = Chunks(layout, self.longest).answer(exact, self.state, not only_branches).to(x.dtype)
        if not layout.branches:
            read = read[:, :, rows]
        return self.finish(tap_heads("mixer.read", read), tokens, x[:, rows], rows)


class FastWeights(StateMixer):
    """A state mixer whose queries, keys and values are linear in the tokens (Schlag et al. 2021).

    As published, keys and queries may have norm 1, a short convolution may go before, and an RMS norm and a gate may
    follow; ``Architecture`` can change each.
    """

    convolution: ClassVar[int] = 0
    unit_keys: ClassVar[bool] = False
    gated: ClassVar[bool] = False

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__()
        width, self.kind = architecture.width, kind
        self.heads, self.size = architecture.heads, width // architecture.heads
        self.unit = self.unit_keys if architecture.keys is None else architecture.keys == "unit"
        self.qkv = nn.Linear(width, 3 * width)
        size = self.convolution if architecture.convolution is None else architecture.convolution
        self.short = ShortConvolution(3 * width, size)
        self.norm = None if architecture.bare else nn.RMSNorm(self.size)
        self.gate = nn.Linear(width, width) if self.gated and not architecture.bare else None
        self.out = nn.Linear(width, width)

    def qkv_of(self, x: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, H, T, h)."""
        mixed = self.short(self.qkv(x), layout)
        q, k, v = mixed.unflatten(2, (3, self.heads, self.size)).permute(2, 0, 3, 1, 4)
        if self.unit:
            q, k = nn.functional.normalize(q, dim=-1), nn.functional.normalize(k, dim=-1)
        return q, k, v

    def per_head(self, x: Tensor) -> Tensor:
        """Numbers (B, T, H·h) as (B, H, T, h)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def finish(self, read: Tensor, tokens: Tokens, x: Tensor, rows: slice) -> Tensor:
        """Norm and gate, if any, then the output matrix."""
        del tokens, rows
        mixed = read if self.norm is None else self.norm(read)
        mixed = mixed.transpose(1, 2).flatten(2)
        if self.gate is not None:
            mixed = mixed * nn.functional.silu(self.gate(x))
        return self.out(mixed)


def softplus_inverse(y: np.ndarray) -> np.ndarray:
    """The x with softplus(x) = y."""
    return y + np.log(-np.expm1(-y))


def set_(parameter: Any, values: np.ndarray) -> None:
    """Put these numbers into a parameter."""
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values))
