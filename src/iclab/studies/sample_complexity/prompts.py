"""A finite number of training prompts: minimisers of the empirical risk (7), one pass of SGD, and its noise.

The minimisers and the leading coefficient of their excess are those of ``flow.empirical``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from iclab.flow import (
    empirical_minimizer,
    empirical_minimizer_of_all,
    excess_coefficient,
    gradient_flow,
    stochastic_gradient_descent,
)
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
from iclab.studies.measuring import COVARIATES, Covariates, Panel
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
FIXED, RANDOM = COVARIATES.values()
# What is fitted: the learner K, with a = b = 0, or all parameters.
LINEAR, WHOLE = "learner", "all"
_SIGMA = 0.4
# Flow's time of the comparisons with SGD, and of its wandering around the minimum.
_SPAN, _STATIONARY_SPAN = 4.0, 8.0


def _problem(inputs: str, dimension: int, n_train: int) -> tuple[Covariates, float, float]:
    """The distribution of x, the layer's least loss, and its gain: ½ E tr Λ less that."""
    covariates = Panel(inputs, 1.0).covariates(dimension)
    best = minimum_loss(covariates, n_train)
    return covariates, best, dimension / 2 - best


def empirical(
    inputs: str, kind: str, dimension: int, n_train: int, prompts: Sequence[int], n_samples: int, seed: int
) -> pd.DataFrame:
    """Excess over Theorem 4's (Theorem 8's) loss of empirical minimisers on B prompts, and relative to the gain.

    Smaller samples are the beginnings of larger ones.
    """
    covariates, best, gain = _problem(inputs, dimension, n_train)
    distribution, start = PromptDistribution(covariates, Linear()), minimizer(covariates, n_train)
    rows = []
    for sample in range(n_samples):
        whole = distribution.sample(max(prompts), n_train + 1, seed=1000 * seed + sample, stream="training")
        for size in prompts:
            part = Prompts(whole.xs[:size], whole.ys[:size], whole.queries[:size], whole.targets[:size])
            if kind == LINEAR:
                loss = learner_loss(empirical_minimizer(part), covariates, n_train)
            else:
                loss = population_loss(empirical_minimizer_of_all(part, start), covariates, n_train)
            rows.append({"inputs": inputs, "kind": kind, "n_prompts": size, "sample": sample, "excess": loss - best})
    table = pd.DataFrame(rows)
    return table.assign(relative=table["excess"] / gain)


def leading(inputs: str, dimension: int, n_train: int, seed: int) -> pd.DataFrame:
    """The leading coefficient of the empirical minimiser's excess, with its standard error."""
    found = excess_coefficient(_problem(inputs, dimension, n_train)[0], dimension, n_train, seed)
    return pd.DataFrame([{"inputs": inputs, "value": found.value, "stderr": found.standard_error, "n": found.n}])


def one_pass(
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

    Of the last iterate, and of the average over the second half of the steps; infinite where a run diverged.
    """
    covariates, best, gain = _problem(inputs, dimension, n_train)
    loss = PopulationLoss(covariates, n_train)
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
            for iterate, value in zip(("last", "average"), excess, strict=True):
                row = {"inputs": inputs, "batch": batch, "rate": rate, "iterate": iterate, "n_prompts": size}
                rows.append(row | {"sample": sample, "excess": value, "relative": value / gain})
    return pd.DataFrame(rows)


def noise(
    dimension: int, n_train: int, batches: Sequence[int], rates: Sequence[float], n_samples: int, seed: int
) -> pd.DataFrame:
    """SGD's noise for Λ = I: distance to the flow at a fixed time, and the excess at which it wanders.

    The distance is from Assumption 3, the excess a mean over the second half of a run from the minimum.
    """
    covariates = Gaussian.isotropic(dimension)
    initial = assumption3(random_theta(dimension, seed), _SIGMA)
    end = gradient_flow(initial, covariates, n_train, _SPAN).parameters(_SPAN).vector
    minimum = minimizer(covariates, n_train)
    rows = []
    for rate, size, sample in product(rates, batches, range(n_samples)):
        drawn = {"batch_size": size, "seed": 1000 * seed + sample}
        steps, later = round(_SPAN / rate), round(_STATIONARY_SPAN / rate)
        path = stochastic_gradient_descent(initial, covariates, n_train, rate, steps, record_every=steps, **drawn)
        rest = stochastic_gradient_descent(minimum, covariates, n_train, rate, later, **drawn)
        gap = np.inf if path.diverged else float(np.sum((path.vectors[-1] - end) ** 2))
        excess = np.inf if rest.diverged else float(rest.excess[later // 2 :].mean())
        rows.append({"batch_size": size, "rate": rate, "sample": sample, "squared_gap": gap, "excess": excess})
    return pd.DataFrame(rows)
