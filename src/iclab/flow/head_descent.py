"""Descent of several heads in steps: plain, with momentum, Adam or Muon, on the exact population loss.

Plateaus are slow because the gradient is small there, of second order in the weights. Rules whose steps do not shrink
with the gradient need not wait: Adam (Kingma and Ba 2015) divides by its running size, Muon (Jordan 2024) takes the
orthogonal factor of the momentum of every matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from iclab.flow.heads import FactoredHeads, HeadsLoss, MergedHeads
from iclab.foundations import InvalidInputError, check_choice, check_integer, check_real
from iclab.theory import CovarianceLaw, TrainLength

_Vector = Float64[np.ndarray, " n"]
_Rule = Callable[[int, _Vector], _Vector]
_Weights = FactoredHeads | MergedHeads
_DIVERGED = 1e6

RULES = ("gradient", "momentum", "adam", "muon")


@dataclass(frozen=True, eq=False)
class HeadDescent:
    """A training of several heads in steps.

    Attributes
    ----------
    steps : ndarray of int, shape (n,)
        Recorded steps, from 0 on.
    errors : ndarray, shape (n,)
        E(ŷ − w'x_q)² there, exact.
    end : FactoredHeads or MergedHeads
        Last weights.
    diverged : bool
        Whether the error grew a millionfold, where the descent was ended.
    """

    steps: Int64[np.ndarray, " n"]
    errors: Float64[np.ndarray, " n"]
    end: FactoredHeads | MergedHeads
    diverged: bool

    def time_near(self, level: float, fraction: float = 0.05) -> int:
        """Steps with an error within ``fraction`` of ``level``: how long a plateau lasts (not in the paper).

        Counted over recorded steps, each of which stands for those up to the next.
        """
        height = check_real(level, "level", minimum=0.0)
        part = check_real(fraction, "fraction", minimum=0.0)
        near = np.abs(self.errors[:-1] - height) <= part * height
        return int(np.sum(np.diff(self.steps)[near]))


def head_descent(
    initial: FactoredHeads | MergedHeads,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    rate: float,
    n_steps: int,
    *,
    rule: str = "gradient",
    momentum: float = 0.9,
    noise_variance: float = 0.0,
    record_every: int = 1,
) -> HeadDescent:
    """Train several heads on the exact population loss (8) by one of ``RULES``; not in the paper.

    Parameters
    ----------
    initial : FactoredHeads or MergedHeads
        Start, in dimension d.
    covariates : Gaussian, RandomDiagonal or any law of ``iclab.theory.covariance_rule``
        Law of Λ.
    n_train : int, math.inf or AllPositions
        Length N of training prompts.
    rate : float
        η > 0, the size of a step; for Adam and Muon the size of a change of a weight, or of a singular value.
    n_steps : int
        Steps.
    rule : {"gradient", "momentum", "adam", "muon"}
        θ ← θ − η∇L; θ ← θ − ηm with m ← μm + ∇L; Adam with β = (μ, .999) and ε = 1e-8; Muon without Nesterov's step,
        exact by singular values, every key, query and core a matrix of its own and every value a 1 × 1 one.
    momentum : float
        μ in [0, 1), where the rule has one.
    noise_variance : float
        s² ≥ 0, variance of the noise on the labels of the examples.
    record_every : int
        Record every so many steps, and the last.

    Returns
    -------
    HeadDescent

    Raises
    ------
    InvalidInputError
        If dimensions differ, the start is not finite, the rule is unknown or a number is out of its range.
    """
    loss = HeadsLoss(covariates, n_train, noise_variance)
    loss.check(initial.dimension)
    start = initial if loss.rotation is None else initial.rotated(loss.rotation)
    theta = start.vector
    if theta.ndim != 1 or not np.isfinite(theta).all():
        raise InvalidInputError("initial must hold finite weights of one start, without leading axes.")
    eta = check_real(rate, "rate", above=0.0)
    last = check_integer(n_steps, "n_steps", minimum=0)
    every = check_integer(record_every, "record_every", minimum=1)
    mu = check_real(momentum, "momentum", minimum=0.0)
    if mu >= 1:
        raise InvalidInputError(f"momentum must be below 1; {mu} was given.")
    # Adam looks at single entries, so that its coordinates matter: those of x, not of Λ's eigenvectors.
    direction = _direction(check_choice(rule, "rule", RULES), start, loss, mu)
    with np.errstate(over="ignore", invalid="ignore"):
        bound = _DIVERGED * (2 * float(loss.excess(start.product)) + 2 * loss.minimum + 1e-300)
    if not bound < math.inf:
        raise InvalidInputError("initial must have a loss within float64; its weights are too large.")
    steps, errors, diverged = list[int](), list[float](), False
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(last + 1):
            weights = start.from_vectors(theta)
            product = weights.product
            error = 2 * (float(loss.excess(product)) + loss.minimum)
            diverged = not error < bound  # also true of NaN
            if step % every == 0 or step == last or diverged:
                steps.append(step)
                errors.append(error)
            if diverged or step == last:
                break
            theta = theta - eta * direction(step, weights.pull(loss.slope(product)).vector)
    end = start.from_vectors(theta)
    end = end if loss.rotation is None else end.rotated(loss.rotation.T)
    return HeadDescent(np.array(steps, dtype=np.int64), np.array(errors), end, diverged)


def _direction(rule: str, like: _Weights, loss: HeadsLoss, mu: float) -> _Rule:
    """The step of a rule over its rate, from the gradient, in the coordinates of the loss."""
    first, second = np.zeros((2, like.vector.size))

    def gradient(step: int, slope: _Vector) -> _Vector:
        return slope

    def heavy(step: int, slope: _Vector) -> _Vector:
        first[:] = mu * first + slope
        return first

    def adam(step: int, slope: _Vector) -> _Vector:
        slope = _turned(like, slope, loss, back=True)
        first[:] = mu * first + (1 - mu) * slope
        second[:] = 0.999 * second + 0.001 * slope**2
        mean = first / (1 - mu ** (step + 1))
        size = np.sqrt(second / -math.expm1((step + 1) * math.log(0.999)))
        return _turned(like, mean / (size + 1e-8), loss, back=False)

    def muon(step: int, slope: _Vector) -> _Vector:
        first[:] = mu * first + slope
        return _orthogonal(like.from_vectors(first)).vector

    return {"gradient": gradient, "momentum": heavy, "adam": adam, "muon": muon}[rule]


def _turned(like: _Weights, row: _Vector, loss: HeadsLoss, *, back: bool) -> _Vector:
    """A row of weights from the coordinates of the loss to those of x, or the other way."""
    if loss.rotation is None:
        return row
    return like.from_vectors(row).rotated(loss.rotation.T if back else loss.rotation).vector


def _orthogonal(weights: _Weights) -> _Weights:
    """Every matrix by its orthogonal factor UV', every value by its sign."""
    values = np.sign(weights.values)
    if isinstance(weights, MergedHeads):
        return MergedHeads(values, _polar(weights.cores))
    return FactoredHeads(values, _polar(weights.keys), _polar(weights.queries))


def _polar(stack: np.ndarray) -> np.ndarray:
    left, singular, right = np.linalg.svd(stack, full_matrices=False)
    used = singular > 1e-14 * singular.max(-1, keepdims=True, initial=0.0)
    return (left * used[..., None, :]) @ right
