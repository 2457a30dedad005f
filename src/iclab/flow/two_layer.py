"""Two layers of linear self-attention under gradient flow, the summary's multi-layer extension.

f(E) = f_2(f_1(E)) with f_k(E) = E + W_k^PV E (E'W_k^KQ E)/N, (3) twice, ŷ the bottom-right entry. No population loss
is known in closed form, so the flow descends the empirical risk of a fixed, large sample of prompts; a second sample
measures the loss of what was learned. As f_1(E) = J E with J = I + W_1^PV S W_1^KQ and S = EE'/N, a prompt enters
only through S and its query: the cost does not depend on N. Each layer conserves ‖W^PV‖_F² − ‖W^KQ‖_F².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.flow.integration import Integration, State
from iclab.foundations import Estimate, InvalidInputError, check_array, check_integer, check_real
from iclab.prompts import Prompts

_MAX_STEPS = 50_000
# No trajectory grows by this factor, as the loss only falls.
_FAR = 1e6


@dataclass(frozen=True, eq=False)
class TwoLayerWeights:
    """Weights of two layers (3), one upon the other.

    Attributes
    ----------
    w_pv, w_kq : ndarray, shape (2, d + 1, d + 1)
        W^PV and W^KQ of the first and the second layer. Of the second W^PV only the last row reaches ŷ.
    """

    w_pv: Float64[np.ndarray, "2 d+1 d+1"]
    w_kq: Float64[np.ndarray, "2 d+1 d+1"]

    def __init__(self, w_pv: ArrayLike, w_kq: ArrayLike) -> None:
        pv = check_array(w_pv, "w_pv", (2, None, None))
        kq = check_array(w_kq, "w_kq", (2, None, None))
        if pv.shape != kq.shape or pv.shape[1] != pv.shape[2] or pv.shape[1] < 2:
            raise InvalidInputError(
                f"w_pv and w_kq must both have shape (2, d + 1, d + 1); {pv.shape} and {kq.shape} were given."
            )
        object.__setattr__(self, "w_pv", pv)
        object.__setattr__(self, "w_kq", kq)

    @classmethod
    def random(cls, dimension: int, scale: float, seed: int) -> TwoLayerWeights:
        """All entries, shape (2, d + 1, d + 1) twice, normal with standard deviation ``scale``; not in the paper."""
        size = check_integer(dimension, "dimension", minimum=1) + 1
        normal = np.random.default_rng(check_integer(seed, "seed", minimum=0)).standard_normal((2, 2, size, size))
        return cls(*(check_real(scale, "scale", above=0.0) * normal))

    @property
    def vector(self) -> State:
        """All weights in one row, shape (4 (d + 1)²,): the θ of (9) for two layers."""
        return np.concatenate([self.w_pv.ravel(), self.w_kq.ravel()])

    @classmethod
    def from_vector(cls, vector: State) -> TwoLayerWeights:
        """Inverse of :attr:`vector`, from shape (4 (d + 1)²,): the θ of (9) as weights."""
        size = round((vector.size / 4) ** 0.5)
        w_pv, w_kq = vector.reshape(2, 2, size, size)
        return cls(w_pv, w_kq)


class TwoLayerRisk:
    """The empirical risk (7), ½ mean (ŷ − y_q)², of two layers on a sample, with its gradient.

    Parameters
    ----------
    prompts : Prompts
        B prompts; the last position is the query, those before it are the N ≥ 1 examples.

    Attributes
    ----------
    moments : ndarray, shape (B, d + 1, d + 1)
        S = EE'/N of every prompt.
    query : ndarray, shape (B, d + 1)
        Its last column (x_q; 0).
    targets : ndarray, shape (B,)
        h(x_q).
    size : int
        d + 1.

    Raises
    ------
    InvalidInputError
        If the prompts hold no example.
    """

    def __init__(self, prompts: Prompts) -> None:
        n = prompts.n_points - 1
        if n < 1:
            raise InvalidInputError("prompts must hold at least one example before the query; they hold none.")
        examples = np.concatenate([prompts.xs[:, :-1], prompts.ys[:, :-1, None]], axis=2)
        self.query = np.pad(prompts.queries[:, -1], ((0, 0), (0, 1)))
        self.moments = (
            np.einsum("bni,bnj->bij", examples, examples) + self.query[:, :, None] * self.query[:, None, :]
        ) / n
        self.targets = prompts.targets[:, -1]
        self.size = self.query.shape[1]

    def check(self, weights: TwoLayerWeights) -> None:
        """Raise an :class:`InvalidInputError` if the weights, (3), have another dimension than the prompts."""
        if weights.w_pv.shape[1] != self.size:
            raise InvalidInputError(
                f"weights must have the dimension {self.size - 1} of the prompts; "
                f"{weights.w_pv.shape[1] - 1} was given."
            )

    def predictions(self, weights: TwoLayerWeights) -> Float64[np.ndarray, " B"]:
        """ŷ of every prompt, (3) applied twice, shape (B,)."""
        return self._forward(weights)[0]

    def estimate(self, weights: TwoLayerWeights, seed: int) -> Estimate:
        """The risk (7) with its standard error over the sample, which ``seed`` drew."""
        return Estimate.from_samples(0.5 * (self.predictions(weights) - self.targets) ** 2, seed)

    def __call__(self, weights: TwoLayerWeights) -> float:
        """½ mean (ŷ − y_q)², (7)."""
        return float(np.mean((self.predictions(weights) - self.targets) ** 2)) / 2

    def gradient(self, weights: TwoLayerWeights) -> TwoLayerWeights:
        """Derivatives of (7) by all weights, arranged as weights."""
        fit, J, token, read, back, keyed = self._forward(weights)
        (v1, _), (k1, k2) = weights.w_pv, weights.w_kq
        r = (fit - self.targets) / len(fit)
        S, q, row = self.moments, self.query, weights.w_pv[1, -1]
        # ŷ = (Jq)_y + row'J S J' K2 J q; read = S J'row, back = J S J'row, keyed = K2 J q.
        through = (S @ (np.swapaxes(J, 1, 2) @ keyed[:, :, None]))[:, :, 0]  # S J'K2 J q
        to_row = np.einsum("b,bij,bj->i", r, J, through)
        to_k2 = np.einsum("b,bi,bj->ij", r, back, token)
        ahead = back @ k2
        ahead[:, -1] += 1
        to_J = ahead[:, :, None] * q[:, None, :] + row[:, None] * through[:, None, :]
        to_J += keyed[:, :, None] * read[:, None, :]
        to_J *= r[:, None, None]
        w_pv, w_kq = np.zeros((2, 2, self.size, self.size))
        w_pv[0] = np.einsum("bij,bkj->ik", to_J @ k1.T, S)
        w_kq[0] = np.einsum("bik,bkj->ij", S, v1.T @ to_J)
        w_pv[1, -1], w_kq[1] = to_row, to_k2
        return TwoLayerWeights(w_pv, w_kq)

    def _forward(self, weights: TwoLayerWeights) -> tuple[np.ndarray, ...]:
        self.check(weights)
        J = np.eye(self.size) + weights.w_pv[0] @ self.moments @ weights.w_kq[0]
        token = np.einsum("bij,bj->bi", J, self.query)
        read = np.einsum("bij,bj->bi", self.moments, weights.w_pv[1, -1] @ J)
        back = np.einsum("bij,bj->bi", J, read)
        keyed = token @ weights.w_kq[1].T
        fit = token[:, -1] + np.einsum("bi,bi->b", back, keyed)
        return fit, J, token, read, back, keyed


@dataclass(frozen=True, eq=False)
class TwoLayerFlow:
    """A trajectory of two layers under the flow (9) of the risk (7), evaluated at any time in [0, t_end]."""

    t_end: float
    risk: TwoLayerRisk
    _integration: Integration

    def weights(self, t: float) -> TwoLayerWeights:
        """All weights at time t of the flow (9)."""
        end = check_real(t, "t", minimum=0.0)
        if end > self.t_end:
            raise InvalidInputError(f"t must lie in [0, t_end] = [0, {self.t_end:g}]; {t} was given.")
        return TwoLayerWeights.from_vector(self._integration.evaluate(np.array([end]))[0])

    def loss(self, t: float) -> float:
        """Empirical risk (7) at time t."""
        return self.risk(self.weights(t))

    def balance(self, t: float) -> Float64[np.ndarray, 2]:
        """‖W^PV‖_F² − ‖W^KQ‖_F² of each layer at time t, shape (2,): conserved, as (42) is for one layer."""
        weights = self.weights(t)
        return np.sum(weights.w_pv**2, (1, 2)) - np.sum(weights.w_kq**2, (1, 2))


def two_layer_flow(
    initial: TwoLayerWeights, prompts: Prompts, t_end: float, *, tolerance: float = 1e-7
) -> TwoLayerFlow:
    """Gradient flow of two layers, (3) applied twice, on the empirical risk (7) of a sample.

    Parameters
    ----------
    initial : TwoLayerWeights
        Start.
    prompts : Prompts
        The sample; the larger, the nearer to the population loss.
    t_end : float
        Last time, finite.
    tolerance : float
        Relative error of a step of DOP853.

    Returns
    -------
    TwoLayerFlow

    Raises
    ------
    InvalidInputError
        If dimensions differ or ``t_end`` is out of the integrator's reach.
    """
    risk = TwoLayerRisk(prompts)
    risk.check(initial)
    end = check_real(t_end, "t_end", above=0.0)
    rtol = check_real(tolerance, "tolerance", above=0.0)
    far = _FAR * max(1.0, float(np.abs(initial.vector).max()))

    def velocity(t: float, y: State) -> State:
        # A trial step that is far too long: NaN makes the integrator take a shorter one.
        if not np.abs(y).max() < far:
            return np.full_like(y, np.nan)
        return -risk.gradient(TwoLayerWeights.from_vector(y)).vector

    integration = Integration(
        velocity,
        [0.0],
        [initial.vector],
        rtol=rtol,
        atol=1e-2 * rtol * max(float(np.abs(initial.vector).max()), 1e-300),
    )
    if not integration.advance(end, _MAX_STEPS, lambda t, y: False):
        raise InvalidInputError(
            f"t_end must be within reach of the integrator; its steps were used up at t = {integration.times[-1]:.6g}."
        )
    return TwoLayerFlow(end, risk, integration)
