"""Functions of a decay rate k, sampled on a grid of 16 Chebyshev nodes per octave of k.

Everything the flow needs of a mode (e^{−ks}, the response to a drive, the resolvent of a collocation step) is
analytic in log k within |Im| < π/2. On one octave 16 nodes therefore carry it to 9.1⁻¹⁶ ≈ 4·10⁻¹⁶, and a sum
over any number of rates becomes a sum over the nodes of the octaves they occupy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

NODES = 16

_ANGLES = (2 * np.arange(NODES) + 1) * np.pi / (2 * NODES)
# Positions of the nodes inside an octave, as log2(k) − octave in (0, 1), and their barycentric weights.
_POSITIONS = 0.5 - 0.5 * np.cos(_ANGLES)
_BARYCENTRIC = np.where(np.arange(NODES) % 2 == 0, 1.0, -1.0) * np.sin(_ANGLES)
# The nodes themselves, as factors of 2^octave.
FACTORS = 2.0**_POSITIONS


def octaves_of(
    rates: Float64[np.ndarray, "*shape"],
) -> tuple[Int64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"]]:
    """Octave and position inside it (log2 scale, in [0, 1)) of positive rates."""
    mantissa, exponent = np.frexp(rates)
    return exponent.astype(np.int64) - 1, np.log2(2 * mantissa)


def lagrange(positions: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "m 16"]:
    """Weights of the 16 nodes that interpolate at positions in an octave."""
    gaps = positions[:, None] - _POSITIONS
    hits = gaps == 0
    gaps[hits] = 1.0
    weights = _BARYCENTRIC / gaps
    weights /= weights.sum(axis=1, keepdims=True)
    rows = hits.any(axis=1)
    weights[rows] = hits[rows]
    return weights


@dataclass(frozen=True, eq=False)
class RateGrid:
    """The nodes of the octaves that a set of positive rates occupies.

    Attributes
    ----------
    octaves : ndarray of int, shape (n_octaves,)
        Occupied octaves, ascending.
    """

    octaves: Int64[np.ndarray, " n_octaves"]

    @cached_property
    def rates(self) -> Float64[np.ndarray, " m"]:
        """The m = 16 · n_octaves nodes."""
        return (2.0 ** self.octaves[:, None] * FACTORS).ravel()

    def gather(
        self, rates: Float64[np.ndarray, " n"], *measures: Float64[np.ndarray, " n"]
    ) -> list[Float64[np.ndarray, " m"]]:
        """For each measure w_i on the rates k_i, weights W_q on the nodes with Σ w_i g(k_i) = Σ W_q g(κ_q)."""
        octave, position = octaves_of(rates)
        start = NODES * np.searchsorted(self.octaves, octave)
        size = NODES * len(self.octaves)
        gathered = [np.zeros(size) for _ in measures]
        weights = lagrange(position)
        for node in range(NODES):
            for total, measure in zip(gathered, measures, strict=True):
                total += np.bincount(start + node, weights=measure * weights[:, node], minlength=size)
        return gathered

    def spread(
        self, rates: Float64[np.ndarray, " n"], values: Float64[np.ndarray, "times m"]
    ) -> Float64[np.ndarray, "times n"]:
        """Values at the rates, interpolated from values at the nodes."""
        octave, position = octaves_of(rates)
        row = np.searchsorted(self.octaves, octave)
        weights = lagrange(position)
        spread = np.empty((values.shape[0], rates.shape[0]))
        for index in range(len(self.octaves)):
            inside = row == index
            spread[:, inside] = values[:, NODES * index : NODES * (index + 1)] @ weights[inside].T
        return spread


def grid_of(octaves: Int64[np.ndarray, " n"]) -> RateGrid:
    """The grid over the distinct octaves among ``octaves``."""
    return RateGrid(np.unique(octaves))
