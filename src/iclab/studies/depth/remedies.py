"""What one can build in: inputs normalised by their context, or whitened by it, before one, two or three layers.

Whitening by (Λ̂ + μI)^{−1/2} makes one layer ridge regression with penalty μN, so it hands over the solution; dividing
by √(tr Λ̂/d) or each coordinate by √Λ̂_ii does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from iclab.flow.deep import Contexts, SpectralRisk, best, gain, search
from iclab.foundations import standard_error
from iclab.studies.depth.comparisons import CUT
from iclab.studies.depth.contexts import COORDINATES, PLAIN, TRACE, Sample, covariates, draw, normalised, training
from iclab.studies.depth.models import of_scalars

WHITENED = "whitened"
Losses = Callable[[Contexts], np.ndarray]


def remedies_table(
    sample: Sample, layers: Sequence[int], noises: Sequence[float], scales: Sequence[float], n_test: int, n_starts: int
) -> pd.DataFrame:
    """Errors of every remedy, its scalars fitted on a training sample, on fresh prompts of covariance cΛ.

    Layers have the GD++ form with scalar weights, which one layer's optimum has where the distribution of x treats all
    coordinates alike. Label noise is measured in units of √c, so that scales differ in units alone.

    Returns
    -------
    DataFrame
        Inputs, noise, remedy, layers, scale, error (over c E tr Λ), stderr, median, gain (its error less that of one
        plain layer on the same prompts), gain_stderr, better (share of prompts on which it has the smaller error), n.
    """
    rows = []
    for noise in noises:
        train = training(sample, noise)
        tests = {c: _fresh(sample, c, n_test, noise * np.sqrt(c)) for c in scales}
        plain: dict[float, np.ndarray] = {}
        for remedy in (PLAIN, TRACE, COORDINATES, WHITENED):
            for depth in layers if remedy != WHITENED else (1,):
                if remedy == WHITENED:
                    losses = _whitened(train)
                else:
                    losses = _fitted(train, remedy, depth, n_starts, sample.seed)
                for c, test in tests.items():
                    with np.errstate(over="ignore", invalid="ignore"):
                        errors = np.minimum(np.nan_to_num(2 * losses(test) / (c * sample.dimension), nan=CUT), CUT)
                    difference = errors - plain.setdefault(c, errors)  # the first are those of one plain layer
                    own = {"inputs": sample.inputs, "noise": noise, "remedy": remedy, "layers": depth, "scale": c}
                    error = {"error": errors.mean(), "stderr": standard_error(errors), "median": np.median(errors)}
                    gained = {"gain": difference.mean(), "gain_stderr": standard_error(difference)}
                    rows.append({**own, **error, **gained, "better": np.mean(difference < 0), "n": n_test})
    return pd.DataFrame(rows)


def _fresh(sample: Sample, c: float, n_test: int, noise: float) -> Contexts:
    law = covariates(sample.inputs, sample.dimension, c)
    return draw(law, sample.n_train, n_test, 1, seed=sample.seed, noise=noise)


def _whitened(train: Contexts) -> Losses:
    """Fit the penalty of whitening, and return its ½ (ŷ − y)² on other contexts."""
    risk = SpectralRisk(train)

    def gains(mu: float) -> np.ndarray:
        inverse = 1 / (risk.eigenvalues + mu)
        return _best_scale(risk, inverse) * inverse

    def of_penalty(logarithm: float) -> float:
        return float(np.mean(risk.losses(gains(np.exp(logarithm)))))

    mu = float(np.exp(minimize_scalar(of_penalty, bounds=(-20.0, 2.0), method="bounded").x))
    scale = _best_scale(risk, 1 / (risk.eigenvalues + mu))

    def losses(contexts: Contexts) -> np.ndarray:
        found = SpectralRisk(contexts)
        return found.losses(scale / (found.eigenvalues + mu))

    return losses


def _fitted(train: Contexts, remedy: str, layers: int, n_starts: int, seed: int) -> Losses:
    """Fit layers on normalised inputs, and return their ½ (ŷ − y)² on other contexts."""
    some = train.first(max(len(train) // 8, 2))
    few, every = (of_scalars(SpectralRisk(normalised(each, remedy)), layers, layers) for each in (some, train))
    rng = np.random.default_rng([seed, layers])
    starts = [
        np.column_stack([rng.normal(-0.2, 0.2, layers), 0.6 * np.exp(rng.normal(0, 0.6, layers))]).ravel()
        for _ in range(n_starts)
    ]
    constants = best(search(starts, few, every, brief=60, polish=3, iterations=300)).theta.reshape(layers, 2)

    def losses(contexts: Contexts) -> np.ndarray:
        found = SpectralRisk(normalised(contexts, remedy))
        return found.losses(gain(constants, found.eigenvalues))

    return losses


def _best_scale(risk: SpectralRisk, gains: np.ndarray) -> float:
    """The k for which k·H has the smallest risk."""
    square = np.einsum("bi,bij,bj->", gains, risk.quadratic, gains, optimize=True)
    return float(np.sum(gains * risk.linear) / square)
