"""Least squares and ridge at every prefix of a prompt in one pass.

The state after i examples is the solution w and a matrix S with S S' = (X'X + penalty·I)⁺: a square root of
the covariance that label noise of variance 1 would give w. A new example (x, y) changes both by one formula,

    w ← w + g (y − w'x),    S ← S − v (S'x)'    (and S gains a column when x is new),

- x inside the span of the earlier inputs (Potter's square-root filter, in Bierman 1977, §V.2): with f = S'x,
  α = 1/(1 + f'f), g = α S f and v = g/(1 + √α);
- x outside it, without penalty (Greville 1960): g = v = x⊥/|x⊥|², x⊥ the part of x orthogonal to that span,
  found by Gram-Schmidt done twice;
- x outside it, with a penalty: Potter's step after S has gained the column of the prior, x⊥/(|x⊥|√penalty).

S spans the inputs seen and nothing else: a column of 1/√penalty for every direction unseen would cost the
digits of its square.

Never (X'X + penalty·I)⁻¹ itself, of which the root keeps twice the digits, unless there are digits to spare: with a
penalty of at least 1e-5 of |X|² over the whole prompt, five of them are lost at most, and the inverse is updated as
it stands (Sherman and Morrison 1950) in half the time.

The root's relative rounding error is about ε times the largest condition number met so far, so where that once
exceeded 1e6 and has since fallen, or where the rank itself is in doubt, the state of that prompt is refreshed from a
singular value decomposition of its prefix.

The rank of a prefix of i examples counts singular values above max(i, d)·ε times the largest, the rule of
``numpy.linalg.lstsq`` and ``numpy.linalg.pinv(…, rtol=None)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from iclab.foundations import InvalidInputError, PromptInputs, PromptLabels, check_real
from iclab.predictors.base import power_of_two

_EPSILON = float(np.finfo(np.float64).eps)
# Squares of condition numbers.
_WORST_HARMLESS = 1e12  # an earlier condition of 1e6 leaves 1e-10 relative error behind
_RELIEF = 1e3  # …and is forgiven where the present one is within a factor 30 of it
_DOUBTFUL_RANK = 1e22
# A penalty that inputs of size 1 cannot feel, and whose inverse may be out of range.
_NO_PENALTY = 1e-290
# A penalty beyond which inputs of size 1 do not count beside it.
_ALL_PENALTY = 1e250
# Largest |X|²/penalty at which the inverse itself is good enough.
_MILD = 1e5
# Entries of S kept at once: its passes should stay in a core's cache.
_CACHE = 1 << 17


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

    Raises
    ------
    InvalidInputError
        If the shapes do not fit, or the penalty is negative.
    """
    penalty = check_real(penalty, "penalty", minimum=0.0)
    if xs.ndim != 3 or ys.shape != xs.shape[:2] or 0 in xs.shape[1:]:
        raise InvalidInputError(
            "xs and ys must have shapes (B, P, d) and (B, P), P and d at least 1; "
            f"{xs.shape} and {ys.shape} were given."
        )
    n_prompts, n_points, dimension = xs.shape
    weights = np.empty(xs.shape)
    leverages = np.empty((n_prompts, n_points))
    size = max(16, _CACHE // dimension**2)
    for start in range(0, n_prompts, size):
        rows = slice(start, min(start + size, n_prompts))
        # Scaling by a power of two is exact; it keeps squares of tiny or huge inputs, and labels, in range.
        scale, unit = power_of_two(xs[rows]), power_of_two(ys[rows, :, None])
        with np.errstate(over="ignore"):
            scaled = penalty / scale / scale
        scaled[scaled < _NO_PENALTY] = 0.0
        inputs = np.ascontiguousarray((xs[rows] / scale[:, None, None]).transpose(1, 2, 0))
        labels = np.ascontiguousarray((ys[rows] / unit[:, None]).T)
        # A penalty beyond which X'X does not count: weights are X'y/penalty, computed as if it were so large.
        beyond = scaled > _ALL_PENALTY
        scaled[beyond] = _ALL_PENALTY
        mild = (scaled > 0) & (np.einsum("pib,pib->b", inputs, inputs) <= _MILD * scaled)
        for which, fit in ((mild, _well_conditioned), (~mild, _any_condition)):
            if which.all():
                fitted, leverage = fit(inputs, labels, scaled)
            elif which.any():
                fitted, leverage = fit(inputs[..., which], labels[:, which], scaled[which])
            else:
                continue
            power = np.frexp(unit[which])[1] - np.frexp(scale[which])[1]
            weights[rows][which] = np.ldexp(fitted.transpose(2, 0, 1), power[:, None, None])
            leverages[rows][which] = leverage.T
            far = beyond[which]
            if far.any():
                part, exponent = np.frexp(penalty)
                own, of_labels = np.frexp(scale[which][far])[1] - 1, np.frexp(unit[which][far])[1] - 1
                of_weights = fitted.transpose(2, 0, 1)[far] * (_ALL_PENALTY / part)
                of_leverages = leverage.T[far] * (_ALL_PENALTY / part)
                where = np.flatnonzero(which)[far] + rows.start
                weights[where] = np.ldexp(of_weights, (own + of_labels - exponent)[:, None, None])
                leverages[where] = np.ldexp(of_leverages, (2 * own - exponent)[:, None])
    return PrefixFit(weights, leverages)


def _well_conditioned(
    xs: Float64[np.ndarray, "P d B"], ys: Float64[np.ndarray, "P B"], penalty: Float64[np.ndarray, " B"]
) -> tuple[Float64[np.ndarray, "P d B"], Float64[np.ndarray, "P B"]]:
    """Weights before each position, and leverages, from C = (X'X + penalty·I)⁻¹ kept up to date."""
    _, dimension, n_prompts = xs.shape
    inverse = np.zeros((dimension, dimension, n_prompts))
    inverse[np.arange(dimension), np.arange(dimension)] = 1 / penalty
    scratch = np.empty_like(inverse)
    w = np.zeros((dimension, n_prompts))
    weights, leverages = np.empty(xs.shape), np.empty(ys.shape)
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        weights[i] = w
        towards = np.einsum("ijb,jb->ib", inverse, x)
        np.einsum("ib,ib->b", x, towards, out=leverages[i])
        gain = towards / (1 + leverages[i])
        w += gain * (y - np.einsum("ib,ib->b", x, w))
        inverse -= np.multiply(gain[:, None], towards, out=scratch)
    return weights, leverages


def _any_condition(
    xs: Float64[np.ndarray, "P d B"], ys: Float64[np.ndarray, "P B"], penalty: Float64[np.ndarray, " B"]
) -> tuple[Float64[np.ndarray, "P d B"], Float64[np.ndarray, "P B"]]:
    """The same from the square root."""
    return _Filter(xs, ys, penalty).run()


class _Filter:
    """The filter on one block of prompts; the prompt is the last axis of every array."""

    def __init__(
        self,
        xs: Float64[np.ndarray, "P d B"],
        ys: Float64[np.ndarray, "P B"],
        penalty: Float64[np.ndarray, " B"],
    ) -> None:
        self.xs, self.ys = xs, ys
        self.penalty = penalty
        self.ridge = bool(np.any(penalty > 0))
        _, dimension, n_prompts = xs.shape
        self.w = np.zeros((dimension, n_prompts))
        self.root = np.zeros((dimension, dimension, n_prompts))
        self.basis = np.zeros((dimension, dimension, n_prompts))  # orthonormal columns spanning the inputs so far
        self.scratch = np.empty((dimension, dimension, n_prompts))
        self.rank = np.zeros(n_prompts, dtype=np.int64)
        self.trace = np.zeros(n_prompts)  # tr S S'
        self.energy = penalty.copy()  # |X|² + penalty: with the trace, the condition number within a factor d
        self.longest = np.zeros(n_prompts)  # largest |x|²
        self.worst = np.zeros(n_prompts)  # largest squared condition since the last refresh

    def run(self) -> tuple[Float64[np.ndarray, "P d B"], Float64[np.ndarray, "P B"]]:
        """Weights before each position, and leverages."""
        weights = np.empty(self.xs.shape)
        leverages = np.empty(self.ys.shape)
        for i, (x, y) in enumerate(zip(self.xs, self.ys, strict=True)):
            weights[i] = self.w
            leverages[i] = self._update(i, x, y)
        return weights, leverages

    def _update(self, i: int, x: Float64[np.ndarray, "d B"], y: Float64[np.ndarray, " B"]) -> Float64[np.ndarray, " B"]:
        """Take in example i; returns its leverage before that."""
        dimension = x.shape[0]
        columns = int(self.rank.max(initial=0))
        root = self.root[:, :columns]
        residual = y - np.einsum("ib,ib->b", x, self.w)
        squared = np.einsum("ib,ib->b", x, x)
        np.maximum(self.longest, squared, out=self.longest)
        f = np.einsum("ijb,ib->jb", root, x)
        leverage = np.einsum("jb,jb->b", f, f)
        step = np.einsum("ijb,jb->ib", root, f)
        seen, within = leverage, step  # what x meets in the span of the earlier inputs
        new = np.zeros(x.shape[1], dtype=bool)
        perpendicular, length = x, squared
        if self.rank.min(initial=dimension) < dimension:
            perpendicular, length = self._perpendicular(x, columns)
            new = (self.rank < dimension) & (length > (max(i + 1, dimension) * _EPSILON) ** 2 * self.longest)
            if self.ridge:
                leverage = seen + np.where(new, length / self.penalty, 0.0)
                step = within + np.where(new, perpendicular / self.penalty, 0.0)
        alpha = 1 / (1 + leverage)
        self.trace -= alpha * np.einsum("ib,ib->b", step, step)
        gain = alpha * step
        direction = gain / (1 + np.sqrt(alpha))
        any_new = bool(new.any())
        if any_new and not self.ridge:
            with np.errstate(divide="ignore", invalid="ignore"):
                outward = perpendicular / length
            gain = np.where(new, outward, gain)
            direction = np.where(new, outward, direction)
        outer = np.multiply(direction[:, None], f, out=self.scratch[:, :columns])
        root -= outer
        self.w += gain * residual
        if any_new:
            column = gain
            if self.ridge:
                # The prior's column after the step, prior − direction √(length/penalty), without their cancellation.
                root_alpha, spread = np.sqrt(alpha), np.sqrt(self.penalty)
                with np.errstate(divide="ignore", invalid="ignore"):
                    prior = perpendicular / np.sqrt(length) / spread
                column = (root_alpha + alpha * (1 + seen)) * prior - alpha * np.sqrt(length) / spread * within
                column /= 1 + root_alpha
            self._extend(new, column, perpendicular, columns)
        self.energy += squared
        self._refresh_where_needed(i)
        return leverage

    def _perpendicular(
        self, x: Float64[np.ndarray, "d B"], columns: int
    ) -> tuple[Float64[np.ndarray, "d B"], Float64[np.ndarray, " B"]]:
        basis = self.basis[:, :columns]
        for _ in range(2):  # twice is enough (Kahan, in Parlett 1980, §6.9)
            x = x - np.einsum("ijb,jb->ib", basis, np.einsum("ijb,ib->jb", basis, x))
        return x, np.einsum("ib,ib->b", x, x)

    def _extend(
        self,
        new: Bool[np.ndarray, " B"],
        column: Float64[np.ndarray, "d B"],
        outward: Float64[np.ndarray, "d B"],
        columns: int,
    ) -> None:
        """Give S its new column, and the basis its new direction, where the input was new."""
        which = np.flatnonzero(new)
        place = self.rank[which]
        outward = outward[:, which]
        self.root[:, place, which] = column[:, which]
        self.basis[:, place, which] = outward / np.sqrt(np.einsum("ib,ib->b", outward, outward))
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
        kept = values > max(count, dimension) * _EPSILON * values[:, :1]
        denominator = np.where(kept, values**2 + penalty, 1.0)
        self.w[:, which] = np.einsum("brd,br->db", right, np.where(kept, values / denominator, 0.0) * projected)
        spread = np.where(kept, 1 / np.sqrt(denominator), 0.0)
        self.root[:, :, which] = 0.0
        self.basis[:, :, which] = 0.0
        self.root[:, : values.shape[1], which] = (right * spread[..., None]).transpose(2, 1, 0)
        self.basis[:, : values.shape[1], which] = (right * kept[..., None]).transpose(2, 1, 0)
        self.rank[which] = kept.sum(axis=1)
        self.trace[which] = np.sum(spread**2, axis=1)
        self.worst[which] = self.trace[which] * self.energy[which]
