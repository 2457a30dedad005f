"""What the paper reads off Figure 1, as criteria that numbers meet, miss or leave open.

Each observation becomes several checks (one per model, panel or pair). A check compares errors of the same
prompts, so its standard error is that of the paired difference; that of a ratio is from the bootstrap. Where a
model was trained from several seeds, the spread between them is in it too. What the paper's words leave open (where
failure begins, what a spike is measured by) is counted in a second way beside the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float64

from incontext.studies.panels import resampling

# The paper gives no numbers: an error below this fraction of the zero estimator's counts as success …
SUCCESS = 0.25
# … an error below this fraction as matching least squares …
MATCH = 0.05
# … and this line in between shows how much hangs on either.
BETWEEN = 0.1
# A rise beyond N that multiplies the error by more than this is a spike.
SPIKE = 2.0
# Intervals reach this many standard errors to either side.
SIGNIFICANT = 3.0
RESAMPLES = 1000
# Verdict where no model that learned its task can show an observation.
NO_MODEL = "no model"

# What a check comes to.
MEETS, MISSES, UNDECIDED = "meets", "misses", "undecided"

# (family, N, panel) → squared errors / d, training seeds × prompts × positions.
ErrorsByModel: TypeAlias = Mapping[tuple[str, int, str], Float64[np.ndarray, "S B P"]]
# The same key → logarithm of the spike: of the mean over seeds, then of each seed; measured, then resampled.
LogSpikes: TypeAlias = Mapping[tuple[str, int, str], Float64[np.ndarray, "S+1 resamples+1"]]


@dataclass(frozen=True)
class Beside:
    """A second way to count an observation, printed beside the verdict.

    Attributes
    ----------
    said : str
        What is counted, in a few words.
    line : float
        What is above or below this meets it.
    own : bool
        Whether it has checks of its own, ``said`` being their criterion; otherwise those of the observation are held
        against its line.
    """

    said: str
    line: float
    own: bool = False


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
    line : float
        Where the quantity begins to meet it.
    above : bool
        Whether it does above the line, or below.
    beside : Beside, optional
        What else is counted.
    """

    title: str
    said: str
    source: str
    criterion: str
    line: float = 0.0
    above: bool = True
    beside: Beside | None = None


_BETWEEN = Beside(f"at a line of {BETWEEN:.0%}", BETWEEN)
SUCCEEDS = Observation(
    "Models trained on the fixed covariance succeed at c = 1",
    "GPT-2 trained on the fixed covariance succeeds on random covariances if the variance is not too large, and so "
    "generalises better than a single layer of linear self-attention.",
    "§4.3, Equation (23)",
    f"error at M = N over the zero estimator's, below {SUCCESS:.0%}; the layer's limit is 33% when trained on random "
    "covariances, 300% on the fixed one",
    SUCCESS,
    above=False,
    beside=_BETWEEN,
)
FAILS = Observation(
    "Models trained on the fixed covariance fail at c > 1",
    "When the variance is large (c = 4, 9), GPT-2 trained on the fixed covariance is unsuccessful.",
    "§4.3",
    f"error at M = N over the zero estimator's, above {SUCCESS:.0%}",
    SUCCESS,
    beside=_BETWEEN,
)
RANDOM_IS_BETTER = Observation(
    "Models trained on random covariances do better at high variance",
    "Trained on random covariances, the model performs better on prompts of higher variance.",
    "§4.3",
    "fixed minus random error at M = N, same N and prompts, above 0",
)
SHORT_OF_LEAST_SQUARES = Observation(
    "Models trained on random covariances still miss least squares at the largest variance",
    "Trained on random covariances, the model still fails to match least squares when the scaling is largest (c = 9).",
    "§4.3",
    f"error at M = N, where least squares has 0, over the zero estimator's, above {MATCH:.0%}",
    MATCH,
    beside=_BETWEEN,
)
LONGER_IS_BETTER = Observation(
    "Larger training contexts help",
    "The models achieve smaller error when they are trained on random covariances with larger contexts.",
    "caption of Figure 1",
    "error of the shorter-trained minus the longer-trained random-covariance model, on its own law and both at M = the "
    "shorter N, above 0",
)
SPIKES = Observation(
    "The error rises beyond the training length",
    "When the test prompt is longer than the training prompts (M > N), there is an evident spike in prediction "
    "error, whether training and testing were on fixed or random covariances.",
    "§4.3, caption of Figure 1",
    "mean error over the tested M in (N, 1.5 N] over the error at N, above 1",
    1.0,
    beside=Beside(f"a spike, above {SPIKE:g}", SPIKE),
)
SPIKES_SHRINK = Observation(
    "Relative to the error at N, the rise is smaller at higher variance",
    "The spike appears to decrease on prompts of higher variance; the paper is unsure why.",
    "§4.3",
    "error beyond N over the error at N: this ratio at the smallest c over that at the largest, above 1",
    1.0,
    beside=Beside("the rise itself, error/d beyond N minus at N, is smaller", 0.0, own=True),
)
OBSERVATIONS = (
    SUCCEEDS,
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
        Title of the observation, and its criterion or what is counted beside it.
    where : str
        Model and panel.
    value, lower, upper : float
        Measured quantity, and the ends of its interval of ± ``SIGNIFICANT`` standard errors.
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


def summarise(table: pd.DataFrame) -> list[dict[str, object]]:
    """One entry per observation: how many of its checks meet, miss or leave it open, and the verdict in words.

    An observation appears if all checks meet its criterion, and does not if none meets and some miss it; without a
    check the verdict is "no model". What is counted beside it does not enter the verdict.
    """
    summary: list[dict[str, object]] = []
    for observation in OBSERVATIONS:
        of_title = table[table["observation"] == observation.title]
        own = of_title[of_title["criterion"] == observation.criterion]
        tally = _tally(own, observation.line, above=observation.above)
        meets, total = tally["count"], tally["total"]
        if not total:
            verdict = NO_MODEL
        elif tally["undecided"] == total:
            verdict = UNDECIDED
        else:
            verdict = "appears" if meets == total else "appears in part" if meets else "does not appear"
        again, beside = None, observation.beside
        if beside:
            rows = of_title[of_title["criterion"] == beside.said] if beside.own else own
            again = {"said": beside.said, **_tally(rows, beside.line, above=observation.above)}
        summary.append(
            {
                "observation": observation.title,
                "criterion": observation.criterion,
                "verdict": verdict,
                **tally,
                "beside": again,
                "lowest": float(own["value"].min()) if total else None,
                "highest": float(own["value"].max()) if total else None,
            }
        )
    return summary


def _tally(checks: pd.DataFrame, line: float, *, above: bool) -> dict[str, int]:
    """How many checks meet, miss or leave open what lies above or below a line."""
    outcomes = [
        _outcome(low, high, line, above=above) for low, high in zip(checks["lower"], checks["upper"], strict=True)
    ]
    return {
        "count": outcomes.count(MEETS),
        "misses": outcomes.count(MISSES),
        "undecided": outcomes.count(UNDECIDED),
        "total": len(outcomes),
    }


def counted(entry: Mapping[str, Any]) -> str:
    """How many checks of an observation meet its criterion, miss it or do neither, and what is counted beside it."""
    rest = ((entry["misses"], "missed"), (entry["undecided"], "undecided"))
    text = f"{entry['count']} of {entry['total']}" + "".join(f", {count} {said}" for count, said in rest if count)
    beside = entry.get("beside")
    return text + (f" ({beside['said']}: {counted(beside)})" if beside and beside["total"] else "")


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
    by_prompt, variance = samples.mean(axis=0), _between(samples.mean(axis=1))
    if minus is not None:
        by_prompt, variance = by_prompt - minus.mean(axis=0), variance + _between(minus.mean(axis=1))
    mean, stderr = float(by_prompt.mean()), float(np.sqrt(variance + by_prompt.var(ddof=1) / len(by_prompt)))
    return _check(observation, where, *(mean + z * stderr for z in (0, -SIGNIFICANT, SIGNIFICANT)), beside=beside)


def _ratio_check(observation: Observation, where: str, logs: Float64[np.ndarray, "S+1 resamples+1"]) -> Check:
    """A ratio and its interval: from its logarithm, of the mean over seeds and of each, measured and resampled."""
    measured, stderr = logs[0, 0], float(np.sqrt(logs[0, 1:].var(ddof=1) + _between(logs[1:, 0])))
    return _check(observation, where, *(float(np.exp(measured + z * stderr)) for z in (0, -SIGNIFICANT, SIGNIFICANT)))


def _check(
    observation: Observation, where: str, value: float, lower: float, upper: float, *, beside: Beside | None = None
) -> Check:
    outcome = _outcome(lower, upper, (beside or observation).line, above=observation.above)
    criterion = beside.said if beside else observation.criterion
    return Check(observation.title, criterion, where, value, lower, upper, outcome)


def _between(by_seed: Float64[np.ndarray, " S"]) -> float:
    """What the spread between training seeds adds to the variance of their mean; one seed says nothing of it."""
    return float(by_seed.var(ddof=1) / len(by_seed)) if len(by_seed) > 1 else 0.0


def _outcome(lower: float, upper: float, line: float, *, above: bool) -> str:
    if lower > line:
        return MEETS if above else MISSES
    if upper < line:
        return MISSES if above else MEETS
    return UNDECIDED


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
