"""The paper's linear attention with merged matrices."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from iclab.models.architecture import Architecture
from iclab.models.embedding import Layout
from iclab.models.taps import PATTERN, tap, tap_heads


class MergedLinearAttention(nn.Module):
    """Linear attention of (3): Σ_h W_h^PV E (E' W_h^KQ E)/ρ, over the tokens that each column sees.

    Attributes
    ----------
    w_pv, w_kq : Parameter, shape (heads, w, w)
        The paper's W^PV and W^KQ.
    """

    def __init__(self, architecture: Architecture, kind: str = "merged") -> None:
        super().__init__()
        shape = (architecture.heads, architecture.width, architecture.width)
        self.labels = architecture.outputs
        self.w_pv = nn.Parameter(torch.zeros(shape))
        self.w_kq = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Float[Tensor, "B T w"], layout: Layout, rows: slice) -> Float[Tensor, "B R w"]:
        """The update of the tokens ``rows``, each from all tokens it sees."""
        columns = x[:, None]  # (B, 1, T, w)
        # scores[t, j] = e_j' W^KQ e_t / ρ_t
        scores = (columns[:, :, rows] @ self.w_kq.mT) @ columns.mT * _shares(layout, x.dtype)[rows]
        scores = tap("attention.pattern", scores, PATTERN)
        return tap_heads("attention.mixed", scores @ (columns @ self.w_pv.mT)).sum(1)

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> None:
        """Assumption 3 of the paper, head by head: w22^PV = σ and W11^KQ = σ·ΘΘ' with ‖ΘΘ'‖_F = 1."""
        for w_pv, w_kq in zip(self.w_pv, self.w_kq, strict=True):
            size = w_pv.shape[0] - self.labels
            sigma = _SCALE / math.sqrt(size)
            m = rng.standard_normal((size, size))
            w_pv[size:, size:] = sigma * torch.eye(self.labels)
            w_kq[:size, :size] = torch.from_numpy(sigma * (m @ m.T) / np.linalg.norm(m @ m.T))


# σ of Assumption 3 is this over √d: below Theorem 4's threshold for isotropic x at any N > d.
_SCALE = 0.5


# As in ``attention``: what a recorded step reads must outlast a stage of the curriculum.
@lru_cache(maxsize=256)
def _shares(layout: Layout, dtype: torch.dtype) -> Float[Tensor, "T T"]:
    """1/ρ_t where token t sees token j, else 0."""
    return layout.visible.to(dtype) / layout.examples[:, None].to(dtype)
