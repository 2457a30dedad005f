"""Λ = λI and a balanced start: the flow in closed form.

With g = (1 + (d + 1)/N)λ, β = λ²√d, κ = gλ², cos φ0 = tr U0/(√d u0) and x = βt, let q = cosh x + cos φ0 sinh x. Then

    u⁻² = q⁻² [1/u0² + (2κ/β)(½ x sin²φ0 + ¼ (1 + cos²φ0) sinh 2x + ½ cos φ0 (cosh 2x − 1))],
    U = u [cos φ I/√d + sin φ W0/‖W0‖_F],  sin φ = sin φ0/q,  W0 the traceless part of U0.

All starts reach the minimum but cos φ0 = −1, U0 = −u0 I/√d, the stable manifold of the saddle at 0. Below,
everything is multiplied by powers of e^{−x} and written in m = 1 + cos φ0, so that nothing overflows or cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from iclab.foundations import Matrix

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class IsotropicFlow:
    """Closed form of the flow whose decay rates are all κ and drives all λ², from u0 = ‖U0‖_F > 0.

    Attributes
    ----------
    kappa, drive : float
        κ = gλ² and λ², both positive.
    u : float
        u0 > 0.
    matrix : ndarray, shape (d, d)
        U0 with ‖U0‖_F = u0; it need not be symmetric.
    """

    kappa: float
    drive: float
    u: float
    matrix: Matrix

    @cached_property
    def beta(self) -> float:
        """β = λ²√d, the growth rate at the saddle."""
        return self.drive * float(np.sqrt(len(self.matrix)))

    @cached_property
    def _axis(self) -> Matrix:
        return np.eye(len(self.matrix)) / np.sqrt(len(self.matrix))

    @cached_property
    def _direction(self) -> Matrix:
        return self.matrix / np.linalg.norm(self.matrix)

    @cached_property
    def margin(self) -> float:
        """m = 1 + cos φ0; 0 on the saddle's stable manifold."""
        margin = float(np.sum((self._direction + self._axis) ** 2)) / 2
        return margin if margin > (4 * _EPS) ** 2 * len(self.matrix) else 0.0

    @cached_property
    def horizon(self) -> float:
        """Time after which only rounding changes: e^{−x} or what it leaves of the other direction is below 1e-18."""
        delay = -0.5 * float(np.log(self.margin)) if self.margin else 0.0
        growth = max(0.0, 0.5 * float(np.log(self.beta / self.kappa)) - float(np.log(self.u)))
        return (41.5 + delay + growth) / self.beta

    @cached_property
    def _traceless(self) -> Matrix:
        return self._direction - np.sum(self._axis * self._direction) * self._axis

    def evaluate(self, t: Float64[np.ndarray, " n"]) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n 2"]]:
        """u, and the coefficients of I/√d and of the traceless part of U0/‖U0‖_F in U, at times t ≤ ∞."""
        m, other = self.margin, 2 - self.margin
        x = self.beta * t
        fade = np.exp(-x)
        grown = -np.expm1(-2 * x)
        if m == 0:
            u = fade / np.sqrt(1 / self.u**2 + self.kappa / self.beta * grown)
            return u, np.stack([-u, np.zeros_like(u)], axis=-1)
        square = fade**2
        mixed = np.multiply(x, square, out=np.zeros_like(x), where=square > 0)
        integral = mixed * m * other / 2 + grown * (m**2 + square * other**2) / 8
        # u/q without the factors e^{-x} that cancel.
        ratio = 1 / np.sqrt(square / self.u**2 + 2 * self.kappa / self.beta * integral)
        u = ratio * (m + other * square) / 2
        return u, np.stack([ratio * (m - other * square) / 2, ratio * fade], axis=-1)

    def matrices(self, coefficients: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n d d"]:
        """U, shape (n, d, d), from the coefficients of :meth:`evaluate`."""
        basis = np.stack([self._axis, self._traceless])
        return np.tensordot(coefficients, basis, axes=1)
