"""The flow on a = b = 0 in the basis where it decouples, (27) and (52).

With k_ij the decay rates and ξ_i the drives,

    U̇_ij = −k_ij u² U_ij  (i ≠ j),    Ḋ_i = −k_ii u² D_i + ξ_i u,    u̇ = −u Σ k_ij U_ij² + Σ ξ_i D_i,

where D_i = U_ii. For x ~ N(0, Λ) the basis is Λ's eigenbasis, k_ij = g_i l_i l_j, ξ_i = l_i²; for random diagonal
covariances it is the standard basis, k_ii = γ_i, k_ij = ζ_ij. In the clock s = ∫u² dt an off-diagonal entry
is U_ij(0) e^{−k_ij s}: only u and D remain. u² − ‖U‖_F² is conserved, (42).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from iclab.flow.octaves import NODES, RateGrid, grid_of, octaves_of
from iclab.foundations import Matrix, Vector

# Entries of a matrix handled at once.
_BLOCK = 1 << 15
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class OffDiagonal:
    """Σ_{i≠j} U_ij² e^{−2 k_ij s} as a sum over the nodes of a grid of rates: O(d²) once, O(octaves) per s."""

    grid: RateGrid
    weights: Float64[np.ndarray, " m"]

    @classmethod
    def of(cls, rates: Matrix, values: Matrix) -> OffDiagonal:
        """Gather the off-diagonal entries of ``values``, shape (d, d), with their decay ``rates``."""
        dimension = len(rates)
        block = max(1, _BLOCK // dimension)
        chosen = (values != 0) & (rates > 0)
        np.fill_diagonal(chosen, False)
        parts = [slice(first, first + block) for first in range(0, dimension, block)]
        octaves = [np.unique(octaves_of(rates[part][chosen[part]])[0]) for part in parts]
        grid = grid_of(np.concatenate(octaves))
        weights = np.zeros(NODES * len(grid.octaves))
        for part in parts:  # some rows at a time: the interpolation takes 16 numbers per entry
            inside = chosen[part]
            weights += grid.gather(rates[part][inside], values[part][inside] ** 2)[0]
        return cls(grid, weights)

    def energy(self, s: float) -> float:
        """R(s)."""
        return float(np.exp(-2 * s * self.grid.rates) @ self.weights)

    def change(self, s: float, steps: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """R(s + steps) − R(s), without cancellation."""
        now = self.weights * np.exp(-2 * s * self.grid.rates)
        return np.expm1(-2 * np.multiply.outer(steps, self.grid.rates)) @ now

    def dissipation(self, s: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Σ k_ij U_ij(s)² = −R'(s)/2."""
        return np.exp(-2 * np.multiply.outer(s, self.grid.rates)) @ (self.weights * self.grid.rates)


@dataclass(frozen=True, eq=False)
class Reduced:
    """A start (u, U) of the decoupled flow with its coefficients.

    Attributes
    ----------
    decay : ndarray, shape (d, d)
        k_ij ≥ 0.
    drive : ndarray, shape (d,)
        ξ_i ≥ 0; 0 wherever k_ii is.
    u : float
        Initial u.
    matrix : ndarray, shape (d, d)
        Initial U in this basis.
    """

    decay: Matrix
    drive: Vector
    u: float
    matrix: Matrix

    @cached_property
    def rates(self) -> Vector:
        """k_ii."""
        return np.ascontiguousarray(np.diagonal(self.decay))

    @cached_property
    def diagonal(self) -> Vector:
        """Initial D."""
        return np.ascontiguousarray(np.diagonal(self.matrix))

    @cached_property
    def is_commuting(self) -> bool:
        """Whether U is diagonal here (and so remains)."""
        return np.count_nonzero(self.matrix) == np.count_nonzero(self.diagonal)

    @cached_property
    def off_diagonal(self) -> OffDiagonal:
        """The entries U_ij with i ≠ j that move."""
        if self.is_commuting:
            return OffDiagonal(grid_of(np.empty(0, dtype=np.int64)), np.empty(0))
        return OffDiagonal.of(self.decay, self.matrix)

    @cached_property
    def frozen_energy(self) -> float:
        """Σ U_ij² over the entries with k_ij = 0, which never move (singular Λ)."""
        return float(np.sum(self.matrix[self.decay == 0] ** 2))

    @cached_property
    def norm(self) -> float:
        """‖U‖_F at the start."""
        return float(np.linalg.norm(self.matrix))

    @cached_property
    def balance(self) -> float:
        """C = u² − ‖U‖_F², conserved by the flow (42); 0 when it is 0 to rounding."""
        balance = (abs(self.u) - self.norm) * (abs(self.u) + self.norm)
        return 0.0 if abs(balance) <= 64 * _EPS * self.u**2 else balance

    @cached_property
    def target(self) -> Vector:
        """The diagonal of u·U at the minimum, ξ_i / k_ii (Γ⁻¹ in Theorem 4); 0 where k_ii = 0."""
        return np.divide(self.drive, self.rates, out=np.zeros_like(self.drive), where=self.rates > 0)

    @cached_property
    def limit_u(self) -> float:
        """|u| at the minimum: u⁴ = C u² + Σ (ξ_i/k_ii)², with the frozen entries counted in C."""
        energy = self.balance + self.frozen_energy
        square = float(self.target @ self.target)
        root = np.hypot(energy, 2 * np.sqrt(square))
        # Of the two forms of the positive root, the one without cancellation.
        return float(np.sqrt((energy + root) / 2 if energy >= 0 else 2 * square / (root - energy)))

    @cached_property
    def slowest_rate(self) -> float:
        """Smallest positive decay rate among the entries that move."""
        rates = self.rates[self.rates > 0]
        slowest = float(rates.min()) if len(rates) else np.inf
        if not self.is_commuting:
            moving = (self.matrix != 0) & (self.decay > 0)
            slowest = min(slowest, float(np.min(self.decay, where=moving, initial=np.inf)))
        return slowest

    @cached_property
    def fastest_rate(self) -> float:
        """Largest decay rate among the entries that move."""
        fastest = float(self.rates.max())
        if not self.is_commuting:
            fastest = max(fastest, float(np.max(self.decay, where=self.matrix != 0, initial=0.0)))
        return fastest

    def excess(
        self,
        u: Float64[np.ndarray, " n"],
        diagonal: Float64[np.ndarray, "n d"],
        s: Float64[np.ndarray, " n"],
    ) -> Float64[np.ndarray, " n"]:
        """L − min L = ½ Σ_{i≠j} k_ij u² U_ij² + ½ Σ_i k_ii (u D_i − ξ_i/k_ii)²."""
        misfit = u[:, None] * diagonal - self.target
        return 0.5 * (u**2 * self.off_diagonal.dissipation(s) + misfit**2 @ self.rates)

    def full(self, diagonal: Float64[np.ndarray, "n d"], s: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n d d"]:
        """U, shape (n, d, d), from its diagonal and the clock s."""
        if self.is_commuting:
            return diagonal[:, :, None] * np.eye(len(self.drive))
        matrices = self.matrix * np.exp(-np.multiply.outer(s, self.decay))
        index = np.arange(len(self.drive))
        matrices[:, index, index] = diagonal
        return matrices

    def mirrored(self) -> Reduced:
        """The start (−u, −U): its trajectory is the mirror image, as θ enters ŷ as a product."""
        return self._started(-self.u, -self.matrix)

    def restarted(self, u: float, diagonal: Vector, s: float) -> Reduced:
        """The problem whose start is the state (u, D) reached at clock s."""
        return self._started(u, self.full(diagonal[None], np.array([s]))[0])

    def _started(self, u: float, matrix: Matrix) -> Reduced:
        started = Reduced(self.decay, self.drive, u, matrix)
        started.__dict__["balance"] = self.balance  # conserved: do not let rounding move it
        return started
