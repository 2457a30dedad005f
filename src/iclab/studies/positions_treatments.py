"""What is done to a table of learned positions, without retraining."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from iclab.models import TransformerPredictor

# A table of learned positions, and the number of examples N whose rows were trained → another table.
Treatment = Callable[[Float[Tensor, "R w"], int], Float[Tensor, "R w"]]


def _zeros(table: Float[Tensor, "R w"], n_train: int) -> Float[Tensor, "R w"]:
    table[trained_rows(n_train) :] = 0
    return table


def _mean(table: Float[Tensor, "R w"], n_train: int) -> Float[Tensor, "R w"]:
    rows = trained_rows(n_train)
    for parity in (0, 1):  # inputs stand at even rows, labels at odd ones
        table[rows + (rows + parity) % 2 :: 2] = table[parity:rows:2].mean(0)
    return table


def _clamped(table: Float[Tensor, "R w"], n_train: int) -> Float[Tensor, "R w"]:
    rows = trained_rows(n_train)
    for row in range(rows, len(table)):
        table[row] = table[rows - 1 - (row - rows + 1) % 2]
    return table


def _wrapped(table: Float[Tensor, "R w"], n_train: int) -> Float[Tensor, "R w"]:
    for row in range(trained_rows(n_train), len(table)):
        table[row] = table[row % (2 * n_train)]
    return table


def _begun_late(table: Float[Tensor, "R w"], n_train: int) -> Float[Tensor, "R w"]:
    return table.roll(-(trained_rows(n_train) + 1), 0)


def trained_rows(n_train: int) -> int:
    """Rows that training reached: the label of the last example is never read."""
    return 2 * n_train + 1


TREATMENTS: Mapping[str, Treatment] = {
    "untrained rows zero": _zeros,
    "untrained rows the mean of trained ones": _mean,
    "untrained rows the last trained": _clamped,
    "untrained rows wrapped onto trained": _wrapped,
    "begun at untrained rows": _begun_late,
}


def scaled(factor: float) -> Treatment:
    """Multiply the whole table."""
    return lambda table, _: table * factor


def treated(predictor: TransformerPredictor, treatment: Treatment, n_train: int) -> TransformerPredictor:
    """A copy of a predictor with learned positions whose table has been treated."""
    model = copy.deepcopy(predictor.model)
    assert model.positions is not None
    with torch.no_grad():
        model.positions.weight.copy_(treatment(model.positions.weight.clone(), n_train))
    return TransformerPredictor(model, predictor.name)
