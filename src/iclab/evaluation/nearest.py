"""Which algorithm is it? The distance of a predictor to every classical one, and the nearest with its certainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from iclab.evaluation.compare import require_named
from iclab.evaluation.curves import predictions
from iclab.evaluation.streaming import SamplesPrompts, chunk_size, chunks, width_of
from iclab.foundations import InvalidInputError, bootstrap_weights, check_integer, check_real, standard_error
from iclab.predictors import Predictor
from iclab.prompts import Prompts

if TYPE_CHECKING:
    import pandas as pd

NONE = "none"


@dataclass(frozen=True, eq=False)
class NearestAlgorithm:
    """Result of ``nearest_algorithm``.

    Attributes
    ----------
    distances : DataFrame
        Columns distribution, position, candidate, distance, stderr, frequency, n. The distance is the mean
        squared difference of predictions divided by the mean squared target, that of the other positions where a
        position's targets are all 0 (for classes, of probabilities, divided by 1 − 1/k: all mass on one class is at
        distance 1 from the uniform law); the frequency is the share of bootstrap samples of prompts in which this
        candidate is the nearest.
    verdicts : DataFrame
        Columns distribution, position, nearest ("none" beyond the stated distance), closest (the nearest
        candidate whatever its distance), distance, stderr, frequency, ties (other candidates that the
        bootstrap finds nearer or as near in at least 5 % of samples), n.
    beyond : float
        The stated distance.
    """

    distances: pd.DataFrame
    verdicts: pd.DataFrame
    beyond: float


def nearest_algorithm(
    predictor: Predictor,
    candidates: Mapping[str, Predictor],
    distributions: Mapping[str, SamplesPrompts],
    n_points: int,
    *,
    n_prompts: int = 1280,
    seed: int,
    beyond: float = 0.1,
    n_bootstrap: int = 1000,
    progress: Callable[[str, int, int], None] | None = None,
) -> NearestAlgorithm:
    """Compare the predictions of ``predictor`` with those of every candidate, by position and distribution.

    Parameters
    ----------
    predictor : callable
        The one in question.
    candidates : dict of str to predictor
        Those it may be.
    distributions : dict of str to PromptDistribution
        Where to look, for example shifts.
    n_points, n_prompts, seed
        Positions and prompts. Squared differences of all prompts are kept for the bootstrap.
    beyond : float
        Distance above which no candidate is called nearest; 1 is the mean squared target.
    n_bootstrap : int
        Resamplings of the prompts.
    progress : callable, optional
        Called with (distribution, prompts done, prompts in all).

    Returns
    -------
    NearestAlgorithm
        Tables of distances and of verdicts.

    Raises
    ------
    InvalidInputError
        If candidates or distributions are no mapping or empty, a number is out of range, or a prediction is not finite.
    """
    import pandas as pd

    require_named(candidates=candidates, distributions=distributions)
    n_points = check_integer(n_points, "n_points", minimum=1)
    n_prompts = check_integer(n_prompts, "n_prompts", minimum=2)
    n_bootstrap = check_integer(n_bootstrap, "n_bootstrap", minimum=1)
    beyond = check_real(beyond, "beyond", above=0.0)
    # One set of resamplings for all: how often each prompt is drawn.
    resamplings = bootstrap_weights(n_prompts, n_bootstrap, seed)
    distances: list[pd.DataFrame] = []
    verdicts: list[pd.DataFrame] = []
    for name, distribution in distributions.items():
        squares, power = _squared_differences(
            predictor, candidates, distribution, n_points, n_prompts, seed, name, progress
        )
        first, second = _judge(name, list(candidates), squares / power, resamplings, beyond)
        distances.append(first)
        verdicts.append(second)
    return NearestAlgorithm(pd.concat(distances, ignore_index=True), pd.concat(verdicts, ignore_index=True), beyond)


def _squared_differences(
    predictor: Predictor,
    candidates: Mapping[str, Predictor],
    distribution: SamplesPrompts,
    n_points: int,
    n_prompts: int,
    seed: int,
    label: str,
    progress: Callable[[str, int, int], None] | None,
) -> tuple[Float64[np.ndarray, "P K n"], Float64[np.ndarray, "P 1 1"]]:
    squares = np.empty((n_points, len(candidates), n_prompts))
    power = np.zeros(n_points)
    for start, count in chunks(n_prompts, chunk_size(n_points, width_of(distribution))):
        prompts = distribution.sample(count, n_points, seed=seed, start=start)
        own = predictions(predictor, "the predictor", prompts)
        for k, (name, candidate) in enumerate(candidates.items()):
            squares[:, k, start : start + count] = _total((own - predictions(candidate, name, prompts)) ** 2).T
        power += _power(prompts).sum(axis=0) / n_prompts
        if progress is not None:
            progress(label, start + count, n_prompts)
    if not power.any():
        raise InvalidInputError(f"targets must not all be 0, which leaves no scale for distances; they are on {label}.")
    # Of a position whose targets are all 0, as the first of a sequence without noise, that of the others.
    power = np.where(power > 0, power, power[power > 0].mean())
    return squares, power[:, None, None]


def _total(squares: np.ndarray) -> Float64[np.ndarray, "B P"]:
    return squares if squares.ndim == 2 else squares.sum(axis=-1)


def _power(prompts: Prompts) -> Float64[np.ndarray, "B P"]:
    """Squared size of what there is to know: of the target, or of a class's indicator about the uniform law."""
    if prompts.n_classes is not None:
        return np.full(prompts.ys.shape, 1 - 1 / prompts.n_classes)
    return _total(np.square(prompts.targets))


def _judge(
    distribution: str,
    names: list[str],
    squares: Float64[np.ndarray, "P K n"],
    resamplings: Float64[np.ndarray, "R n"],
    beyond: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    n_points, n_candidates, n = squares.shape
    mean = squares.mean(axis=2)
    stderr = np.asarray(standard_error(squares, axis=2))
    resampled = np.einsum("rn,pkn->rpk", resamplings, squares, optimize=True)
    # Equal up to rounding is a tie: each of the tied is counted as nearest.
    least = resampled.min(axis=2, keepdims=True)
    frequency = (resampled <= least * (1 + 1e-9) + 1e-24).mean(axis=0)
    best = mean.argmin(axis=1)
    rows = np.arange(n_points)
    ties = [", ".join(names[k] for k in range(n_candidates) if k != best[i] and frequency[i, k] >= 0.05) for i in rows]
    distances = pd.DataFrame(
        {
            "distribution": distribution,
            "position": np.repeat(rows, n_candidates),
            "candidate": names * n_points,
            "distance": mean.ravel(),
            "stderr": stderr.ravel(),
            "frequency": frequency.ravel(),
            "n": n,
        }
    )
    verdicts = pd.DataFrame(
        {
            "distribution": distribution,
            "position": rows,
            "nearest": [names[k] if mean[i, k] <= beyond else NONE for i, k in enumerate(best)],
            "closest": [names[k] for k in best],
            "distance": mean[rows, best],
            "stderr": stderr[rows, best],
            "frequency": frequency[rows, best],
            "ties": ties,
            "n": n,
        }
    )
    return distances, verdicts
