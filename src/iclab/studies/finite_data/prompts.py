"""A finite number of training prompts: minimisers of the empirical risk (7), one pass of SGD, and its noise.

On a = b = 0 the layer's prediction x_q'Kc, c = (1/N) Σ y_i x_i, is linear in K, so that the empirical risk of B prompts
is least squares on the d² features x_q ⊗ c, whatever the factors u and U of K. With H = E ZZ' of these features and the
residual r of the minimiser, its expected excess is ½ E[r² Z'H⁻¹Z]/B to leading order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from iclab.flow import gradient_flow, stochastic_gradient_descent
from iclab.foundations import Estimate, Matrix
from iclab.predictors import TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts, RandomDiagonal
from iclab.theory import (
    LSAParameters,
    PopulationLoss,
    assumption3,
    covariance_rule,
    gamma,
    learner_loss,
    minimizer,
    minimum_loss,
    optimal_learner,
    population_loss,
    random_theta,
)

# Inputs with Λ = I, or with Λ = diag(λ), λ_i ~ Exponential(1) per prompt.
FIXED, RANDOM = "identity", "exponential"
# What is fitted: the learner K, with a = b = 0, or all parameters.
LINEAR, WHOLE = "learner", "all"
LAST, AVERAGE = "last", "average"
_SIGMA = 0.4
_BLOCK = 4_096
# Fresh prompts for the leading coefficient.
_COEFFICIENT_PROMPTS = 50_000
# Flow's time of the comparisons with SGD, and of its wandering around the minimum.
_SPAN, _STATIONARY_SPAN = 4.0, 8.0


def covariates_of(inputs: str, dimension: int) -> Gaussian | RandomDiagonal:
    """The distribution of x by its name."""
    return Gaussian.isotropic(dimension) if inputs == FIXED else RandomDiagonal.exponential(dimension)


def empirical_minimizer(prompts: Prompts) -> Matrix:
    """The K of least empirical risk (7) on a = b = 0, shape (d, d); of least norm where several have it."""
    d = prompts.dimension
    features = _features(prompts)
    return np.linalg.lstsq(features, prompts.targets[:, -1])[0].reshape(d, d)


def empirical_minimizer_of_all(prompts: Prompts, start: LSAParameters) -> LSAParameters:
    """A local minimiser of the empirical risk over all parameters, by L-BFGS from ``start``.

    With the moments G = EE'/N of every prompt, ŷ = l'G R x_q for l = [a; u] and R = [U; b'].
    """
    moments, queries, targets = _token_moments(prompts), prompts.queries[:, -1], prompts.targets[:, -1]
    size = prompts.dimension + 1

    def risk(t: np.ndarray) -> tuple[float, np.ndarray]:
        weights = t.reshape(size, size).T  # [R, l], in the coordinates of Lemma 9
        keys = np.einsum("bij,bj->bi", moments, queries @ weights[:, :-1].T)
        residuals = keys @ weights[:, -1] - targets
        values = np.einsum("bij,j->bi", moments, weights[:, -1])
        gradient = np.column_stack([(residuals[:, None] * values).T @ queries, residuals @ keys]) / len(targets)
        return float(np.mean(residuals**2)) / 2, gradient.T.ravel()

    found = minimize(risk, start.vector, jac=True, method="L-BFGS-B", options={"maxiter": 2_000, "ftol": 1e-15})
    return LSAParameters.from_vector(found.x)


def empirical_risk(parameters: LSAParameters, prompts: Prompts) -> float:
    """½ mean (ŷ − y_q)² over prompts (7), the query the last position of each."""
    residuals = TrainedLSA(parameters)(prompts)[:, -1] - prompts.targets[:, -1]
    return float(np.mean(residuals**2)) / 2


def leading_coefficient(inputs: str, dimension: int, n_train: int, seed: int) -> Estimate:
    """½ E[r² Z'H⁻¹Z]: the limit of B times the expected excess of the empirical minimiser over learners K."""
    covariates = covariates_of(inputs, dimension)
    rule = covariance_rule(covariates)
    moment: np.ndarray = np.einsum(
        "n,nij,nkl->ikjl", rule.weights, rule.matrices, np.array([gamma(m, n_train) @ m for m in rule.matrices])
    ).reshape(dimension**2, dimension**2)
    inverse = np.linalg.inv(moment)
    best = optimal_learner(covariates, n_train).ravel()
    distribution = PromptDistribution(covariates, Linear())
    samples: list[np.ndarray] = []
    for start in range(0, _COEFFICIENT_PROMPTS, _BLOCK):
        prompts = distribution.sample(_BLOCK, n_train + 1, seed=seed, start=start, stream="verification")
        features = _features(prompts)
        residuals = features @ best - prompts.targets[:, -1]
        samples.append(residuals**2 * np.einsum("bi,ij,bj->b", features, inverse, features, optimize=True) / 2)
    return Estimate.from_samples(np.concatenate(samples), seed)


def empirical_part(
    inputs: str, kind: str, dimension: int, n_train: int, prompts: Sequence[int], n_samples: int, seed: int
) -> pd.DataFrame:
    """Excess over Theorem 4's (Theorem 8's) loss of empirical minimisers on B prompts.

    Returns
    -------
    DataFrame
        inputs, kind, n_prompts, sample, excess, relative (over the gain of the minimiser); smaller samples are the
        beginnings of larger ones.
    """
    covariates = covariates_of(inputs, dimension)
    distribution = PromptDistribution(covariates, Linear())
    best = minimum_loss(covariates, n_train)
    gain = dimension / 2 - best  # ½ E tr Λ less the minimum
    start = minimizer(covariates, n_train)
    rows = []
    for sample in range(n_samples):
        whole = distribution.sample(max(prompts), n_train + 1, seed=1000 * seed + sample, stream="training")
        for size in prompts:
            part = Prompts(whole.xs[:size], whole.ys[:size], whole.queries[:size], whole.targets[:size])
            if kind == LINEAR:
                loss = learner_loss(empirical_minimizer(part), covariates, n_train)
            else:
                loss = population_loss(empirical_minimizer_of_all(part, start), covariates, n_train)
            rows.append((inputs, kind, size, sample, loss - best, (loss - best) / gain))
    return pd.DataFrame(rows, columns=["inputs", "kind", "n_prompts", "sample", "excess", "relative"])


def one_pass_part(
    inputs: str,
    dimension: int,
    n_train: int,
    prompts: Sequence[int],
    batches: Sequence[int],
    rates: Sequence[float],
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """Excess of SGD that sees every prompt once, from Assumption 3, after B prompts, by batch size and rate.

    Returns
    -------
    DataFrame
        inputs, batch, rate, iterate (the last, or the average over the second half of the steps), n_prompts, sample,
        excess, relative; infinite where a run diverged.
    """
    covariates = covariates_of(inputs, dimension)
    loss, best = PopulationLoss(covariates, n_train), minimum_loss(covariates, n_train)
    gain = dimension / 2 - best
    initial = assumption3(random_theta(dimension, seed), _SIGMA)
    rows = []
    for batch, rate, sample in product(batches, rates, range(n_samples)):
        sizes = [size for size in prompts if size >= 2 * batch]
        path = stochastic_gradient_descent(
            initial, covariates, n_train, rate, max(sizes) // batch, batch_size=batch, seed=1000 * seed + sample
        )
        for size in sizes:
            count = size // batch
            excess = np.array([np.inf, np.inf])
            if not path.diverged:
                iterates = [path.vectors[count], path.vectors[count // 2 : count + 1].mean(axis=0)]
                excess = np.asarray(loss.values(np.array(iterates))) - best
            for iterate, value in zip((LAST, AVERAGE), excess, strict=True):
                rows.append((inputs, batch, rate, iterate, size, sample, value, value / gain))
    names = ["inputs", "batch", "rate", "iterate", "n_prompts", "sample", "excess", "relative"]
    return pd.DataFrame(rows, columns=names)


def noise_part(
    dimension: int, n_train: int, batches: Sequence[int], rates: Sequence[float], n_samples: int, seed: int
) -> pd.DataFrame:
    """SGD's noise for Λ = I: distance to the flow at a fixed time, and the excess at which it wanders.

    Returns
    -------
    DataFrame
        batch_size, rate, sample, squared_gap (to the flow, from Assumption 3, at a fixed time), excess (mean over the
        second half of a run from the minimum).
    """
    covariates = Gaussian.isotropic(dimension)
    initial = assumption3(random_theta(dimension, seed), _SIGMA)
    end = gradient_flow(initial, covariates, n_train, _SPAN).parameters(_SPAN).vector
    minimum = minimizer(covariates, n_train)
    rows = []
    for rate in rates:
        for size in batches:
            for sample in range(n_samples):
                arguments = {"batch_size": size, "seed": 1000 * seed + sample}
                steps = round(_SPAN / rate)
                path = stochastic_gradient_descent(
                    initial, covariates, n_train, rate, steps, record_every=steps, **arguments
                )
                gap = np.inf if path.diverged else float(np.sum((path.vectors[-1] - end) ** 2))
                steps = round(_STATIONARY_SPAN / rate)
                path = stochastic_gradient_descent(minimum, covariates, n_train, rate, steps, **arguments)
                excess = np.inf if path.diverged else float(path.excess[steps // 2 :].mean())
                rows.append((size, rate, sample, gap, excess))
    return pd.DataFrame(rows, columns=["batch_size", "rate", "sample", "squared_gap", "excess"])


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
