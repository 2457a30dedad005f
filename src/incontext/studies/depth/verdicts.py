"""What a paired comparison on common prompts says, in words."""

from __future__ import annotations

import pandas as pd

from incontext.studies.depth.models import Model


def row_of(models: pd.DataFrame, model: Model) -> pd.Series:
    """The row of a model."""
    return models[(models["law"] == model.law) & (models["name"] == model.name)].iloc[0]


def pair_of(tables: dict[str, pd.DataFrame], law: str, first: Model, second: Model | str) -> pd.Series:
    """The row of a comparison."""
    pairs = tables["pairs"]
    other = second if isinstance(second, str) else second.name
    return pairs[(pairs["law"] == law) & (pairs["first"] == first.name) & (pairs["second"] == other)].iloc[0]


def undecided(row: pd.Series) -> bool:
    """Whether the 95 % interval of the mean difference holds 0."""
    return bool(row["low"] <= 0 <= row["high"])


def verdict(row: pd.Series) -> str:
    """What the 95 % interval of the paired mean difference says."""
    if undecided(row):
        return "is not distinguishable from"
    return "beats" if row["high"] < 0 else "is worse than"


def mark(row: pd.Series) -> str:
    """The same as an adjective, with the difference."""
    if undecided(row):
        return "not distinguishable in the mean"
    return f"{'better' if row['high'] < 0 else 'worse'} by {abs(row['difference']):.2g} ± {row['stderr']:.1g}"
