"""Muon with its Newton-Schulz iteration in the precision that the processor multiplies fast in.

Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks", as torch.optim.Muon has it, which
always iterates in bfloat16. The quintic x → a x + b x³ + c x⁵, taken five times on the singular values of the update
divided by its Frobenius norm, carries all but the smallest into about [0.7, 1.2], in whatever precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Muon(torch.optim.Muon):
    """``torch.optim.Muon``, scaled to AdamW's size, that orthogonalises in a chosen precision.

    In bfloat16 it is torch's, bit for bit. Its state is torch's in every precision.

    Parameters
    ----------
    matrices : iterable of Parameter
        All two-dimensional.
    precision : torch.dtype
        Of Newton-Schulz.
    **options
        As for ``torch.optim.Muon``.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], *, precision: torch.dtype, **options: Any) -> None:
        super().__init__(matrices, **options, adjust_lr_fn="match_rms_adamw")
        self._precision = precision

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update from the gradients in ``grad``."""
        if self._precision is torch.bfloat16:
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(matrix.grad)
                average = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
                update = matrix.grad.lerp(average, momentum) if group["nesterov"] else average
                update = orthogonalised(
                    update.to(self._precision), group["ns_coefficients"], group["ns_steps"], group["eps"]
                )
                matrix.mul_(1 - rate * group["weight_decay"])
                matrix.add_(update.to(matrix.dtype), alpha=-0.2 * math.sqrt(max(matrix.shape)) * rate)
        return loss


def orthogonalised(
    matrix: Tensor,
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    steps: int = 5,
    smallest: float = 1e-7,
) -> Tensor:
    """The matrix with its singular values carried towards 1 by Newton-Schulz, in its own precision.

    Parameters
    ----------
    matrix : Tensor, shape (m, n)
        Any; of norm below ``smallest`` it stays small.
    coefficients : tuple of float
        a, b, c of x → a x + b x³ + c x⁵.
    steps : int
        Times the quintic is taken.
    smallest : float
        Least norm that is divided by.

    Returns
    -------
    Tensor, shape (m, n)
        With the singular vectors of ``matrix``.
    """
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / x.norm().clamp(min=smallest)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
