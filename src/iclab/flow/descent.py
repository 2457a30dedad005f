"""Discrete training beside the flow: gradient descent, momentum, and SGD on fresh prompts.

One step of rate η advances the flow's time by η/(1 − m) (m the momentum), so a run is compared with a trajectory at
the same time. The population loss is L of (8); SGD follows the empirical risk (7) of B fresh prompts per step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from iclab.flow.trajectory import Trajectory
from iclab.foundations import InvalidInputError, check_integer, check_real
from iclab.prompts import Covariates, Linear, PromptDistribution, Prompts
from iclab.theory import CovarianceLaw, LSAParameters, PopulationLoss, TrainLength, minimum_loss

_Vector = Float64[np.ndarray, " m"]
# A loss this many times the larger of L(0) and ½ E tr Λ counts as divergence.
_DIVERGED = 1e6


@dataclass(frozen=True, eq=False)
class Descent:
    """A run of discrete training, recorded at some of its steps.

    Attributes
    ----------
    steps : ndarray of int, shape (K,)
        Steps recorded, from 0; fewer than asked for if the run diverged.
    times : ndarray, shape (K,)
        The flow's time of each, steps · η/(1 − momentum).
    vectors : ndarray, shape (K, (d + 1)²)
        Parameters as the vectors t of Lemma 9.
    excess : ndarray, shape (K,)
        Population loss above its minimum (exact, also for SGD).
    diverged : bool
        Whether the loss diverged.
    """

    steps: Int64[np.ndarray, " K"]
    times: Float64[np.ndarray, " K"]
    vectors: Float64[np.ndarray, "K m"]
    excess: Float64[np.ndarray, " K"]
    diverged: bool

    @property
    def u(self) -> Float64[np.ndarray, " K"]:
        """W22^PV, u of (5), at the recorded steps, shape (K,)."""
        return self.vectors[:, -1]

    def parameters(self, index: int = -1) -> LSAParameters:
        """The layer (3) at a recorded step, the last one by default."""
        return LSAParameters.from_vector(self.vectors[index])

    def gap(self, trajectory: Trajectory) -> Float64[np.ndarray, " K"]:
        """‖θ_k − θ(t_k)‖ between this run and a trajectory of the flow (9) at the same times, shape (K,)."""
        points = trajectory.parameters(self.times)
        return np.array(
            [np.linalg.norm(v - p.vector) for v, p in zip(self.vectors, points, strict=True)], dtype=np.float64
        )


def gradient_descent(
    initial: LSAParameters,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    rate: float,
    n_steps: int,
    *,
    momentum: float = 0.0,
    record_every: int = 1,
) -> Descent:
    """θ_{k+1} = θ_k − η∇L(θ_k) + m(θ_k − θ_{k−1}) on the population loss (8) (Polyak's; m = 0: descent).

    Parameters
    ----------
    initial : LSAParameters
        θ_0 in dimension d.
    covariates : Gaussian, RandomDiagonal or any law of ``iclab.theory.covariance_rule``
        Law of Λ.
    n_train : int, math.inf or AllPositions
        Length N of training prompts.
    rate : float
        η > 0; see :func:`stability_limit`.
    n_steps : int
        Number of steps.
    momentum : float
        m in [0, 1).
    record_every : int
        Steps between records; the last step is always recorded.

    Returns
    -------
    Descent

    Raises
    ------
    InvalidInputError
        If dimensions differ or a number is out of its range.
    """
    loss = PopulationLoss(covariates, n_train)
    return _descend(initial, loss, lambda step, t: loss.gradients(t), rate, n_steps, momentum, record_every)


def stochastic_gradient_descent(
    initial: LSAParameters,
    covariates: Covariates,
    n_train: int,
    rate: float,
    n_steps: int,
    *,
    batch_size: int,
    seed: int,
    momentum: float = 0.0,
    record_every: int = 1,
) -> Descent:
    """SGD on the empirical risk (7): each step sees ``batch_size`` fresh prompts of N examples and a query.

    Parameters
    ----------
    batch_size : int
        B prompts per step.
    seed : int
        Of the prompts (stream "training", one address per step).
    initial, covariates, n_train, rate, n_steps, momentum, record_every
        As in :func:`gradient_descent`; the covariates must also be a law of the theory, as the excess is exact.

    Returns
    -------
    Descent
    """
    size = check_integer(batch_size, "batch_size", minimum=1)
    n = check_integer(n_train, "n_train", minimum=1)
    distribution = PromptDistribution(covariates, Linear())

    def gradient(step: int, t: _Vector) -> _Vector:
        prompts = distribution.sample(size, n + 1, seed=seed, step=step, stream="training")
        return empirical_gradient(LSAParameters.from_vector(t), prompts)

    loss = PopulationLoss(covariates, n_train)  # type: ignore[arg-type]
    return _descend(initial, loss, gradient, rate, n_steps, momentum, record_every)


def empirical_gradient(parameters: LSAParameters, prompts: Prompts) -> _Vector:
    """Gradient of the empirical risk (7), ½ mean (ŷ − y_q)² over prompts, in the coordinates t of Lemma 9.

    The last position of each prompt is the query, the ones before it are the N examples.

    Parameters
    ----------
    parameters : LSAParameters
        θ, in dimension d.
    prompts : Prompts
        B prompts of N + 1 points.

    Returns
    -------
    ndarray, shape ((d + 1)²,)
    """
    a, u, U, b = parameters.blocks
    x, y, query = prompts.xs[:, :-1], prompts.ys[:, :-1], prompts.queries[:, -1]
    n_prompts, n, d = x.shape
    tokens = np.zeros((n_prompts, n + 1, d + 1))
    tokens[:, :n, :d], tokens[:, :n, d], tokens[:, n, :d] = x, y, query
    left = np.append(a, u)
    right = np.concatenate([U, b[None]]) @ query[:, :, None]  # [U; b']x_q, (B, d + 1, 1)
    values = tokens @ left  # (B, n + 1)
    keys = (tokens @ right)[..., 0]
    residual = np.einsum("bn,bn->b", values, keys) / n - prompts.targets[:, -1]
    weights = (residual / n)[:, None]
    to_left = np.einsum("bn,bnd->d", weights * keys, tokens)
    moment = np.einsum("bn,bnd->bd", weights * values, tokens)
    to_right = moment.T @ query  # (d + 1, d)
    reduced = np.column_stack([to_right, to_left]) / n_prompts
    return reduced.T.ravel()


def stability_limit(
    parameters: LSAParameters,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    *,
    momentum: float = 0.0,
    only_a_b_zero: bool = False,
) -> float:
    """Largest rate η at which descent is linearly stable at a minimum: 2(1 + m)/λ_max(∇²L).

    At the balanced minimum for Λ = I it is 1/√d on (U, u), for every N; on all parameters the block (a, b) has
    curvature near d^{5/2} and sets a far smaller limit. Not in the paper.

    Parameters
    ----------
    parameters : LSAParameters
        The minimum.
    covariates, n_train
        Law of Λ and N.
    momentum : float
        m in [0, 1).
    only_a_b_zero : bool
        Whether a = b = 0 is held fixed, as on the paper's trajectories.
    """
    m = _check_momentum(momentum)
    hessian = PopulationLoss(covariates, n_train).hessian(parameters)
    if only_a_b_zero:
        size = parameters.dimension + 1
        free = np.ones((size, size), dtype=bool)
        free[-1, :-1] = free[:-1, -1] = False
        hessian = hessian[np.ix_(free.T.ravel(), free.T.ravel())]
    return float(2 * (1 + m) / np.linalg.eigvalsh(hessian)[-1])


def _descend(
    initial: LSAParameters,
    loss: PopulationLoss,
    gradient: Callable[[int, _Vector], _Vector],
    rate: float,
    n_steps: int,
    momentum: float,
    record_every: int,
) -> Descent:
    eta, m = check_real(rate, "rate", above=0.0), _check_momentum(momentum)
    last = check_integer(n_steps, "n_steps", minimum=0)
    every = check_integer(record_every, "record_every", minimum=1)
    start = loss(initial)  # also checks the dimension
    bound = _DIVERGED * max(start, loss(LSAParameters(0 * initial.w_pv, 0 * initial.w_kq)))
    size = np.sqrt(bound)
    t = initial.vector
    move = np.zeros_like(t)
    steps, vectors, diverged = [0], [t], False
    for step in range(last):
        move = m * move - eta * gradient(step, t)
        t = t + move
        diverged = not np.abs(t).max() < size  # also true of NaN
        if diverged:
            break
        if (step + 1) % every == 0 or step + 1 == last:
            steps.append(step + 1)
            vectors.append(t)
    kept = np.array(vectors)
    excess = np.asarray(loss.values(kept)) - minimum_loss(loss.covariates, loss.n_train)
    recorded = np.array(steps, dtype=np.int64)
    return Descent(recorded, recorded * eta / (1 - m), kept, excess, diverged)


def _check_momentum(momentum: float) -> float:
    m = check_real(momentum, "momentum", minimum=0.0)
    if m >= 1:
        raise InvalidInputError(f"momentum must be below 1; {m} was given.")
    return m
