"""Frei and Vardi (2024): one matrix trained on Gaussian clusters classifies noisy contexts, and repeats their noise."""

from __future__ import annotations

import pandas as pd
from scipy.special import ndtr

from iclab.evaluation import error_curve, memorisation
from iclab.predictors import OneMatrix
from iclab.prompts import GaussianMixture

# Of the published experiment: examples in training and test, |μ|/√d in training, share of flipped labels at test.
N_TRAIN, N_TEST, RADIUS, FLIPS = 40, 20, 5.0, 0.2


def clusters(
    dimension: int, exponents: tuple[float, ...], seeds: tuple[int, ...], n_prompts: int, seed: int
) -> pd.DataFrame:
    """The trained matrix at |μ| = d^exponent, for several trainings on d prompts of 300 steps of .01.

    Returns
    -------
    DataFrame
        exponent, training_seed, clean and memory (accuracies on clean test labels, and on the context's own noisy ones)
        with stderr each, bayes (Φ(|μ|), of who knows μ), n.
    """
    law = GaussianMixture(dimension, RADIUS * dimension**0.5)
    rows = []
    for training_seed in seeds:
        trained = OneMatrix.trained(law.sample(dimension, N_TRAIN + 1, seed=training_seed, stream="training"))
        for exponent in exponents:
            radius = dimension**exponent
            test = GaussianMixture(dimension, radius, FLIPS)
            # Prompts of its own for each training, so that intervals over trainings hold what prompts add.
            own = seed + training_seed
            curve = error_curve(trained, test, N_TEST + 1, n_prompts=n_prompts, seed=own, score="target_accuracy")
            memory = memorisation(trained, test, N_TEST, n_prompts=max(2, n_prompts // 10), seed=own)
            rows.append(
                {
                    "exponent": exponent,
                    "training_seed": training_seed,
                    "clean": float(curve.mean[N_TEST]),
                    "clean_stderr": float(curve.stderr[N_TEST]),
                    "memory": memory.value,
                    "memory_stderr": memory.standard_error,
                    "bayes": float(ndtr(radius)),
                    "n": n_prompts,
                }
            )
    return pd.DataFrame(rows)
