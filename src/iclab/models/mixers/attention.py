"""Attention with separate Q, K, V, P: softmax or linear."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout
from iclab.models.taps import PATTERN, tap, tap_heads, watched


class Attention(nn.Module):
    """Multi-head attention with separate Q, K, V and P, as in GPT-2.

    As "softmax" a token t attends by softmax(q_t·k_j/√h) over the tokens j it sees, h the width of a head; as "linear"
    by q_t·k_j/ρ_t, ρ_t the number of examples it sees.
    """

    def __init__(self, architecture: Architecture, kind: str = "softmax") -> None:
        super().__init__()
        self.heads = architecture.heads
        self.softmax = kind == "softmax"
        self.rotary = architecture.positions == "rotary"
        self.alibi = architecture.positions == "alibi"
        self.qkv = nn.Linear(architecture.width, 3 * architecture.width)
        self.out = nn.Linear(architecture.width, architecture.width)

    def forward(self, x: Float[Tensor, "B T w"], layout: Layout, rows: slice) -> Float[Tensor, "B R w"]:
        """The update of the tokens ``rows``, each from all tokens it sees."""
        batch, length, width = x.shape
        size = width // self.heads
        # (B, T, 3w) → (3, B, H, T, h)
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        if self.rotary:
            turn = _rotation(layout, size, x.dtype)
            q, k = _rotate(q, turn), _rotate(k, turn)
        q, k, v = (
            tap_heads(f"attention.{name}", part) for name, part in zip("qkv", (q[:, :, rows], k, v), strict=True)
        )
        if self.softmax and x.is_cuda:
            bias = _bias(layout, self.heads if self.alibi else 0, q.dtype)[:, rows]
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
            if watched():  # the fused kernel keeps no weights
                weights = (q @ k.mT / math.sqrt(size) + bias[None]).softmax(-1).to(v.dtype)
                changed = tap("attention.pattern", weights, PATTERN)
                mixed = mixed if changed is weights else changed @ v
        else:
            # Written out: on CPUs the fused kernel's backward pass is slow for sequences this short.
            q, k, v = (part.reshape(batch * self.heads, -1, size) for part in (q, k, v))
            if self.softmax:
                bias = _bias(layout, self.heads if self.alibi else 0, q.dtype)[:, rows]
                bias = bias.repeat(batch, 1, 1) if self.alibi else bias  # (1 or B·H, R, T)
                mixed = _softmax_attention(q, k, v, bias, layout.branches, self.heads)
            else:
                q = q * _examples(layout, q.dtype)[rows, None]
                mixed = _linear_attention(q, k, v, _visible(layout, q.dtype)[rows], layout.branches, self.heads)
            mixed = mixed.view(batch, self.heads, -1, size)
        mixed = tap_heads("attention.mixed", mixed)
        return self.out(mixed.transpose(1, 2).reshape(batch, -1, width))


def _softmax_attention(
    q: Float[Tensor, "F R h"],
    k: Float[Tensor, "F T h"],
    v: Float[Tensor, "F T h"],
    bias: Float[Tensor, "G R T"],
    branches: int,
    heads: int,
) -> Float[Tensor, "F R h"]:
    """What R tokens mix by softmax, R and T both ending with the branches."""
    scale = 1 / math.sqrt(k.shape[2])
    if not branches:
        return _tap(torch.baddbmm(bias, q, k.mT, alpha=scale).softmax(-1).to(v.dtype), heads) @ v
    k, v, own, own_v = _part(q, k, v, branches)
    scores = torch.baddbmm(bias[..., : k.shape[1]], q, k.mT, alpha=scale)  # (F, R, C)
    above = (0, 0, q.shape[1] - branches, 0)  # rows that are no branches
    own = nn.functional.pad(scale * own, above, value=-math.inf)
    weights, own = torch.cat([scores, own], -1).softmax(-1).to(v.dtype).split((k.shape[1], 1), -1)
    weights, own = _tap_parted(weights, own[:, above[2] :], heads)
    return weights @ v + nn.functional.pad(own * own_v, above)


def _linear_attention(
    q: Float[Tensor, "F R h"],
    k: Float[Tensor, "F T h"],
    v: Float[Tensor, "F T h"],
    visible: Float[Tensor, "R T"],
    branches: int,
    heads: int,
) -> Float[Tensor, "F R h"]:
    """What R tokens mix by their scores themselves, R and T both ending with the branches."""
    if not branches:
        return _tap((q @ k.mT).mul_(visible), heads) @ v
    k, v, own, own_v = _part(q, k, v, branches)
    scores, own = _tap_parted((q @ k.mT).mul_(visible[:, : k.shape[1]]), own, heads)
    return scores @ v + nn.functional.pad(own * own_v, (0, 0, q.shape[1] - branches, 0))


def _tap(pattern: Float[Tensor, "F R T"], heads: int) -> Float[Tensor, "F R T"]:
    """The weights of all tokens, F = B·H."""
    return tap("attention.pattern", pattern.unflatten(0, (-1, heads)), PATTERN).flatten(0, 1) if watched() else pattern


def _tap_parted(
    weights: Float[Tensor, "F R C"], own: Float[Tensor, "F P 1"], heads: int
) -> tuple[Float[Tensor, "F R C"], Float[Tensor, "F P 1"]]:
    """The same where branches weigh themselves apart from the context tokens."""
    if not watched():
        return weights, own
    branches = own.shape[1]
    among = nn.functional.pad(own[..., 0].diag_embed(), (0, 0, weights.shape[1] - branches, 0))
    pattern = _tap(torch.cat([weights, among], -1), heads)
    return pattern[..., :-branches], pattern[:, -branches:, -branches:].diagonal(dim1=1, dim2=2)[..., None]


def _part(
    q: Float[Tensor, "F R h"], k: Float[Tensor, "F T h"], v: Float[Tensor, "F T h"], branches: int
) -> tuple[Float[Tensor, "F C h"], Float[Tensor, "F C h"], Float[Tensor, "F P 1"], Float[Tensor, "F P h"]]:
    """Keys and values of the C context tokens; each branch's score with its own key, which costs it one, and its value.

    No other token sees a branch.
    """
    sizes = (k.shape[1] - branches, branches)
    (k, own_k), (v, own_v) = k.split(sizes, 1), v.split(sizes, 1)
    return k, v, (q[:, -branches:] * own_k).sum(-1, keepdim=True), own_v


# Recorded steps on a GPU read these where they lie, so that they must outlast a stage of the curriculum.
@lru_cache(maxsize=256)
def _examples(layout: Layout, dtype: torch.dtype) -> Float[Tensor, " T"]:
    """1/ρ_t."""
    return layout.examples.to(torch.float64).reciprocal().to(dtype)


@lru_cache(maxsize=256)
def _visible(layout: Layout, dtype: torch.dtype) -> Float[Tensor, "T T"]:
    """1 where token t sees token j, else 0."""
    return layout.visible.to(dtype)


@lru_cache(maxsize=256)
def _bias(layout: Layout, alibi_heads: int, dtype: torch.dtype) -> Float[Tensor, "H T T"]:
    """Added to softmax scores: −∞ where nothing is seen; with ALiBi (Press et al. 2022) also −slope·distance."""
    hidden = torch.zeros(layout.visible.shape, dtype=dtype, device=layout.visible.device)
    hidden.masked_fill_(~layout.visible, -math.inf)
    if not alibi_heads:
        return hidden[None]
    exponents = torch.arange(1, alibi_heads + 1, dtype=dtype, device=hidden.device)
    slopes = torch.exp2(-8 * exponents / alibi_heads)
    distance = (layout.positions[:, None] - layout.positions[None, :]).to(dtype)
    return hidden - slopes[:, None, None] * distance


@lru_cache(maxsize=256)
def _rotation(layout: Layout, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions (Su et al. 2021), each (T, size/2)."""
    frequencies = 10000 ** (-torch.arange(0, size, 2, dtype=torch.float64, device=layout.positions.device) / size)
    angles = layout.positions.to(torch.float64)[:, None] * frequencies
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotate(x: Float[Tensor, "B H T h"], turn: tuple[Tensor, Tensor]) -> Float[Tensor, "B H T h"]:
    cosine, sine = turn
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)
