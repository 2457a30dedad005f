"""Error curves: mean squared error of a predictor at every position, with its standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64

from iclab.evaluation.streaming import Histogram, Moments, SamplesPrompts, accumulate
from iclab.foundations import InvalidInputError, PromptLabels, check_real, check_reals
from iclab.predictors import Predictor
from iclab.prompts import Prompts


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Squared error (prediction − target)² by position, raw: divide by a stated normaliser when drawing.

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
    """

    mean: Float64[np.ndarray, " P"]
    stderr: Float64[np.ndarray, " P"]
    n_prompts: int
    seed: int
    quantiles: dict[float, Float64[np.ndarray, " P"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.mean)


def error_curve(
    predictor: Predictor,
    distribution: SamplesPrompts,
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    quantiles: Sequence[float] = (),
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ErrorCurve:
    """Mean squared error of a predictor by position, against the noise-free targets.

    Parameters
    ----------
    predictor : callable
        Prompts to predictions, shape (B, P).
    distribution : PromptDistribution
        Where prompts come from; prompts 0 … n_prompts − 1 of its evaluation stream are used, in constant
        memory.
    n_points : int
        Positions P, for 0 … P − 1 examples.
    n_prompts : int
        At least 2.
    seed : int
        Seed of the prompts: the same seed gives every predictor the same prompts.
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
        If a number is out of range, or the predictor returns another shape or numbers that are not finite.
    """
    levels = [check_level(level) for level in quantiles]
    measure = SquaredErrors((("the predictor", predictor),))
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
    return ErrorCurve(first.mean[0], first.stderr[0], first.n, seed, found)


@dataclass(frozen=True)
class SquaredErrors:
    """Measures the squared errors of named predictors on the same prompts: samples of shape (B, K, P)."""

    predictors: tuple[tuple[str, Predictor], ...]

    def __call__(self, prompts: Prompts) -> Float64[np.ndarray, "B K P"]:
        """Squared errors against the targets."""
        errors = np.empty((len(prompts), len(self.predictors), prompts.n_points))
        for k, (name, predictor) in enumerate(self.predictors):
            np.square(predictions(predictor, name, prompts) - prompts.targets, out=errors[:, k])
        return errors


def predictions(predictor: Predictor, name: str, prompts: Prompts) -> PromptLabels:
    """What ``predictor`` says, checked. It is shown a copy, so that one that works in place spoils no other's numbers.

    Raises
    ------
    InvalidInputError
        If it is no predictor, or what it returns has another shape than (B, P) or is not real and finite.
    """
    if not callable(predictor):
        raise InvalidInputError(f"{name} must map prompts to predictions; {predictor!r} cannot be called.")
    if isinstance(predictor, type):
        raise InvalidInputError(f"{name} must be a predictor, not its class; make one with {predictor.__name__}(…).")
    values = check_reals(predictor(own_copy(prompts)), f"what {name} returns")
    if values.shape != prompts.ys.shape:
        raise InvalidInputError(
            f"{name} must return one prediction per prompt and position, shape {prompts.ys.shape}; "
            f"shape {values.shape} was returned."
        )
    if not np.isfinite(values).all():
        position = int(np.argwhere(~np.isfinite(values).all(axis=0))[0, 0])
        raise InvalidInputError(
            f"{name} must return finite predictions; NaN or infinity was returned at position {position}: "
            "a step size may be too large, or the prompts out of its range."
        )
    return values


def own_copy(prompts: Prompts) -> Prompts:
    """The same prompts in memory of their own; read-only arrays would not do, as torch writes to them all the same."""
    xs, ys, targets = (np.copy(part, order="K") for part in (prompts.xs, prompts.ys, prompts.targets))
    queries = np.copy(prompts.queries, order="K") if prompts.shifted_queries else xs
    return replace(prompts, xs=xs, ys=ys, queries=queries, targets=targets)


def check_level(level: float) -> float:
    """Return a quantile level, or raise if it does not lie strictly between 0 and 1."""
    number = check_real(level, "a quantile level", above=0.0)
    if number >= 1:
        raise InvalidInputError(f"a quantile level must lie between 0 and 1; {number} was given.")
    return number
