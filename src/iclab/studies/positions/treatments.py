"""What is done to a table of learned positions, without retraining."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from iclab.models import Transformer, TransformerPredictor

Table: TypeAlias = Float[Tensor, "R w"]
# A table of learned positions, and the number of rows that training reached → another table.
Change: TypeAlias = Callable[[Table, int], Table]


def _zeros(table: Table, rows: int) -> Table:
    table[rows:] = 0
    return table


def _mean(table: Table, rows: int) -> Table:
    for parity in (0, 1):  # inputs stand at even rows, labels at odd ones
        table[rows + (rows + parity) % 2 :: 2] = table[parity:rows:2].mean(0)
    return table


def _last(table: Table, rows: int) -> Table:
    return table[[row if row < rows else rows - 1 - (row - rows + 1) % 2 for row in range(len(table))]]


def _wrapped(table: Table, rows: int) -> Table:
    return table[[row if row < rows else row % (rows - 1) for row in range(len(table))]]


def _late(table: Table, rows: int) -> Table:
    return table.roll(-(rows + 1), 0)


# Untrained rows become zero, the mean of trained ones, the last trained one, or trained ones in turn; or prompts begin
# at untrained rows.
CHANGES: Mapping[str, Change] = {"zero": _zeros, "mean": _mean, "last": _last, "wrapped": _wrapped, "late": _late}


def trained_rows(n_train: int) -> int:
    """Rows that training reached: the label of the last example is never read."""
    return 2 * n_train + 1


def treated(predictor: TransformerPredictor, treatment: str, factor: float, n_train: int) -> TransformerPredictor:
    """A copy of a predictor with learned positions whose table was changed and then multiplied by ``factor``."""
    model = copy.deepcopy(predictor.model)
    assert isinstance(model, Transformer)
    assert model.positions is not None
    with torch.no_grad():
        table = model.positions.weight.clone()
        if treatment in CHANGES:
            table = CHANGES[treatment](table, trained_rows(n_train))
        model.positions.weight.copy_(table * factor)
    return TransformerPredictor(model, predictor.name)
