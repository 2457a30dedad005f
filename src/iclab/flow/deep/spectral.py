"""Deep linear attention in the form of GD++, seen by the eigenvalues of Λ̂.

Layer ℓ takes a step of descent on the labels, y_j ← y_j − a m'x_j with m = (1/N) Σ y_j x_j, and curves the inputs,
x ← (I + a·β Λ̂_ℓ) x (von Oswald et al. 2023). Scalars a and β commute with Λ̂, so the prediction of L layers is
x_q'H(Λ̂)m with one polynomial H, of degree 3(3^(L−1) − 1)/2, and a fit needs only eigenvalues. It is the merged
form with W^KQ = diag(aI, 0) and W^PV = diag(βI, −1), read with the sign −1 (Ahn et al. 2023).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from iclab.flow.deep.contexts import Contexts

_Eigen = Float64[np.ndarray, "*shape"]
_Layers = Float64[np.ndarray, "L 2"]


def gain(layers: _Layers, eigenvalues: _Eigen) -> _Eigen:
    """H at every eigenvalue.

    Parameters
    ----------
    layers : ndarray, shape (L, 2)
        (β, a) of each layer.
    eigenvalues : ndarray
        Of Λ̂, any shape.
    """
    return _forward(layers, eigenvalues)[0]


def gain_gradient(layers: _Layers, eigenvalues: _Eigen, by_gain: _Eigen) -> _Layers:
    """Derivatives of Σ by_gain·H by all (β, a), with ``by_gain`` of the eigenvalues' shape."""
    return _backward(layers, eigenvalues, by_gain, _forward(layers, eigenvalues)[1])


def _forward(layers: _Layers, lam: _Eigen) -> tuple[_Eigen, list[tuple[_Eigen, _Eigen]]]:
    inputs, moment = np.ones_like(lam), np.ones_like(lam)  # x_ℓ = p(Λ̂) x, m_ℓ = c(Λ̂) m
    total, kept = np.zeros_like(lam), list[tuple[_Eigen, _Eigen]]()
    for beta, a in layers:
        kept.append((inputs, moment))
        total = total + a * inputs * moment
        current = lam * inputs**2  # Λ̂_ℓ
        curve = 1 + beta * a * current
        moment = moment * (1 - a * current) * curve
        inputs = inputs * curve
    return total, kept


def _backward(layers: _Layers, lam: _Eigen, by_gain: _Eigen, kept: list[tuple[_Eigen, _Eigen]]) -> _Layers:
    gradient = np.zeros_like(layers)
    by_inputs, by_moment = np.zeros_like(lam), np.zeros_like(lam)
    for index in range(len(layers) - 1, -1, -1):
        (beta, a), (p, c) = layers[index], kept[index]
        current = lam * p**2
        step, curve = 1 - a * current, 1 + beta * a * current
        by_curve = by_inputs * p + by_moment * c * step
        by_step = by_moment * c * curve
        product = np.sum(by_curve * current)
        gradient[index] = product * a, np.sum(by_gain * p * c) - np.sum(by_step * current) + product * beta
        by_current = beta * a * by_curve - a * by_step
        by_inputs, by_moment = (
            by_inputs * curve + 2 * lam * p * by_current + by_gain * a * c,
            by_moment * step * curve + by_gain * a * p,
        )
    return gradient


class SpectralRisk:
    """½ mean (ŷ − y)² of GD++ forms on contexts, from the eigenvalues of each Λ̂."""

    def __init__(self, contexts: Contexts) -> None:
        xs, ys = contexts.xs, contexts.ys
        n_examples, n_queries = xs.shape[1], contexts.queries.shape[1]
        self.eigenvalues, vectors = np.linalg.eigh(np.swapaxes(xs, 1, 2) @ xs / n_examples)
        moment = (np.swapaxes(xs, 1, 2) @ ys[..., None] / n_examples)[..., 0]
        # ŷ_k = Σ_i z_ki H(λ_i)
        z = (contexts.queries @ vectors) * (moment[:, None] @ vectors)
        self.quadratic = np.swapaxes(z, 1, 2) @ z / n_queries
        self.linear = np.einsum("bki,bk->bi", z, contexts.targets) / n_queries
        self.constant = np.mean(contexts.targets**2, axis=1)

    def losses(self, gains: Float64[np.ndarray, "B d"]) -> Float64[np.ndarray, " B"]:
        """½ (ŷ − y)², averaged over the queries of each context, for given H(λ)."""
        curved = np.einsum("bij,bj->bi", self.quadratic, gains)
        return (np.sum(gains * (curved - 2 * self.linear), axis=1) + self.constant) / 2

    def __call__(self, layers: _Layers) -> tuple[float, _Layers]:
        """Risk and its derivatives."""
        gains, kept = _forward(layers, self.eigenvalues)
        slope: np.ndarray = np.einsum("bij,bj->bi", self.quadratic, gains) - self.linear
        by_gain = slope / len(gains)
        each: np.ndarray = np.sum(gains * (slope - self.linear), axis=1) + self.constant
        risk = float(np.mean(each)) / 2
        return risk, _backward(layers, self.eigenvalues, by_gain, kept)

    def best_polynomial(self, degree: int) -> Float64[np.ndarray, " K"]:
        """Coefficients of the H of that degree with the smallest risk: degree + 1 steps of descent, best rates."""
        powers = self.eigenvalues[..., None] ** np.arange(degree + 1)  # (B, d, K)
        scale = np.sqrt(np.mean(powers**2, axis=(0, 1)))
        powers = powers / scale
        matrix: np.ndarray = np.einsum("bik,bij,bjl->kl", powers, self.quadratic, powers, optimize=True)
        right: np.ndarray = np.einsum("bik,bi->k", powers, self.linear)
        return np.linalg.lstsq(matrix, right, rcond=None)[0] / scale
