"""Laws of labels for Theorem 5: the (a, Σ, best) of ready-made laws, and their estimates from samples of any law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    Estimate,
    InvalidInputError,
    Matrix,
    Vector,
    check_array,
    check_covariance,
    check_integer,
    check_real,
    check_vector,
    standard_error,
)
from iclab.theory.lengths import PromptLength, TrainLength, inverse_moments
from iclab.theory.population import gamma


class LabelLaw(NamedTuple):
    """What Theorem 5 needs to know of a law of (x, y) with x ~ N(0, Λ), in the order that it takes.

    Attributes
    ----------
    a : ndarray, shape (d,)
        Λ⁻¹ E[xy], (15).
    sigma : ndarray, shape (d, d)
        Σ = Cov(xy), (15).
    best : float
        min_w E(w'x − y)², the error of the best linear predictor.
    """

    a: Vector
    sigma: Matrix
    best: float


def noisy_linear_law(covariance: ArrayLike, weights: ArrayLike, noise_variance: float = 0.0) -> LabelLaw:
    """Labels y = w'x + ε with Var ε = s²: a = w, Σ = (w'Λw + s²)Λ + Λww'Λ, best = s² (Theorem 5).

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ.
    weights : array_like, shape (d,)
        w.
    noise_variance : float
        s² ≥ 0.
    """
    Lambda = check_covariance(covariance)
    w = check_vector(weights, "weights", Lambda.shape[0])
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    Lw = Lambda @ w
    return LabelLaw(w, (w @ Lw + noise) * Lambda + np.outer(Lw, Lw), noise)


def quadratic_law(covariance: ArrayLike, weights: ArrayLike, direction: ArrayLike, strength: float) -> LabelLaw:
    """Labels y = w'x + c((v'x)² − v'Λv): a = w, best = 2c²q² with q = v'Λv (Theorem 5).

    Σ = (w'Λw + 2c²q²)Λ + Λww'Λ + 8c²q Λvv'Λ.

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ.
    weights, direction : array_like, shape (d,)
        w and v.
    strength : float
        c.
    """
    Lambda = check_covariance(covariance)
    w = check_vector(weights, "weights", Lambda.shape[0])
    v = check_vector(direction, "direction", Lambda.shape[0])
    c = check_real(strength, "strength")
    Lw, Lv = Lambda @ w, Lambda @ v
    q = float(v @ Lv)
    best = 2 * c**2 * q**2
    return LabelLaw(w, (w @ Lw + best) * Lambda + np.outer(Lw, Lw) + 8 * c**2 * q * np.outer(Lv, Lv), best)


def cubic_law(covariance: ArrayLike, direction: ArrayLike, strength: float) -> LabelLaw:
    """Labels y = c(v'x)³: a = 3cqv, best = 6c²q³, Σ = c²(15q³Λ + 81q²Λvv'Λ), q = v'Λv (Theorem 5).

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ.
    direction : array_like, shape (d,)
        v.
    strength : float
        c.
    """
    Lambda = check_covariance(covariance)
    v = check_vector(direction, "direction", Lambda.shape[0])
    c = check_real(strength, "strength")
    Lv = Lambda @ v
    q = float(v @ Lv)
    # E[y²xx'] = c²(15q³Λ + 90q²Λvv'Λ), of which E[xy]E[xy]' = 9c²q²Λvv'Λ is taken off.
    sigma = c**2 * (15 * q**3 * Lambda + 81 * q**2 * np.outer(Lv, Lv))
    return LabelLaw(3 * c * q * v, sigma, 6 * c**2 * q**3)


@dataclass(frozen=True, eq=False)
class EstimatedLabelLaw:
    """(a, Σ, best) of Theorem 5 from n independent samples of (x, y), with standard errors.

    Attributes
    ----------
    law : LabelLaw
        The estimates.
    a_standard_error : ndarray, shape (d,)
        Of the entries of a.
    sigma_standard_error : ndarray, shape (d, d)
        Of the entries of Σ.
    best : Estimate
        min_w E(w'x − y)² with its standard error.
    """

    law: LabelLaw
    a_standard_error: Vector
    sigma_standard_error: Matrix
    best: Estimate


def estimate_label_law(covariance: ArrayLike, xs: ArrayLike, ys: ArrayLike, seed: int = 0) -> EstimatedLabelLaw:
    """The (a, Σ, best) of Theorem 5 for any law of (x, y) with x ~ N(0, Λ), Λ known, from samples.

    a = Λ⁻¹ mean(xy), Σ = cov(xy), best = mean(y²) − a'Λa; standard errors to first order (delta method).

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ, positive definite.
    xs : array_like, shape (n, d)
        Inputs.
    ys : array_like, shape (n,)
        Labels, n ≥ 2.
    seed : int
        The seed that drew them, for the record.
    """
    Lambda, x, y = _samples(covariance, xs, ys)
    n = y.shape[0]
    z = y[:, None] * x
    slopes = np.linalg.solve(Lambda, z.T).T
    a = slopes.mean(0)
    centred = z - z.mean(0)
    products = centred[:, :, None] * centred[:, None, :]
    sigma = products.sum(0) / (n - 1)
    # best = E y² − m'Λ⁻¹m: the influence of a sample is y² − 2a'(xy) + const.
    best = _corrected(y**2 - 2 * z @ a, float(a @ Lambda @ a), seed)
    return EstimatedLabelLaw(
        law=LabelLaw(a, sigma, max(0.0, best.value)),
        a_standard_error=np.asarray(standard_error(slopes)),
        sigma_standard_error=np.asarray(standard_error(products)),
        best=best,
    )


def estimate_theorem5_risk(
    covariance: ArrayLike, n_train: TrainLength, n_test: PromptLength, xs: ArrayLike, ys: ArrayLike, seed: int = 0
) -> Estimate:
    """Theorem 5's E(ŷ − y)² for any law of (x, y), from samples of it; standard error by the delta method.

    Parameters
    ----------
    covariance : array_like, shape (d, d)
        Λ, positive definite.
    n_train, n_test : int or math.inf
        N (or AllPositions) and M.
    xs : array_like, shape (n, d)
        Inputs x ~ N(0, Λ).
    ys : array_like, shape (n,)
        Their labels, n ≥ 2.
    seed : int
        The seed that drew them, for the record.
    """
    Lambda, x, y = _samples(covariance, xs, ys)
    inverse_test, _ = inverse_moments(n_test, "n_test")
    inverse, _ = inverse_moments(n_train)
    G = gamma(Lambda, n_train)
    B = np.linalg.solve(G, np.linalg.solve(G, Lambda).T)  # Γ⁻¹ΛΓ⁻¹
    z = y[:, None] * x
    mean = z.mean(0)
    # Of R = E y² + (1/M) E[y²x'Bx] + m'Qm with m = E[xy], Q = C − Λ⁻¹ − B/M and m'Cm the bias term.
    shrink = inverse * np.linalg.solve(G, np.eye(len(G)) + float(np.trace(Lambda)) * np.linalg.inv(Lambda))
    Q = shrink.T @ Lambda @ shrink - np.linalg.inv(Lambda) - inverse_test * B
    per_sample = y**2 + inverse_test * np.einsum("ni,ij,nj->n", z, B, z) + 2 * z @ (Q @ mean)
    return _corrected(per_sample, float(-mean @ Q @ mean), seed)


def _samples(
    covariance: ArrayLike, xs: ArrayLike, ys: ArrayLike
) -> tuple[Matrix, Float64[np.ndarray, "n d"], Float64[np.ndarray, " n"]]:
    Lambda = check_covariance(covariance)
    if np.linalg.cond(Lambda) * np.finfo(np.float64).eps > 1:
        raise InvalidInputError("covariance must be positive definite, as a = Λ⁻¹E[xy]; a singular one was given.")
    x = check_array(xs, "xs", (None, Lambda.shape[0]))
    check_integer(x.shape[0], "the number of samples", minimum=2)
    return Lambda, x, check_vector(ys, "ys", x.shape[0])


def _corrected(per_sample: Vector, constant: float, seed: int) -> Estimate:
    sampled = Estimate.from_samples(per_sample, seed)
    return Estimate(sampled.value + constant, sampled.standard_error, sampled.n, seed)
