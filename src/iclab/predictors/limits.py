"""How wide and how long a prompt a predictor takes, as it says itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What a predictor can read; None where it takes any.

    Attributes
    ----------
    dimension : int, optional
        d of the prompts.
    max_points : int, optional
        Longest prompt that it is made for, in positions.
    n_train : int, optional
        Number N of examples that it was trained for.
    """

    dimension: int | None = None
    max_points: int | None = None
    n_train: int | None = None

    @property
    def examples(self) -> int | None:
        """Most examples that it was trained or made for."""
        if self.n_train is not None or self.max_points is None:
            return self.n_train
        return self.max_points - 1


def limits_of(predictor: Any) -> Limits:
    """The limits that a predictor states as attributes, its own or its architecture's; none where it states none."""
    stated = {}
    for name in ("dimension", "max_points", "n_train"):
        for place in (predictor, getattr(predictor, "architecture", None)):
            value = getattr(place, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
                stated[name] = value
                break
    return Limits(**stated)
