"""What the paper reads off Figure 1, as criteria that numbers can meet or miss.

Each observation becomes several checks (one per model, panel or pair). A check compares errors of the same
prompts, so its standard error is that of the paired difference; ratios carry bootstrap intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float64

from incontext.studies.panels import resampling

# The paper gives no numbers: an error below this fraction of the zero estimator's counts as success …
SUCCESS = 0.25
# … an error below this fraction as matching least squares …
MATCH = 0.05
# … and a difference counts when it exceeds this many standard errors.
SIGNIFICANT = 3.0
RESAMPLES = 1000
# Verdict where no model that learned its task can show an observation.
NO_MODEL = "no model"

# (family, N, panel) → squared errors / d, prompts × positions.
ErrorsByModel: TypeAlias = Mapping[tuple[str, int, str], Float64[np.ndarray, "B P"]]
# The same key → spike measured, followed by its bootstrap resamples.
SpikeRatios: TypeAlias = Mapping[tuple[str, int, str], Float64[np.ndarray, " resamples"]]


@dataclass(frozen=True)
class Observation:
    """What the paper says about the figure, and how it is measured here.

    Attributes
    ----------
    title : str
        In a few words.
    said : str
        What the paper says, close to its own words.
    source : str
        Where it says so.
    criterion : str
        The quantity, and when it meets the observation.
    """

    title: str
    said: str
    source: str
    criterion: str


_BY = f"by {SIGNIFICANT:g} standard errors"
SUCCEEDS = Observation(
    "Models trained on the fixed covariance succeed at c = 1",
    "GPT-2 trained on the fixed covariance succeeds on random covariances if the variance is not too large.",
    "§4.3",
    f"error at M = N over the zero estimator's, below {SUCCESS:.0%} {_BY}",
)
BEATS_LSA = Observation(
    "Models trained on the fixed covariance do better at c = 1 than linear self-attention",
    "Its success there shows that the larger nonlinear model generalises better than a single layer of linear "
    "self-attention.",
    "§4.3, Equation (23)",
    "error at M = N over the limit M, N → ∞ of the layer trained on random covariances (the paper's dashed line), "
    f"below 1 {_BY}",
)
FAILS = Observation(
    "Models trained on the fixed covariance fail at c > 1",
    "When the variance is large (c = 4, 9), GPT-2 trained on the fixed covariance is unsuccessful.",
    "§4.3",
    f"error at M = N over the zero estimator's, above {SUCCESS:.0%} {_BY}",
)
RANDOM_IS_BETTER = Observation(
    "Models trained on random covariances do better at high variance",
    "Trained on random covariances, the model performs better on prompts of higher variance.",
    "§4.3",
    f"fixed minus random error at M = N, same N and prompts, above 0 {_BY}",
)
SHORT_OF_LEAST_SQUARES = Observation(
    "Models trained on random covariances still miss least squares at the largest variance",
    "Trained on random covariances, the model still fails to match least squares when the scaling is largest (c = 9).",
    "§4.3",
    f"error at M = N, where least squares has 0, over the zero estimator's, above {MATCH:.0%} {_BY}",
)
LONGER_IS_BETTER = Observation(
    "Larger training contexts help",
    "The models achieve smaller error when they are trained with larger contexts.",
    "caption of Figure 1",
    f"error of the shorter-trained minus the longer-trained model, each at its own M = N on its own law, above 0 {_BY}",
)
SPIKES = Observation(
    "The error spikes beyond the training length",
    "When the test prompt is longer than the training prompts (M > N), there is an evident spike in prediction "
    "error, whether training and testing were on fixed or random covariances.",
    "§4.3, caption of Figure 1",
    "largest error in (N, 1.5 N] over the error at N; a spike when the worst position exceeds N "
    f"{_BY} of the paired difference",
)
SPIKES_SHRINK = Observation(
    "The spike is smaller at higher variance",
    "The spike appears to decrease on prompts of higher variance; the paper is unsure why.",
    "§4.3",
    "spike at the smallest c over the spike at the largest; it shrinks when the logarithm exceeds 0 by "
    f"{SIGNIFICANT:g} bootstrap standard errors",
)
OBSERVATIONS = (
    SUCCEEDS,
    BEATS_LSA,
    FAILS,
    RANDOM_IS_BETTER,
    SHORT_OF_LEAST_SQUARES,
    LONGER_IS_BETTER,
    SPIKES,
    SPIKES_SHRINK,
)
"""In the order of the paper."""


@dataclass(frozen=True)
class Check:
    """One number held against one observation.

    Attributes
    ----------
    observation, criterion : str
        Title and criterion of the observation.
    where : str
        Model and panel.
    value, lower, upper : float
        Measured quantity with its interval (± 1.96 standard errors, or 95 % bootstrap).
    appears : bool
        Whether this check meets the criterion.
    """

    observation: str
    criterion: str
    where: str
    value: float
    lower: float
    upper: float
    appears: bool


def weigh(
    errors: ErrorsByModel, zero: Mapping[str, float], n_train: Sequence[int], seed: int, *, lsa_limit: float
) -> pd.DataFrame:
    """Every check of every observation, one row each.

    Parameters
    ----------
    errors : mapping
        (family, N, panel) to squared errors / d, shape (B, P), the same prompts for all models of a panel. Models
        may be missing; then their checks are.
    zero : mapping
        Panel to the zero estimator's error / d; panels in order of variance, the identity first.
    n_train : sequence of int
        Training lengths, ascending.
    seed : int
        Seed of the bootstrap.
    lsa_limit : float
        Error / d on the second panel of the linear self-attention layer trained on random covariances, M, N → ∞.

    Returns
    -------
    DataFrame
        Columns of ``Check``.
    """
    random_panels = [panel for panel in zero if panel != "identity"]
    low, high = random_panels[0], random_panels[1:]
    ratios = _spike_ratios(errors, seed)
    checks = [
        *_relative(SUCCEEDS, errors, "fixed", n_train, {low: zero[low]}, SUCCESS, above=False),
        *_relative(BEATS_LSA, errors, "fixed", n_train, {low: lsa_limit}, 1.0, above=False),
        *_relative(FAILS, errors, "fixed", n_train, {panel: zero[panel] for panel in high}, SUCCESS, above=True),
        *_random_is_better(errors, n_train, high),
        *_relative(
            SHORT_OF_LEAST_SQUARES,
            errors,
            "random",
            n_train,
            {panel: zero[panel] for panel in high[-1:]},
            MATCH,
            above=True,
        ),
        *_longer_is_better(errors, n_train, {"fixed": "identity", "random": low}),
        *_spikes(errors, ratios),
        *_spikes_shrink(ratios, low, random_panels[-1]),
    ]
    return pd.DataFrame([vars(check) for check in checks], columns=[field.name for field in fields(Check)])


def summarise(table: pd.DataFrame) -> list[dict[str, object]]:
    """One entry per observation: how many of its checks appear, and the verdict in words.

    An observation without a check has the verdict "no model".
    """
    summary: list[dict[str, object]] = []
    for observation in OBSERVATIONS:
        own = table[table["observation"] == observation.title]
        count, total = int(own["appears"].sum()), len(own)
        verdict = "appears" if count == total else "does not appear" if count == 0 else "appears in part"
        summary.append(
            {
                "observation": observation.title,
                "criterion": observation.criterion,
                "verdict": verdict if total else NO_MODEL,
                "count": count,
                "total": total,
                "lowest": float(own["value"].min()) if total else None,
                "highest": float(own["value"].max()) if total else None,
            }
        )
    return summary


def _lengths(errors: ErrorsByModel, n_train: Sequence[int], *families: str) -> list[int]:
    """The training lengths of which there are models of every one of the families."""
    present = {(family, n) for family, n, _ in errors}
    return [n for n in n_train if all((family, n) in present for family in families)]


def _mean_check(
    observation: Observation, where: str, samples: Float64[np.ndarray, " B"], threshold: float, *, above: bool
) -> Check:
    """A mean that must lie above (or below) a threshold by ``SIGNIFICANT`` standard errors."""
    mean, stderr = float(samples.mean()), float(samples.std(ddof=1) / np.sqrt(len(samples)))
    distance = (mean - threshold) if above else (threshold - mean)
    return _check(
        observation, where, mean, mean - 1.96 * stderr, mean + 1.96 * stderr, appears=distance > SIGNIFICANT * stderr
    )


def _check(
    observation: Observation, where: str, value: float, lower: float, upper: float, *, appears: bool | np.bool
) -> Check:
    return Check(
        observation.title, observation.criterion, where, float(value), float(lower), float(upper), bool(appears)
    )


def _relative(
    observation: Observation,
    errors: ErrorsByModel,
    family: str,
    n_train: Sequence[int],
    units: Mapping[str, float],
    threshold: float,
    *,
    above: bool,
) -> Iterator[Check]:
    """Error at M = N in units of something that each panel has, against a threshold."""
    for panel, unit in units.items():
        for n in _lengths(errors, n_train, family):
            relative = errors[family, n, panel][:, n] / unit
            yield _mean_check(observation, f"{family}cov_N{n} on {panel}", relative, threshold, above=above)


def _random_is_better(errors: ErrorsByModel, n_train: Sequence[int], panels: Sequence[str]) -> Iterator[Check]:
    for panel in panels:
        for n in _lengths(errors, n_train, "fixed", "random"):
            difference = errors["fixed", n, panel][:, n] - errors["random", n, panel][:, n]
            yield _mean_check(RANDOM_IS_BETTER, f"N = {n} on {panel}", difference, 0.0, above=True)


def _longer_is_better(errors: ErrorsByModel, n_train: Sequence[int], own: Mapping[str, str]) -> Iterator[Check]:
    for family, panel in own.items():
        for short, long in pairwise(_lengths(errors, n_train, family)):
            difference = errors[family, short, panel][:, short] - errors[family, long, panel][:, long]
            where = f"{family}cov, N = {short} against {long}"
            yield _mean_check(LONGER_IS_BETTER, where, difference, 0, above=True)


def _spikes(errors: ErrorsByModel, ratios: SpikeRatios) -> Iterator[Check]:
    for (family, n, panel), ratio in ratios.items():
        values = errors[family, n, panel]
        worst = n + 1 + int(_beyond(values, n).mean(axis=0).argmax())
        difference = values[:, worst] - values[:, n]
        significant = difference.mean() > SIGNIFICANT * difference.std(ddof=1) / np.sqrt(len(difference))
        lower, upper = np.quantile(ratio[1:], [0.025, 0.975])
        yield _check(SPIKES, f"{family}cov_N{n} on {panel}", ratio[0], lower, upper, appears=significant)


def _spikes_shrink(ratios: SpikeRatios, low: str, high: str) -> Iterator[Check]:
    for family, n in dict.fromkeys((family, n) for family, n, _ in ratios):
        change = np.log(ratios[family, n, low] / ratios[family, n, high])
        lower, upper = np.exp(np.quantile(change[1:], [0.025, 0.975]))
        significant = change[0] > SIGNIFICANT * change[1:].std(ddof=1)
        yield _check(SPIKES_SHRINK, f"{family}cov_N{n}", np.exp(change[0]), lower, upper, appears=significant)


def _spike_ratios(errors: ErrorsByModel, seed: int) -> SpikeRatios:
    """Spike of every model that was tested beyond its N: first the measured one, then bootstrap resamples."""
    if not errors:
        return {}
    count = len(next(iter(errors.values())))
    weights = resampling(count, RESAMPLES, seed)
    return {
        (family, n, panel): (weights @ beyond).max(axis=1) / (weights @ values[:, n])
        for (family, n, panel), values in errors.items()
        if (beyond := _beyond(values, n)).shape[1]
    }


def _beyond(values: Float64[np.ndarray, "B P"], n: int) -> Float64[np.ndarray, "B Q"]:
    """The positions in (N, 1.5 N] that were tested."""
    return values[:, n + 1 : int(1.5 * n) + 1]
