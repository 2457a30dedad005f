"""Discrete training of one layer: the step size of descent against its limits, SGD against the flow."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from iclab.flow import gradient_descent, gradient_flow, stability_limit, stochastic_gradient_descent
from iclab.foundations import standard_error
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.theory import LSAParameters, assumption3, minimizer, minimum_loss, random_theta

# Relative excess below which descent has settled at a minimum.
SETTLED = 1e-6
# η as a part of the limit for all parameters; the limit on (u, U) alone is added.
PARTS = (0.5, 0.9, 1.1, 2.0)
PERTURBATION = 0.01
BATCHES = (8, 32, 128)


class Descent(NamedTuple):
    """Sizes of the runs by covariances: random ones give larger gradients and a faster flow.

    Attributes
    ----------
    dimension, n_train, span : int, int, float
        d, N and the time of flow that descent covers at every step size.
    sgd_rates, sgd_span : tuple of float, float
        Rates of SGD and the time of flow it covers.
    """

    dimension: int
    n_train: int
    span: float
    sgd_rates: tuple[float, ...]
    sgd_span: float


DESCENTS = {
    "fixed": Descent(5, 20, 60.0, (0.04, 0.02, 0.01), 4.0),
    "random": Descent(3, 20, 15.0, (0.01, 0.005, 0.0025), 1.0),
}
_SGD_DIMENSION, _SGD_N_TRAIN = 3, 12


def _covariates(covariances: str, dimension: int) -> Gaussian | RandomDiagonal:
    return RandomDiagonal.exponential(dimension) if covariances == "random" else Gaussian(np.diag(np.ones(dimension)))


def rates_of(covariances: str, seed: int) -> pd.DataFrame:
    """Ends of descent by step size η, from Assumption 3 and from a perturbation of it.

    Returns
    -------
    DataFrame
        Table ``rates``: covariances, perturbation, part (η over the limit for all parameters), rate, limit_all,
        limit_u_U, excess (end, relative to the gain), limit_at_end (of the minimum where the run settled), diverged.
    """
    d, n_train, span, *_ = DESCENTS[covariances]
    covariates = _covariates(covariances, d)
    minimum = minimizer(covariates, n_train)
    whole = stability_limit(minimum, covariates, n_train)
    restricted = stability_limit(minimum, covariates, n_train, only_a_b_zero=True)
    exact = assumption3(random_theta(d, seed), 0.1)
    noise = np.random.default_rng([seed, 1]).standard_normal((d + 1) ** 2)
    starts = {0.0: exact, PERTURBATION: LSAParameters.from_vector(exact.vector + PERTURBATION * noise)}
    gain = d / 2 - minimum_loss(covariates, n_train)
    rows: list[tuple[object, ...]] = []
    for perturbation, initial in starts.items():
        for part in (*PARTS, 0.9 * restricted / whole, 1.1 * restricted / whole):
            rate = part * whole
            end = gradient_descent(initial, covariates, n_train, rate, round(span / rate), record_every=10**9)
            excess = math.inf if end.diverged else float(end.excess[-1]) / gain
            reached = stability_limit(end.parameters(), covariates, n_train) if excess < SETTLED else math.nan
            row = (part, rate, whole, restricted, excess, reached, end.diverged)
            rows.append((covariances, perturbation, *row))
    names = ["covariances", "perturbation", "part", "rate", "limit_all", "limit_u_U", "excess", "limit_at_end"]
    return pd.DataFrame(rows, columns=[*names, "diverged"])


def sgd_of(covariances: str, n_seeds: int, seed: int) -> pd.DataFrame:
    """Distance of SGD from the flow at a fixed time, by batch size and rate.

    Returns
    -------
    DataFrame
        Table ``sgd``: covariances, batch_size, rate, gap (root mean square of ‖θ_SGD − θ(t)‖ at the end), stderr, n,
        diverged (runs, which make the gap infinite), descent_gap (of descent without noise).
    """
    d, n_train, t = _SGD_DIMENSION, _SGD_N_TRAIN, DESCENTS[covariances].sgd_span
    covariates, initial = _covariates(covariances, d), assumption3(random_theta(d, seed), 0.4)
    end = gradient_flow(initial, covariates, n_train, t).parameters(t).vector
    rows: list[tuple[object, ...]] = []
    for rate in DESCENTS[covariances].sgd_rates:
        steps = round(t / rate)
        descent = gradient_descent(initial, covariates, n_train, rate, steps, record_every=steps).vectors[-1]
        for size in BATCHES:
            runs = [
                stochastic_gradient_descent(
                    initial,
                    covariates,
                    n_train,
                    rate,
                    steps,
                    batch_size=size,
                    seed=1000 * seed + number,
                    record_every=steps,
                )
                for number in range(n_seeds)
            ]
            diverged = sum(run.diverged for run in runs)
            gap, error = math.inf, math.nan
            if not diverged:
                squares = np.array([float(np.sum((run.vectors[-1] - end) ** 2)) for run in runs])
                gap = math.sqrt(float(np.mean(squares)))
                # The error of a root, to first order.
                error = float(standard_error(squares)) / (2 * gap)
            away = float(np.linalg.norm(descent - end))
            rows.append((covariances, size, rate, gap, error, n_seeds, diverged, away))
    names = ["covariances", "batch_size", "rate", "gap", "stderr", "n", "diverged", "descent_gap"]
    return pd.DataFrame(rows, columns=names)
