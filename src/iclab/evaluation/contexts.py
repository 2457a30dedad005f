"""Many queries of one context: what a predictor that keeps a context says to them, or any predictor one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from iclab.evaluation.curves import predictions
from iclab.foundations import PromptLabels
from iclab.predictors import Predictor
from iclab.prompts import Prompts

# Numbers of prompts held at once.
_NUMBERS = 1 << 22


def answers(
    predictor: Predictor,
    xs: Float64[np.ndarray, "B N d"],
    ys: Float64[np.ndarray, "B N"] | Int64[np.ndarray, "B N"],
    queries: Float64[np.ndarray, "Q d"],
    n_classes: int | None = None,
) -> PromptLabels:
    """Predictions for the same queries from each of several contexts, shape (B, Q), or (B, Q, k) of classes.

    Parameters
    ----------
    predictor : Predictor
        One with a method ``answer`` of these arguments reads each context once.
    xs, ys : ndarray, shapes (B, N, d) and (B, N)
        Examples of each context.
    queries : ndarray, shape (Q, d)
        What is asked.
    n_classes : int, optional
        Number k of classes, where labels are such.

    Raises
    ------
    InvalidInputError
        If the predictor does not answer with one finite number, or the probabilities of k classes, per query.
    """
    own: Any = getattr(predictor, "answer", None)
    if callable(own):
        return np.asarray(own(xs, ys, queries))
    return one_by_one(predictor, xs, ys, queries, n_classes)


def one_by_one(
    predictor: Predictor,
    xs: Float64[np.ndarray, "B N d"],
    ys: Float64[np.ndarray, "B N"] | Int64[np.ndarray, "B N"],
    queries: Float64[np.ndarray, "Q d"],
    n_classes: int | None = None,
) -> PromptLabels:
    """The same from a prompt per query, in bounded memory."""
    found = np.empty((len(xs), len(queries), *([] if n_classes is None else [n_classes])))
    size = max(1, _NUMBERS // ((xs.shape[1] + 1) * max(1, xs.shape[2])))
    for each, (examples, labels) in enumerate(zip(xs, ys, strict=True)):
        for start in range(0, len(queries), size):
            some = queries[start : start + size]
            # The query stands where its example would: unshifted prompts, one forward pass.
            shown = np.concatenate([np.broadcast_to(examples, (len(some), *examples.shape)), some[:, None]], axis=1)
            told = np.broadcast_to(np.append(labels, labels.dtype.type(0)), shown.shape[:2])
            asked = Prompts(shown, told, shown, told, n_classes)
            found[each, start : start + size] = predictions(predictor, "model", asked)[:, -1]
    return found
