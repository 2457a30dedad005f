"""A finite number of training prompts: minimisers of the empirical risk (7), one pass of SGD, and its noise.

The minimisers and the leading coefficient of their excess are those of ``flow.empirical``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from iclab.flow import empirical_minimizer, empirical_minimizer_of_all, gradient_flow, stochastic_gradient_descent
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts, RandomDiagonal
from iclab.theory import (
    PopulationLoss,
    assumption3,
    learner_loss,
    minimizer,
    minimum_loss,
    population_loss,
    random_theta,
)

# Inputs with Λ = I, or with Λ = diag(λ), λ_i ~ Exponential(1) per prompt.
FIXED, RANDOM = "identity", "random-exponential"
# What is fitted: the learner K, with a = b = 0, or all parameters.
LINEAR, WHOLE = "learner", "all"
LAST, AVERAGE = "last", "average"
_SIGMA = 0.4
# Flow's time of the comparisons with SGD, and of its wandering around the minimum.
_SPAN, _STATIONARY_SPAN = 4.0, 8.0


def covariates_of(inputs: str, dimension: int) -> Gaussian | RandomDiagonal:
    """The distribution of x by its name."""
    return Gaussian.isotropic(dimension) if inputs == FIXED else RandomDiagonal.exponential(dimension)


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
