"""Markov chains of any order and urns: rows of the transition table from a Dirichlet law, or a pool of tables.

A *table* of order n has one row per state, the last n symbols read as a number in base k with the latest symbol last,
and a column per next symbol. Order 1 is a Markov chain, order 0 an urn, drawn from with replacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import Draws, InvalidInputError, check_array, check_choice, check_integer, check_real
from iclab.prompts.labels import Classes, Labels, Law
from iclab.prompts.sequences import Sequences

# Most rows of a table, and entries of transition matrices kept at once.
_MOST = 1024
_NEVER = 1e-100
_BLOCK = 1 << 22


@dataclass(frozen=True)
class MarkovChains(Sequences):
    """Every prompt is a chain of its own: rows of its table ~ Dirichlet(concentration), start from the stationary law.

    Order 1 with concentration 1 is the setting of Edelman et al. (2024, on statistical induction heads), order 0 the
    balls and urns of Wurgaft et al. (2025).

    Parameters
    ----------
    n_symbols : int
        k, at least 2.
    concentration : float
        Of every symbol; 1 is uniform on the simplex, small values make nearly deterministic chains.
    order : int
        Symbols that the next one depends on.
    start : {"stationary", "uniform"}
        Law of the first ``order`` symbols. The stationary one tells of the table; uniform ones do not, which makes
        counts the exact posterior.

    Raises
    ------
    InvalidInputError
        If a number is out of range.

    Examples
    --------
    >>> from iclab.prompts import MarkovChains
    >>> prompts = MarkovChains(3).sample(4, 10, seed=0)
    >>> prompts.xs.shape, prompts.ys.shape, prompts.n_classes
    ((4, 10, 0), (4, 10), 3)
    """

    n_symbols: int
    concentration: float = 1.0
    order: int = 1
    start: Literal["stationary", "uniform"] = "stationary"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_symbols", check_integer(self.n_symbols, "n_symbols", minimum=2))
        object.__setattr__(self, "concentration", check_real(self.concentration, "concentration", above=0.0))
        object.__setattr__(self, "order", check_integer(self.order, "order", minimum=0))
        check_choice(self.start, "start", ("stationary", "uniform"))
        # Powers of 2 and more: of a large order none is computed.
        if self.order > _MOST.bit_length() or self.n_symbols**self.order > _MOST:
            raise InvalidInputError(
                f"n_symbols^order must be at most {_MOST} rows of a table; {self.n_symbols}^{self.order} was given."
            )

    @property
    def labels(self) -> Labels:
        """Classes: the symbols."""
        return Labels("class", self.n_symbols)

    def tables(self, draws: Draws) -> Law:
        """Tables of the addressed prompts, shape (B, k^order, k)."""
        rows = self.n_symbols**self.order
        tables = np.empty((draws.count, rows, self.n_symbols))
        weights = np.full(self.n_symbols, self.concentration)
        for table, generator in zip(tables, draws.generators("task"), strict=True):
            table[...] = generator.dirichlet(weights, size=rows)
        return tables

    def draw(self, draws: Draws, n_points: int) -> tuple[Classes, Law]:
        """Symbols, shape (B, P), and the law of each given the table and the symbols before it, shape (B, P, k)."""
        tables = self.tables(draws)
        k = self.n_symbols
        first = (
            openings(tables)
            if self.start == "stationary"
            else [np.full((draws.count, k**i, k), 1 / k) for i in range(self.order)]
        )
        return walk(tables, first, draws.uniforms("noise", n_points))


@dataclass(frozen=True, eq=False)
class MarkovChainPool(Sequences):
    """Every prompt follows one of n fixed tables, equally likely: mixtures of chains (Park et al. 2025), pools of urns.

    Parameters
    ----------
    chains : array_like, shape (n, k^order, k)
        Tables; rows are at least 0 and add to 1.

    Raises
    ------
    InvalidInputError
        If the tables are no laws, or their number of rows is no power of k.
    """

    chains: Law

    def __init__(self, chains: ArrayLike) -> None:
        array = check_array(chains, "chains", (None, None, None))
        rows, k = array.shape[1:]
        if array.size == 0 or k < 2 or k ** order_of(array) != rows:
            raise InvalidInputError(
                "chains must hold at least one table of k^order rows of k ≥ 2 symbols; "
                f"an array of shape {array.shape} was given."
            )
        if (array < 0).any() or np.abs(array.sum(axis=2) - 1).max() > 1e-9:
            raise InvalidInputError("chains must have rows that are at least 0 and sum to 1.")
        object.__setattr__(self, "chains", array / array.sum(axis=2, keepdims=True))

    @classmethod
    def dirichlet(
        cls, n_chains: int, n_symbols: int, concentration: float = 1.0, order: int = 1, *, seed: int = 0
    ) -> MarkovChainPool:
        """A pool of ``n_chains`` tables as ``MarkovChains`` draws; a larger pool of a seed extends a smaller one."""
        law = MarkovChains(n_symbols, concentration, order)
        count = check_integer(n_chains, "n_chains", minimum=1)
        # A channel of its own: a pool shares nothing with the prompts of its seed.
        return cls(law.tables(Draws(seed, count=count).at(channel=1 << 21)))

    @property
    def n_symbols(self) -> int:
        """Number of symbols k."""
        return self.chains.shape[2]

    @property
    def order(self) -> int:
        """Symbols that the next one depends on."""
        return order_of(self.chains)

    @property
    def labels(self) -> Labels:
        """Classes: the symbols."""
        return Labels("class", self.n_symbols)

    def draw(self, draws: Draws, n_points: int) -> tuple[Classes, Law]:
        """Symbols, shape (B, P), and the law of each given the chain and the symbols before it, shape (B, P, k)."""
        index = (draws.uniforms("task", 1)[:, 0] * len(self.chains)).astype(np.int64)
        first = [opening[index] for opening in openings(self.chains)]
        return walk(self.chains[index], first, draws.uniforms("noise", n_points))


def order_of(tables: Law) -> int:
    """Symbols looked back by tables of k^order rows."""
    rows, k = tables.shape[-2:]
    return round(np.log(rows) / np.log(k)) if rows > 0 and k > 1 else 0


def stationary(tables: Law) -> Float64[np.ndarray, "B rows"]:
    """The stationary law over states of each table, shape (B, k^order).

    By elimination without subtractions (Grassmann, Taksar and Heyman 1985), which keeps small probabilities to full
    relative precision.
    """
    rows = tables.shape[1]
    law = np.empty((len(tables), rows))
    batch = max(1, _BLOCK // rows**2)
    for start in range(0, len(tables), batch):
        law[start : start + batch] = _eliminated(tables[start : start + batch])
    return law


def _eliminated(tables: Law) -> Float64[np.ndarray, "B rows"]:
    rows, k = tables.shape[-2:]
    steps = np.zeros((len(tables), rows, rows))
    for symbol in range(k):
        # A state forgets its oldest symbol: i → (i·k + symbol) mod k^order.
        steps[:, np.arange(rows), (np.arange(rows) * k + symbol) % rows] += tables[..., symbol]
    for last in range(rows - 1, 0, -1):
        # A state that is never left has all the mass in the end.
        leaving = np.maximum(steps[:, last, :last].sum(axis=1, keepdims=True), _NEVER)
        steps[:, :last, last] /= leaving
        steps[:, :last, :last] += steps[:, :last, last, None] * steps[:, None, last, :last]
    law = np.ones((len(tables), rows))
    for state in range(1, rows):
        law[:, state] = np.einsum("br,br->b", law[:, :state], steps[:, :state, state])
        law[:, : state + 1] /= law[:, : state + 1].sum(axis=1, keepdims=True)
    return law


def openings(tables: Law) -> list[Law]:
    """Laws of the first ``order`` symbols under the stationary law: of symbol i given i before it, (B, k^i, k)."""
    k, order = tables.shape[2], order_of(tables)
    joint = stationary(tables) if order else np.ones((len(tables), 1))
    laws: list[Law] = []
    for i in range(order):
        together: Law = joint.reshape(len(tables), k ** (i + 1), -1).sum(axis=2).reshape(len(tables), k**i, k)
        total: Law = together.sum(axis=2, keepdims=True)
        laws.append(np.asarray(np.where(total > 0, together / np.where(total > 0, total, 1.0), 1 / k)))
    return laws


def walk(tables: Law, first: list[Law], uniforms: Float64[np.ndarray, "B P"]) -> tuple[Classes, Law]:
    """Symbols drawn one after the other, and the law of each given its table and the symbols before it.

    Parameters
    ----------
    tables, first : ndarray, list of ndarray
        Shape (B, k^order, k), and their ``openings``.
    uniforms : ndarray, shape (B, P)
        One number for each symbol.

    Returns
    -------
    tuple of ndarray
        Shapes (B, P) and (B, P, k).
    """
    n_prompts, n_points = int(uniforms.shape[0]), int(uniforms.shape[1])
    k, order, rows = tables.shape[2], len(first), tables.shape[1]
    ys = np.empty((n_prompts, n_points), dtype=np.int64)
    laws = np.empty((n_prompts, n_points, k))
    prompts = np.arange(len(uniforms))
    state = np.zeros(n_prompts, dtype=np.int64)
    for i in range(n_points):
        laws[:, i] = (tables if i >= order else first[i])[prompts, state]
        edges = np.cumsum(laws[:, i, :-1], axis=1)
        ys[:, i] = (uniforms[:, i, None] >= edges).sum(axis=1)
        state = (state * k + ys[:, i]) % (rows if i + 1 >= order else k ** (i + 1))
    return ys, laws
