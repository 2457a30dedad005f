"""What a label is: a real number, a vector of them, or a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, check_choice, check_integer, check_reals

Classes: TypeAlias = Int64[np.ndarray, "B P"]
Law: TypeAlias = Float64[np.ndarray, "B P k"]


@dataclass(frozen=True)
class Labels:
    """What the labels of a distribution are, and with it what its predictors answer at every position.

    Attributes
    ----------
    kind : {"real", "vector", "class"}
        Predictions are real numbers, shape (B, P), vectors, shape (B, P, size), or probabilities of the classes,
        shape (B, P, size).
    size : int
        1, the length k of a vector, or the number k of classes.
    """

    kind: Literal["real", "vector", "class"] = "real"
    size: int = 1

    def __post_init__(self) -> None:
        check_choice(self.kind, "kind of labels", ("real", "vector", "class"))
        smallest = 2 if self.kind == "class" else 1
        object.__setattr__(self, "size", check_integer(self.size, "size of labels", minimum=smallest))
        if self.kind == "real" and self.size != 1:
            raise InvalidInputError(f"real labels must have size 1; {self.size} was given: take vectors.")

    @property
    def n_classes(self) -> int | None:
        """Number of classes, None for numbers."""
        return self.size if self.kind == "class" else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one label: () or, for a vector, (k,)."""
        return (self.size,) if self.kind == "vector" else ()

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of one prediction: () for a real label, otherwise (k,)."""
        return () if self.kind == "real" else (self.size,)


REAL = Labels()


def labels_of(law: object) -> Labels:
    """What a law of functions or a distribution says its labels are; real numbers if it says nothing."""
    return getattr(law, "labels", REAL)


def check_classes(value: ArrayLike, name: str, n_classes: int, *, unknown: bool = False) -> np.ndarray:
    """Return ``value`` as int64 classes 0 … n_classes − 1 (and −1 where ``unknown`` ones are allowed).

    Raises
    ------
    InvalidInputError
        If it holds anything else.
    """
    given = check_reals(value, name)
    with np.errstate(invalid="ignore"):
        classes = given.astype(np.int64)
    lowest = -1 if unknown else 0
    wrong = (classes != given) | (classes < lowest) | (classes >= n_classes)
    if wrong.any():
        raise InvalidInputError(
            f"{name} must be classes 0 … {n_classes - 1}, as there are {n_classes}; {given[wrong][0]:g} was given."
        )
    return classes


def draw_classes(law: Law, uniforms: Float64[np.ndarray, "B P"]) -> Classes:
    """One class of every law, shape (B, P), from one uniform number each."""
    edges = np.cumsum(law[..., :-1], axis=-1)
    return (uniforms[..., None] >= edges).sum(axis=-1)
