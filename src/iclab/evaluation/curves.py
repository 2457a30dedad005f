"""Error curves: mean score of a predictor at every position, with its standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64

from iclab.evaluation.scores import score_for
from iclab.evaluation.streaming import Histogram, Moments, SamplesPrompts, accumulate
from iclab.foundations import InvalidInputError, PromptLabels, check_real, check_reals
from iclab.predictors import Predictor
from iclab.prompts import Prompts
from iclab.prompts.labels import labels_of

# Of probabilities computed in single precision.
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Mean score by position; of numbers the squared error (prediction − target)², raw: divide by a stated normaliser.

    Attributes
    ----------
    mean, stderr : ndarray, shape (P,)
        Mean over prompts and its standard error; position i has i examples.
    n_prompts : int
        Number of prompts.
    seed : int
        Seed that drew them.
    quantiles : dict of float to ndarray, shape (P,)
        Quantiles over prompts, to 1.6 %, for the levels that were asked for. Where a mean is infinite (noisy
        least squares at |i − d| ≤ 1) the median is the number to look at.
    score : str
        What was measured: a name in ``SCORES``.
    """

    mean: Float64[np.ndarray, " P"]
    stderr: Float64[np.ndarray, " P"]
    n_prompts: int
    seed: int
    quantiles: dict[float, Float64[np.ndarray, " P"]] = field(default_factory=dict)
    score: str = "squared_error"

    def __len__(self) -> int:
        return len(self.mean)


def error_curve(
    predictor: Predictor,
    distribution: SamplesPrompts,
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    score: str | None = None,
    quantiles: Sequence[float] = (),
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ErrorCurve:
    """Mean score of a predictor by position: squared error of numbers, cross-entropy in nats of classes.

    Numbers are scored against noise-free targets, classes against the true law of the class where the distribution
    knows it (Rao-Blackwell: the same mean with a smaller standard error).

    Parameters
    ----------
    predictor : callable
        Prompts to predictions, shape (B, P); (B, P, k) for vectors, and for classes their probabilities.
    distribution : PromptDistribution
        Where prompts come from; prompts 0 … n_prompts − 1 of its evaluation stream are used, in constant
        memory.
    n_points : int
        Positions P, for 0 … P − 1 examples.
    n_prompts : int
        At least 2.
    seed : int
        Seed of the prompts: the same seed gives every predictor the same prompts.
    score : str, optional
        One of ``SCORES`` that fits the labels; their usual one when omitted.
    quantiles : sequence of float
        Levels between 0 and 1 to estimate as well.
    n_jobs : int, optional
        joblib workers; None takes what an enclosing ``joblib.parallel_config`` says. No effect on the result.
    progress : callable, optional
        Called with (prompts done, prompts in all).

    Returns
    -------
    ErrorCurve
        Mean and standard error by position.

    Raises
    ------
    InvalidInputError
        If a number is out of range, the score does not fit the labels, or the predictor returns another shape, numbers
        that are not finite, or what are no probabilities.

    Examples
    --------
    >>> from iclab.evaluation import error_curve
    >>> from iclab.predictors import LeastSquares
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> problem = PromptDistribution(Gaussian.isotropic(2), Linear())
    >>> curve = error_curve(LeastSquares(), problem, 5, n_prompts=100, seed=0)
    >>> curve.mean.round(6)[2:]  # two examples without noise determine w
    array([0., 0., 0.])
    """
    levels = [check_level(level) for level in quantiles]
    measure = Scores((("the predictor", predictor),), score)
    summaries = (Moments, Histogram) if levels else (Moments,)
    first, *rest = accumulate(
        measure,
        distribution,
        n_points,
        n_prompts=n_prompts,
        seed=seed,
        summaries=summaries,
        n_jobs=n_jobs,
        progress=progress,
    )
    found = {level: rest[0].quantile(level)[0] for level in levels}
    name = score_for(labels_of(distribution), score).name
    return ErrorCurve(first.mean[0], first.stderr[0], first.n, seed, found, name)


@dataclass(frozen=True)
class Scores:
    """Measures the scores of named predictors on the same prompts: samples of shape (B, K, P)."""

    predictors: tuple[tuple[str, Predictor], ...]
    score: str | None = None

    def __call__(self, prompts: Prompts) -> Float64[np.ndarray, "B K P"]:
        """Scores by prompt, predictor and position."""
        rule = score_for(prompts.labels, self.score).of
        scores = np.empty((len(prompts), len(self.predictors), prompts.n_points))
        for k, (name, predictor) in enumerate(self.predictors):
            scores[:, k] = rule(predictions(predictor, name, prompts), prompts)
        return scores


SquaredErrors = Scores  # of real labels, which most studies have


def predictions(predictor: Predictor, name: str, prompts: Prompts) -> PromptLabels:
    """What ``predictor`` says, checked. It is shown a copy, so that one that works in place spoils no other's numbers.

    Raises
    ------
    InvalidInputError
        If it is no predictor, or what it returns has another shape than one prediction per position, is not real and
        finite, or for classes no law of probabilities.
    """
    if not callable(predictor):
        raise InvalidInputError(f"{name} must map prompts to predictions; {predictor!r} cannot be called.")
    if isinstance(predictor, type):
        raise InvalidInputError(f"{name} must be a predictor, not its class; make one with {predictor.__name__}(…).")
    values = check_reals(predictor(own_copy(prompts)), f"what {name} returns")
    shape = (len(prompts), prompts.n_points, *prompts.labels.answer_shape)
    if values.shape != shape:
        raise InvalidInputError(
            f"{name} must return one prediction per prompt and position, shape {shape}; "
            f"shape {values.shape} was returned."
        )
    if not np.isfinite(values).all():
        position = int(np.argwhere(~np.isfinite(values).all(axis=0))[0, 0])
        raise InvalidInputError(
            f"{name} must return finite predictions; NaN or infinity was returned at position {position}: "
            "a step size may be too large, or the prompts out of its range."
        )
    if prompts.n_classes is not None:
        _check_laws(values, name)
    return values


def _check_laws(values: Float64[np.ndarray, "B P k"], name: str) -> None:
    wrong = (values < 0).any(axis=-1) | (np.abs(values.sum(axis=-1) - 1) > _ROUNDING)
    if wrong.any():
        law = values[wrong][0]
        raise InvalidInputError(
            f"{name} must return probabilities of {values.shape[-1]} classes, at least 0 and adding to 1; they add to "
            f"{law.sum():.6g} and the smallest is {law.min():.6g}."
        )


def own_copy(prompts: Prompts) -> Prompts:
    """The same prompts in memory of their own; read-only arrays would not do, as torch writes to them all the same."""
    xs, ys, targets = (np.copy(part, order="K") for part in (prompts.xs, prompts.ys, prompts.targets))
    queries = np.copy(prompts.queries, order="K") if prompts.shifted_queries else xs
    law = None if prompts.probabilities is None else np.copy(prompts.probabilities)
    return replace(prompts, xs=xs, ys=ys, queries=queries, targets=targets, probabilities=law)


def check_level(level: float) -> float:
    """Return a quantile level, or raise if it does not lie strictly between 0 and 1."""
    return check_real(level, "a quantile level", above=0.0, below=1.0)
