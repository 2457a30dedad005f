"""LSTM and GRU: a hidden vector that each token moves by a nonlinear map, one after the other."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout
from iclab.models.mixers.heads import set_


class Recurrent(nn.Module):
    """One layer of torch's LSTM or GRU; its update is the hidden vector.

    In a model without residuals, norms and MLPs, layers of it are torch's stack of as many layers. A branch is one more
    step from the state of its context.
    """

    def __init__(self, architecture: Architecture, kind: str) -> None:
        super().__init__()
        width = architecture.width
        self.cell = (nn.LSTM if kind == "lstm" else nn.GRU)(width, width, batch_first=True)

    def forward(self, x: Float[Tensor, "B T w"], layout: Layout, rows: slice) -> Float[Tensor, "B R w"]:
        """The hidden vectors of the tokens ``rows``."""
        context, branches = x.split((layout.context, layout.branches), 1)
        hidden = self.cell(context)[0] if layout.context else context
        if not layout.branches:
            return hidden[:, rows]
        before = nn.functional.pad(hidden, (0, 0, 1, 0))
        own = self._lstm_step if isinstance(self.cell, nn.LSTM) else self._gru_step
        moved = own(context, branches, before, layout.places)
        return moved if rows == layout.readout else torch.cat([hidden, moved], 1)

    def _lstm_step(self, context: Tensor, branches: Tensor, before: Tensor, places: slice) -> Tensor:
        """H = σ(o) tanh(c), c = σ(f) c₋ + σ(i) tanh(g)."""
        steps = zip(*(part.unbind(1) for part in _lstm_gates(*self._maps(context, before[:, :-1]))[:2]), strict=True)
        cells = [torch.zeros_like(before[:, 0])]  # torch tells the last one only
        for keep, add in steps:
            cells.append(keep * cells[-1] + add)
        keep, add, show = _lstm_gates(*self._maps(branches, before[:, places]))
        return show * (keep * torch.stack(cells, 1)[:, places] + add).tanh()

    def _gru_step(self, context: Tensor, branches: Tensor, before: Tensor, places: slice) -> Tensor:
        """H = (1 − σ(z)) n + σ(z) h₋, n = tanh(W x + σ(r) U h₋)."""
        del context
        own, past = self._maps(branches, before[:, places])
        (r, z, n), (pr, pz, pn) = own.chunk(3, -1), past.chunk(3, -1)
        z = (z + pz).sigmoid()
        return (1 - z) * (n + (r + pr).sigmoid() * pn).tanh() + z * before[:, places]

    def _maps(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What the tokens and the hidden vectors before them say to the gates."""
        own, past, own_bias, past_bias = self.cell.parameters()
        return nn.functional.linear(x, own, own_bias), nn.functional.linear(hidden, past, past_bias)

    def initialise(self, rng: np.random.Generator) -> None:
        """Uniform within ±1/√w, torch's law."""
        bound = 1 / math.sqrt(self.cell.hidden_size)
        for parameter in self.cell.parameters():
            set_(parameter, rng.uniform(-bound, bound, tuple(parameter.shape)))


def _lstm_gates(own: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """σ(f), σ(i)·tanh(g) and σ(o)."""
    i, f, g, o = (own + past).chunk(4, -1)
    return f.sigmoid(), i.sigmoid() * g.tanh(), o.sigmoid()
