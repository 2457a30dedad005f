"""The delta rule: S ← a·S + β k (v − a·S'k)', a step of descent on the squared error of the newest example.

With β = 1 and keys of norm 1 it is Kaczmarz' projection; with keys as they are, least mean squares at rate β.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout
from iclab.models.mixers.chunks import State, Tokens, cumulated, kept
from iclab.models.mixers.heads import FastWeights, set_, softplus_inverse


class Corrected(State):
    """What tokens have written by the delta rule.

    Within a chunk S_t = e^{G_t} S + Σ_{j≤t} e^{G_t−G_j} k_j u_j', G the sum of log a and S the chunk's first state.
    The u_t = β_t (v_t − e^{G_t} S'k_t − Σ_{j<t} e^{G_t−G_j} (k_t·k_j) u_j) solve a triangular system that is linear
    in S (the WY form of Yang et al. 2024).
    """

    def __init__(self, tokens: Tokens) -> None:
        k, v, rate = tokens.k, tokens.v, tokens.rate
        logs = cumulated(tokens.decay)
        after, total = logs[..., 1:, :], logs[..., -1:, :]
        overlap = rate * (k @ k.mT) * kept(logs, slice(1, None))
        right = rate * torch.cat([v, after.exp() * k], -1)
        solved = torch.linalg.solve_triangular(overlap, right, upper=False, unitriangular=True)
        u, w = solved.split((v.shape[-1], k.shape[-1]), -1)
        carried = (k * (total - after).exp()).mT  # (B, H, n, h, L)
        stays = total.exp() * torch.eye(k.shape[-1], dtype=k.dtype, device=k.device) - carried @ w
        written = carried @ u
        states = [torch.zeros_like(written[:, :, 0])]
        for chunk in range(k.shape[2] - 1):
            states.append(stays[:, :, chunk] @ states[-1] + written[:, :, chunk])
        self._states = torch.stack(states, 2)
        self._k, self._u, self._logs = k, u - w @ self._states, logs

    def read(self, q: Tensor, seen: slice) -> Tensor:
        """S'q."""
        inside = ((q @ self._k.mT) * kept(self._logs, seen)) @ self._u
        return inside + (q * self._logs[..., seen, :].exp()) @ self._states

    def write_and_read(self, tokens: Tokens, seen: slice) -> Tensor:
        """(a·S + β k (v − a·S'k)')'q."""
        q, k, v, decay, rate = tokens
        a = decay.exp()
        error = rate * (v - a * self.read(k, seen))
        return a * self.read(q, seen) + (q * k).sum(-1, keepdim=True) * error


class DeltaNet(FastWeights):
    """DeltaNet (Schlag et al. 2021; Yang et al. 2024): the delta rule with β = σ(w·x + b) per head.

    Without ``gated`` nothing is forgotten, a = 1.
    """

    longest = 32
    convolution = 4
    unit_keys = True

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__(architecture, kind)
        self.rate = nn.Linear(architecture.width, self.heads)

    def tokens(self, x: Tensor, layout: Layout) -> Tokens:
        """Decay is that of ``log_kept``."""
        q, k, v = self.qkv_of(x, layout)
        return Tokens(q, k, v, self.log_kept(x), self.per_head(self.rate(x).sigmoid()))

    def log_kept(self, x: Tensor) -> Tensor:
        """Log a, (B, H, T, 1)."""
        return x.new_zeros(1, 1, x.shape[1], 1)

    def state(self, tokens: Tokens) -> Corrected:
        """What the context tokens write."""
        return Corrected(tokens)


class GatedDeltaNet(DeltaNet):
    """Gated DeltaNet (Yang, Kautz and Hatamizadeh 2025): log a = −e^A softplus(w·x + b) per head, and a SiLU gate."""

    gated = True

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__(architecture, kind)
        self.forget = nn.Linear(architecture.width, self.heads)
        self.log_speed = nn.Parameter(torch.zeros(self.heads))

    def log_kept(self, x: Tensor) -> Tensor:
        """Log a, (B, H, T, 1)."""
        return self.per_head(-self.log_speed.exp() * nn.functional.softplus(self.forget(x)))

    def initialise(self, rng: np.random.Generator) -> None:
        """As Mamba-2: e^A uniform on [1, 16], softplus(b) log-uniform on [.001, .1]."""
        start_forgetting(self.log_speed, self.forget.bias, rng)


def start_forgetting(log_speed: nn.Parameter, bias: nn.Parameter, rng: np.random.Generator) -> None:
    """Speeds e^A uniform on [1, 16] and steps softplus(b) log-uniform on [.001, .1] (Dao and Gu 2024)."""
    set_(log_speed, np.log(rng.uniform(1, 16, log_speed.shape)))
    set_(bias, softplus_inverse(np.exp(rng.uniform(np.log(1e-3), np.log(0.1), bias.shape))))
