"""What depth gives linear attention in the limit of d → ∞: the best polynomials on the Marchenko-Pastur law.

With x ~ N(0, I/d), w ~ N(0, I) and αd examples, the spectrum of S = (d/ℓ) Σ x_i x_i' tends to the Marchenko-Pastur
law of ratio c = 1/α. L layers that each do one step of descent on their residual leave P(S)w of the task, where the
polynomial P has degree L and P(0) = 1: Π(1 − γ_l λ/L) with rates of their own (untied), (1 − γλ/L)^L where all layers
are one (tied, a loop). Label noise of variance ρ adds (ρ/α) mean (1 − P)²/λ to mean P². Orthogonal polynomials of the
law are those of the Jacobi matrix with diagonal 1, 1 + c, 1 + c, … and √c beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import minimize_scalar

from iclab.foundations import InvalidInputError, Vector, check_integer, check_real

_MAXIMUM_DEPTH = 500


@dataclass(frozen=True)
class DepthAsymptotics:
    """Errors E(ŷ − w'x_q)² of L layers in the limit, without the noise of the query's own label.

    Attributes
    ----------
    untied : float
        With the best polynomial of degree L. Without noise the Christoffel function 1/Σ_{k≤L} p_k(0)² of the law, and
        as p_k(0)² = α^k, (α − 1)/(α^{L+1} − 1).
    tied : float
        With (1 − γλ/L)^L at the best γ.
    rate : float
        That γ; without noise Lα/(1 + α), as the law of (λ − 1 − c)/√c times λ is even.
    floor : float
        As L → ∞: the error of ridge regression with the penalty ρ, or of least squares.
    """

    untied: float
    tied: float
    rate: float
    floor: float


def depth_asymptotics(alpha: float, depth: int, noise_variance: float = 0.0) -> DepthAsymptotics:
    """Errors of L layers of linear attention on isotropic inputs as d → ∞ with αd examples.

    The isotropic case of Bordelon, Letey and Pehlevan (arXiv 2510.01098); the closed form of the untied one is not in
    the paper.

    Parameters
    ----------
    alpha : float
        Examples over d, from 1e-6 to 1e6.
    depth : int
        L, from 1 to 500.
    noise_variance : float
        ρ ≥ 0, variance of the noise on the labels of the examples, where E(w'x)² = 1.

    Returns
    -------
    DepthAsymptotics

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    Examples
    --------
    >>> two = depth_asymptotics(alpha=2, depth=2)
    >>> round(two.untied, 3), round(two.tied, 3)
    (0.143, 0.185)
    """
    ratio, layers = check_real(alpha, "alpha", allow_infinite=True), check_integer(depth, "depth")
    if not 1 <= layers <= _MAXIMUM_DEPTH or not 1e-6 <= ratio <= 1e6:
        raise InvalidInputError(
            f"depth must lie between 1 and {_MAXIMUM_DEPTH} and alpha between 1e-6 and 1e6; "
            f"{float(layers):g} and {ratio:g} were given."
        )
    noise = check_real(noise_variance, "noise_variance", minimum=0.0) / ratio
    if noise > 1e12:
        raise InvalidInputError(
            f"noise_variance must be at most 1e12 times alpha, where 0 is predicted; {noise_variance:g} was given."
        )
    # L + 2 nodes integrate polynomials of degree 2L + 1 exactly, and the errors have degree 2L.
    nodes, weights = _quadrature(1 / ratio, layers + 2)
    if noise == 0:
        untied = 1 / float(np.sum(ratio ** np.arange(layers + 1.0))) if ratio <= 1 else _geometric(ratio, layers)
    else:
        untied = _best_polynomial(nodes, weights, noise, layers)
    rate, tied = _best_rate(nodes, weights, noise, layers, 1 / ratio)
    return DepthAsymptotics(untied, tied, rate, _floor(ratio, noise))


def _geometric(alpha: float, depth: int) -> float:
    """1/Σ_{k≤L} α^k for α > 1, from its last term."""
    return math.exp(-depth * math.log(alpha)) / float(np.sum(alpha ** -np.arange(depth + 1.0)))


def _quadrature(c: float, count: int) -> tuple[Vector, Vector]:
    """Gauss nodes and weights of the Marchenko-Pastur law of ratio c (Golub and Welsch 1969)."""
    diagonal = np.full(count, 1 + c)
    diagonal[0] = 1.0
    nodes, vectors = eigh_tridiagonal(diagonal, np.full(count - 1, math.sqrt(c)))
    return np.maximum(nodes, 0.0), vectors[0] ** 2


def _best_polynomial(nodes: Vector, weights: Vector, noise: float, depth: int) -> float:
    """Least value over P of mean P² + noise·(1 − P)²/λ: with Q = (1 − P)/λ of degree L − 1, weighted least squares.

    (1 − λQ)² + noise·λQ² = λ(λ + noise)(Q − 1/(λ + noise))² + noise/(λ + noise).
    """
    density = weights * nodes * (nodes + noise)
    used = density > 0
    basis = _orthonormal(nodes[used], density[used], depth)
    goal = np.sqrt(density[used]) / (nodes[used] + noise)
    rest = goal - basis @ (basis.T @ goal)
    return float(rest @ rest + np.sum(weights * noise / (nodes + noise)))


def _orthonormal(nodes: Vector, density: Vector, count: int) -> np.ndarray:
    """√density times the orthonormal polynomials of degree below ``count`` at the nodes, by Lanczos done twice."""
    columns = [np.sqrt(density) / np.linalg.norm(np.sqrt(density))]
    for _ in range(1, min(count, len(nodes))):
        new = nodes * columns[-1]
        basis = np.column_stack(columns)
        for _ in range(2):
            new = new - basis @ (basis.T @ new)
        size = np.linalg.norm(new)
        if size <= 1e-14 * nodes.max():
            break
        columns.append(new / size)
    return np.column_stack(columns)


def _best_rate(nodes: Vector, weights: Vector, noise: float, depth: int, c: float) -> tuple[float, float]:
    """The γ of least error of (1 − γλ/L)^L, and that error."""

    def error(gamma: float) -> float:
        with np.errstate(over="ignore"):
            kept = (1 - gamma * nodes / depth) ** depth
            lost = np.divide(1 - kept, nodes, out=np.full_like(nodes, gamma), where=nodes > 1e-12)
            return float(weights @ (kept**2 + noise * nodes * lost**2))

    if noise == 0:
        return depth / (1 + c), error(depth / (1 + c))
    # Beyond 2L/λ_max the largest mode grows; the best rate lies below.
    grid = [2 * depth / float(nodes.max()) * k / 200 for k in range(201)]
    best = int(np.argmin([error(gamma) for gamma in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, 200)]
    found = minimize_scalar(error, bounds=(low, high), method="bounded", options={"xatol": 1e-12 * high})
    return float(found.x), float(found.fun)


def _floor(alpha: float, noise: float) -> float:
    """The mean of ρ'/(λ + ρ') of the law with ρ' = ρ/α, the error of ridge regression; 1 − α or 0 without noise."""
    if noise == 0:
        return max(0.0, 1 - alpha)
    b = noise + 1 - 1 / alpha
    root = math.hypot(b, 2 * math.sqrt(noise / alpha))
    return noise * 2 / (b + root) if b > 0 else noise * (root - b) * alpha / (2 * noise)
