"""How a prediction is scored: squared error of numbers and vectors; of classes cross-entropy, divergence, accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import xlogy

from iclab.foundations import InvalidInputError, check_choice
from iclab.prompts import Labels, Prompts

# From predictions and prompts to a number per prompt and position.
Rule = Callable[[np.ndarray, Prompts], Float64[np.ndarray, "B P"]]


@dataclass(frozen=True)
class Score:
    """A way to score predictions.

    Attributes
    ----------
    name : str
        As in ``error_curve(…, score=name)``.
    kinds : tuple of str
        Kinds of labels that it is for.
    of : callable
        Predictions and prompts to scores, shape (B, P).
    title : str
        As axes and tables call it.
    about : str
        One line.
    blind : callable
        From the number of classes to the score of the uniform law, where that is a constant.
    """

    name: str
    kinds: tuple[str, ...]
    of: Rule
    title: str
    about: str
    blind: Callable[[int], float] | None = None


def _squared_error(predicted: np.ndarray, prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    squares = np.square(predicted - prompts.targets)
    return squares if squares.ndim == 2 else squares.sum(axis=-1)


def _law(prompts: Prompts) -> Float64[np.ndarray, "B P k"]:
    """The law of the class at every query: the true one, or where it is unknown all mass on the target."""
    if prompts.probabilities is not None:
        return prompts.probabilities
    if (prompts.targets < 0).any():
        raise InvalidInputError("prompts must have targets or probabilities to be scored; some are unknown.")
    return np.eye(prompts.labels.size)[prompts.targets]


def _cross_entropy(predicted: np.ndarray, prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    entropies = -xlogy(_law(prompts), predicted).sum(axis=-1)
    if not np.isfinite(entropies).all():
        position = int(np.argwhere(~np.isfinite(entropies).all(axis=0))[0, 0])
        raise InvalidInputError(
            "a class that can occur must have a positive probability for the cross-entropy to be finite; "
            f"0 was predicted at position {position}: score the accuracy, or smooth the predictions."
        )
    return entropies


def _divergence(predicted: np.ndarray, prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    law = _law(prompts)
    # Rounding can leave a divergence of 0 slightly negative.
    return np.maximum(_cross_entropy(predicted, prompts) + xlogy(law, law).sum(axis=-1), 0.0)


def _accuracy(predicted: np.ndarray, prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    return (_shared_maxima(predicted) * _law(prompts)).sum(axis=-1)


def _target_accuracy(predicted: np.ndarray, prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    if (prompts.targets < 0).any():
        raise InvalidInputError("prompts must have targets to be scored; some are unknown.")
    return np.take_along_axis(_shared_maxima(predicted), prompts.targets[..., None], axis=-1)[..., 0]


def _shared_maxima(predicted: np.ndarray) -> Float64[np.ndarray, "B P k"]:
    """All mass on the likeliest class, shared among those that tie."""
    best = predicted == predicted.max(axis=-1, keepdims=True)
    return best / best.sum(axis=-1, keepdims=True)


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score(
            "squared_error",
            ("real", "vector"),
            _squared_error,
            "squared error",
            "(ŷ − h(x))², of vectors |ŷ − h(x)|².",
        ),
        Score(
            "cross_entropy",
            ("class",),
            _cross_entropy,
            "cross-entropy (nats)",
            "−Σ p log q in nats, p the true law where it is known.",
            math.log,
        ),
        Score(
            "kl_divergence",
            ("class",),
            _divergence,
            "divergence (nats)",
            "Σ p log (p/q) in nats: cross-entropy above the entropy of p.",
        ),
        Score(
            "accuracy",
            ("class",),
            _accuracy,
            "accuracy",
            "Probability that the label is the likeliest class; ties share it.",
            lambda k: 1 / k,
        ),
        Score(
            "target_accuracy",
            ("class",),
            _target_accuracy,
            "accuracy on noise-free targets",
            "The same for the noise-free target.",
            lambda k: 1 / k,
        ),
    )
}
"""All scores by name. The first of a kind of labels is what they are scored by unless one is named."""


def score_for(labels: Labels, name: str | None = None) -> Score:
    """The score of a name for labels of a kind, or their usual one.

    Raises
    ------
    InvalidInputError
        If there is no such score for these labels.
    """
    fitting = {key: score for key, score in SCORES.items() if labels.kind in score.kinds}
    if name is None:
        return next(iter(fitting.values()))
    return fitting[check_choice(name, f"the score of {labels.kind} labels", fitting)]
