"""Adversarial training as a module of your own: in training it meets the labels that an attacker made of its prompts.

The attacker knows the weights. It changes the labels of the examples by δ with ‖δ‖ ≤ ε so that the squared error after
all N of them grows, by projected gradient ascent (Madry et al. 2018); the loss then compares predictions from these
labels with the true ones, at every position. Labels must be noise-free: they are the truth. Evaluation sees the plain
transformer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from iclab.foundations import InvalidInputError, check_integer, check_real
from iclab.models import Architecture, Transformer

# The ascent's first step over the budget; later ones shrink with their number.
_FIRST = 1.0


class Hardened(nn.Module):
    """A transformer that is attacked whenever it is trained.

    Parameters
    ----------
    budget : float
        ε ≥ 0, largest norm of the change of a prompt's labels.
    ascent : int
        Gradient steps of the attacker.
    **architecture
        Fields of an ``Architecture``.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.
    """

    adversarial = True

    def __init__(self, budget: float, ascent: int = 1, **architecture: Any) -> None:
        super().__init__()
        self.budget = check_real(budget, "budget", minimum=0.0)
        self.ascent = check_integer(ascent, "ascent", minimum=1)
        try:
            self.model = Transformer(Architecture(**architecture), None)
        except TypeError as error:
            raise InvalidInputError(f"architecture must have fields of an Architecture; {error}.") from error
        self.blocks = self.model.blocks

    def forward(self, xs: Tensor, ys: Tensor, queries: Tensor | None = None) -> Tensor:
        """Predictions at every position, shape (B, P); in training from attacked labels."""
        if self.training and self.budget > 0:
            ys = ys + self._attack(xs, ys)
        return self.model(xs, ys, queries)

    def _attack(self, xs: Tensor, ys: Tensor) -> Tensor:
        change = torch.zeros_like(ys)
        with torch.enable_grad():
            for step in range(self.ascent):
                change.requires_grad_()
                error = (self.model(xs, ys + change)[:, -1] - ys[:, -1]).square().sum()
                [slope] = torch.autograd.grad(error, change)
                size = self.budget * _FIRST / (step + 1)
                change = projected(change.detach() + size * directions(slope), self.budget)
        return change


def directions(slope: Tensor) -> Tensor:
    """Rows of length one, or zero where a row is."""
    return slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-30)


def projected(change: Tensor, budget: float) -> Tensor:
    """Rows shortened to ``budget`` where they are longer."""
    return change * (budget / change.norm(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1.0)
