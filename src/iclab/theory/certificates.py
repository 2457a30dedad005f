"""What is guaranteed of gradient flow from Assumption 3: thresholds, bounds and rates of Theorems 4 and 8.

Beside each of the paper's constants stands a sharper one that is not in the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, Matrix, Vector, check_real
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory.covariance_rules import CovarianceLaw, eigenbasis, law_dimension
from iclab.theory.lengths import TrainLength, inverse_moments
from iclab.theory.lsa import check_theta
from iclab.theory.modes import FlowCoefficients, flow_coefficients


@dataclass(frozen=True)
class Certificate:
    """Constants of the convergence of gradient flow from Assumption 3. Losses are L, with the constant ½ E tr Λ.

    Attributes
    ----------
    threshold : float
        Largest σ the paper allows: σ² < 2/(√d ‖Γ‖_op) in Theorem 4, (21) in Theorem 8.
    sharp_threshold : float
        The same without √d: σ² < 2/(‖Γ‖_op ‖ΘΘ'‖_op), and σ² < 2 tr(EΛ² ΘΘ')/(‖ΘΘ'‖_op² E[‖Γ‖_op ‖Λ‖_F²]) for
        random Λ_τ.
    exact_threshold : float
        Largest σ with L(0) below the loss ½ E tr Λ of predicting zero, which is all that the threshold is for:
        σ² < 2 tr(EΛ² ΘΘ')/E tr(ΓΛΘΘ'ΛΘΘ').
    guaranteed : bool
        Whether σ is below the paper's threshold.
    initial_loss, minimum_loss : float
        L(0) and min L.
    u_lower_bound : float
        Bound (44)/(60) on u(t) for all t; 0 at or above the threshold, where the paper has none.
    sharp_u_lower_bound : float
        The smallest u for which a balanced point can have a loss as low as L(0); 0 above ``exact_threshold``.
    pl_constant : float
        μ of (30), ν of (62): ‖∇L‖² ≥ μ (L − min L) on the trajectory, so L − min L ≤ e^{−μt}(L(0) − min L).
    sharp_pl_constant : float
        2 min k_ij · sharp_u_lower_bound², for the same inequality.
    asymptotic_rate : float
        Exact rate of L − min L as t → ∞, for a generic balanced start.
    limit : float
        u(∞) = ‖K‖_F^{1/2}.
    """

    threshold: float
    sharp_threshold: float
    exact_threshold: float
    guaranteed: bool
    initial_loss: float
    minimum_loss: float
    u_lower_bound: float
    sharp_u_lower_bound: float
    pl_constant: float
    sharp_pl_constant: float
    asymptotic_rate: float
    limit: float


def certificate(covariates: CovarianceLaw, n_train: TrainLength, theta: ArrayLike, scale: float) -> Certificate:
    """Certificate of Theorem 4 (fixed Λ) or Theorem 8 (random diagonal Λ_τ) for one start of Assumption 3.

    Parameters
    ----------
    covariates : Gaussian or RandomDiagonal
        Law of Λ, in dimension d.
    n_train : int, math.inf or AllPositions
        Length of training prompts.
    theta : array_like, shape (d, d)
        ΘΘ', positive semi-definite and not zero; divided by its Frobenius norm.
    scale : float
        σ > 0.

    Returns
    -------
    Certificate

    Raises
    ------
    InvalidInputError
        If θ is zero or not positive semi-definite, Λ or ΛΘ is zero, σ is not positive, N is below 1, E λ³ is
        infinite, or the law is none of the two.

    Examples
    --------
    >>> from iclab.prompts import Gaussian
    >>> from iclab.theory import certificate
    >>> proof = certificate(Gaussian([[1.0]]), 8, [[1.0]], scale=0.1)
    >>> round(proof.minimum_loss, 12)  # ½ (1 − 1/Γ), Γ = 1 + 2/N
    0.1
    >>> 0.1 < proof.threshold  # Theorem 4 speaks of this start
    True
    """
    matrix = check_theta(theta, law_dimension(covariates))
    sigma = check_real(scale, "scale", above=0.0)
    coefficients = flow_coefficients(covariates, n_train)
    _check_learnable(coefficients)
    Theta = coefficients.to_eigenbasis(matrix)
    paper = _paper_constants(covariates, n_train, coefficients, Theta)
    if paper.reach <= 0:
        raise InvalidInputError("theta must not vanish on the covariates (ΛΘ ≠ 0); then nothing is ever learned.")
    d = coefficients.dimension
    sigma2 = sigma**2
    bracket = 2 * paper.reach - math.sqrt(d) * sigma2 * paper.size
    u_squared = max(0.0, sigma2 * bracket / (2 * math.sqrt(d) * paper.square_norm))

    decay, drive, target = coefficients.decay, coefficients.drive, coefficients.target
    linear = float(drive @ np.diagonal(Theta))
    quadratic = float(np.einsum("ij,ij,ij->", decay, Theta, Theta))
    gain = sigma2 * linear - sigma2**2 * quadratic / 2  # −ℓ(0)
    sharp = _sharp_u_squared(decay, drive, gain)
    return Certificate(
        threshold=math.sqrt(2 * paper.reach / (math.sqrt(d) * paper.size)),
        sharp_threshold=math.sqrt(2 * linear / paper.operator_size),
        exact_threshold=math.sqrt(2 * linear / quadratic),
        guaranteed=bracket > 0,
        initial_loss=coefficients.mean_trace / 2 - gain,
        minimum_loss=(coefficients.mean_trace - float(drive @ target)) / 2,
        u_lower_bound=math.sqrt(u_squared),
        sharp_u_lower_bound=math.sqrt(sharp),
        pl_constant=u_squared * paper.pl_factor,
        sharp_pl_constant=2 * sharp * float(decay[decay > 0].min()),
        asymptotic_rate=_rate(coefficients, 0.0),
        limit=math.sqrt(float(np.linalg.norm(target))),
    )


def asymptotic_rate(covariates: CovarianceLaw, n_train: TrainLength, balance: float = 0.0) -> float:
    """Exact rate of L − min L as t → ∞ for a generic start with a = b = 0.

    2 λ_min(K^½(u∞² I + (ρ²/u∞²) v̂v̂')K^½) with K = diag(k_ij), ρ = ‖K*‖_F, v̂ = vec(K*)/ρ for the optimal learner K*,
    and u∞² = (C + √(C² + 4ρ²))/2.

    Parameters
    ----------
    covariates : Gaussian, RandomDiagonal or DiagonalMoments
        Law of Λ.
    n_train : int, math.inf or AllPositions
        Length of training prompts.
    balance : float
        The conserved C = u² − ‖U‖_F²; 0 under Assumption 3, (42).
    """
    return _rate(flow_coefficients(covariates, n_train), check_real(balance, "balance"))


def _rate(coefficients: FlowCoefficients, balance: float) -> float:
    decay, target = coefficients.decay, coefficients.target
    _check_learnable(coefficients)
    rho = float(np.linalg.norm(target))
    root = math.hypot(balance, 2 * rho)
    # The product of u² and ‖U‖² is ρ²; the smaller of the two without cancellation.
    larger = (abs(balance) + root) / 2
    u_squared, norm_squared = (larger, rho**2 / larger) if balance > 0 else (rho**2 / larger, larger)
    diagonal = np.diagonal(decay)
    learned = diagonal > 0
    roots = np.sqrt(diagonal[learned])
    direction = roots * target[learned] / rho
    block = u_squared * np.diag(roots**2) + norm_squared * np.outer(direction, direction)
    slowest = float(np.linalg.eigvalsh(block)[0])
    off = decay[~np.eye(decay.shape[0], dtype=bool)]
    if np.any(off > 0):
        slowest = min(slowest, u_squared * float(off[off > 0].min()))
    return 2 * slowest


def _check_learnable(coefficients: FlowCoefficients) -> None:
    if not coefficients.drive.any():
        raise InvalidInputError("the covariance must not be zero, as nothing is ever learned then; change it.")


def _sharp_u_squared(decay: Matrix, drive: Vector, gain: float) -> float:
    """Smallest u² on the trajectory: ℓ ≥ ½ k_min u⁴ − ‖ξ‖ u² at balanced points, and ℓ ≤ ℓ(0) = −gain."""
    if gain <= 0:
        return 0.0
    norm = float(np.linalg.norm(drive))
    slowest = float(decay.min())
    return 2 * gain / (norm + math.sqrt(max(0.0, norm**2 - 2 * slowest * gain)))


@dataclass(frozen=True)
class _PaperConstants:
    """Ingredients that Theorems 4 and 8 share.

    The threshold is σ² < 2 reach/(√d size), the bound u² ≥ σ²(2 reach − √d σ² size)/(2√d square_norm) and the PL
    constant u_bound² · pl_factor.
    """

    reach: float
    size: float
    operator_size: float  # a bound on E tr(ΓΛΘΘ'ΛΘΘ') with ‖ΘΘ'‖_op for √d
    square_norm: float
    pl_factor: float


def _paper_constants(
    covariates: CovarianceLaw, n_train: TrainLength, coefficients: FlowCoefficients, Theta: Matrix
) -> _PaperConstants:
    inverse, _ = inverse_moments(n_train)
    diagonal = np.diagonal(Theta)
    theta_norm = float(np.linalg.norm(Theta, 2))
    if isinstance(covariates, Gaussian):
        l, _ = eigenbasis(covariates.covariance)  # noqa: E741
        g = (1 + inverse) * l + inverse * l.sum()
        reach = float(l**2 @ diagonal)
        # tr(Γ⁻¹Λ⁻¹) tr(Λ⁻¹) is infinite for a singular Λ: the paper's μ is then 0.
        traces = float((1 / (g * l)).sum() * (1 / l).sum()) if l.min() > 0 else math.inf
        size = float(g.max()) * reach
        return _PaperConstants(reach, size, theta_norm * size, float(l.max() ** 2), 2 / traces)
    if isinstance(covariates, RandomDiagonal):
        size = _operator_moment(covariates, inverse)
        return _PaperConstants(
            reach=float(covariates.moments(1) ** 2 @ diagonal),
            size=size,
            operator_size=theta_norm**2 * size,
            square_norm=float(coefficients.drive.max()),
            pl_factor=2 * float(coefficients.decay.min()),
        )
    raise InvalidInputError(
        "covariates must be Gaussian or RandomDiagonal, for which Theorems 4 and 8 are stated; "
        f"{type(covariates).__name__} was given."
    )


def _operator_moment(covariates: RandomDiagonal, inverse: float) -> float:
    """E[‖Γ‖_op ‖Λ‖_F²] of (21), with ‖Γ‖_op = (1 + 1/N) max λ + trΛ/N, for independent coordinates.

    E[max λ · Σλ²] = ∫ E[Σλ²; max λ > t] dt, a one-dimensional integral over distribution functions.
    """
    one, two, three = (covariates.moments(order) for order in (1, 2, 3))
    with_trace = float(one.sum() * two.sum() - one @ two + three.sum())
    return (1 + inverse) * maximum_moment(covariates) + inverse * with_trace


_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(16)


def _cumulative() -> Float64[np.ndarray, "16 16"]:
    """Matrix that integrates the interpolant of values at Gauss nodes from each node to the right end, 1."""
    basis = np.eye(16)
    to_coefficients = np.linalg.inv(np.polynomial.legendre.legvander(_NODES, 15))
    antiderivatives = [np.polynomial.legendre.legint(row) for row in basis]
    at = np.array(
        [np.polynomial.legendre.legval(1.0, c) - np.polynomial.legendre.legval(_NODES, c) for c in antiderivatives]
    )
    return at.T @ to_coefficients


_TO_RIGHT = _cumulative()


def maximum_moment(covariates: RandomDiagonal) -> float:
    """E[max_i λ_i · Σ_j λ_j²] of independent coordinates with any laws, by composite Gauss quadrature."""
    laws: dict[int, Any] = {id(law): law for law in covariates.laws}
    position = {key: i for i, key in enumerate(laws)}
    owner = np.array([position[id(law)] for law in covariates.laws])
    counts = np.bincount(owner, minlength=len(laws))
    edges = _panels(list(laws.values()))
    left, half = edges[:-1], np.diff(edges) / 2
    t = left[:, None] + half[:, None] * (1 + _NODES)  # (panels, 16)
    survival, tail = np.empty((2, len(laws), *t.shape))
    for i, law in enumerate(laws.values()):
        survival[i] = law.sf(t)
        # E[λ²; λ > t] = t² S(t) + 2∫_t^∞ s S(s) ds, summed from the right.
        integrand = t * survival[i]
        panel = half * (integrand @ _NODE_WEIGHTS)
        beyond = np.append(np.cumsum(panel[::-1])[::-1][1:], 0.0)
        tail[i] = t**2 * survival[i] + 2 * (half[:, None] * (integrand @ _TO_RIGHT.T) + beyond[:, None])
    second = np.array([law.moment(2) for law in laws.values()])[:, None, None]
    with np.errstate(divide="ignore"):
        log_below = np.log1p(-survival)
    total = np.zeros_like(t)
    for i, count in enumerate(counts):
        others = counts - np.eye(len(laws), dtype=int)[i]
        above = -np.expm1(np.einsum("l,lpn->pn", others[others > 0], log_below[others > 0]))
        total += count * (tail[i] + np.maximum(second[i] - tail[i], 0) * above)
    # Below the first edge no coordinate reaches t, so max λ > t surely.
    below = float(left[0] * (counts @ second[:, 0, 0]))
    return (below + float(half @ (total @ _NODE_WEIGHTS))) * covariates.scale**3


def _panels(laws: list[Any]) -> Vector:
    """Edges between which every distribution function is smooth: quantiles that thicken towards both ends."""
    levels = 2.0 ** -np.arange(1, 121)
    edges: list[np.ndarray] = []
    for law in laws:
        lower, upper = law.support()
        edges += [law.ppf(levels[:60]), law.isf(levels), np.array([lower])]
        if math.isfinite(upper):
            edges.append(np.array([upper]))
        if hasattr(law, "pmf"):  # a discrete law jumps at every atom
            reach = int(upper if math.isfinite(upper) else law.isf(1e-18))
            edges.append(np.arange(int(lower), reach + 1, dtype=np.float64))
    points = np.unique(np.concatenate(edges))
    points = points[np.isfinite(points)]
    keep = np.concatenate([[True], np.diff(points) > 1e-15 * points[-1]]) if points.size else points
    return points[keep]
