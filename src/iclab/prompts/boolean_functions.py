"""Boolean functions h: {−1, 1}^d → {−1, 1} (Bhattamishra et al. 2024): conjunctions, majorities, parities.

Every one is given by a code c ∈ {−1, 0, 1}^d, the sign of each variable that it looks at and 0 for the others, through
the agreement c'x and the number of its literals |c|: all literals hold if c'x = |c|, none if c'x = −|c|. Of other
inputs the signs count, and a coordinate that is 0, hidden by a curriculum, is not looked at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import combinations, product
from math import comb

import numpy as np
from jaxtyping import Float64

from iclab.foundations import Draws, InvalidInputError, Matrix, PromptInputs, PromptLabels, check_integer, check_real
from iclab.prompts.tasks import Functions

Codes = Float64[np.ndarray, "H d"]

# Most functions that are listed.
_MOST = 100_000


@dataclass(frozen=True)
class Hypercube:
    """Inputs uniform on {−1, 1}^d, or with independent coordinates that are 1 with a ``probability``.

    Parameters
    ----------
    dimension : int
        d.
    probability : float
        That a coordinate is 1, from 0 to 1.

    Raises
    ------
    InvalidInputError
        If a number is out of range.
    """

    dimension: int
    probability: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", check_integer(self.dimension, "dimension", minimum=1))
        object.__setattr__(self, "probability", check_share(self.probability, "probability"))

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        return np.where(draws.uniforms("x", n_points, self.dimension) < self.probability, 1.0, -1.0)


def check_share(value: float, name: str) -> float:
    """Return a number from 0 to 1, or raise."""
    number = check_real(value, name, minimum=0.0)
    if number > 1:
        raise InvalidInputError(f"{name} must lie between 0 and 1; {number} was given.")
    return number


class BooleanLaw(ABC):
    """A law of Boolean functions given by codes."""

    @abstractmethod
    def codes(self, draws: Draws, dimension: int) -> Codes:
        """Codes of the addressed prompts, shape (B, d)."""

    @abstractmethod
    def every(self, dimension: int) -> tuple[Codes, Float64[np.ndarray, " H"]]:
        """All codes, shape (H, d), and the log-probability of each.

        Raises
        ------
        InvalidInputError
            If there are more than 100 000.
        """

    @abstractmethod
    def rule(self, agreements: np.ndarray, literals: np.ndarray) -> np.ndarray:
        """h, −1 or 1, from c'x and |c| (broadcast)."""

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = 1."""
        return 1.0

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        codes = self.codes(draws, dimension)

        def values(xs: PromptInputs) -> PromptLabels:
            signs = np.sign(xs)
            agreements = np.einsum("bpd,bd->bp", signs, codes, optimize=False)
            return self.rule(agreements, np.einsum("bpd,bd->bp", np.abs(signs), np.abs(codes), optimize=False))

        return values


@dataclass(frozen=True)
class Conjunction(BooleanLaw):
    """h(x) = 1 if all its literals hold; every variable is one with a ``probability``, its sign a fair coin.

    Without literals it is always 1.
    """

    probability: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", check_share(self.probability, "probability"))

    def codes(self, draws: Draws, dimension: int) -> Codes:
        """Codes of the addressed prompts, shape (B, d)."""
        uniforms = draws.uniforms("task", dimension)
        return np.where(uniforms < self.probability, np.where(uniforms < self.probability / 2, -1.0, 1.0), 0.0)

    def every(self, dimension: int) -> tuple[Codes, Float64[np.ndarray, " H"]]:
        """All 3^d codes, shape (H, d), and their log-probabilities."""
        _check_count(3**dimension)
        codes = np.array(list(product((-1.0, 0.0, 1.0), repeat=dimension)))
        literals = np.abs(codes).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(literals > 0, literals * np.log(self.probability / 2), 0.0)
            logs += np.where(literals < dimension, (dimension - literals) * np.log(1 - self.probability), 0.0)
        return codes, logs

    def rule(self, agreements: np.ndarray, literals: np.ndarray) -> np.ndarray:
        """1 where all literals hold."""
        return np.where(agreements == literals, 1.0, -1.0)


@dataclass(frozen=True)
class Disjunction(Conjunction):
    """h(x) = 1 if any of its literals holds, drawn as those of ``Conjunction``; without literals always −1.

    Parameters
    ----------
    probability : float
        That a variable is a literal.
    """

    def rule(self, agreements: np.ndarray, literals: np.ndarray) -> np.ndarray:
        """1 where any literal holds."""
        return np.where(agreements > -literals, 1.0, -1.0)


@dataclass(frozen=True)
class SparseParity(BooleanLaw):
    """h(x) = Π_{i ∈ S} x_i over ``size`` variables chosen at random."""

    size: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_integer(self.size, "size", minimum=1))

    def codes(self, draws: Draws, dimension: int) -> Codes:
        """Codes of the addressed prompts, shape (B, d)."""
        self._check(dimension)
        ranks = np.argsort(np.argsort(draws.uniforms("task", dimension), axis=1), axis=1)
        return (ranks < self.size).astype(np.float64)

    def every(self, dimension: int) -> tuple[Codes, Float64[np.ndarray, " H"]]:
        """All sets of variables, shape (H, d), and their log-probabilities."""
        self._check(dimension)
        count = comb(dimension, self.size)
        _check_count(count)
        codes = np.zeros((count, dimension))
        codes[np.arange(count)[:, None], list(combinations(range(dimension), self.size))] = 1.0
        return codes, np.full(count, -np.log(count))

    def rule(self, agreements: np.ndarray, literals: np.ndarray) -> np.ndarray:
        """1 where an even number of the variables is −1."""
        return _even(literals - agreements)

    def _check(self, dimension: int) -> None:
        if self.size > dimension:
            raise InvalidInputError(
                f"size must be at most the dimension {dimension} of the inputs; {self.size} was given."
            )


@dataclass(frozen=True)
class Majority(SparseParity):
    """h(x) = sign Σ_{i ∈ S} x_i over an odd number ``size`` of variables chosen at random."""

    size: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2 == 0:
            raise InvalidInputError(f"size must be odd for a majority; {self.size} was given.")

    def rule(self, agreements: np.ndarray, literals: np.ndarray) -> np.ndarray:
        """1 where most of the variables are."""
        return np.where(agreements > 0, 1.0, -1.0)


@dataclass(frozen=True)
class Parity(BooleanLaw):
    """h(x) = Π_{i ∈ S} x_i over a set S of variables, all 2^d sets equally likely."""

    def codes(self, draws: Draws, dimension: int) -> Codes:
        """Codes of the addressed prompts, shape (B, d)."""
        return (draws.uniforms("task", dimension) < 0.5).astype(np.float64)

    def every(self, dimension: int) -> tuple[Codes, Float64[np.ndarray, " H"]]:
        """All 2^d sets, shape (H, d), and their log-probabilities."""
        _check_count(2**dimension)
        codes = np.array(list(product((0.0, 1.0), repeat=dimension)))
        return codes, np.full(len(codes), -np.log(len(codes)))

    def rule(self, agreements: np.ndarray, literals: np.ndarray) -> np.ndarray:
        """1 where an even number of the variables is −1."""
        return _even(literals - agreements)


def _even(twice: np.ndarray) -> np.ndarray:
    """1 where half of a number is even, −1 where it is odd."""
    return 1.0 - np.bitwise_and(twice.astype(np.int32), 2)


def _check_count(count: int) -> None:
    if count > _MOST:
        raise InvalidInputError(f"functions must be at most {_MOST} to be listed; there are {count}.")
