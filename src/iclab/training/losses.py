"""What predictions cost, by the head of the model: squared error, Gaussian likelihood, cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Head = Literal["mean", "mean_variance", "classes"]


@dataclass(frozen=True)
class Loss:
    """A loss at every position.

    Attributes
    ----------
    name : str
        As axes are labelled.
    of : callable
        What the model says, (B, P, …), and what it is fitted to, (B, P), (B, P, k) or classes (B, P), to (B, P).
    zero : callable
        Targets and size of labels to the loss of having learned nothing, (B, P): of predicting 0, with variance 1 where
        there is one, or all classes alike.
    """

    name: str
    of: Callable[[Tensor, Tensor], Tensor]
    zero: Callable[[Tensor, int], Tensor]


def _total(squares: Tensor) -> Tensor:
    """Of a vector's numbers, summed."""
    return squares if squares.ndim == 2 else squares.sum(-1)


def _squared_error(predicted: Tensor, targets: Tensor) -> Tensor:
    return _total((predicted - targets).square())


def _gaussian(predicted: Tensor, targets: Tensor) -> Tensor:
    mean, log_variance = predicted.unbind(-1)
    return _total(0.5 * (log_variance + (targets - mean).square() * (-log_variance).exp()))


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    if targets.is_floating_point():  # probabilities
        return -(targets * logits.log_softmax(-1)).sum(-1)
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


LOSSES: dict[Head, Loss] = {
    "mean": Loss("squared error", _squared_error, lambda targets, _: _total(targets.square())),
    # Without the constant ½ log 2π.
    "mean_variance": Loss("negative log-likelihood", _gaussian, lambda targets, _: _total(targets.square() / 2)),
    "classes": Loss(
        "cross-entropy",
        _cross_entropy,
        lambda targets, size: torch.full(targets.shape[:2], math.log(size), device=targets.device),
    ),
}
