"""The checks of the paper's observations: errors of models on the same prompts, with their 99 % intervals.

Each observation becomes several checks, one per model, distribution or pair. A check compares errors of the same
prompts, so its standard error is that of the paired difference; that of a ratio is from the bootstrap. Where a model
was trained from several seeds, the spread between them is in its interval too (Student's t with the degrees of freedom
of Welch and Satterthwaite).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.foundations import standard_error, student_interval, welch_freedom
from iclab.studies.measuring import FAMILIES, Panel, resampling

CONFIDENCE = 0.99
RESAMPLES = 1000
# (family, N, panel) → squared errors / d: training seeds × prompts × positions.
ErrorsByModel: TypeAlias = Mapping[tuple[str, int, Panel], Float64[np.ndarray, "S B P"]]
# The same key → logarithm of the error just beyond N over that at N: of the mean over seeds, then of each seed;
# measured, then resampled.
LogRises: TypeAlias = Mapping[tuple[str, int, Panel], Float64[np.ndarray, "S+1 resamples+1"]]
# One check: where it is made, its value and the ends of its interval.
Check: TypeAlias = dict[str, Any]
COLUMNS = ("observation", "family", "n_train", "longer", "inputs", "c", "value", "value_low", "value_high")


def weigh(errors: ErrorsByModel, panels: Sequence[Panel], n_train: Sequence[int], seed: int) -> pd.DataFrame:
    """Every check of every observation, one row each.

    Parameters
    ----------
    errors : mapping
        (family, N, panel) to squared errors / d, shape (S, B, P) for S training seeds, the same prompts for all models
        of a panel. Models may be missing; then their checks are.
    panels : sequence of Panel
        The identity, then random covariances in order of c, the zero predictor's error / d.
    n_train : sequence of int
        Training lengths, ascending.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        ``observation`` (name of the question), the model's ``family`` ("both" for a difference of the two) and
        ``n_train`` (with ``longer``, the N that it is compared with), ``inputs`` and ``c`` of the panel, ``value``
        and the ends of its interval of level ``CONFIDENCE``.
    """
    low, *high = [panel for panel in panels if panel.inputs == "random-exponential"]
    last = [low, *high][-1]
    fixed, random = ([n for n in n_train if (family, n, low) in errors] for family in FAMILIES)
    rises, jumps = _log_rises(errors, seed), {key: beyond - at for key, (beyond, at) in _beyond(errors).items()}
    tested_beyond = dict.fromkeys((family, n) for family, n, _ in rises)

    def at(family: str, n: int, panel: Panel, position: int) -> Float64[np.ndarray, "S B"]:
        return errors[family, n, panel][..., position]

    def relative(observation: str, family: str, n: int, panel: Panel) -> Check:
        return _mean(observation, at(family, n, panel, n) / panel.c, family, n, panel)

    checks = [
        *(relative("succeeds", "fixed", n, low) for n in fixed),
        *(relative("fails", "fixed", n, panel) for panel in high for n in fixed),
        *(
            _mean("random_is_better", at("fixed", n, panel, n), "both", n, panel, minus=at("random", n, panel, n))
            for panel in high
            for n in fixed
            if n in random
        ),
        *(relative("short_of_least_squares", "random", n, panel) for panel in high[-1:] for n in random),
        *(
            _mean("longer_is_better", at("random", n, low, n), "random", n, low, minus=at("random", longer, low, n))
            | {"longer": longer}
            for n, longer in pairwise(random)
        ),
        *(_ratio("rises", logs, *key) for key, logs in rises.items()),
        *(_ratio("ratio_shrinks", rises[f, n, low] - rises[f, n, last], f, n, last) for f, n in tested_beyond),
        *(_mean("difference_shrinks", jumps[f, n, low] - jumps[f, n, last], f, n, last) for f, n in tested_beyond),
    ]
    table = pd.DataFrame(checks, columns=list(COLUMNS))
    return table.astype({"n_train": "int64", "longer": "Int64", **dict.fromkeys(COLUMNS[5:], "float64")})


def _beyond(errors: ErrorsByModel) -> dict[tuple[str, int, Panel], tuple[Float64[np.ndarray, "S B"], ...]]:
    """Mean error over M in (N, 1.5 N], and the error at N, of every model that was tested there."""
    windows = {key: slice(key[1] + 1, int(1.5 * key[1]) + 1) for key in errors}
    return {
        key: (values[..., windows[key]].mean(axis=-1), values[..., key[1]])
        for key, values in errors.items()
        if values[..., windows[key]].shape[-1]
    }


def _log_rises(errors: ErrorsByModel, seed: int) -> LogRises:
    """Logarithm of the error just beyond N over that at N; the same resamples of prompts for all."""
    if not errors:
        return {}
    weights = resampling(next(iter(errors.values())).shape[1], RESAMPLES, seed)
    return {
        key: np.log([weights @ a / (weights @ b) for a, b in zip(*([x.mean(axis=0), *x] for x in both), strict=True)])
        for key, both in _beyond(errors).items()
    }


def _mean(
    observation: str,
    samples: Float64[np.ndarray, "S B"],
    family: str,
    n: int,
    panel: Panel,
    *,
    minus: Float64[np.ndarray, "T B"] | None = None,
) -> Check:
    """A mean over seeds and prompts, or the difference of two on the same prompts, with its interval."""
    groups = [samples] if minus is None else [samples, minus]
    by_prompt = samples.mean(axis=0) - (0.0 if minus is None else minus.mean(axis=0))
    mean = float(by_prompt.mean())
    interval = _interval(mean, float(standard_error(by_prompt)), *(group.mean(axis=1) for group in groups))
    return _check(observation, family, n, panel, mean, *interval)


def _ratio(observation: str, logs: Float64[np.ndarray, "S+1 resamples+1"], family: str, n: int, panel: Panel) -> Check:
    """A ratio with its interval: from its logarithm, of the mean over seeds and of each, measured and resampled."""
    interval = _interval(float(logs[0, 0]), float(logs[0, 1:].std(ddof=1)), logs[1:, 0])
    return _check(observation, family, n, panel, *(float(np.exp(value)) for value in (logs[0, 0], *interval)))


def _check(observation: str, family: str, n: int, panel: Panel, value: float, low: float, high: float) -> Check:
    ends = {"value": value, "value_low": low, "value_high": high}
    return {"observation": observation, "family": family, "n_train": n, **panel._asdict(), **ends}


def _interval(mean: float, over_prompts: float, *by_seed: Float64[np.ndarray, " S"]) -> tuple[float, float]:
    """Ends of an interval, from the standard error over prompts and groups of seeds; one seed adds nothing.

    Prompts are many, so the error over them counts as known, and seeds are few.
    """
    groups = [each for each in by_seed if len(each) > 1]
    errors = np.array([over_prompts, *(float(standard_error(each)) for each in groups)])
    freedom = welch_freedom(errors, [np.inf, *(len(each) - 1.0 for each in groups)])
    low, high = student_interval(mean, float(np.sqrt(np.square(errors).sum())), freedom, CONFIDENCE)
    return float(low), float(high)
