"""Several predictors on the same prompts: curves side by side, and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from iclab.evaluation.curves import Scores, check_level
from iclab.evaluation.streaming import Histogram, Moments, SamplesPrompts, accumulate
from iclab.foundations import InvalidInputError, check_choice, student_interval
from iclab.predictors import Predictor
from iclab.prompts import Prompts

if TYPE_CHECKING:
    import pandas as pd


def compare(
    predictors: Mapping[str, Predictor],
    distributions: Mapping[str, SamplesPrompts],
    n_points: int,
    *,
    n_prompts: int,
    seed: int,
    score: str | None = None,
    quantiles: Sequence[float] = (),
    n_jobs: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Error curves of every predictor on every distribution, all predictors on the same prompts.

    Parameters
    ----------
    predictors : dict of str to predictor
        Names are kept in the table.
    distributions : dict of str to PromptDistribution
        Names are kept in the table.
    n_points, n_prompts, seed, score, quantiles, n_jobs
        As in ``error_curve``.
    progress : callable, optional
        Called with (distribution, prompts done, prompts in all).

    Returns
    -------
    pandas.DataFrame
        Columns predictor, distribution, position, mean, stderr, n, and one column ``q<level>`` per quantile.

    Raises
    ------
    InvalidInputError
        If predictors or distributions are no mapping or empty, or as in ``error_curve``.

    Examples
    --------
    >>> from iclab.predictors import Averaging, LeastSquares
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> problem = PromptDistribution(Gaussian.isotropic(2), Linear(), noise=0.1)
    >>> learners = {"averaging": Averaging(), "least squares": LeastSquares()}
    >>> table = compare(learners, {"linear": problem}, 11, n_prompts=100, seed=0)
    >>> last = table[table["position"] == 10].set_index("predictor")["mean"]
    >>> bool(last["least squares"] < last["averaging"])
    True
    """
    import pandas as pd

    require_named(predictors=predictors, distributions=distributions)
    levels = [check_level(level) for level in quantiles]
    measure = Scores(tuple(predictors.items()), score)
    tables: list[pd.DataFrame] = []
    for name, distribution in distributions.items():
        first, *rest = accumulate(
            measure,
            distribution,
            n_points,
            n_prompts=n_prompts,
            seed=seed,
            summaries=(Moments, Histogram) if levels else (Moments,),
            n_jobs=n_jobs,
            progress=_labelled(progress, name),
        )
        columns = {"mean": first.mean, "stderr": first.stderr}
        columns |= {f"q{level:g}": rest[0].quantile(level) for level in levels}
        tables.append(_tidy(list(predictors), name, columns, first.n))
    return pd.concat(tables, ignore_index=True)


def differences(
    predictors: Mapping[str, Predictor],
    distributions: Mapping[str, SamplesPrompts],
    n_points: int,
    *,
    baseline: str,
    n_prompts: int,
    seed: int,
    score: str | None = None,
    level: float = 0.95,
    n_jobs: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Score of every predictor minus that of ``baseline`` on the same prompts, with intervals.

    Pairing removes what all predictors share, the difficulty of a prompt; with the Bayes predictor or least
    squares as baseline the difference is the excess error over it.

    Parameters
    ----------
    predictors, distributions, n_points, n_prompts, seed, score, n_jobs, progress
        As in ``compare``.
    baseline : str
        A name in ``predictors``.
    level : float
        Confidence level of the two-sided Student interval around each mean difference.

    Returns
    -------
    pandas.DataFrame
        Columns predictor, baseline, distribution, position, mean, stderr, lower, upper, n.

    Raises
    ------
    InvalidInputError
        If the baseline is unknown, or as in ``compare``.

    Examples
    --------
    >>> from iclab.evaluation import differences
    >>> from iclab.predictors import LeastSquares, Ridge
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> problem = PromptDistribution(Gaussian.isotropic(3), Linear(), noise=1.0)
    >>> learners = {"Bayes": Ridge.bayes(1.0), "least squares": LeastSquares()}
    >>> table = differences(learners, {"linear": problem}, 11, baseline="Bayes", n_prompts=400, seed=0)
    >>> bool(table["lower"].iloc[-1] > 0)  # after ten examples least squares is worse, at 95 %
    True
    """
    import pandas as pd

    require_named(predictors=predictors, distributions=distributions)
    check_choice(baseline, "baseline", predictors)
    others = [name for name in predictors if name != baseline]
    if not others:
        raise InvalidInputError("predictors must hold one more than the baseline; only the baseline was given.")
    check_level(level)
    pairs = tuple((name, predictors[name]) for name in others)
    measure = PairedDifferences((baseline, predictors[baseline]), pairs, score)
    tables: list[pd.DataFrame] = []
    for name, distribution in distributions.items():
        [found] = accumulate(
            measure,
            distribution,
            n_points,
            n_prompts=n_prompts,
            seed=seed,
            n_jobs=n_jobs,
            progress=_labelled(progress, name),
        )
        lower, upper = interval(found, level)
        columns = {"mean": found.mean, "stderr": found.stderr, "lower": lower, "upper": upper}
        table = _tidy(others, name, columns, found.n)
        table.insert(1, "baseline", baseline)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def interval(
    moments: Moments, level: float = 0.95
) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"]]:
    """Lower and upper end of the two-sided Student interval around a mean, each of the shape of one sample.

    Parameters
    ----------
    moments : Moments
        Of the samples.
    level : float
        Confidence level, between 0 and 1.

    Raises
    ------
    InvalidInputError
        If the level is out of range.
    """
    low, high = student_interval(moments.mean, moments.stderr, moments.n - 1, check_level(level))
    return np.asarray(low), np.asarray(high)


@dataclass(frozen=True)
class PairedDifferences:
    """Measures scores minus the baseline's on the same prompts: samples of shape (B, K, P)."""

    baseline: tuple[str, Predictor]
    others: tuple[tuple[str, Predictor], ...]
    score: str | None = None

    def __call__(self, prompts: Prompts) -> Float64[np.ndarray, "B K P"]:
        """Differences of scores."""
        errors = Scores((self.baseline, *self.others), self.score)(prompts)
        return errors[:, 1:] - errors[:, :1]


def require_named(**mappings: Mapping[str, object]) -> None:
    """Raise unless each is a mapping with a member, called by the name of its argument."""
    for name, given in mappings.items():
        if not isinstance(given, Mapping):
            raise InvalidInputError(f"{name} must map names to {name}, as a dict does; {given!r} was given.")
        if not given:
            raise InvalidInputError(f"{name} must name at least one member; an empty mapping was given.")


def _labelled(progress: Callable[[str, int, int], None] | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _tidy(
    predictors: Sequence[str], distribution: str, columns: Mapping[str, Float64[np.ndarray, "K P"]], n: int
) -> pd.DataFrame:
    import pandas as pd

    n_points = next(iter(columns.values())).shape[1]
    return pd.DataFrame(
        {
            "predictor": np.repeat(list(predictors), n_points),
            "distribution": distribution,
            "position": np.tile(np.arange(n_points), len(predictors)),
            **{name: values.ravel() for name, values in columns.items()},
            "n": n,
        }
    )
