"""How long the training prompts are: every formula needs only the means of 1/N and 1/N²."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from iclab.foundations import InvalidInputError, check_integer, check_real


@dataclass(frozen=True)
class AllPositions:
    """Training on every position: contexts of 1, …, n_train examples, weighted equally.

    This is how a transformer is trained on whole sequences (§4.3 and Appendix E of the paper). Against the
    query-only loss it replaces 1/N by H_N/N, with H_N the N-th harmonic number. Pass it wherever the theory takes
    ``n_train``.

    Parameters
    ----------
    n_train : int
        Longest context N ≥ 1.
    """

    n_train: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_train", check_integer(self.n_train, "n_train", minimum=1))


@dataclass(frozen=True)
class RealLength:
    """A prompt length N as a real number, to locate the N at which something changes. No prompt has this length.

    Not in the paper.

    Parameters
    ----------
    n_train : float
        N > 0.
    """

    n_train: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_train", check_real(self.n_train, "n_train", above=0.0))


# Length M of a test prompt: an int ≥ 1, or ``math.inf`` for the limit M → ∞.
PromptLength: TypeAlias = int | float
TrainLength: TypeAlias = int | float | AllPositions | RealLength
"""Length N of training prompts: a whole number, ``math.inf``, ``AllPositions(N)`` or ``RealLength(N)``."""


def inverse_moments(n_train: TrainLength, name: str = "n_train") -> tuple[float, float]:
    """Means of 1/N and 1/N² over the contexts of the loss.

    Parameters
    ----------
    n_train : int, math.inf or AllPositions
        Number of examples in a context.
    name : str
        Name used in the error message.

    Returns
    -------
    tuple of float
        (1/N, 1/N²), (0, 0) or (Σ_{i≤N} 1/i, Σ_{i≤N} 1/i²)/N.

    Raises
    ------
    InvalidInputError
        If it is neither at least 1 nor a whole number or infinity.
    """
    if isinstance(n_train, AllPositions):
        inverse = 1 / np.arange(1.0, n_train.n_train + 1)
        return float(inverse.mean()), float((inverse**2).mean())
    if isinstance(n_train, RealLength):
        return 1 / n_train.n_train, 1 / n_train.n_train**2
    if isinstance(n_train, (float, np.floating)) and math.isinf(n_train) and n_train > 0:
        return 0.0, 0.0
    try:
        n = check_integer(n_train, name, minimum=1)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{name} must be a whole number of at least 1, math.inf or AllPositions(n); {n_train!r} was given."
        ) from error
    return 1 / n, 1 / n**2
