"""Critical points of the loss on all parameters, with a certificate of their kind from the Hessian.

The paper proves convergence from Assumption 3, where a = b = 0. On all parameters there are local minima that are
not global (not in the paper). Two families of them, both inside the subspace that the reflections of the axes leave
alone (U diagonal in the eigenbasis of Λ, a and b along one eigenvector e_i):

- *rank one*: u = 0, U = 0, ab' = g_i⁻¹ e_i e_i', with excess ½ Σ_{j≠i} l_j²/g_j. Minima for short prompts.
- *mixed*: ab' serves the direction e_i and uU the others, while the even part of ŷ cancels to leading order. Minima
  for long prompts; for Λ = I excess/(½trΛ − min L) → 2√(2(d−1)/(dN)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float64
from scipy.optimize import brentq, minimize

from iclab.foundations import InvalidInputError, Matrix, Vector, check_integer
from iclab.theory.covariance_rules import CovarianceLaw
from iclab.theory.lengths import AllPositions, RealLength, TrainLength
from iclab.theory.lsa import LSAParameters
from iclab.theory.minimizers import minimum_loss
from iclab.theory.modes import FlowCoefficients, flow_coefficients
from iclab.theory.population import PopulationLoss

_Directions: TypeAlias = Float64[np.ndarray, "..."]
# Eigenvalues and gradients below this share of the largest eigenvalue count as zero.
_ZERO = 1e-11


class PointKind(StrEnum):
    """What a point of the loss on all parameters is."""

    GLOBAL_MINIMUM = "global minimum"
    LOCAL_MINIMUM = "local minimum"  # that is not global
    SADDLE = "saddle"
    DEGENERATE = "degenerate"  # no negative eigenvalue, but more zeros than symmetries explain: higher orders decide
    NOT_CRITICAL = "not critical"


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """A point where ∇L = 0, with what its Hessian says of it (beyond a = b = 0; not in the paper).

    Attributes
    ----------
    parameters : LSAParameters
        The point, scaled so that ‖a‖² + u² = ‖U‖² + ‖b‖² where both can be positive.
    kind : PointKind
        What the gradient and the Hessian say it is.
    loss, excess, relative_excess : float
        L, L − min L, and the latter divided by ½ E trΛ − min L.
    gradient_norm : float
        ‖∇L‖.
    eigenvalues : ndarray, shape ((d + 1)²,)
        Of the Hessian on all parameters, ascending.
    symmetries : int
        Dimension of the orbit under (W^PV, W^KQ) → (cW^PV, W^KQ/c) and rotations that keep the law of Λ; a strict
        minimum up to symmetry has this many zero eigenvalues and no negative ones.
    """

    parameters: LSAParameters
    kind: PointKind
    loss: float
    excess: float
    relative_excess: float
    gradient_norm: float
    eigenvalues: Vector
    symmetries: int

    @property
    def curvature(self) -> float:
        """The smallest eigenvalue of the Hessian that no symmetry explains, relative to the largest in size."""
        size = float(np.abs(self.eigenvalues).max())
        if self.eigenvalues[0] < -_ZERO * size:
            return float(self.eigenvalues[0]) / size
        return float(np.sort(np.abs(self.eigenvalues))[self.symmetries]) / size


def classify(parameters: LSAParameters, covariates: CovarianceLaw, n_train: TrainLength) -> CriticalPoint:
    """What kind of point ``parameters`` are, by gradient and Hessian of L, (8), on all parameters (not in the paper).

    Parameters
    ----------
    parameters : LSAParameters
        A layer in dimension d.
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ.
    n_train : int, math.inf, AllPositions or RealLength
        Length of training prompts.
    """
    return _classify(PopulationLoss(covariates, n_train), parameters)


def descend(parameters: LSAParameters, covariates: CovarianceLaw, n_train: TrainLength) -> CriticalPoint:
    """A critical point below ``parameters``: minimisation of L, (8), over all parameters, polished by Newton's method.

    It ends where an optimiser with large steps ends, which need not be where gradient flow ends.
    Parameters are those of :func:`classify`.
    """
    loss = PopulationLoss(covariates, n_train)
    start = _scaled(LSAParameters.from_blocks(*parameters.blocks))
    everywhere = np.eye((loss.dimension + 1) ** 2)
    return _classify(loss, LSAParameters.from_vector(_minimise(loss, everywhere, start.vector)))


def random_descents(
    covariates: CovarianceLaw, n_train: TrainLength, n_starts: int, seed: int, spread: float = 1.0
) -> list[CriticalPoint]:
    """Where :func:`descend` ends from starts with iid N(0, spread²) entries in all blocks, one per start.

    Starts beyond Assumption 3, which the paper leaves open.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or any law of :func:`covariance_rule`
        Law of Λ, in dimension d.
    n_train : int, math.inf, AllPositions or RealLength
        Length of training prompts.
    n_starts, seed : int
        Number of starts and their seed; start i is the same whatever their number.
    spread : float
        Standard deviation of the entries.
    """
    size = (PopulationLoss(covariates, n_train).dimension + 1) ** 2
    check_integer(n_starts, "n_starts", minimum=1)
    seeds = np.random.SeedSequence(check_integer(seed, "seed", minimum=0)).spawn(n_starts)
    starts = [spread * np.random.default_rng(child).standard_normal(size) for child in seeds]
    return [descend(LSAParameters.from_vector(start), covariates, n_train) for start in starts]


def rank_one_point(covariates: CovarianceLaw, n_train: TrainLength, direction: int = 0) -> CriticalPoint:
    """The critical point u = 0, U = 0, ab' = K_ii e_i e_i' along an eigenvector e_i (rank-one family).

    K_ii = g_i⁻¹ for a fixed Λ (Theorem 4) and ξ_i/γ_i for random diagonal ones (Theorem 8); that the point is critical
    is not in the paper. In d = 1 it is a global minimum.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or any law whose covariances commute
        Law of Λ.
    n_train : int, AllPositions or RealLength
        Length of training prompts.
    direction : int
        Index i of the eigenvector: by ascending eigenvalue, or the coordinate if all Λ are diagonal.
    """
    loss = PopulationLoss(covariates, n_train)
    coefficients = loss.coefficients
    _check_direction(direction, coefficients)
    e = _axis(coefficients, direction) * math.sqrt(coefficients.target[direction])
    zero = np.zeros((loss.dimension, loss.dimension))
    return _classify(loss, LSAParameters.from_blocks(e, 0.0, zero, e))


def mixed_point(covariates: CovarianceLaw, n_train: TrainLength, direction: int = 0) -> CriticalPoint | None:
    """The critical point of the mixed family along an eigenvector, or None where the prompts are too short for it.

    Found by descent from its asymptotic form (N → ∞) inside the reflection-symmetric subspace or, near the shortest
    prompts that have it, by following it from longer ones. Not in the paper.

    Parameters are those of :func:`rank_one_point`.
    """
    loss = PopulationLoss(covariates, n_train)
    _check_direction(direction, loss.coefficients)
    if np.count_nonzero(loss.coefficients.target) == 1:
        return None
    if loss.inverse_length == 0:
        raise InvalidInputError("n_train must be finite, as the mixed point moves to infinity with it; give a number.")
    point = _mixed_by_descent(loss, direction)
    if point is not None or isinstance(n_train, AllPositions):
        return point
    goal = -math.log(loss.inverse_length)
    for longer in (2, 4, 8):
        start = _mixed_by_descent(PopulationLoss(covariates, RealLength(longer / loss.inverse_length)), direction)
        if start is not None and start.kind == PointKind.LOCAL_MINIMUM:
            reached, point = _follow(covariates, direction, start, goal + math.log(longer), goal, 1e-5)
            return point if reached <= goal else None
    return None


def rank_one_limit(covariates: CovarianceLaw, direction: int = 0) -> float:
    """The real N below which :func:`rank_one_point` is a local minimum; 0 or infinity where it never or always is.

    4 < N* < 5 for Λ = I in d = 2, and for diag(1, 0.1) with the direction of the larger eigenvalue N* > 200. Not in the
    paper.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or any law whose covariances commute
        Law of Λ.
    direction : int
        Index of the eigenvector.
    """

    def margin(log_n: float) -> float:
        return rank_one_point(covariates, RealLength(math.exp(log_n)), direction).curvature

    return _sign_change(margin)


def mixed_limit(covariates: CovarianceLaw, direction: int = 0) -> float:
    """The real N down to which :func:`mixed_point` is a local minimum; infinity if it is none up to N = 10⁶.

    Found by following the point downwards in N. For Λ = I it is about 4.28, 17.5, 79.6 for d = 2, 3, 5; in d = 2 it is
    also where the rank-one point stops being a minimum. Not in the paper.

    Parameters are those of :func:`rank_one_limit`.
    """
    coefficients = flow_coefficients(covariates, RealLength(1.0))
    _check_direction(direction, coefficients)
    if np.count_nonzero(coefficients.target) == 1:
        return math.inf
    log_n = math.log(8.0)
    while log_n < math.log(1e6):
        start = _mixed_by_descent(PopulationLoss(covariates, RealLength(math.exp(log_n))), direction)
        if start is not None and start.kind == PointKind.LOCAL_MINIMUM:
            return math.exp(_follow(covariates, direction, start, log_n, -math.inf, 1e-9)[0])
        log_n += math.log(2.0)
    return math.inf


def _follow(
    covariates: CovarianceLaw, direction: int, start: CriticalPoint, log_n: float, goal: float, tolerance: float
) -> tuple[float, CriticalPoint]:
    """Follow a mixed minimum from log N down to ``goal`` or to where it ends; log N reached and the point there."""
    point, step = start, math.log(2.0)
    while step > tolerance and log_n > goal:
        trial = max(goal, log_n - step)
        loss = PopulationLoss(covariates, RealLength(math.exp(trial)))
        basis = _symmetric_subspace(loss.coefficients, direction)
        follower = LSAParameters.from_vector(_newton(loss, basis, point.parameters.vector, 20))
        candidate = _classify(loss, follower) if _is_mixed(follower, loss.coefficients) else None
        if candidate is not None and candidate.kind == PointKind.LOCAL_MINIMUM:
            point, log_n, step = candidate, trial, 1.5 * step
        else:
            step /= 2
    return log_n, point


def _mixed_by_descent(loss: PopulationLoss, direction: int) -> CriticalPoint | None:
    basis = _symmetric_subspace(loss.coefficients, direction)
    point = LSAParameters.from_vector(_minimise(loss, basis, _mixed_start(loss, direction)))
    return _classify(loss, point) if _is_mixed(point, loss.coefficients) else None


def _sign_change(margin: Callable[[float], float]) -> float:
    """The N in [0.01, 1e5] at which ``margin`` of log N falls through zero."""
    low, high = math.log(0.01), math.log(1e5)
    if margin(low) <= 0:
        return 0.0
    if margin(high) > 0:
        return math.inf
    root: Any = brentq(margin, low, high, xtol=1e-10, rtol=1e-12)
    return math.exp(float(root))


def _classify(loss: PopulationLoss, parameters: LSAParameters) -> CriticalPoint:
    point = _scaled(LSAParameters.from_blocks(*parameters.blocks))
    eigenvalues = np.linalg.eigvalsh(loss.hessian(point))
    size = float(np.abs(eigenvalues).max())
    gradient = _norm(loss.gradients(point.vector))
    tangents = _orbit(loss, point)
    symmetries = int(np.linalg.matrix_rank(tangents, tol=1e-6 * max(1.0, _norm(point.vector)))) if tangents.size else 0
    value = loss(point)
    best = minimum_loss(loss.covariates, loss.n_train)
    gain = loss(LSAParameters.from_vector(np.zeros_like(point.vector))) - best
    excess = value - best
    if gradient > 1e-9 * max(size, 1e-300) * max(1.0, _norm(point.vector)):
        kind = PointKind.NOT_CRITICAL
    elif eigenvalues[0] < -_ZERO * size:
        kind = PointKind.SADDLE
    elif excess <= 1e-9 * gain:
        kind = PointKind.GLOBAL_MINIMUM
    elif int(np.sum(eigenvalues < _ZERO * size)) > symmetries:
        kind = PointKind.DEGENERATE
    else:
        kind = PointKind.LOCAL_MINIMUM
    return CriticalPoint(point, kind, value, excess, excess / gain, gradient, eigenvalues, symmetries)


def _orbit(loss: PopulationLoss, point: LSAParameters) -> _Directions:
    """Tangents at ``point`` of the scaling and of the rotations that leave every Λ alone."""
    a, u, U, b = point.blocks
    tangents = [LSAParameters.from_blocks(a, u, -U, -b).vector]
    rule = loss.rule
    if rule.commuting:
        d = loss.dimension
        Q = np.eye(d) if rule.rotations is None else rule.rotations
        size = float(np.abs(rule.spectra).max())
        for i in range(d):
            for j in range(i):
                if np.abs(rule.spectra[:, i] - rule.spectra[:, j]).max() <= 1e-12 * size:
                    G = np.outer(Q[:, i], Q[:, j]) - np.outer(Q[:, j], Q[:, i])
                    tangents.append(LSAParameters.from_blocks(G @ a, 0.0, G @ U - U @ G, G @ b).vector)
    return np.array(tangents)


def _scaled(parameters: LSAParameters) -> LSAParameters:
    """The same prediction with ‖W^PV‖ = ‖W^KQ‖, unless one of them is zero."""
    pv, kq = _norm(parameters.w_pv), _norm(parameters.w_kq)
    if pv == 0 or kq == 0:
        return parameters
    c = math.sqrt(kq / pv)
    return LSAParameters(c * parameters.w_pv, parameters.w_kq / c)


def _minimise(loss: PopulationLoss, directions: _Directions, start: Vector) -> Vector:
    """Minimise L over start + span(directions), orthonormal rows: a trust region, then Newton steps."""

    def at(x: Vector) -> np.ndarray:
        return start + x @ directions

    result: Any = minimize(
        lambda x: float(loss.values(at(x))),
        np.zeros(len(directions)),
        jac=lambda x: directions @ loss.gradients(at(x)),
        hess=lambda x: loss.hessian_along(at(x), directions),
        method="trust-exact",
        options={"gtol": 1e-10, "maxiter": 2000},
    )
    return _newton(loss, directions, at(result.x), 3)


def _newton(loss: PopulationLoss, directions: _Directions, start: Vector, steps: int) -> Vector:
    """At most ``steps`` Newton steps in span(directions), of least norm, each shortened until the gradient shrinks."""
    t = start
    gradient = directions @ loss.gradients(t)
    for _ in range(steps):
        hessian = loss.hessian_along(t, directions)
        step = np.linalg.pinv(hessian, rcond=1e-12, hermitian=True) @ gradient @ directions
        lengths = 0.5 ** np.arange(12)
        trials = t - lengths[:, None] * step
        gradients = loss.gradients(trials) @ directions.T
        shorter = np.linalg.norm(gradients, axis=1) < _norm(gradient)
        if not shorter.any():
            break
        first = int(np.argmax(shorter))
        t, gradient = trials[first], gradients[first]
    return t


def _is_mixed(point: LSAParameters, coefficients: FlowCoefficients) -> bool:
    a, u, U, b = point.blocks
    return min(_norm(a) * _norm(b), abs(u) * _norm(U)) > 1e-8 * _norm(coefficients.target)


def _axis(coefficients: FlowCoefficients, direction: int) -> Vector:
    Q = coefficients.rotation
    return np.eye(coefficients.dimension)[direction] if Q is None else Q[:, direction]


def _symmetric_subspace(coefficients: FlowCoefficients, direction: int) -> _Directions:
    """Orthonormal directions a ∥ e_i, b ∥ e_i, u and U diagonal, in the eigenbasis; shape (d + 3, (d + 1)²)."""
    d = coefficients.dimension
    e, zero, Z = _axis(coefficients, direction), np.zeros(d), np.zeros((d, d))
    units = [(e, 0.0, Z, zero), (zero, 0.0, Z, e), (zero, 1.0, Z, zero)]
    units += [(zero, 0.0, coefficients.from_eigenbasis(np.diag(row)), zero) for row in np.eye(d)]
    return np.array([LSAParameters.from_blocks(*unit).vector for unit in units])


def _mixed_start(loss: PopulationLoss, direction: int) -> Vector:
    """Leading order of the mixed point as N → ∞.

    With u = 1, U_jj = K_jj for j ≠ i and αβ = K_ii, the mean of the even part cancels at U_ii = −trΛ β/(α l_i), and
    α balances the sampling noise of a against the fluctuations of w'Λ̂w.
    """
    coefficients = loss.coefficients
    target = np.array(coefficients.target)
    rule = loss.rule
    l = rule.weights @ rule.spectra  # noqa: E741
    i = direction
    inverse = loss.inverse_length
    others = np.arange(len(l)) != i
    noise = inverse * float(np.sum((l * target)[others] ** 2))
    alpha = (2 * float(l @ l) * target[i] ** 2 / noise) ** 0.25
    beta = target[i] / alpha
    diagonal: Matrix = np.diag(np.where(others, target, -l.sum() * beta / (alpha * l[i])))
    e = _axis(coefficients, direction)
    start = LSAParameters.from_blocks(alpha * e, 1.0, coefficients.from_eigenbasis(diagonal), beta * e)
    return _scaled(start).vector


def _check_direction(direction: int, coefficients: FlowCoefficients) -> None:
    dimension = coefficients.dimension
    if check_integer(direction, "direction", minimum=0) >= dimension:
        raise InvalidInputError(f"direction must be below the dimension {dimension}; {direction} was given.")
    if coefficients.target[direction] <= 0:
        raise InvalidInputError(f"direction must be one in which the inputs vary; direction {direction} is not.")


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array))
