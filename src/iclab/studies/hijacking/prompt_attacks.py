"""What every attack on prompts has in common: its targets, its table, and how it is told to have worked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.foundations import Vector

# A prediction within this part of the wanted change has reached its target.
REACHED = 0.05


class Forced(NamedTuple):
    """Changed labels, shape (B, M), and what is predicted from them, shape (B,)."""

    labels: Float64[np.ndarray, "B M"]
    prediction: Vector


def targets_of(clean: Vector, dimension: int) -> Vector:
    """Predictions moved by √d, the standard deviation of a label, up and down in turn."""
    return clean + math.sqrt(dimension) * np.where(np.arange(len(clean)) % 2, -1.0, 1.0)


def attacked(
    source: str, ys: Float64[np.ndarray, "B M"], clean: Vector, target: Vector, forced: Mapping[str, Forced]
) -> pd.DataFrame:
    """A row per kind of attack and prompt: source, kind, wanted, moved (1 where it reaches), size, labels y0 …."""
    tables: list[pd.DataFrame] = []
    for kind, (labels, prediction) in forced.items():
        numbers = {"prompt": np.arange(len(ys)), "wanted": target - clean}
        numbers |= {"moved": (prediction - clean) / (target - clean)}
        numbers |= {"size": np.linalg.norm(labels - ys, axis=1)}
        numbers |= {f"y{j}": labels[:, j] for j in range(labels.shape[1])}
        tables.append(pd.DataFrame({"source": source, "kind": kind, **numbers}))
    return pd.concat(tables, ignore_index=True)
