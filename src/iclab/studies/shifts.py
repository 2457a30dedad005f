"""§4.2 of the paper in numbers: which shifts the trained layer tolerates, beside least squares.

A layer trained on w ~ N(0, I), x ~ N(0, I) and contexts of N examples meets other labels, queries and inputs.
For every shift, its exact error and the Monte Carlo errors of the layer and of least squares on the same
prompts, at several test lengths M.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from iclab.evaluation import least_squares_risk
from iclab.evaluation.curves import SquaredErrors
from iclab.evaluation.streaming import Moments, accumulate
from iclab.foundations import Matrix, check_integer
from iclab.predictors import LeastSquares, TrainedLSA
from iclab.prompts import (
    Cubic,
    Gaussian,
    IndependentQueries,
    Linear,
    LinearPlusQuadratic,
    PromptDistribution,
)
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store
from iclab.theory import cubic_law, minimizer, optimal_learner, quadratic_law, shift_risk, theorem5_risk

NAME = "shifts"
LSA, LEAST_SQUARES = "LSA", "least squares"
# A learner tolerates a shift when its error, less what no linear predictor can avoid and divided by the zero
# estimator's error, exceeds the unshifted one by at most this, at M = N and every parameter.
TOLERANCE = 0.1
_UNSHIFTED = "none"
# Differences of exact relative errors below this are rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class _Case:
    """One shift at one parameter: a distribution, and what is known exactly about it."""

    shift: str
    parameter: float
    distribution: PromptDistribution
    zero: float  # E h(x_q)²
    best: float  # error of the best linear predictor
    exact: Callable[[int], dict[str, float]]  # by M; NaN where unknown


def run(
    *,
    store: Store,
    progress: Callable[[str, int, int], None],
    dimension: int = 10,
    n_train: int = 40,
    n_prompts: int = 20_000,
    seed: int = 0,
) -> StudyRecord:
    """Measure every shift.

    Parameters
    ----------
    store : Store
        Finished cases, so that an interrupted study goes on.
    progress : callable
        Called with (label, done, total).
    dimension, n_train : int
        d and N of the trained layer.
    n_prompts : int
        Prompts per shift.
    seed : int
        Seed of the prompts.

    Returns
    -------
    StudyRecord
        Table ``errors``: shift, parameter, M, predictor, exact, mean, stderr, n, z, zero, best.
    """
    dimension = check_integer(dimension, "dimension", minimum=2)
    n_train = check_integer(n_train, "n_train", minimum=2)
    n_prompts = check_integer(n_prompts, "n_prompts", minimum=2)
    lengths = sorted({max(n_train // 2, 1), n_train, 2 * n_train})
    settings = {"dimension": dimension, "n_train": n_train, "lengths": lengths, "n_prompts": n_prompts, "seed": seed}
    cases = list(_cases(dimension, n_train))
    tables: list[pd.DataFrame] = []
    for done, case in enumerate(cases):
        progress(f"{case.shift} {case.parameter:g}", done, len(cases))
        configuration = {**settings, "shift": case.shift, "parameter": case.parameter}
        tables.append(store.table(NAME, configuration, lambda case=case: _measure(case, settings)))
    progress("done", len(cases), len(cases))
    errors = pd.concat(tables, ignore_index=True)
    facts = {"settings": settings, "tolerance": TOLERANCE, **_conclusions(errors, n_train, dimension)}
    return StudyRecord(NAME, "Behaviour under shifts (§4.2)", {"errors": errors}, facts)


def _cases(dimension: int, n_train: int) -> Iterator[_Case]:
    identity = np.eye(dimension)
    learner = optimal_learner(Gaussian(identity), n_train)

    def linear(shift: str, parameter: float, context: Matrix, query: Matrix, noise: float = 0.0) -> _Case:
        changes = () if np.array_equal(context, query) else (IndependentQueries(query),)
        return _Case(
            shift,
            parameter,
            PromptDistribution(Gaussian(context), Linear(), noise, changes=changes),
            float(np.trace(query)),
            0.0,
            lambda m: {
                LSA: shift_risk(learner, context, query, m, identity, noise**2),
                LEAST_SQUARES: least_squares_risk(context, query, m, noise**2),
            },
        )

    def nonlinear(shift: str, parameter: float, tasks: LinearPlusQuadratic | Cubic, law: Any) -> _Case:
        return _Case(
            shift,
            parameter,
            PromptDistribution(Gaussian(identity), tasks),
            tasks.mean_square(identity),
            law.best,
            lambda m: {LSA: theorem5_risk(identity, n_train, m, *law), LEAST_SQUARES: math.nan},
        )

    yield linear(_UNSHIFTED, 0.0, identity, identity)
    for s in (0.5, 1.0, 2.0):
        yield linear("label noise, standard deviation", s, identity, identity, s)
    # w has the length of a typical draw of N(0, I); v is a unit vector at 45° to it in its plane with e_2.
    weights = math.sqrt(dimension) * identity[0]
    direction = (identity[0] + identity[1]) / math.sqrt(2)
    for c in (0.5, 1.0, 2.0):
        tasks = LinearPlusQuadratic(weights, direction, c, identity)
        yield nonlinear("quadratic task, coefficient", c, tasks, quadratic_law(identity, weights, direction, c))
    for c in (0.5, 1.0):
        yield nonlinear("cubic task, coefficient", c, Cubic(direction, c), cubic_law(identity, direction, c))
    for c in (1 / 3, 0.5, 2.0, 3.0):
        yield linear("query scaled by", c, identity, c**2 * identity)
    for k in sorted({1, dimension // 2}):
        concentrated = np.diag(np.where(np.arange(dimension) < k, dimension / k, 0.0))
        yield linear("query in a subspace, dimension", float(k), identity, concentrated)
    for c in (1 / 3, 0.5, 2.0, 3.0):
        yield linear("inputs scaled by", c, c**2 * identity, c**2 * identity)
    for t in (0.5, 1.0, 2.0):
        spectrum = np.arange(1.0, dimension + 1) ** -t
        other = np.diag(spectrum * dimension / spectrum.sum())
        yield linear("input spectrum i^-t, t =", t, other, other)


def _measure(case: _Case, settings: dict[str, Any]) -> pd.DataFrame:
    dimension, n_train, lengths = settings["dimension"], settings["n_train"], settings["lengths"]
    layer = TrainedLSA(minimizer(Gaussian.isotropic(dimension), n_train))
    measure = SquaredErrors(((LSA, layer), (LEAST_SQUARES, LeastSquares())))
    [found] = accumulate(
        measure,
        case.distribution,
        max(lengths) + 1,
        n_prompts=settings["n_prompts"],
        seed=settings["seed"],
        summaries=(Moments,),
    )
    rows = []
    for m in lengths:
        exact = case.exact(m)
        for k, (name, _) in enumerate(measure.predictors):
            mean, stderr = float(found.mean[k, m]), float(found.stderr[k, m])
            rows.append(
                {
                    "shift": case.shift,
                    "parameter": case.parameter,
                    "M": m,
                    "predictor": name,
                    "exact": exact[name],
                    "mean": mean,
                    "stderr": stderr,
                    "n": found.n,
                    "z": _z_score(mean, stderr, exact[name], case.zero),
                    "zero": case.zero,
                    "best": case.best,
                }
            )
    return pd.DataFrame(rows)


def _z_score(mean: float, stderr: float, exact: float, scale: float) -> float:
    """(mean − exact)/stderr; NaN without a finite exact value, 0 where both are zero up to rounding."""
    if not math.isfinite(exact):
        return math.nan
    if abs(mean - exact) < 1e-20 * scale:
        return 0.0
    return (mean - exact) / stderr


def _conclusions(errors: pd.DataFrame, n_train: int, dimension: int) -> dict[str, Any]:
    at_n = errors[errors["M"] == n_train].copy()
    # The exact value where it is known, the measured one elsewhere.
    value = at_n["exact"].where(at_n["exact"].notna(), at_n["mean"])
    at_n["relative"] = (value - at_n["best"]) / at_n["zero"]
    unshifted = at_n[at_n["shift"] == _UNSHIFTED].set_index("predictor")["relative"]
    tolerated: dict[str, dict[str, bool]] = {LSA: {}, LEAST_SQUARES: {}}
    largest: list[str] = []
    steady: list[str] = []
    for shift, rows in at_n[at_n["shift"] != _UNSHIFTED].groupby("shift", sort=False):
        parts = []
        for name in tolerated:
            own = rows[rows["predictor"] == name]
            worst = own.iloc[int(own["relative"].argmax())]
            tolerated[name][str(shift)] = bool(worst["relative"] - unshifted[name] <= TOLERANCE)
            parts.append(f"{worst['relative']:.3g} (at {worst['parameter']:.3g})")
            growing = np.diff(own.sort_values("parameter")["relative"]) > _ROUNDING
            if name == LSA and len(own) > 1 and not growing.any() and not str(shift).startswith("input"):
                steady.append(str(shift))
        largest.append(f"{_named(str(shift))} {', '.join(parts)}")
    # Errors that are zero are no comparison, and one that only scales with the shift is no second one.
    scored = errors[np.isfinite(errors["z"]) & (errors["exact"] > 0)]
    scored = scored[~scored["z"].round(6).duplicated()]
    largest_z = float(scored["z"].abs().max())
    within = int((scored["z"].abs() <= 4).sum())
    smaller, pairs, close, others = _smaller(errors)
    narrow = f"in {close} by less than 2 unpaired standard errors" if close else ""
    notes = "; ".join(note for note in (narrow, f"not: {others}" if others else "") if note)
    limits = _limits(at_n, unshifted)
    return {
        "summary": [_finding(tolerated[LSA], dimension, n_train, limits.get(LSA), steady)],
        "sentences": [
            f"The layer trained at d = {dimension}, N = {n_train} tolerates {_listed(tolerated[LSA], True)}; it does "
            f"not tolerate {_listed(tolerated[LSA], False)}. Least squares tolerates "
            f"{_listed(tolerated[LEAST_SQUARES], True)}; it does not tolerate "
            f"{_listed(tolerated[LEAST_SQUARES], False)}.",
            f"Tolerated means: at M = N the error, less that of the best linear predictor and divided by that of the "
            f"zero estimator, grows by at most {TOLERANCE:g} over the learner's own unshifted one, up to the strengths "
            f"tried. That is growth, not size: least squares has the smaller error in {smaller} of {pairs} pairs of a "
            f"shift and M{f' ({notes})' if notes else ''}.",
            f"The largest such errors of {LSA}, {LEAST_SQUARES} (unshifted {unshifted[LSA]:.3g}, "
            f"{unshifted[LEAST_SQUARES]:.3g}): {'; '.join(largest)}.{_bounds(limits)}{_steadiness(steady)}",
            f"Exact and Monte Carlo errors agree within 4 standard errors in {within} of {len(scored)} comparisons of "
            f"different numbers; the largest distance is {largest_z:.2f}. All shifts use the same draws, so distances "
            "are not independent.",
        ],
        "tolerated": tolerated,
        "comparisons": len(scored),
        "within_4": within,
        "largest_z": largest_z,
    }


def _finding(tolerated: dict[str, bool], dimension: int, n_train: int, limit: float | None, steady: list[str]) -> str:
    """How much of §4.2 holds: other tasks and queries are tolerated, other inputs are not."""
    inputs = [kept for name, kept in tolerated.items() if name.startswith("input")]
    others = [kept for name, kept in tolerated.items() if not name.startswith("input")]
    as_said = [*others, *(not kept for kept in inputs)]
    kind = "Confirmed" if all(as_said) else "In part" if any(as_said) else "Refuted"
    kept_on = sum(tolerated[name] for name in steady)
    told = [f"{kept_on} {'is' if kept_on == 1 else 'are'} no worse when stronger"] if kept_on else []
    if limit is not None:
        told.append(f"label noise is tolerated up to a standard deviation of {limit:.2f}")
    more = f" ({', '.join(told)})" if told else ""
    return (
        f"{kind}: as to §4.2, the trained layer (d = {dimension}, N = {n_train}) tolerates {sum(others)} of "
        f"{len(others)} shifts of tasks and queries{more} and {sum(inputs)} of {len(inputs)} of inputs."
    )


def _smaller(errors: pd.DataFrame) -> tuple[int, int, int, str]:
    """In how many shifted settings least squares has the smaller error, of how many, in how many barely, where not."""
    shifted = errors[errors["shift"] != _UNSHIFTED].set_index(["shift", "parameter", "M"])
    layer, squares = (shifted[shifted["predictor"] == name] for name in (LSA, LEAST_SQUARES))
    squares = squares.loc[layer.index]
    # Measured ones on the same prompts where not both are exact.
    exact = layer["exact"].notna() & squares["exact"].notna()
    held = (squares["exact"] < layer["exact"]).where(exact, squares["mean"] < layer["mean"])
    close = held & ~exact & (layer["mean"] - squares["mean"] < 2 * np.hypot(layer["stderr"], squares["stderr"]))
    others = ", ".join(f"{_named(shift)} {strength:.3g} at M = {m}" for shift, strength, m in held.index[~held])
    return int(held.sum()), len(held), int(close.sum()), others


def _limits(at_n: pd.DataFrame, unshifted: pd.Series) -> dict[str, float]:
    """The label noise that each learner would still tolerate: its growth is proportional to the noise variance."""
    noisy = at_n[at_n["shift"].str.startswith("label noise")].sort_values("parameter")
    limits = {}
    for name in (LSA, LEAST_SQUARES):
        own = noisy[noisy["predictor"] == name]
        growth = own["relative"].iloc[-1] - unshifted[name] if len(own) else math.nan
        if 0 < growth < math.inf:
            limits[name] = float(own["parameter"].iloc[-1] * math.sqrt(TOLERANCE / growth))
    return limits


def _bounds(limits: dict[str, float]) -> str:
    if not limits:
        return ""
    told = ", ".join(f"{limit:.2f} ({name})" for name, limit in limits.items())
    return f" Growth is proportional to the variance of label noise: it passes {TOLERANCE:g} at {told}."


def _steadiness(steady: list[str]) -> str:
    if not steady:
        return ""
    return f" For {LSA} this measure does not rise with the strength of {', '.join(_named(s) for s in steady)}."


def _listed(tolerated: dict[str, bool], which: bool) -> str:
    names = [_named(name) for name, kept in tolerated.items() if kept is which]
    return ", ".join(names) if names else "none of them"


def _named(shift: str) -> str:
    """A shift without its parameter."""
    return shift.split(",")[0].removesuffix(" by").removesuffix(" i^-t")
