"""Linear attention fitted to finitely many prompts in a finite dimension: what the limits of d → ∞ are judged by.

The estimate is computed from drawn prompts, its errors are exact given it. A prompt enters through h = (d/ℓ) Σ y_i x_i
and s = (1/ℓ) Σ y_i². Given w, only the inputs along w meet the labels, so that these are drawn exactly in law from d
normal numbers and two χ² ones, whatever the length ℓ of the prompt (the decomposition of Bartlett 1933).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    Draws,
    Estimate,
    InvalidInputError,
    Matrix,
    check_covariance,
    check_integer,
    check_real,
    check_vector,
)

_Tasks = Float64[np.ndarray, "k d"]
_Features = Float64[np.ndarray, "n e"]
_MAXIMUM_DIMENSION = 100
# Prompts, and tasks, that are held at once.
_MOST = 1e6


@dataclass(frozen=True)
class FiniteAttention:
    """Errors E(ŷ − y)² of linear attention fitted in d dimensions, over independent pools and samples of prompts.

    Attributes
    ----------
    icl, idg : Estimate
        On new tasks and on the tasks of the pool; each run's error is exact given its fit.
    dimension, n_examples, n_prompts : int
        d, ℓ = αd and n = τd².
    n_tasks : int or None
        k = κd; None when every prompt has a task of its own.
    """

    icl: Estimate
    idg: Estimate
    dimension: int
    n_examples: int
    n_prompts: int
    n_tasks: int | None


def simulate_attention(
    dimension: int,
    alpha: float,
    tau: float,
    kappa: float,
    noise_variance: float,
    penalty: float = 0.0,
    *,
    training_covariance: ArrayLike | None = None,
    test_covariance: ArrayLike | None = None,
    n_runs: int = 8,
    seed: int = 0,
) -> FiniteAttention:
    """Fit x_q'Γ(h, s) to τd² drawn prompts and give its errors: the experiment of Lu et al. (PNAS 2025).

    Not in the paper. Γ, shape (d, d + 1), minimises Σ (y − x_q'Γ(h, s))² + (n/d)λ‖Γ‖_F², at λ = 0 with the least norm.
    Its limits are those of :func:`ridge_asymptotics` and :func:`mismatch_asymptotics`.

    Parameters
    ----------
    dimension : int
        d, from 2 to 100. αd and κd must be whole numbers, since the errors depend on them in leading order.
    alpha, tau, kappa, noise_variance, penalty
        As in :func:`ridge_asymptotics`; τ is finite and τd² is rounded.
    training_covariance, test_covariance : array_like, shape (d, d), optional
        Tasks are drawn from N(0, C) and N(0, C'); uniformly from the sphere of radius √d where omitted.
    n_runs, seed : int
        Number of independent pools with their prompts, at least 2, and their seed.

    Returns
    -------
    FiniteAttention

    Raises
    ------
    InvalidInputError
        If a number is out of its range, or αd or κd is not whole.
    """
    d = check_integer(dimension, "dimension", minimum=2)
    if d > _MAXIMUM_DIMENSION:
        raise InvalidInputError(
            f"dimension must be at most {_MAXIMUM_DIMENSION}, for systems of d² unknowns; {float(d):g} was given."
        )
    length = _whole(_up_to(1e9 / d, alpha, "alpha") * d, "alpha", d)
    endless = isinstance(kappa, float) and math.isinf(kappa)
    n_tasks = None if endless else _whole(_up_to(_MOST / d, kappa, "kappa") * d, "kappa", d)
    n = max(1, round(_up_to(_MOST / d**2, tau, "tau") * d**2))
    rho, ridge = _up_to(1e12, noise_variance, "noise_variance", zero=True), _up_to(1e12, penalty, "penalty", zero=True)
    runs = check_integer(n_runs, "n_runs", minimum=2)
    training = _TaskLaw.of(training_covariance, "training_covariance", d)
    new = _TaskLaw.of(test_covariance, "test_covariance", d).moments(rho)
    errors = np.empty((runs, 2))
    key = Draws(seed).seed
    for run in range(runs):
        draws = Draws(key, "verification", step=run, count=n)
        pool = training.sample(Draws(key, "verification", step=run, count=n if n_tasks is None else n_tasks))
        chosen = pool
        if n_tasks is not None:
            index = (draws.uniforms("position", 1)[:, 0] * n_tasks).astype(int)
            chosen = pool[np.minimum(index, n_tasks - 1)]
        own = training.moments(rho) if n_tasks is None else _TaskMoments.of(pool, rho)
        gamma = _fit(*_prompts(chosen, length, rho, draws), ridge * n / d)
        errors[run] = [moments.error(gamma, length, rho) for moments in (new, own)]
    icl, idg = (Estimate.from_samples(column, key) for column in errors.T)
    return FiniteAttention(icl, idg, d, length, n, n_tasks)


@dataclass(frozen=True)
class Extrapolation:
    """The value at d = ∞ of a polynomial in 1/d through estimates at several d.

    Attributes
    ----------
    value, standard_error : float
        At 1/d = 0.
    chi_square : float
        Sum of squared deviations of the estimates from the curve, in standard errors.
    degrees_of_freedom : int
        Number of estimates less that of coefficients.
    """

    value: float
    standard_error: float
    chi_square: float
    degrees_of_freedom: int


def extrapolate(dimensions: Sequence[int], estimates: Sequence[Estimate], degree: int = 1) -> Extrapolation:
    """Least squares, weighted by the standard errors, of a polynomial in 1/d; its value at d = ∞ (not in the paper).

    Parameters
    ----------
    dimensions : sequence of int, shape (m,)
        The d of the estimates, m > degree.
    estimates : sequence of Estimate
        Independent of one another, each with a positive standard error.
    degree : int
        Of the polynomial, at least 1.

    Returns
    -------
    Extrapolation

    Raises
    ------
    InvalidInputError
        If there are too few dimensions, or an estimate has no standard error.
    """
    order = check_integer(degree, "degree", minimum=1)
    sizes = check_vector([float(value) for value in dimensions], "dimensions")
    if len(set(dimensions)) <= order or len(estimates) != len(sizes) or (sizes <= 0).any():
        raise InvalidInputError(
            f"dimensions must hold at least {order + 1} different positive numbers, one per estimate; "
            f"{list(dimensions)} was given for {len(estimates)} estimates."
        )
    errors = check_vector([estimate.standard_error for estimate in estimates], "standard errors of estimates")
    if (errors <= 0).any():
        raise InvalidInputError("estimates must have positive standard errors; one of them is 0.")
    values = np.array([estimate.value for estimate in estimates])
    design = (1 / sizes)[:, None] ** np.arange(order + 1) / errors[:, None]
    inverse: np.ndarray = np.linalg.pinv(design)
    coefficients: np.ndarray = inverse @ (values / errors)
    residual: np.ndarray = values / errors - design @ coefficients
    return Extrapolation(
        float(coefficients[0]),
        float(np.linalg.norm(inverse[0])),
        float(residual @ residual),
        len(sizes) - order - 1,
    )


@dataclass(frozen=True)
class _TaskMoments:
    """E ww', E wv and E v² with v = ‖w‖²/d + ρ, the variance of a label."""

    second: Matrix
    mixed: Float64[np.ndarray, " d"]
    level: float
    square: float

    @classmethod
    def of(cls, tasks: _Tasks, rho: float) -> _TaskMoments:
        level: np.ndarray = np.mean(tasks**2, axis=1) + rho
        square: np.ndarray = level**2
        return cls(tasks.T @ tasks / len(tasks), level @ tasks / len(tasks), float(level.mean()), float(square.mean()))

    def error(self, gamma: Float64[np.ndarray, "d e"], length: int, rho: float) -> float:
        """E(ŷ − y)² of Γ on prompts of these tasks: y has the variance v, E(h, s) = (w, v) and Isserlis' theorem."""
        d = len(self.mixed)
        cross = np.column_stack([self.second, self.mixed])
        second = np.empty((d + 1, d + 1))
        second[:d, :d] = (1 + 1 / length) * self.second + d * self.level / length * np.eye(d)
        second[:d, d] = second[d, :d] = (1 + 2 / length) * self.mixed
        second[d, d] = (1 + 2 / length) * self.square
        return self.level + float(np.vdot(gamma @ second - 2 * cross, gamma)) / d


@dataclass(frozen=True)
class _TaskLaw:
    """N(0, C) with a root of C, or the uniform law on the sphere of radius √d."""

    dimension: int
    covariance: Matrix | None

    @classmethod
    def of(cls, covariance: ArrayLike | None, name: str, d: int) -> _TaskLaw:
        return cls(d, None if covariance is None else check_covariance(covariance, name, d))

    def sample(self, draws: Draws) -> _Tasks:
        normals = draws.normals("task", self.dimension)
        if self.covariance is None:
            return normals * (math.sqrt(self.dimension) / np.linalg.norm(normals, axis=1, keepdims=True))
        values, vectors = np.linalg.eigh(self.covariance)
        return normals @ (vectors * np.sqrt(np.clip(values, 0, None))).T

    def moments(self, rho: float) -> _TaskMoments:
        d = self.dimension
        C = np.eye(d) if self.covariance is None else self.covariance
        level = float(np.trace(C)) / d + rho
        spread = 0.0 if self.covariance is None else 2 * float(np.vdot(C, C)) / d**2
        return _TaskMoments(C, np.zeros(d), level, level**2 + spread)


def _prompts(
    tasks: _Tasks, length: int, rho: float, draws: Draws
) -> tuple[_Features, _Features, Float64[np.ndarray, " n"]]:
    """Queries (n, d), (h, s) of shape (n, d + 1) and labels (n,) of one prompt per task."""
    n, d = tasks.shape
    norms = np.linalg.norm(tasks, axis=1)
    directions = np.divide(tasks, norms[:, None], out=np.zeros_like(tasks), where=norms[:, None] > 0)
    along, rest = np.empty((2, n))  # Σ z_i² of the inputs' normal numbers z along w, Σ ε² across z, over ρ
    for row, generator in enumerate(draws.generators("x")):
        along[row] = generator.chisquare(length)
        rest[row] = generator.chisquare(length - 1) if length > 1 else 0.0
    noise = math.sqrt(rho) * draws.normals("noise", 2)
    slope = norms / math.sqrt(d)
    product = slope * along + np.sqrt(along) * noise[:, 0]  # Σ z_i y_i
    squares = slope**2 * along + 2 * slope * np.sqrt(along) * noise[:, 0] + noise[:, 0] ** 2 + rho * rest  # Σ y_i²
    queries, across = np.moveaxis(draws.normals("query", 2, d), 1, 0)
    across = across - np.einsum("nd,nd->n", across, directions)[:, None] * directions
    h = math.sqrt(d) / length * (product[:, None] * directions + np.sqrt(squares)[:, None] * across)
    queries = queries / math.sqrt(d)
    labels = np.einsum("nd,nd->n", tasks, queries) + noise[:, 1]
    return queries, np.column_stack([h, squares / length]), labels


def _fit(queries: _Features, features: _Features, labels: Float64[np.ndarray, " n"], ridge: float) -> np.ndarray:
    """Γ of ridge regression on x_q ⊗ (h, s), shape (d, d + 1), in the smaller of the primal and the dual."""
    n, d = queries.shape
    if n <= d * (d + 1):
        gram = (queries @ queries.T) * (features @ features.T)
        gram[np.diag_indices_from(gram)] += ridge
        dual = scipy.linalg.solve(gram, labels, assume_a="pos", overwrite_a=True)
        return (queries * dual[:, None]).T @ features
    gram = np.zeros((d * (d + 1),) * 2)
    right = np.zeros(d * (d + 1))
    for start in range(0, n, 2048):
        part = slice(start, start + 2048)
        rows = (queries[part, :, None] * features[part, None, :]).reshape(-1, d * (d + 1))
        gram += rows.T @ rows
        right += rows.T @ labels[part]
    gram[np.diag_indices_from(gram)] += ridge
    return scipy.linalg.solve(gram, right, assume_a="pos", overwrite_a=True).reshape(d, d + 1)


def _up_to(most: float, value: float, name: str, *, zero: bool = False) -> float:
    number = check_real(value, name, minimum=0.0) if zero else check_real(value, name, above=0.0)
    if number > most:
        raise InvalidInputError(f"{name} must be at most {most:g} at this dimension; {number:g} was given.")
    return number


def _whole(value: float, name: str, d: int) -> int:
    number = round(value)
    if number < 1 or abs(value - number) > 1e-9 * value:
        raise InvalidInputError(
            f"{name} times the dimension must be a whole number of at least 1; it is {value:g} at dimension {d}: "
            "choose another dimension."
        )
    return number
