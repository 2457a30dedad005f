"""Least squares and ridge at every prefix of a prompt in one pass.

The state after i examples is the solution w and a matrix S with S S' = (X'X + penalty·I)⁺: a square root of
the covariance that label noise of variance 1 would give w. A new example (x, y) changes both by one formula,

    w ← w + g (y − w'x),    S ← S − v (S'x)'    (and S gains the column g when x is new),

- x outside the span of the earlier inputs (Greville 1960): g = v = x⊥/|x⊥|², x⊥ the part of x orthogonal to
  that span, found by Gram-Schmidt done twice;
- x inside it (Potter's square-root filter, in Bierman 1977, §V.2): with f = S'x, α = 1/(1 + f'f),
  g = α S f and v = g/(1 + √α).

Never (X'X)⁻¹ itself: the root keeps twice the digits. Its relative rounding error is about ε times the
largest condition number met so far, so where that once exceeded 1e6 and has since fallen, or where the rank
itself is in doubt, the state of that prompt is refreshed from a singular value decomposition of its prefix.

The rank of a prefix of i examples counts singular values above max(i, d)·ε times the largest, the rule of
``numpy.linalg.lstsq`` and ``numpy.linalg.pinv(…, rtol=None)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from incontext.foundations import PromptInputs, PromptLabels

_EPSILON = float(np.finfo(np.float64).eps)
# Squares of condition numbers.
_WORST_HARMLESS = 1e12  # an earlier condition of 1e6 leaves 1e-10 relative error behind
_RELIEF = 1e3  # …and is forgiven where the present one is within a factor 30 of it
_DOUBTFUL_RANK = 1e22
# Entries of S kept at once: its passes should stay in a core's cache.
_CACHE = 1 << 16


@dataclass(frozen=True)
class PrefixFit:
    """Least-squares or ridge fits of every prefix.

    Attributes
    ----------
    weights : ndarray, shape (B, P, d)
        Solution from the examples before each position.
    leverages : ndarray, shape (B, P)
        x_i'(X'X + penalty·I)⁺x_i over the examples X before position i, at the example x_i itself. With a
        penalty, label noise s² and penalty = s², the predictive variance of y_i is s²(1 + leverage).
    """

    weights: PromptInputs
    leverages: PromptLabels


def fit_prefixes(xs: PromptInputs, ys: PromptLabels, penalty: float = 0.0) -> PrefixFit:
    """Minimise |Xw − y|² + penalty·|w|² over the examples before each position (minimum norm if penalty is 0).

    Parameters
    ----------
    xs : ndarray, shape (B, P, d)
        Inputs of the examples.
    ys : ndarray, shape (B, P)
        Their labels.
    penalty : float
        Ridge penalty, at least 0.

    Returns
    -------
    PrefixFit
        Position i uses examples 0 … i−1 only.
    """
    n_prompts, n_points, dimension = xs.shape
    weights = np.empty(xs.shape)
    leverages = np.empty((n_prompts, n_points))
    size = max(16, _CACHE // dimension**2)
    for start in range(0, n_prompts, size):
        rows = slice(start, min(start + size, n_prompts))
        # Scaling by a power of two is exact; it keeps squares of tiny or huge inputs in range.
        scale = _power_of_two(xs[rows])
        with np.errstate(over="ignore"):
            scaled = penalty / scale / scale
        block = _Filter((xs[rows] / scale[:, None, None]).transpose(1, 2, 0), ys[rows].T, scaled)
        fitted, leverage = block.run()
        np.divide(fitted.transpose(2, 0, 1), scale[:, None, None], out=weights[rows])
        leverages[rows] = leverage.T
    return PrefixFit(weights, leverages)


def _power_of_two(xs: PromptInputs) -> Float64[np.ndarray, " B"]:
    size = np.abs(xs).max(axis=(1, 2))
    return np.ldexp(1.0, np.frexp(np.where((size > 0) & np.isfinite(size), size, 1.0))[1])


class _Filter:
    """The filter on one block of prompts; the prompt is the last axis of every array."""

    def __init__(
        self,
        xs: Float64[np.ndarray, "P d B"],
        ys: Float64[np.ndarray, "P B"],
        penalty: Float64[np.ndarray, " B"],
    ) -> None:
        self.xs = np.ascontiguousarray(xs)
        self.ys = np.ascontiguousarray(ys)
        self.penalty = penalty
        self.ridge = bool(np.any(penalty > 0))
        _, dimension, n_prompts = xs.shape
        self.w = np.zeros((dimension, n_prompts))
        self.root = np.zeros((dimension, dimension, n_prompts))
        self.basis = np.zeros((dimension, dimension, n_prompts))  # orthonormal columns spanning the inputs so far
        self.rank = np.zeros(n_prompts, dtype=np.int64)
        if self.ridge:
            diagonal = np.arange(dimension)
            self.root[diagonal, diagonal] = 1 / np.sqrt(penalty)
            self.rank[:] = dimension
        self.trace = np.einsum("ijb,ijb->b", self.root, self.root)  # tr S S'
        self.energy = penalty.copy()  # |X|² + penalty: with the trace, the condition number within a factor d
        self.longest = np.zeros(n_prompts)  # largest |x|²
        self.worst = np.zeros(n_prompts)  # largest squared condition since the last refresh

    def run(self) -> tuple[Float64[np.ndarray, "P d B"], Float64[np.ndarray, "P B"]]:
        """Weights before each position, and leverages."""
        weights = np.empty(self.xs.shape)
        leverages = np.empty(self.ys.shape)
        last = self.xs.shape[0] - 1
        for i, (x, y) in enumerate(zip(self.xs, self.ys, strict=True)):
            weights[i] = self.w
            columns = int(self.rank.max(initial=0))
            root = self.root[:, :columns]
            f = np.einsum("ijb,ib->jb", root, x)
            leverages[i] = np.einsum("jb,jb->b", f, f)
            if i < last:
                self._update(i, x, y, root, f, leverages[i])
        return weights, leverages

    def _update(
        self,
        i: int,
        x: Float64[np.ndarray, "d B"],
        y: Float64[np.ndarray, " B"],
        root: Float64[np.ndarray, "d r B"],
        f: Float64[np.ndarray, "r B"],
        leverage: Float64[np.ndarray, " B"],
    ) -> None:
        residual = y - np.einsum("ib,ib->b", x, self.w)
        squared = np.einsum("ib,ib->b", x, x)
        np.maximum(self.longest, squared, out=self.longest)
        alpha = 1 / (1 + leverage)
        step = np.einsum("ijb,jb->ib", root, f)
        self.trace -= alpha * np.einsum("ib,ib->b", step, step)
        gain = alpha * step
        direction = gain / (1 + np.sqrt(alpha))
        dimension = x.shape[0]
        new = np.zeros(x.shape[1], dtype=bool)
        if self.rank.min(initial=dimension) < dimension:
            perpendicular, length = self._perpendicular(x, root.shape[1])
            new = (self.rank < dimension) & (length > (max(i + 1, dimension) * _EPSILON) ** 2 * self.longest)
            with np.errstate(divide="ignore", invalid="ignore"):
                outward = perpendicular / length
            gain = np.where(new, outward, gain)
            direction = np.where(new, outward, direction)
        root -= direction[:, None] * f
        self.w += gain * residual
        if new.any():
            self._extend(new, gain, root.shape[1])
        self.energy += squared
        self._refresh_where_needed(i)

    def _perpendicular(
        self, x: Float64[np.ndarray, "d B"], columns: int
    ) -> tuple[Float64[np.ndarray, "d B"], Float64[np.ndarray, " B"]]:
        basis = self.basis[:, :columns]
        for _ in range(2):  # twice is enough (Kahan, in Parlett 1980, §6.9)
            x = x - np.einsum("ijb,jb->ib", basis, np.einsum("ijb,ib->jb", basis, x))
        return x, np.einsum("ib,ib->b", x, x)

    def _extend(self, new: Bool[np.ndarray, " B"], gain: Float64[np.ndarray, "d B"], columns: int) -> None:
        which = np.flatnonzero(new)
        column = self.rank[which]
        outward = gain[:, which]
        length = np.sqrt(np.einsum("ib,ib->b", outward, outward))
        # Mixed slices and index arrays put the indexed axes first, hence the transposes.
        self.root[:, column, which] = outward
        self.basis[:, column, which] = outward / length
        self.rank[which] += 1
        root = self.root[:, : columns + 1, which] if len(which) < len(new) else self.root[:, : columns + 1]
        self.trace[which] = np.einsum("ijb,ijb->b", root, root)

    def _refresh_where_needed(self, i: int) -> None:
        condition = self.trace * self.energy
        np.maximum(self.worst, condition, out=self.worst)
        stale = (self.worst > _WORST_HARMLESS) & (self.worst > _RELIEF * np.abs(condition))
        stale |= condition > _DOUBTFUL_RANK
        if stale.any():
            self._refresh(i + 1, np.flatnonzero(stale))

    def _refresh(self, count: int, which: Int[np.ndarray, " b"]) -> None:
        """Set the state of some prompts after ``count`` examples from a singular value decomposition."""
        dimension = self.xs.shape[1]
        left, values, right = np.linalg.svd(self.xs[:count, :, which].transpose(2, 0, 1), full_matrices=False)
        projected = np.einsum("bir,ib->br", left, self.ys[:count, which])
        penalty = self.penalty[which, None]
        kept = values > 0 if self.ridge else values > max(count, dimension) * _EPSILON * values[:, :1]
        denominator = np.where(kept, values**2 + penalty, 1.0)
        self.w[:, which] = np.einsum("brd,br->db", right, np.where(kept, values / denominator, 0.0) * projected)
        spread = np.where(kept, 1 / np.sqrt(denominator), 0.0)
        if self.ridge:
            # S = V D V' + (I − V V')/√penalty, written with one product.
            prior = 1 / np.sqrt(penalty)
            inner = np.einsum("brk,br,brl->klb", right, spread - prior, right)
            self.root[:, :, which] = inner + np.eye(dimension)[:, :, None] * prior[:, 0]
        else:
            rank = kept.sum(axis=1)
            self.root[:, :, which] = 0.0
            self.basis[:, :, which] = 0.0
            self.root[:, : values.shape[1], which] = (right * spread[..., None]).transpose(2, 1, 0)
            self.basis[:, : values.shape[1], which] = (right * kept[..., None]).transpose(2, 1, 0)
            self.rank[which] = rank
        fresh = self.root[:, :, which]
        self.trace[which] = np.einsum("ijb,ijb->b", fresh, fresh)
        self.worst[which] = self.trace[which] * self.energy[which]
