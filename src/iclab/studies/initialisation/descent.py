"""Discrete training of one layer: the step size of descent against its limits, SGD against the flow."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from iclab.flow import gradient_descent, gradient_flow, stability_limit, stochastic_gradient_descent
from iclab.foundations import standard_error
from iclab.studies.measuring import OWN
from iclab.theory import LSAParameters, assumption3, minimizer, minimum_loss, random_theta

# Relative excess below which descent has settled at a minimum.
SETTLED = 1e-6
# η as a part of the limit for all parameters; the limit on (u, U) alone is added.
PARTS = (0.5, 0.9, 1.1, 2.0)
PERTURBATION = 0.01
BATCHES = (8, 32, 128)


class Descent(NamedTuple):
    """d, N and the time of flow that descent covers at every step size; rates of SGD and the time that it covers."""

    dimension: int
    n_train: int
    span: float
    sgd_rates: tuple[float, ...]
    sgd_span: float


# Random covariances give larger gradients and a faster flow.
DESCENTS = {
    "fixed": Descent(5, 20, 60.0, (0.04, 0.02, 0.01), 4.0),
    "random": Descent(3, 20, 15.0, (0.01, 0.005, 0.0025), 1.0),
}
_SGD_DIMENSION, _SGD_N_TRAIN = 3, 12


def rates_of(covariances: str, seed: int) -> pd.DataFrame:
    """Ends of descent by step size η, from Assumption 3 and from a perturbation of it.

    ``part`` is η over the limit for all parameters, ``excess`` at the end relative to the gain, ``limit_at_end`` that
    of the minimum where the run settled.
    """
    d, n_train, span, *_ = DESCENTS[covariances]
    covariates = OWN[covariances].covariates(d)
    minimum = minimizer(covariates, n_train)
    whole = stability_limit(minimum, covariates, n_train)
    restricted = stability_limit(minimum, covariates, n_train, only_a_b_zero=True)
    exact = assumption3(random_theta(d, seed), 0.1)
    noise = np.random.default_rng([seed, 1]).standard_normal((d + 1) ** 2)
    starts = {0.0: exact, PERTURBATION: LSAParameters.from_vector(exact.vector + PERTURBATION * noise)}
    gain = d / 2 - minimum_loss(covariates, n_train)
    rows = []
    for perturbation, initial in starts.items():
        for part in (*PARTS, 0.9 * restricted / whole, 1.1 * restricted / whole):
            rate = part * whole
            end = gradient_descent(initial, covariates, n_train, rate, round(span / rate), record_every=10**9)
            excess = math.inf if end.diverged else float(end.excess[-1]) / gain
            reached = stability_limit(end.parameters(), covariates, n_train) if excess < SETTLED else math.nan
            row = {"covariances": covariances, "perturbation": perturbation, "part": part, "rate": rate}
            row |= {"limit_all": whole, "limit_u_U": restricted, "excess": excess, "limit_at_end": reached}
            rows.append({**row, "diverged": end.diverged})
    return pd.DataFrame(rows)


def sgd_of(covariances: str, n_seeds: int, seed: int) -> pd.DataFrame:
    """Root mean square distance of SGD from the flow at a fixed time, by batch size and rate.

    Infinite if a run diverged; ``descent_gap`` is that of descent without noise.
    """
    d, n_train, t = _SGD_DIMENSION, _SGD_N_TRAIN, DESCENTS[covariances].sgd_span
    covariates, initial = OWN[covariances].covariates(d), assumption3(random_theta(d, seed), 0.4)
    end = gradient_flow(initial, covariates, n_train, t).parameters(t).vector
    rows = []
    for rate in DESCENTS[covariances].sgd_rates:
        steps = round(t / rate)
        given = (initial, covariates, n_train, rate, steps)
        away = np.linalg.norm(gradient_descent(*given, record_every=steps).vectors[-1] - end)
        for size in BATCHES:
            drawn = {"batch_size": size, "record_every": steps}
            runs = [stochastic_gradient_descent(*given, seed=1000 * seed + i, **drawn) for i in range(n_seeds)]
            diverged, gap, error = sum(run.diverged for run in runs), math.inf, math.nan
            if not diverged:
                squares = np.array([float(np.sum((run.vectors[-1] - end) ** 2)) for run in runs])
                gap = math.sqrt(float(np.mean(squares)))
                # The error of a root, to first order.
                error = float(standard_error(squares)) / (2 * gap)
            row = {"covariances": covariances, "batch_size": size, "rate": rate, "gap": gap, "stderr": error}
            rows.append({**row, "n": n_seeds, "diverged": diverged, "descent_gap": away})
    return pd.DataFrame(rows)
