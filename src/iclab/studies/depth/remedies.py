"""What one can build in: inputs normalised by their context, or whitened by it, before one, two or three layers.

Whitening by (Λ̂ + μI)^{−1/2} makes one layer ridge regression with penalty μN, so it hands over the solution; dividing
by √(tr Λ̂/d) or each coordinate by √Λ̂_ii does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from iclab.flow.deep import Contexts, SpectralRisk, best, gain, search
from iclab.foundations import standard_error
from iclab.studies.depth.contexts import COORDINATES, PLAIN, TRACE, covariates, draw, normalised

WHITENED = "whitened"
# Where a polynomial leaves the range of floating point.
_CUT = 1e50


def remedies_table(
    inputs: str,
    dimension: int,
    n_train: int,
    layers: Sequence[int],
    noises: Sequence[float],
    scales: Sequence[float],
    *,
    n_prompts: int,
    n_queries: int,
    n_test: int,
    n_starts: int,
    seed: int,
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
        train = draw(
            covariates(inputs, dimension), n_train, n_prompts, n_queries, seed=seed, stream="training", noise=noise
        )
        tests = {
            c: draw(covariates(inputs, dimension, c), n_train, n_test, 1, seed=seed, noise=noise * np.sqrt(c))
            for c in scales
        }
        plain: dict[float, np.ndarray] = {}
        for remedy in (PLAIN, TRACE, COORDINATES, WHITENED):
            for depth in layers if remedy != WHITENED else (1,):
                of_test = _fitted(train, remedy, depth, n_starts, seed)
                for c, test in tests.items():
                    with np.errstate(over="ignore", invalid="ignore"):
                        errors = np.minimum(np.nan_to_num(2 * of_test(test) / (c * dimension), nan=_CUT), _CUT)
                    if remedy == PLAIN and depth == 1:
                        plain[c] = errors
                    difference = errors - plain[c]
                    rows.append(
                        {
                            "inputs": inputs,
                            "noise": noise,
                            "remedy": remedy,
                            "layers": depth,
                            "scale": c,
                            "error": errors.mean(),
                            "stderr": float(standard_error(errors)),
                            "median": np.median(errors),
                            "gain": difference.mean(),
                            "gain_stderr": float(standard_error(difference)),
                            "better": float(np.mean(difference < 0)),
                            "n": n_test,
                        }
                    )
    return pd.DataFrame(rows)


def _fitted(train: Contexts, remedy: str, layers: int, n_starts: int, seed: int):
    """Fit the remedy's scalars, and return its ½ (ŷ − y)² on other contexts."""
    if remedy == WHITENED:
        risk = SpectralRisk(train)

        def of_penalty(logarithm: float) -> float:
            inverse = 1 / (risk.eigenvalues + np.exp(logarithm))
            scale = _best_scale(risk, inverse)
            return float(np.mean(risk.losses(scale * inverse)))

        mu = float(np.exp(minimize_scalar(of_penalty, bounds=(-20.0, 2.0), method="bounded").x))
        scale = _best_scale(risk, 1 / (risk.eigenvalues + mu))

        def whitened(contexts: Contexts) -> np.ndarray:
            found = SpectralRisk(contexts)
            return found.losses(scale / (found.eigenvalues + mu))

        return whitened
    risk = SpectralRisk(normalised(train, remedy))
    few = SpectralRisk(normalised(train.first(max(len(train) // 8, 2)), remedy))
    rng = np.random.default_rng([seed, layers])
    starts = [
        np.column_stack([rng.normal(-0.2, 0.2, layers), 0.6 * np.exp(rng.normal(0, 0.6, layers))]).ravel()
        for _ in range(n_starts)
    ]

    def objective(of: SpectralRisk):
        def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = of(theta.reshape(layers, 2))
            return loss, gradient.ravel()

        return value

    theta = best(search(starts, objective(few), objective(risk), brief=60, polish=3, iterations=300)).theta
    constants = theta.reshape(layers, 2)

    def fitted(contexts: Contexts) -> np.ndarray:
        found = SpectralRisk(normalised(contexts, remedy))
        return found.losses(gain(constants, found.eigenvalues))

    return fitted


def _best_scale(risk: SpectralRisk, gains: np.ndarray) -> float:
    """The k for which k·H has the smallest risk."""
    square = np.einsum("bi,bij,bj->", gains, risk.quadratic, gains, optimize=True)
    return float(np.sum(gains * risk.linear) / square)
