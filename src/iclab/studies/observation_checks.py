"""The checks of the paper's observations: errors of models, held against the criteria.

Each observation becomes several checks (one per model, panel or pair). A check compares errors of the same
prompts, so its standard error is that of the paired difference; that of a ratio is from the bootstrap. Where a
model was trained from several seeds, the spread between them is in its interval too, as Student's t has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from iclab.studies.observations import (
    CONFIDENCE,
    FAILS,
    LONGER_IS_BETTER,
    RANDOM_IS_BETTER,
    SHORT_OF_LEAST_SQUARES,
    SPIKES,
    SPIKES_SHRINK,
    SUCCEEDS,
    Beside,
    Observation,
    outcome_of,
)
from iclab.studies.panels import resampling

RESAMPLES = 1000
# (family, N, panel) → squared errors / d, training seeds × prompts × positions.
ErrorsByModel: TypeAlias = Mapping[tuple[str, int, str], Float64[np.ndarray, "S B P"]]
# The same key → logarithm of the spike: of the mean over seeds, then of each seed; measured, then resampled.
LogSpikes: TypeAlias = Mapping[tuple[str, int, str], Float64[np.ndarray, "S+1 resamples+1"]]


@dataclass(frozen=True)
class Check:
    """One number held against one observation.

    Attributes
    ----------
    observation, criterion : str
        Title of the observation, and its criterion or what is counted beside it.
    where : str
        Model and panel.
    value, lower, upper : float
        Measured quantity, and the ends of its interval of level ``CONFIDENCE``.
    outcome : {"meets", "misses", "undecided"}
        On which side of the criterion's line the interval lies; undecided if it holds the line.
    """

    observation: str
    criterion: str
    where: str
    value: float
    lower: float
    upper: float
    outcome: str


def weigh(errors: ErrorsByModel, zero: Mapping[str, float], n_train: Sequence[int], seed: int) -> pd.DataFrame:
    """Every check of every observation, one row each.

    Parameters
    ----------
    errors : mapping
        (family, N, panel) to squared errors / d, shape (S, B, P) for S training seeds, the same prompts for all models
        of a panel. Models may be missing; then their checks are.
    zero : mapping
        Panel to the zero estimator's error / d; panels in order of variance, the identity first.
    n_train : sequence of int
        Training lengths, ascending.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        Columns of ``Check``.
    """
    random_panels = [panel for panel in zero if panel != "identity"]
    low, high = random_panels[0], random_panels[1:]
    spikes = _log_spikes(errors, seed)
    checks = [
        *_relative(SUCCEEDS, errors, "fixed", n_train, {low: zero[low]}),
        *_relative(FAILS, errors, "fixed", n_train, {panel: zero[panel] for panel in high}),
        *_random_is_better(errors, n_train, high),
        *_relative(SHORT_OF_LEAST_SQUARES, errors, "random", n_train, {panel: zero[panel] for panel in high[-1:]}),
        *_longer_is_better(errors, n_train, low),
        *_spikes(spikes),
        *_spikes_shrink(spikes, low, random_panels[-1]),
        *_rises_shrink(errors, low, random_panels[-1]),
    ]
    return pd.DataFrame([vars(check) for check in checks], columns=[field.name for field in fields(Check)])


def _lengths(errors: ErrorsByModel, n_train: Sequence[int], *families: str) -> list[int]:
    """The training lengths of which there are models of every one of the families."""
    present = {(family, n) for family, n, _ in errors}
    return [n for n in n_train if all((family, n) in present for family in families)]


def _mean_check(
    observation: Observation,
    where: str,
    samples: Float64[np.ndarray, "S B"],
    *,
    minus: Float64[np.ndarray, "T B"] | None = None,
    beside: Beside | None = None,
) -> Check:
    """A mean over seeds and prompts, or the difference of two on the same prompts, and its interval."""
    groups = [samples] if minus is None else [samples, minus]
    by_prompt = samples.mean(axis=0) - (0.0 if minus is None else minus.mean(axis=0))
    mean = float(by_prompt.mean())
    reach = _reach(by_prompt.var(ddof=1) / len(by_prompt), *(group.mean(axis=1) for group in groups))
    return _check(observation, where, mean, mean - reach, mean + reach, beside=beside)


def _ratio_check(observation: Observation, where: str, logs: Float64[np.ndarray, "S+1 resamples+1"]) -> Check:
    """A ratio and its interval: from its logarithm, of the mean over seeds and of each, measured and resampled."""
    measured, reach = logs[0, 0], _reach(logs[0, 1:].var(ddof=1), logs[1:, 0])
    value, lower, upper = np.exp([measured, measured - reach, measured + reach]).tolist()
    return _check(observation, where, value, lower, upper)


def _check(
    observation: Observation, where: str, value: float, lower: float, upper: float, *, beside: Beside | None = None
) -> Check:
    outcome = outcome_of(lower, upper, (beside or observation).line, above=observation.above)
    criterion = beside.said if beside else observation.criterion
    return Check(observation.title, criterion, where, value, lower, upper, outcome)


def _reach(over_prompts: float, *by_seed: Float64[np.ndarray, " S"]) -> float:
    """Half the width of an interval, from the variance over prompts and from groups of seeds; one seed adds nothing.

    Prompts are many and seeds few: Student's t, with the degrees of freedom of Welch and Satterthwaite.
    """
    between = [(each.var(ddof=1) / len(each), len(each) - 1) for each in by_seed if len(each) > 1]
    variance = over_prompts + sum(own for own, _ in between)
    spread = sum(own**2 / freedom for own, freedom in between)
    freedom = variance**2 / spread if spread > 0 else np.inf
    return float(stats.t.isf((1 - CONFIDENCE) / 2, freedom) * np.sqrt(variance))


def _relative(
    observation: Observation,
    errors: ErrorsByModel,
    family: str,
    n_train: Sequence[int],
    units: Mapping[str, float],
) -> Iterator[Check]:
    """Error at M = N in units of something that each panel has."""
    for panel, unit in units.items():
        for n in _lengths(errors, n_train, family):
            yield _mean_check(observation, f"{family}cov_N{n} on {panel}", errors[family, n, panel][..., n] / unit)


def _random_is_better(errors: ErrorsByModel, n_train: Sequence[int], panels: Sequence[str]) -> Iterator[Check]:
    for panel in panels:
        for n in _lengths(errors, n_train, "fixed", "random"):
            fixed, other = (errors[family, n, panel][..., n] for family in ("fixed", "random"))
            yield _mean_check(RANDOM_IS_BETTER, f"N = {n} on {panel}", fixed, minus=other)


def _longer_is_better(errors: ErrorsByModel, n_train: Sequence[int], own: str) -> Iterator[Check]:
    for short, long in pairwise(_lengths(errors, n_train, "random")):
        shorter, longer = (errors["random", n, own][..., short] for n in (short, long))
        yield _mean_check(LONGER_IS_BETTER, f"randomcov, N = {short} against {long}", shorter, minus=longer)


def _spikes(spikes: LogSpikes) -> Iterator[Check]:
    for (family, n, panel), logs in spikes.items():
        yield _ratio_check(SPIKES, f"{family}cov_N{n} on {panel}", logs)


def _spikes_shrink(spikes: LogSpikes, low: str, high: str) -> Iterator[Check]:
    for family, n in dict.fromkeys((family, n) for family, n, _ in spikes):
        change = spikes[family, n, low] - spikes[family, n, high]
        yield _ratio_check(SPIKES_SHRINK, f"{family}cov_N{n}", change)


def _rises_shrink(errors: ErrorsByModel, low: str, high: str) -> Iterator[Check]:
    """The rise of the error beyond N at the smallest variance minus that at the largest, of the same model."""
    rises = {key: beyond - at for key, (beyond, at) in _beyond(errors).items()}
    for family, n in dict.fromkeys((family, n) for family, n, _ in rises):
        change = rises[family, n, low] - rises[family, n, high]
        where = f"{family}cov_N{n}, the rise itself"
        yield _mean_check(SPIKES_SHRINK, where, change, beside=SPIKES_SHRINK.beside)


def _beyond(errors: ErrorsByModel) -> dict[tuple[str, int, str], tuple[Float64[np.ndarray, "S B"], ...]]:
    """Mean error just beyond N, and the error at N, of every model that was tested there."""
    windows = {key: slice(key[1] + 1, int(1.5 * key[1]) + 1) for key in errors}
    return {
        key: (values[..., windows[key]].mean(axis=-1), values[..., key[1]])
        for key, values in errors.items()
        if values[..., windows[key]].shape[-1]
    }


def _log_spikes(errors: ErrorsByModel, seed: int) -> LogSpikes:
    """Logarithm of the error just beyond N over that at N; the same resamples of prompts for all."""
    if not errors:
        return {}
    weights = resampling(next(iter(errors.values())).shape[1], RESAMPLES, seed)
    return {
        key: np.log([weights @ a / (weights @ b) for a, b in zip(*([x.mean(axis=0), *x] for x in both), strict=True)])
        for key, both in _beyond(errors).items()
    }
