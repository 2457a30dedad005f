"""Mamba-2, the state space duality layer of Dao and Gu (2024)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout
from iclab.models.mixers.chunks import Tokens
from iclab.models.mixers.decay import Decaying
from iclab.models.mixers.delta import start_forgetting
from iclab.models.mixers.heads import ShortConvolution, StateMixer


class Mamba2(StateMixer):
    """S ← e^{−ΔA} S + B (Δ x)', y = S'C + D x per head, with Δ = softplus(w·u + b) and one B and C for all heads.

    The inner width is twice the model's, and a head has as many states as inner coordinates, 2w/H.
    """

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__()
        width, self.heads, self.kind = architecture.width, architecture.heads, kind
        self.inner = 2 * width
        self.size = self.inner // self.heads
        mixed = self.inner + 2 * self.size
        self.xbc = nn.Linear(width, mixed)
        self.short = ShortConvolution(mixed, 4 if architecture.convolution is None else architecture.convolution)
        self.step = nn.Linear(width, self.heads)
        self.log_speed = nn.Parameter(torch.zeros(self.heads))
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.gate = None if architecture.bare else nn.Linear(width, self.inner)
        self.norm = None if architecture.bare else nn.RMSNorm(self.inner)
        self.out = nn.Linear(self.inner, width)

    def tokens(self, x: Tensor, layout: Layout) -> Tokens:
        """C, B and x as queries, keys and values, and the rate Δ."""
        mixed = self.short(self.xbc(x), layout)
        inner, b, c = mixed.split((self.inner, self.size, self.size), 2)
        step = nn.functional.softplus(self.step(x)).transpose(1, 2)[..., None]  # (B, H, T, 1)
        values = inner.unflatten(2, (self.heads, self.size)).transpose(1, 2)
        return Tokens(c[:, None], b[:, None], values, -self.log_speed.exp()[:, None, None] * step, step)

    def state(self, tokens: Tokens) -> Decaying:
        """What the context tokens write."""
        return Decaying(tokens)

    def finish(self, read: Tensor, tokens: Tokens, x: Tensor, rows: slice) -> Tensor:
        """Skip, norm after the SiLU gate, output matrix."""
        mixed = (read + self.skip[:, None, None] * tokens.v[:, :, rows]).transpose(1, 2).flatten(2)
        if self.gate is not None and self.norm is not None:
            mixed = self.norm(mixed * nn.functional.silu(self.gate(x)))
        return self.out(mixed)

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> None:
        """Speeds A uniform on [1, 16], steps Δ log-uniform on [.001, .1], D = 1."""
        start_forgetting(self.log_speed, self.step.bias, rng)
        self.skip.fill_(1.0)
