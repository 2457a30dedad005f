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

# (family, N, panel) → squared errors / d, prompts × positions.
ErrorsByModel: TypeAlias = Mapping[tuple[str, int, str], Float64[np.ndarray, "B P"]]
# The same key → spike measured, followed by its bootstrap resamples.
SpikeRatios: TypeAlias = Mapping[tuple[str, int, str], Float64[np.ndarray, " resamples"]]


@dataclass(frozen=True)
class Check:
    """One number held against one observation.

    Attributes
    ----------
    observation, criterion : str
        What the paper says, and how it is measured here.
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


def weigh(errors: ErrorsByModel, zero: Mapping[str, float], n_train: Sequence[int], seed: int) -> pd.DataFrame:
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

    Returns
    -------
    DataFrame
        Columns of ``Check``.
    """
    random_panels = [panel for panel in zero if panel != "identity"]
    low, high = random_panels[0], random_panels[1:]
    ratios = _spike_ratios(errors, seed)
    checks = [
        *_success(
            "Models trained on the fixed covariance succeed at c = 1", errors, zero, n_train, [low], succeed=True
        ),
        *_success("Models trained on the fixed covariance fail at c > 1", errors, zero, n_train, high, succeed=False),
        *_random_is_better(errors, n_train, high),
        *_short_of_least_squares(errors, zero, n_train, random_panels[-1]),
        *_longer_is_better(errors, n_train, {"fixed": "identity", "random": low}),
        *_spikes(errors, ratios),
        *_spikes_shrink(ratios, low, random_panels[-1]),
    ]
    return pd.DataFrame([vars(check) for check in checks], columns=[field.name for field in fields(Check)])


def summarise(table: pd.DataFrame) -> list[dict[str, object]]:
    """One entry per observation: how many of its checks appear, and the verdict in words."""
    summary: list[dict[str, object]] = []
    for (observation, criterion), group in table.groupby(["observation", "criterion"], sort=False):
        count, total = int(group["appears"].sum()), len(group)
        verdict = "appears" if count == total else "does not appear" if count == 0 else "appears in part"
        summary.append(
            {
                "observation": observation,
                "criterion": criterion,
                "verdict": verdict,
                "count": count,
                "total": total,
                "lowest": float(group["value"].min()),
                "highest": float(group["value"].max()),
            }
        )
    return summary


def _lengths(errors: ErrorsByModel, n_train: Sequence[int], *families: str) -> list[int]:
    """The training lengths of which there are models of every one of the families."""
    present = {(family, n) for family, n, _ in errors}
    return [n for n in n_train if all((family, n) in present for family in families)]


def _mean_check(
    observation: str, criterion: str, where: str, samples: Float64[np.ndarray, " B"], threshold: float, *, above: bool
) -> Check:
    """A mean that must lie above (or below) a threshold by ``SIGNIFICANT`` standard errors."""
    mean, stderr = float(samples.mean()), float(samples.std(ddof=1) / np.sqrt(len(samples)))
    distance = (mean - threshold) if above else (threshold - mean)
    return Check(
        observation, criterion, where, mean, mean - 1.96 * stderr, mean + 1.96 * stderr, distance > SIGNIFICANT * stderr
    )


def _success(
    observation: str,
    errors: ErrorsByModel,
    zero: Mapping[str, float],
    n_train: Sequence[int],
    panels: Sequence[str],
    *,
    succeed: bool,
) -> Iterator[Check]:
    side = "below" if succeed else "above"
    criterion = f"error at M = N {side} {SUCCESS:.0%} of the zero estimator's, by {SIGNIFICANT:g} standard errors"
    for panel in panels:
        for n in _lengths(errors, n_train, "fixed"):
            relative = errors["fixed", n, panel][:, n] / zero[panel]
            yield _mean_check(observation, criterion, f"fixedcov_N{n} on {panel}", relative, SUCCESS, above=not succeed)


def _random_is_better(errors: ErrorsByModel, n_train: Sequence[int], panels: Sequence[str]) -> Iterator[Check]:
    observation = "Models trained on random covariances do better at high variance"
    criterion = f"fixed minus random error at M = N, same N and prompts, above 0 by {SIGNIFICANT:g} standard errors"
    for panel in panels:
        for n in _lengths(errors, n_train, "fixed", "random"):
            difference = errors["fixed", n, panel][:, n] - errors["random", n, panel][:, n]
            yield _mean_check(observation, criterion, f"N = {n} on {panel}", difference, 0.0, above=True)


def _short_of_least_squares(
    errors: ErrorsByModel, zero: Mapping[str, float], n_train: Sequence[int], panel: str
) -> Iterator[Check]:
    observation = "Models trained on random covariances still miss least squares at the largest variance"
    criterion = (
        f"error at M = N, where least squares has 0, above {MATCH:.0%} of the zero estimator's by {SIGNIFICANT:g} "
        "standard errors"
    )
    for n in _lengths(errors, n_train, "random"):
        relative = errors["random", n, panel][:, n] / zero[panel]
        yield _mean_check(observation, criterion, f"randomcov_N{n} on {panel}", relative, MATCH, above=True)


def _longer_is_better(errors: ErrorsByModel, n_train: Sequence[int], own: Mapping[str, str]) -> Iterator[Check]:
    observation = "Larger training contexts help"
    criterion = (
        "error of the shorter-trained minus the longer-trained model, each at its own M = N on its own law, above 0 by "
        f"{SIGNIFICANT:g} standard errors"
    )
    for family, panel in own.items():
        for short, long in pairwise(_lengths(errors, n_train, family)):
            difference = errors[family, short, panel][:, short] - errors[family, long, panel][:, long]
            yield _mean_check(
                observation, criterion, f"{family}cov, N = {short} against {long}", difference, 0, above=True
            )


def _spikes(errors: ErrorsByModel, ratios: SpikeRatios) -> Iterator[Check]:
    observation = "The error spikes beyond the training length"
    criterion = (
        "largest error in (N, 1.5 N] over the error at N; a spike when the worst position exceeds N by "
        f"{SIGNIFICANT:g} standard errors of the paired difference"
    )
    for (family, n, panel), ratio in ratios.items():
        values = errors[family, n, panel]
        worst = n + 1 + int(_beyond(values, n).mean(axis=0).argmax())
        difference = values[:, worst] - values[:, n]
        significant = difference.mean() > SIGNIFICANT * difference.std(ddof=1) / np.sqrt(len(difference))
        lower, upper = np.quantile(ratio[1:], [0.025, 0.975])
        where = f"{family}cov_N{n} on {panel}"
        yield Check(observation, criterion, where, float(ratio[0]), float(lower), float(upper), bool(significant))


def _spikes_shrink(ratios: SpikeRatios, low: str, high: str) -> Iterator[Check]:
    observation = "The spike is smaller at higher variance"
    criterion = (
        f"spike on {low} over spike on {high}; it shrinks when the logarithm exceeds 0 by {SIGNIFICANT:g} bootstrap "
        "standard errors"
    )
    for family, n in dict.fromkeys((family, n) for family, n, _ in ratios):
        change = np.log(ratios[family, n, low] / ratios[family, n, high])
        lower, upper = np.exp(np.quantile(change[1:], [0.025, 0.975]))
        significant = change[0] > SIGNIFICANT * change[1:].std(ddof=1)
        where = f"{family}cov_N{n}"
        yield Check(
            observation, criterion, where, float(np.exp(change[0])), float(lower), float(upper), bool(significant)
        )


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
