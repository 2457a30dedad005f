"""Many queries of one context: what a predictor that keeps a context says to them, or any predictor one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64

from iclab.evaluation.curves import predictions
from iclab.predictors import Predictor
from iclab.prompts import Prompts

# Numbers of prompts held at once.
_NUMBERS = 1 << 22


def answers(
    predictor: Predictor,
    xs: Float64[np.ndarray, "B N d"],
    ys: Float64[np.ndarray, "B N"],
    queries: Float64[np.ndarray, "Q d"],
) -> Float64[np.ndarray, "B Q"]:
    """Predictions for the same queries from each of several contexts.

    Parameters
    ----------
    predictor : Predictor
        One with a method ``answer`` of these arguments reads each context once.
    xs, ys : ndarray, shapes (B, N, d) and (B, N)
        Examples of each context.
    queries : ndarray, shape (Q, d)
        What is asked.

    Raises
    ------
    InvalidInputError
        If the predictor does not answer with one finite number per prompt and position.
    """
    own: Any = getattr(predictor, "answer", None)
    return np.asarray(own(xs, ys, queries)) if callable(own) else one_by_one(predictor, xs, ys, queries)


def one_by_one(
    predictor: Predictor,
    xs: Float64[np.ndarray, "B N d"],
    ys: Float64[np.ndarray, "B N"],
    queries: Float64[np.ndarray, "Q d"],
) -> Float64[np.ndarray, "B Q"]:
    """The same from a prompt per query, in bounded memory."""
    found = np.empty((len(xs), len(queries)))
    size = max(1, _NUMBERS // ((xs.shape[1] + 1) * max(1, xs.shape[2])))
    for each, (examples, labels) in enumerate(zip(xs, ys, strict=True)):
        for start in range(0, len(queries), size):
            some = queries[start : start + size]
            # The query stands where its example would: unshifted prompts, one forward pass.
            shown = np.concatenate([np.broadcast_to(examples, (len(some), *examples.shape)), some[:, None]], axis=1)
            told = np.broadcast_to(np.append(labels, 0.0), shown.shape[:2])
            found[each, start : start + size] = predictions(predictor, "model", Prompts(shown, told, shown, told))[
                :, -1
            ]
    return found
