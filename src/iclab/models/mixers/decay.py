"""Linear attention that forgets: S ← a ⊙ S + β k v', ŷ = S'q. Its one-layer learner is a forgetting average."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout
from iclab.models.mixers.chunks import State, Tokens, cumulated, kept, visible
from iclab.models.mixers.heads import FastWeights

# A token keeps at least e⁻⁵ of the state: factors within a chunk of 16 then stay in float32's range.
_FLOOR = -5.0


class Decaying(State):
    """What tokens with decays have written; a is one number per token, or one per key coordinate."""

    def __init__(self, tokens: Tokens) -> None:
        self._k, self._v = tokens.k, tokens.rate * tokens.v
        self._logs = cumulated(tokens.decay)
        after, total = self._logs[..., 1:, :], self._logs[..., -1:, :]
        self._states = _carried(total[..., 0, :], (tokens.k * (total - after).exp()).mT @ self._v)

    def read(self, q: Tensor, seen: slice) -> Tensor:
        """S'q."""
        logs = self._logs[..., seen, :]
        return self._scores(q, seen) @ self._v + (q * logs.exp()) @ self._states

    def write_and_read(self, tokens: Tokens, seen: slice) -> Tensor:
        """(a ⊙ S + β k v')'q."""
        own = (tokens.q * tokens.k).sum(-1, keepdim=True) * tokens.rate * tokens.v
        return self.read(tokens.q * tokens.decay.exp(), seen) + own

    def _scores(self, q: Tensor, seen: slice) -> Tensor:
        """Of readers with tokens of their chunk, (B, H, n, R, L)."""
        if self._logs.shape[-1] == 1:
            return (q @ self._k.mT) * kept(self._logs, seen)
        middle = _FLOOR / 2 * self._k.shape[-2]  # of what logs can be; theirs would tell of later tokens by rounding
        q = q * (self._logs[..., seen, :] - middle).exp()
        k = self._k * (middle - self._logs[..., 1:, :]).exp()
        return (q @ k.mT).masked_fill(~visible(seen, k.shape[-2], k.device), 0.0)


def _carried(total: Tensor, writes: Tensor) -> Tensor:
    """The state before each chunk, (B, H, n, h, m), from what chunks keep (log, (B, H, n, ·)) and write."""
    logs = nn.functional.pad(total.cumsum(2), (0, 0, 1, 0)).transpose(2, 3)  # (B, H, ·, n + 1)
    gap = logs[..., :-1, None] - logs[..., None, 1:]  # (B, H, ·, n, n): of what chunk m wrote, before chunk n
    earlier = torch.ones(gap.shape[-2:], dtype=torch.bool, device=gap.device).tril(-1)
    weights = gap.masked_fill(~earlier, -torch.inf).exp()
    if weights.shape[2] == 1:
        return (weights[:, :, 0] @ writes.flatten(3)).unflatten(3, writes.shape[3:])
    return (weights @ writes.transpose(2, 3)).transpose(2, 3)


class Retention(FastWeights):
    """Retention (Sun et al. 2023): head h keeps γ_h = 1 − 2^(−5−h) of its state at every token.

    Positions are the architecture's, not rotations of queries and keys; of the norms of the paper the last remains, of
    each head, before a SiLU gate.

    Attributes
    ----------
    decay : Tensor, shape (H,)
        log γ, not trained.
    """

    gated = True
    decay: Tensor

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__(architecture, kind)
        kept = 1 - 2.0 ** (-5 - torch.arange(self.heads, dtype=torch.float64))
        self.register_buffer("decay", kept.log().float())

    def tokens(self, x: Tensor, layout: Layout) -> Tokens:
        """Queries are divided by √h."""
        q, k, v = self.qkv_of(x, layout)
        decay = self.decay[None, :, None, None].expand(1, -1, x.shape[1], 1)
        return Tokens(q * self.size**-0.5, k, v, decay, x.new_ones(1, 1, x.shape[1], 1))

    def state(self, tokens: Tokens) -> Decaying:
        """What the context tokens write."""
        return Decaying(tokens)


class GatedLinearAttention(FastWeights):
    """Gated linear attention (Yang et al. 2024): each key coordinate is kept by a = σ(z)^(1/16), z of rank 16 in x."""

    gated = True
    longest = 16

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__(architecture, kind)
        width = architecture.width
        self.down, self.up = nn.Linear(width, 16, bias=False), nn.Linear(16, width)

    def tokens(self, x: Tensor, layout: Layout) -> Tokens:
        """Queries are divided by √h."""
        q, k, v = self.qkv_of(x, layout)
        decay = self.per_head((nn.functional.logsigmoid(self.up(self.down(x))) / 16).clamp(min=_FLOOR))
        return Tokens(q * self.size**-0.5, k, v, decay, x.new_ones(1, 1, x.shape[1], 1))

    def state(self, tokens: Tokens) -> Decaying:
        """What the context tokens write."""
        return Decaying(tokens)
