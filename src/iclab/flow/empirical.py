"""Minimisers of the empirical risk (7) on B prompts, and how fast their excess over the population's falls.

On a = b = 0 the layer's prediction x_q'Kc, c = (1/N) Σ y_i x_i, is linear in K, so that the empirical risk of B prompts
is least squares on the d² features x_q ⊗ c, whatever the factors u and U of K.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from iclab.foundations import Estimate, Matrix, Vector
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts, RandomDiagonal
from iclab.theory import LSAParameters, covariance_rule, gamma, optimal_learner

_BLOCK = 4_096
# Fresh prompts for the coefficient.
_PROMPTS = 50_000


def empirical_minimizer(prompts: Prompts) -> Matrix:
    """The K of least empirical risk (7) on a = b = 0, shape (d, d); of least norm where several have it.

    Parameters
    ----------
    prompts : Prompts
        B prompts of N + 1 points; the last point is the query.
    """
    d = prompts.dimension
    features = _features(prompts)
    return np.linalg.lstsq(features, prompts.targets[:, -1])[0].reshape(d, d)


def empirical_minimizer_of_all(prompts: Prompts, start: LSAParameters) -> LSAParameters:
    """A local minimiser of the empirical risk over all parameters, by L-BFGS from ``start``.

    With the moments G = EE'/N of every prompt, ŷ = l'G R x_q for l = [a; u] and R = [U; b']. The minimiser of (7) over
    Lemma 9's coordinates, with arrays of shape (d + 1, d + 1).

    Parameters
    ----------
    prompts : Prompts
        B prompts of N + 1 points; the last point is the query.
    start : LSAParameters
        Where the descent begins.
    """
    moments, queries, targets = _token_moments(prompts), prompts.queries[:, -1], prompts.targets[:, -1]
    size = prompts.dimension + 1

    def risk(t: Vector) -> tuple[float, Vector]:
        weights = t.reshape(size, size).T  # [R, l], in the coordinates of Lemma 9
        keys = np.einsum("bij,bj->bi", moments, queries @ weights[:, :-1].T)
        residuals: Vector = keys @ weights[:, -1] - targets
        values = np.einsum("bij,j->bi", moments, weights[:, -1])
        gradient = np.column_stack([(residuals[:, None] * values).T @ queries, residuals @ keys]) / len(targets)
        return float(np.mean(np.square(residuals))) / 2, gradient.T.ravel()

    found = minimize(risk, start.vector, jac=True, method="L-BFGS-B", options={"maxiter": 2_000, "ftol": 1e-15})
    return LSAParameters.from_vector(found.x)


def excess_coefficient(covariates: Gaussian | RandomDiagonal, dimension: int, n_train: int, seed: int) -> Estimate:
    """½ E[r² Z'H⁻¹Z]: the limit of B times the expected excess of ``empirical_minimizer`` on B prompts.

    H = E ZZ' of the features Z = x_q ⊗ c and the residual r of the population's minimiser, Theorem 4's or 8's; H is
    exact, the mean Monte Carlo.

    Parameters
    ----------
    covariates : Gaussian or RandomDiagonal
        Law of x.
    dimension, n_train : int
        d and N.
    seed : int
        Of the prompts over which the mean is taken.

    Raises
    ------
    InvalidInputError
        If no rule is known for the covariance of x.
    """
    rule = covariance_rule(covariates)
    moment: np.ndarray = np.einsum(
        "n,nij,nkl->ikjl", rule.weights, rule.matrices, np.array([gamma(m, n_train) @ m for m in rule.matrices])
    ).reshape(dimension**2, dimension**2)
    inverse = np.linalg.inv(moment)
    best = optimal_learner(covariates, n_train).ravel()
    distribution = PromptDistribution(covariates, Linear())
    samples: list[np.ndarray] = []
    for start in range(0, _PROMPTS, _BLOCK):
        prompts = distribution.sample(_BLOCK, n_train + 1, seed=seed, start=start, stream="verification")
        features = _features(prompts)
        residuals = features @ best - prompts.targets[:, -1]
        samples.append(residuals**2 * np.einsum("bi,ij,bj->b", features, inverse, features, optimize=True) / 2)
    return Estimate.from_samples(np.concatenate(samples), seed)


def _token_moments(prompts: Prompts) -> np.ndarray:
    """EE'/N of every prompt (3), the query's column included, shape (B, d + 1, d + 1)."""
    count, points, d = prompts.xs.shape
    tokens = np.zeros((count, points, d + 1))
    tokens[:, :, :d], tokens[:, :-1, d] = prompts.xs, prompts.ys[:, :-1]
    tokens[:, -1, :d] = prompts.queries[:, -1]
    return np.swapaxes(tokens, 1, 2) @ tokens / (points - 1)


def _features(prompts: Prompts) -> np.ndarray:
    """x_q ⊗ c of every prompt, shape (B, d²)."""
    x, y, query = prompts.xs[:, :-1], prompts.ys[:, :-1], prompts.queries[:, -1]
    c = np.einsum("bn,bnd->bd", y, x) / x.shape[1]
    return (query[:, :, None] * c[:, None, :]).reshape(len(prompts), -1)
