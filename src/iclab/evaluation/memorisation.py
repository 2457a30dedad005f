"""How well a predictor repeats the labels of its own context: the fit that benign overfitting speaks of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from iclab.evaluation.curves import predictions
from iclab.evaluation.scores import score_for
from iclab.evaluation.streaming import Moments, SamplesPrompts, accumulate
from iclab.foundations import Estimate, check_integer
from iclab.predictors import Predictor
from iclab.prompts import Prompts


def memorisation(
    predictor: Predictor,
    distribution: SamplesPrompts,
    n_examples: int,
    *,
    n_prompts: int,
    seed: int,
    score: str = "accuracy",
) -> Estimate:
    """Mean score on the examples of the context, their noisy labels included, of a predictor that has read them all.

    Every example is asked for in turn as the query after the N examples (Frei and Vardi 2024, in-context training
    accuracy).

    Parameters
    ----------
    predictor : callable
        That answers queries which differ from the next input.
    distribution : GaussianMixture, PromptDistribution, …
        Of the prompts.
    n_examples : int
        N, at least 1.
    n_prompts, seed : int
        Prompts 0 … n_prompts − 1 of the evaluation stream.
    score : str
        One of ``SCORES``; the labels of the context stand in for the truth.

    Returns
    -------
    Estimate
        Mean over examples and prompts, its standard error over prompts.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the score does not fit the labels.
    """
    n = check_integer(n_examples, "n_examples", minimum=1)
    [found] = accumulate(_OnContext(predictor, n, score), distribution, n + 1, n_prompts=n_prompts, seed=seed)
    assert isinstance(found, Moments)
    return Estimate(float(found.mean), float(found.stderr), found.n, seed)


@dataclass(frozen=True)
class _OnContext:
    """Mean score of each prompt over its own examples: samples of shape (B,)."""

    predictor: Predictor
    n_examples: int
    score: str

    def __call__(self, prompts: Prompts) -> Float64[np.ndarray, " B"]:
        n, rule = self.n_examples, score_for(prompts.labels, self.score).of
        total = np.zeros(len(prompts))
        for k in range(n):
            queries, targets = prompts.queries.copy(), prompts.targets.copy()
            queries[:, n], targets[:, n] = prompts.xs[:, k], prompts.ys[:, k]
            asked = replace(prompts, queries=queries, targets=targets, probabilities=None)
            total += rule(predictions(self.predictor, "the predictor", asked), asked)[:, n]
        return total / n
