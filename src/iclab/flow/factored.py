"""Separate key and query weights: W^KQ = W_K'W_Q with W_K, W_Q of rank r, beside the merged matrix of (3).

Gradient flow of (W^PV, W_K, W_Q) is another flow of the same loss: from small weights it learns direction after
direction, with a plateau before each drop, and rank r < d stops at the best r directions. Conserved are
W_K W_K' − W_Q W_Q' (shape (r, r)) and u² + ‖a‖² − ‖W_K‖_F² up to the entries that ŷ does not see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.flow.integration import Integration, State
from iclab.foundations import InvalidInputError, check_array, check_integer, check_real, check_reals
from iclab.theory import CovarianceLaw, LSAParameters, PopulationLoss, TrainLength, minimum_loss

_MAX_STEPS = 100_000


@dataclass(frozen=True, eq=False)
class FactoredFlow:
    """A trajectory of (a, u, W_K, W_Q), evaluated at any time in [0, t_end].

    Not in the paper, which merges W_K'W_Q into the W^KQ of (3).

    Attributes
    ----------
    t_end : float
        Last time.
    """

    t_end: float
    _integration: Integration
    _loss: PopulationLoss
    _rank: int

    def factors(self, t: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(a, u), W_K and W_Q at T times; shapes (T, d + 1), (T, r, d + 1), (T, r, d).

        W_Q's last column does not reach ŷ, (6), and is left out.
        """
        times = np.atleast_1d(check_reals(t, "t"))
        if not ((times >= 0) & (times <= self.t_end)).all():
            raise InvalidInputError(f"t must lie in [0, t_end] = [0, {self.t_end:g}]; {t} was given.")
        return _split(self._integration.evaluate(times), self._loss.dimension, self._rank)

    def parameters(self, t: float) -> LSAParameters:
        """The layer (3) with the merged W^KQ = W_K'W_Q at time t."""
        return LSAParameters.from_vector(_merge(*self.factors(t))[0])

    def excess(self, t: ArrayLike) -> Float64[np.ndarray, " T"]:
        """L − min L, with the minimum of Theorem 4 or 8 over merged weights, at T times, shape (T,)."""
        values = self._loss.values(_merge(*self.factors(t)))
        return np.asarray(values) - minimum_loss(self._loss.covariates, self._loss.n_train)

    def conserved(self, t: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """W_K W_K' − W_Q W_Q' and ‖(a, u)‖² − ‖W_K‖_F² at T times, shapes (T, r, r) and (T,): the (42) of this flow."""
        left, key, query = self.factors(t)
        difference = key @ np.swapaxes(key, -1, -2) - query @ np.swapaxes(query, -1, -2)
        return difference, np.sum(left**2, -1) - np.sum(key**2, (-2, -1))


def factored_flow(
    initial: tuple[ArrayLike, ArrayLike, ArrayLike],
    covariates: CovarianceLaw,
    n_train: TrainLength,
    t_end: float,
    *,
    tolerance: float = 1e-9,
) -> FactoredFlow:
    """Gradient flow (9) with separate keys and queries, W^KQ = W_K'W_Q.

    Parameters
    ----------
    initial : tuple of array_like
        The last row (a, u) of W^PV, shape (d + 1,); W_K, shape (r, d + 1); the first d columns of W_Q, shape (r, d).
    covariates : Gaussian, RandomDiagonal or any law of ``iclab.theory.covariance_rule``
        Law of Λ, in dimension d.
    n_train : int, math.inf or AllPositions
        Length N of training prompts.
    t_end : float
        Last time, finite.
    tolerance : float
        Relative error of a step of DOP853.

    Returns
    -------
    FactoredFlow

    Raises
    ------
    InvalidInputError
        If shapes do not fit, or ``t_end`` is out of reach of the integrator.
    """
    loss = PopulationLoss(covariates, n_train)
    d = loss.dimension
    key = check_array(initial[1], "W_K", (None, d + 1))
    rank = check_integer(key.shape[0], "the rank of W_K and W_Q", minimum=1)
    left, query = check_array(initial[0], "(a, u)", (d + 1,)), check_array(initial[2], "W_Q", (rank, d))
    end = check_real(t_end, "t_end", above=0.0)

    def velocity(t: float, y: State) -> State:
        left, key, query = _split(y[None], d, rank)
        gradient = np.swapaxes(loss.gradients(_merge(left, key, query)[0]).reshape(d + 1, d + 1), 0, 1)
        to_product, to_left = gradient[:, :-1], gradient[:, -1]  # ∂L/∂[U; b'], (d + 1, d), and ∂L/∂(a, u)
        return -np.concatenate([to_left, (query[0] @ to_product.T).ravel(), (key[0] @ to_product).ravel()])

    start = np.concatenate([left, key.ravel(), query.ravel()])
    size = max(float(np.abs(start).max()), 1e-300)
    integration = Integration(velocity, [0.0], [start], rtol=check_real(tolerance, "tolerance", above=0.0))
    integration.atol = 1e-3 * integration.rtol * size
    if not integration.advance(end, _MAX_STEPS, lambda t, y: False):
        raise InvalidInputError(
            f"t_end must be within reach of the integrator; its steps were used up at t = {integration.times[-1]:.6g}."
        )
    return FactoredFlow(end, integration, loss, rank)


def _split(y: Float64[np.ndarray, "T m"], d: int, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left, key, query = np.split(y, [d + 1, (d + 1) * (rank + 1)], axis=1)
    return left, key.reshape(-1, rank, d + 1), query.reshape(-1, rank, d)


def _merge(left: np.ndarray, key: np.ndarray, query: np.ndarray) -> Float64[np.ndarray, "T m"]:
    """The vectors t of Lemma 9."""
    product = np.swapaxes(key, -1, -2) @ query  # [U; b'], (T, d + 1, d)
    reduced = np.concatenate([product, left[:, :, None]], axis=2)
    return np.swapaxes(reduced, -1, -2).reshape(len(left), -1)
