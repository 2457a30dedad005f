"""Gradient flow of several heads on the exact population loss, and the times at which it leaves its plateaus.

Zhang, Singh, Latham and Saxe (ICML 2025): merged, the loss falls in one drop; with keys and queries apart and of rank
one, it rests at d plateaus, one for every eigendirection that is still to be learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from iclab.flow.heads import FactoredHeads, HeadsLoss, MergedHeads
from iclab.flow.integration import Integration, State
from iclab.foundations import InvalidInputError, Matrix, check_real, check_reals, check_vector
from iclab.theory import CovarianceLaw, TrainLength

_MAX_STEPS = 200_000
# DOP853 is stable for steps up to this over the largest curvature; beyond so many steps, and up to this many weights,
# the implicit method is faster.
_REACH, _TOO_MANY, _SMALL = 6.0, 4_000, 300
H = TypeVar("H", FactoredHeads, MergedHeads)
_Values = Float64[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class HeadFlow(Generic[H]):
    """A trajectory of several heads, evaluated at any time in [0, t_end].

    Attributes
    ----------
    t_end : float
        Last time.
    loss : HeadsLoss
        The loss that is descended.
    """

    t_end: float
    loss: HeadsLoss
    _start: H  # in the coordinates of the loss
    _integration: Integration

    def heads(self, t: ArrayLike) -> H:
        """All weights at times t of the flow (9), with the shape of t before theirs."""
        weights = self._weights(t)
        Q = self.loss.rotation
        return weights if Q is None else weights.rotated(Q.T)

    def learner(self, t: float) -> Matrix:
        """K of ŷ = x_q'K (1/N) Σ y_i x_i at time t, (12): the sum over heads of v_h W_h', shape (d, d)."""
        return self.heads(t).product.T

    def error(self, t: ArrayLike) -> _Values:
        """E(ŷ − w'x_q)², twice the loss (8), at times t; shape of t. Compare with ``theory.plateau_losses``."""
        return 2 * (self.excess(t) + self.loss.minimum)

    def excess(self, t: ArrayLike) -> _Values:
        """L − min L of the loss (8) at times t; shape of t."""
        return self.loss.excess(self._weights(t).product)[()]

    def balance(self, t: ArrayLike) -> _Values:
        """What the flow conserves, as (42), at times t, with the shape of t before that of the heads' ``balance``."""
        return self._weights(t).balance

    def drop_times(self, levels: ArrayLike) -> Float64[np.ndarray, " drops"]:
        """Times at which the error falls through the middle between successive levels; ∞ where it does not in time.

        Parameters
        ----------
        levels : array_like, shape (m,)
            Falling, at least two; those of ``theory.plateau_losses`` for the drops of Zhang et al. (not in the paper).

        Returns
        -------
        ndarray, shape (m − 1,)

        Raises
        ------
        InvalidInputError
            If the levels are fewer than two or do not fall.
        """
        heights = check_vector(levels, "levels")
        if len(heights) < 2 or (np.diff(heights) > 0).any():
            raise InvalidInputError(f"levels must be at least two and fall from one to the next; {heights} was given.")
        times = self._integration.times
        states = self._start.from_vectors(np.array(self._integration.states))
        errors = 2 * (self.loss.excess(states.product) + self.loss.minimum)
        middles = [float(value) for value in (heights[1:] + heights[:-1]) / 2]
        return np.array([self._crossing(middle, np.flatnonzero(errors < middle), times) for middle in middles])

    def _crossing(self, middle: float, below: np.ndarray, times: list[float]) -> float:
        """When the error falls through ``middle``, given the checkpoints at which it is below."""
        if not below.size or below[0] == 0:
            return np.inf if not below.size else 0.0

        def distance(t: float) -> float:
            return float(self.error(t)) - middle

        low, high = times[int(below[0]) - 1], times[int(below[0])]
        return float(brentq(distance, low, high, xtol=1e-10 * high))

    def _weights(self, t: ArrayLike) -> H:
        times = check_reals(t, "t")
        if not ((times >= 0) & (times <= self.t_end)).all():
            raise InvalidInputError(f"t must lie in [0, t_end] = [0, {self.t_end:g}]; {t} was given.")
        rows = self._integration.evaluate(times.ravel())
        return self._start.from_vectors(rows.reshape(*times.shape, -1))


def head_flow(
    initial: H,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    t_end: float,
    *,
    noise_variance: float = 0.0,
    tolerance: float = 1e-9,
) -> HeadFlow[H]:
    """Gradient flow θ̇ = −∇L(θ), (9), of several heads, merged or with keys and queries apart.

    The population loss is exact, for any law of covariances whose moments are known: nothing is sampled. At a = b = 0,
    where the flow stays. Zhang, Singh, Latham and Saxe (ICML 2025) follow the same with prompts; not in the paper.

    Parameters
    ----------
    initial : FactoredHeads or MergedHeads
        Start, in dimension d; ``FactoredHeads.random(…)`` draws one.
    covariates : Gaussian, RandomDiagonal or any law of ``iclab.theory.covariance_rule``
        Law of Λ.
    n_train : int, math.inf or AllPositions
        Length N of training prompts.
    t_end : float
        Last time, finite. From weights of size s, drops come at times of order 1/(sξ_i) with ξ_i = E λ_i².
    noise_variance : float
        s² ≥ 0, variance of the noise on the labels of the examples.
    tolerance : float
        Relative error of a step: of DOP853, or of Radau's method where long waits make it the faster one.

    Returns
    -------
    HeadFlow

    Raises
    ------
    InvalidInputError
        If dimensions differ, the start is not finite, or ``t_end`` is out of reach of the integrator.

    Examples
    --------
    >>> from iclab.flow import FactoredHeads
    >>> from iclab.prompts import Gaussian
    >>> start = FactoredHeads.random(n_heads=2, rank=1, dimension=2, scale=0.01, seed=0)
    >>> flow = head_flow(start, Gaussian([[1.0, 0.0], [0.0, 0.5]]), 10, 100.0)
    >>> bool(flow.error(100.0) < flow.error(0.0))
    True
    """
    loss = HeadsLoss(covariates, n_train, noise_variance)
    loss.check(initial.dimension)
    start = initial if loss.rotation is None else initial.rotated(loss.rotation)
    row = start.vector
    if row.ndim != 1 or not np.isfinite(row).all():
        raise InvalidInputError("initial must hold finite weights of one start, without leading axes.")
    end = check_real(t_end, "t_end", above=0.0)
    accuracy = check_real(tolerance, "tolerance", above=0.0)

    def velocity(t: float, y: State) -> State:
        heads = start.from_vectors(y)
        return -heads.pull(loss.slope(heads.product)).vector

    size = max(float(np.abs(row).max()), 1e-300)
    explicit_steps = end * loss.learned_curvature / _REACH
    integration = Integration(
        velocity,
        [0.0],
        [row],
        rtol=accuracy,
        atol=1e-3 * accuracy * size,
        stiff=explicit_steps > _TOO_MANY and len(row) <= _SMALL,
    )
    with np.errstate(over="ignore", invalid="ignore"):  # trial steps that are far too long
        reached = integration.advance(end, _MAX_STEPS, lambda t, y: False)
    if not reached:
        raise InvalidInputError(
            f"t_end must be within reach of the integrator; its steps were used up at t = {integration.times[-1]:.6g}."
        )
    return HeadFlow(end, loss, start, integration)
