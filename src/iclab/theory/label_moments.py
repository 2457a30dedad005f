"""What the population loss takes from labels y = w'x + ε, w ~ N(0, W) and ε ~ N(0, s²), beyond Assumption W = I, s = 0.

With Λ̂ = (1/N) Σ x_i x_i' and m = (1/N) Σ y_i x_i, given Λ:

    E mm' = A = (1 + 1/N) ΛWΛ + (tr WΛ + s²)/N Λ,    E mw' = ΛW,
    E[(1/N) Σ y_i²] = tr WΛ + s²,    E[(1/N) Σ y_i² Λ̂] = (tr WΛ + s²)Λ + (2/N) ΛWΛ,
    E[((1/N) Σ y_i²)²] = (1 + 2/N)((tr WΛ + s²)² + 2 tr (WΛ)²).

For W = I and s = 0 A = ΓΛ of Theorem 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from iclab.foundations import Matrix
from iclab.theory.covariance_rules import CovarianceRule

_Array: TypeAlias = Float64[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class LabelMoments:
    """These moments at the nodes of a covariance rule, in the eigenbasis of each.

    Attributes
    ----------
    spectra : ndarray, shape (K, d)
        Eigenvalues of the nodes Λ.
    inverse : float
        Mean of 1/N.
    level : ndarray, shape (K,)
        tr WΛ + s².
    spread : ndarray, shape (K,)
        tr (WΛ)².
    signal : ndarray, shape (K, d) or (K, d, d)
        ΛWΛ: its diagonal where it is diagonal at every node.
    mean_square : ndarray, shape (K,)
        E (w'x_q)² = tr WΛ.
    """

    spectra: Float64[np.ndarray, "K d"]
    inverse: float
    level: Float64[np.ndarray, " K"]
    spread: Float64[np.ndarray, " K"]
    signal: _Array
    mean_square: Float64[np.ndarray, " K"]

    @classmethod
    def of(cls, rule: CovarianceRule, inverse: float, noise_variance: float, weights: Matrix | None) -> LabelMoments:
        """For s² and W, shape (d, d); I when omitted. Not in the paper."""
        l, Q = rule.spectra, rule.rotations  # noqa: E741
        if weights is None:
            trace = l.sum(-1)
            return cls(l, inverse, trace + noise_variance, (l**2).sum(-1), l**2, trace)
        W = np.broadcast_to(weights if Q is None else np.swapaxes(Q, -1, -2) @ weights @ Q, (len(l), *weights.shape))
        diagonal = np.diagonal(W, axis1=-2, axis2=-1)
        trace = (diagonal * l).sum(-1)
        spread = np.einsum("kij,kji,ki,kj->k", W, W, l, l)
        # What rounding leaves off the diagonal is no correlation of weights.
        off = W - diagonal[:, :, None] * np.eye(l.shape[1])
        size = np.abs(diagonal).max(initial=0.0)
        if np.abs(off).max(initial=0.0) <= 1e-14 * l.shape[1] * size:
            return cls(l, inverse, trace + noise_variance, spread, diagonal * l**2, trace)
        return cls(l, inverse, trace + noise_variance, spread, l[:, :, None] * W * l[:, None, :], trace)

    @property
    def diagonal(self) -> bool:
        """Whether ΛWΛ is diagonal at every node."""
        return self.signal.ndim == 2

    def cut(self, start: int, stop: int) -> LabelMoments:
        """Those of some nodes."""
        some = slice(start, stop)
        parts = (self.level[some], self.spread[some], self.signal[some], self.mean_square[some])
        return LabelMoments(self.spectra[some], self.inverse, *parts)

    @cached_property
    def gram(self) -> _Array:
        """A, shape (K, d, d), or its diagonal, shape (K, d)."""
        noise = self.inverse * self.level[:, None] * self.spectra
        if self.diagonal:
            return (1 + self.inverse) * self.signal + noise
        return (1 + self.inverse) * self.signal + noise[:, :, None] * np.eye(self.spectra.shape[1])

    @property
    def square(self) -> Float64[np.ndarray, " K"]:
        """E[((1/N) Σ y_i²)²]."""
        return (1 + 2 * self.inverse) * (self.level**2 + 2 * self.spread)

    def with_gram(self, V: _Array) -> _Array:
        """A V, for V of shape (..., K, d, d)."""
        return self.gram[..., :, None] * V if self.diagonal else self.gram @ V

    def take_signal(self, slope: _Array) -> None:
        """Take ΛWΛ from a matrix, shape (..., K, d, d), in place."""
        if self.diagonal:
            index = list(range(slope.shape[-1]))
            slope[..., index, index] -= self.signal
        else:
            slope[...] -= self.signal

    def trace_with(self, V: _Array) -> _Array:
        """tr(VΛWΛ), for V of shape (..., K, d, d); shape (..., K)."""
        if self.diagonal:
            return np.vecdot(np.diagonal(V, axis1=-2, axis2=-1), self.signal)
        return np.sum(V * self.signal, axis=(-2, -1))  # symmetric

    def with_square(self, a: _Array) -> _Array:
        """E[(1/N) Σ y_i² Λ̂] a, for a of shape (..., K, d)."""
        signal = self.signal * a if self.diagonal else np.matvec(self.signal, a)
        return self.level[:, None] * self.spectra * a + 2 * self.inverse * signal
