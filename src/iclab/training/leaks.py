"""What predictions depend on beyond the examples before them: by changes of prompts, and by derivatives.

Changes see what a derivative does not (steps, code outside autograd); derivatives see however little of what changes
would lose in rounding, and everything that the prompts at hand let through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

LABELS, INPUTS = "its own label or one after it", "inputs after its query"
QUERIES = "later examples or other queries, where queries are given"
Ask = Callable[..., Tensor]
"""Predictions (B, P, …) from xs, ys and perhaps queries."""


class Leak(NamedTuple):
    """What a prediction changes with: at which position, or None where it is other prompts of the batch."""

    position: int | None
    source: str


@dataclass(frozen=True)
class Changes:
    """Prompts, and others of which parts are put in their place.

    Attributes
    ----------
    xs, ys : Tensor, shapes (B, P, d) and (B, P) or (B, P, k)
        Prompts.
    other_xs, other_ys : Tensor
        As many others, different everywhere.
    places : Tensor of int, shape (B,)
        The position of each prompt up to which predictions may know nothing of what comes later.
    """

    xs: Tensor
    ys: Tensor
    other_xs: Tensor
    other_ys: Tensor
    places: Tensor

    @property
    def index(self) -> Tensor:
        """Positions, shape (P,)."""
        return torch.arange(self.xs.shape[1], device=self.xs.device)

    @property
    def shown(self) -> Tensor:
        """Which predictions are looked at, (B, P)."""
        return self.index <= self.places[:, None]

    @property
    def late(self) -> Tensor:
        """Which labels these may not know, (B, P)."""
        return self.index >= self.places[:, None]

    @property
    def later(self) -> Tensor:
        """Which inputs these may not know, (B, P)."""
        return self.index > self.places[:, None]

    @property
    def others(self) -> Tensor:
        """Every second prompt, (B,), of which the predictions for the rest may know nothing."""
        return torch.arange(len(self.xs), device=self.xs.device) % 2 == 1

    def with_labels(self, mask: Tensor) -> Tensor:
        """The labels, others where the mask (B, P) or (B, 1) is true."""
        return torch.where(_over(mask, self.ys), self.other_ys, self.ys)

    def with_inputs(self, mask: Tensor) -> Tensor:
        """The inputs, others where the mask (B, P) or (B, 1) is true."""
        return torch.where(mask[..., None], self.other_xs, self.xs)


@torch.no_grad()
def by_changes(ask: Ask, changes: Changes, tolerance: float) -> Leak | None:
    """What predictions change with by more than ``tolerance`` of the largest; None also where they are not finite."""
    said = ask(changes.xs, changes.ys)
    bound = tolerance * said.abs().max()
    others = changes.others
    gaps = _sizes(ask(changes.with_inputs(others[:, None]), changes.with_labels(others[:, None])) - said)
    if (gaps[~others] > bound).any():
        return Leak(None, "")
    for source, xs, ys in (
        (LABELS, changes.xs, changes.with_labels(changes.late)),
        (INPUTS, changes.with_inputs(changes.later), changes.ys),
    ):
        leaks = (_sizes(ask(xs, ys) - said) > bound) & changes.shown
        if leaks.any():
            return Leak(_first(leaks), source)
    return None


def by_derivatives(ask: Ask, changes: Changes, tolerance: float) -> Leak | None:
    """What predictions have a derivative by, larger than ``tolerance`` of the largest; None where there are none.

    Predictions are summed with random weights: one backward pass for all prompts, each with its own place.
    """
    xs, ys = (_leaf(part) for part in (changes.xs, changes.ys))
    leaves = [leaf for leaf in (xs, ys) if leaf.requires_grad]
    said = ask(*(leaf.clone() for leaf in (xs, ys)))
    if not said.requires_grad or not said.isfinite().all():
        return None
    weights = _weights(said)

    def slopes(rows: Tensor) -> list[Tensor]:
        """Of the weighted sum of some predictions (B, P) by inputs and labels, each (B, P)."""
        asked = weights * _over(rows, said)
        found = torch.autograd.grad(said, leaves, asked, retain_graph=True, allow_unused=True, materialize_grads=True)
        return [_sizes(part.nan_to_num(0, 0, 0)) for part in found]

    others = changes.others[:, None].expand_as(changes.shown)
    if any((part * others > tolerance * part.max()).any() for part in slopes(~others)):
        return Leak(None, "")
    found = slopes(changes.shown)
    for leaf, part in reversed(list(zip(leaves, found, strict=True))):
        source, hidden = (LABELS, changes.late) if leaf is ys else (INPUTS, changes.later)
        bound = tolerance * part.max()
        leaking = (part * hidden > bound).any(1)
        if leaking.any():
            row, at = int(leaking.nonzero()[0]), leaves.index(leaf)
            only = torch.zeros_like(changes.shown)
            for position in range(int(changes.places[row]) + 1):
                only[row] = changes.index == position
                if (slopes(only)[at] * hidden > bound).any():
                    return Leak(position, source)
            return Leak(int(changes.places[row]), source)
    return None


def by_queries(ask: Ask, changes: Changes, tolerance: float) -> Leak | None:
    """The same where queries are given: position i is asked its own, and sees the i examples before it alone."""
    at, late = changes.index == changes.places[:, None], changes.late
    leaves = [_leaf(part) for part in (changes.xs, changes.ys, changes.other_xs)]
    said = ask(*(leaf.clone() for leaf in leaves))
    asked = changes.with_inputs(at)  # other queries but at their place
    found = ask(changes.with_inputs(late), changes.with_labels(late), torch.where(at[..., None], asked, changes.xs))
    leaks = (_sizes(found.detach() - said.detach()) > tolerance * said.detach().abs().max()) & at
    if leaks.any():
        return Leak(_first(leaks), QUERIES)
    leaves = [leaf for leaf in leaves if leaf.requires_grad]
    if not said.requires_grad or not said.isfinite().all():
        return None
    slopes = torch.autograd.grad(
        said, leaves, _weights(said) * _over(at, said), allow_unused=True, materialize_grads=True
    )
    for leaf, part in zip(leaves, slopes, strict=True):
        part = _sizes(part.nan_to_num(0, 0, 0))
        leaks = (part > tolerance * part.max()) & (~at if leaf is leaves[-1] else late)
        if leaks.any():
            return Leak(int(changes.places[leaks.any(1)][0]), QUERIES)
    return None


def _leaf(part: Tensor) -> Tensor:
    """A copy by which there are derivatives, classes aside."""
    return part.detach().clone().requires_grad_(part.is_floating_point())


def _weights(said: Tensor) -> Tensor:
    """Random numbers of the shape of predictions, the same every time."""
    drawn = torch.randn(said.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn.to(said)


def _over(mask: Tensor, like: Tensor) -> Tensor:
    """A mask (B, P) with the axes of something (B, P, …)."""
    return mask.reshape(mask.shape + (1,) * (like.ndim - 2))


def _sizes(part: Tensor) -> Tensor:
    """The largest number at each position, (B, P); of inputs without coordinates 0."""
    flat = part.detach().abs().reshape(*part.shape[:2], -1)
    return flat.amax(2) if flat.shape[2] else flat.new_zeros(flat.shape[:2])


def _first(leaks: Tensor) -> int:
    """The first position of any prompt."""
    return int(leaks.any(0).nonzero()[0])
