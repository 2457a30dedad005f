"""Data as in-context learners read them: scaled columns, contexts that are not too long, a cost that is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.utils.validation import (
    _check_sample_weight,  # pyright: ignore[reportPrivateUsage] as scikit-learn's own estimators use it
    validate_data,
)

from iclab.foundations import InvalidInputError, check_integer, check_kind
from iclab.predictors import Predictor
from iclab.predictors.limits import Limits, limits_of

# Queries answered between two looks at the clock, and seconds from which on the cost is told.
_QUERIES, _LONG = 512, 60.0


def checked_data(estimator: Any, X: Any, *y: Any, **options: Any) -> Any:
    """X, or X and a ``y``, in float64 as scikit-learn checks them, once they are found to hold numbers.

    Raises
    ------
    InvalidInputError
        If X, or ``y`` of numbers, has masked entries or holds words, dates or the like.
    """
    check_kind(X, "X")
    for labels in y:
        if options.get("y_numeric") or isinstance(labels, np.ma.MaskedArray):
            check_kind(labels, "y")
    with np.errstate(over="ignore", invalid="ignore"):  # its sums of large numbers
        return validate_data(estimator, X, *y, dtype=np.float64, **options)


def checked_weights(given: Any, inputs: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, " n"] | None:
    """How often each example counts; None for once.

    Raises
    ------
    InvalidInputError
        If all weights are 0.
    """
    if given is None:
        return None
    check_kind(given, "sample_weight")
    weights = _check_sample_weight(given, inputs, dtype=np.float64, ensure_non_negative=True)
    if not weights.sum() > 0:
        raise InvalidInputError("sample_weight must be positive for some example; all are 0.")
    return weights


def fitting_limits(predictor: Predictor, inputs: Float64[np.ndarray, "n d"]) -> Limits:
    """The limits of a predictor of these inputs.

    Raises
    ------
    InvalidInputError
        If it takes fewer coordinates.
    """
    limits = limits_of(predictor)
    if limits.dimension is not None and inputs.shape[1] > limits.dimension:
        raise InvalidInputError(
            f"X must have at most the model's {limits.dimension} features; it has {inputs.shape[1]}: reduce them "
            "first, for example by PCA in a pipeline."
        )
    return limits


def contexts_of(
    count: int, limits: Limits, weights: Float64[np.ndarray, " n"] | None, random_state: Any
) -> list[Int64[np.ndarray, " n"]]:
    """The rows of each context: all in the order given if one can hold them, else evenly spaced runs of a shuffle.

    Raises
    ------
    InvalidInputError
        If weights are not whole, or ``random_state`` is none.
    """
    random = generator(random_state)
    repeated = np.arange(count) if weights is None else np.repeat(np.arange(count), _whole(weights))
    longest = len(repeated) if limits.examples is None else limits.examples
    if len(repeated) <= longest:
        return [repeated]
    shuffled = repeated[random.permutation(len(repeated))]
    starts = np.linspace(0, len(repeated) - longest, -(-len(repeated) // longest)).round().astype(int)
    return [shuffled[start : start + longest] for start in starts]


def generator(random_state: Any) -> Any:
    """What shuffles: a Generator, or a RandomState as it was given."""
    if random_state is None or isinstance(random_state, np.random.Generator | np.random.RandomState):
        return np.random.default_rng() if random_state is None else random_state
    return np.random.default_rng(check_integer(random_state, "random_state", minimum=0))


def _whole(weights: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    if (weights != np.round(weights)).any() or weights.sum() > 1e7:
        raise InvalidInputError(
            "sample_weight must be whole numbers, of at most 1e7 in all, for a learner that reads examples one by one; "
            f"{weights[weights != np.round(weights)][:1]} was given: take a learner by its name."
        )
    return weights.astype(np.int64)


def divided(values: Float64[np.ndarray, "n d"], by: Float64[np.ndarray, " d"]) -> Float64[np.ndarray, "n d"]:
    """Columns divided each by its scale; zeros where that is 0, of a column that did not vary."""
    varies = by > 0
    scaled = values / np.where(varies, by, 1.0)
    scaled[..., ~varies] = 0.0
    return scaled


def moments(values: Float64[np.ndarray, "n d"], weights: Float64[np.ndarray, " n"] | None) -> tuple[Any, Any]:
    """Mean and standard deviation of each column, 0 for what is constant up to the rounding of its mean."""
    # Of the largest and smallest doubles the squares would be infinite and 0; a power of two rounds nothing.
    counted = values if weights is None else values[weights > 0]
    unit = np.ldexp(1.0, np.frexp(np.abs(counted).max(axis=0))[1] - 1)
    scaled = values / unit
    mean = np.average(scaled, axis=0, weights=weights)
    scaled -= mean
    deviation = np.sqrt(np.average(np.square(scaled, out=scaled), axis=0, weights=weights))
    rounding = 10 * len(values) * np.finfo(np.float64).eps
    return mean * unit, np.where(deviation > rounding, deviation * unit, 0.0)


def padded(values: Float64[np.ndarray, "*n d"], limits: Limits) -> Float64[np.ndarray, "*n D"]:
    """Zeros in the coordinates that the predictor has and the data do not."""
    size = limits.dimension or values.shape[-1]
    return np.concatenate([values, np.zeros((*values.shape[:-1], size - values.shape[-1]))], axis=-1)


def batches(queries: int, contexts: int) -> Iterator[slice]:
    """The queries some at a time; says on stderr what they take, if more than a minute, and how far it is."""
    began = told = time.monotonic()
    long = False
    for start in range(0, queries, _QUERIES):
        some = slice(start, min(start + _QUERIES, queries))
        yield some
        now = time.monotonic()
        left = (now - began) / some.stop * (queries - some.stop)
        if not long and now - began + left > _LONG:
            long, told = True, now
            sys.stderr.write(
                f"{queries} queries of {contexts} contexts take about {(now - began + left) / 60:.0f} min.\n"
            )
        elif long and now - told > 15:
            told = now
            sys.stderr.write(f"{some.stop} of {queries} queries, about {left:.0f} s left\n")
