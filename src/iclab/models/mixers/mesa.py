"""The mesa layer: at every token the ridge regression of all values on all keys, ŷ = S'q.

S = (Λ + Σ β k k')⁻¹ Σ β k v' (von Oswald et al. 2023, 2025), in one pass recursive least squares.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout
from iclab.models.mixers.chunks import State, Tokens, visible
from iclab.models.mixers.heads import FastWeights

# A rate that underflows to 0 would have a root without a finite gradient.
_LEAST_RATE = 1e-30


class Solved(State):
    """Least squares of what tokens have written.

    Keys and values are scaled by √β. With P and S the inverse and the solution before a chunk and K, V its keys and
    values, I + K P K' = R R' has the factors of all its leading blocks in those of R. So after p tokens of the chunk
    S_p'q = S'q + Σ_{j<p} (Yq)_j E_j and q'P_p k = q'P k − Σ_{j<p} (Yq)_j (Yk)_j, with Y = R⁻¹ K P, E = R⁻¹ (V − K S).
    """

    def __init__(self, tokens: Tokens, ridge: Tensor) -> None:
        root = tokens.rate.clamp(min=_LEAST_RATE).sqrt()
        k, v = tokens.k * root, tokens.v * root
        second, mixed = (_sums_before(k.mT @ part) for part in (k, v))
        self._factor = torch.linalg.cholesky_ex(second + ridge.diag_embed()[:, None]).L
        solved = torch.cholesky_solve(torch.cat([mixed, k.mT], -1), self._factor)
        self._solution, pk = solved.split((v.shape[-1], k.shape[-2]), -1)
        gram = torch.eye(k.shape[-2], dtype=k.dtype, device=k.device) + k @ pk
        right = torch.cat([v - k @ self._solution, pk.mT], -1)
        within = torch.linalg.solve_triangular(torch.linalg.cholesky_ex(gram).L, right, upper=False)
        self._errors, self._y = within.split((v.shape[-1], k.shape[-1]), -1)

    def read(self, q: Tensor, seen: slice) -> Tensor:
        """S'q."""
        return q @ self._solution + self._seen(q, seen) @ self._errors

    def write_and_read(self, tokens: Tokens, seen: slice) -> Tensor:
        """S'q after one more example: ŷ + β q'Pk (v − S'k)/(1 + β k'Pk)."""
        q, k, v, _, rate = tokens
        pk = torch.cholesky_solve(k.mT, self._factor).mT
        yk = self._seen(k, seen)
        qpk, kpk = ((part * pk).sum(-1, True) - (self._seen(part, seen) * yk).sum(-1, True) for part in (q, k))
        return self.read(q, seen) + rate * qpk / (1 + rate * kpk) * (v - self.read(k, seen))

    def _seen(self, q: Tensor, seen: slice) -> Tensor:
        """(Y q)_j of the tokens that are seen, (B, H, n, R, L)."""
        return (q @ self._y.mT).masked_fill(~visible(seen, self._y.shape[-2], q.device), 0.0)


def _sums_before(x: Tensor) -> Tensor:
    """Sums over earlier chunks, (B, H, n, ·, ·)."""
    return nn.functional.pad(x[:, :, :-1].cumsum(2), (0, 0, 0, 0, 1, 0))


class Mesa(FastWeights):
    """The mesa layer with β = σ(w·x + b) per head and a ridge Λ per key coordinate, without forgetting.

    Solved exactly and in float64, where MesaNet iterates.

    Attributes
    ----------
    log_ridge : Parameter, shape (H, h)
        Log Λ, 0 at the start; a ridge below 1e-6 counts as 1e-6 more.
    """

    longest = 32
    convolution = 4
    unit_keys = True
    precise = True

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__(architecture, kind)
        self.rate = nn.Linear(architecture.width, self.heads)
        self.log_ridge = nn.Parameter(torch.zeros(self.heads, self.size))

    def tokens(self, x: Tensor, layout: Layout) -> Tokens:
        """Nothing decays."""
        q, k, v = self.qkv_of(x, layout)
        rate = self.per_head(self.rate(x).sigmoid())
        return Tokens(q, k, v, rate, rate)

    def state(self, tokens: Tokens) -> Solved:
        """What the context tokens write."""
        return Solved(tokens, self.log_ridge.to(tokens.k.dtype).exp() + 1e-6)

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> None:
        """Ridge 1."""
        self.log_ridge.zero_()
