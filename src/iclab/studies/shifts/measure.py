"""A layer trained on x, w ~ N(0, I) and contexts of N examples meets other labels, tasks, queries and inputs.

For every shift its exact error where it is known, and the Monte Carlo errors of the layer and of least squares on the
same prompts, at test lengths N/2, N and 2N.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from iclab.evaluation import least_squares_risk
from iclab.evaluation.curves import SquaredErrors
from iclab.evaluation.streaming import Moments, accumulate
from iclab.foundations import Matrix
from iclab.predictors import LeastSquares, TrainedLSA
from iclab.prompts import Cubic, Gaussian, IndependentQueries, Linear, LinearPlusQuadratic, PromptDistribution
from iclab.studies.lab import Lab
from iclab.studies.rows import where
from iclab.studies.store import Unit
from iclab.theory import cubic_law, minimizer, optimal_learner, quadratic_law, shift_risk, theorem5_risk

TITLE = "Behaviour under shifts (§4.2)"
LSA, LEAST_SQUARES = "LSA", "least squares"
UNSHIFTED = "none"
# What each shift changes.
CHANGED = {
    UNSHIFTED: "nothing",
    "label noise": "labels",
    "quadratic task": "tasks",
    "cubic task": "tasks",
    "query scale": "queries",
    "query subspace": "queries",
    "input scale": "inputs",
    "input spectrum": "inputs",
}


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N of the trained layer.
    n_prompts : int
        Prompts per shift.
    seed : int
        Seed of the prompts.
    """

    dimension: Annotated[int, Field(ge=2)] = 10
    n_train: Annotated[int, Field(ge=2)] = 40
    n_prompts: Annotated[int, Field(ge=2)] = 20_000
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, eq=False)
class Case:
    """One shift at one parameter: a distribution, and what is known exactly about it."""

    distribution: PromptDistribution
    zero: float  # E h(x_q)²
    best: float  # error of the best linear predictor
    exact: Callable[[int], dict[str, float]]  # by M; NaN where unknown


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Measure every shift.

    Returns
    -------
    dict of DataFrame
        ``errors``: shift, changed (labels, tasks, queries or inputs), parameter, M, predictor, exact, mean, stderr, n,
        z, zero, best. ``growth``: at M = N, by shift and predictor, the largest error less that of the best linear
        predictor and divided by the zero estimator's (``relative``, at ``parameter``), the same without a shift, their
        difference ``growth``, the number of ``parameters`` tried, and whether it never ``rises`` with the parameter.
    """
    units = [
        Unit(errors_of, {"shift": shift, "parameter": parameter, **asdict(settings)}, f"{shift} {parameter:g}")
        for shift, parameters in _parameters(settings.dimension).items()
        for parameter in parameters
    ]
    errors = lab.rows(units, "shifts")
    return {"errors": errors, "growth": growth_of(errors, settings.n_train)}


def _parameters(dimension: int) -> dict[str, tuple[float, ...]]:
    return {
        UNSHIFTED: (0.0,),
        "label noise": (0.5, 1.0, 2.0),
        "quadratic task": (0.5, 1.0, 2.0),
        "cubic task": (0.5, 1.0),
        "query scale": (1 / 3, 0.5, 2.0, 3.0),
        "query subspace": tuple(float(k) for k in sorted({1, dimension // 2})),
        "input scale": (1 / 3, 0.5, 2.0, 3.0),
        "input spectrum": (0.5, 1.0, 2.0),
    }


def case_of(shift: str, parameter: float, dimension: int, n_train: int) -> Case:
    """A shift at a parameter: a standard deviation, a coefficient, a factor of x, a dimension, or an exponent."""
    identity = np.eye(dimension)
    # w has the length of a typical draw of N(0, I); v is a unit vector at 45° to it in its plane with e_2.
    weights = math.sqrt(dimension) * identity[0]
    direction = (identity[0] + identity[1]) / math.sqrt(2)
    if shift == "quadratic task":
        tasks = LinearPlusQuadratic(weights, direction, parameter, identity)
        return _nonlinear(tasks, quadratic_law(identity, weights, direction, parameter), n_train)
    if shift == "cubic task":
        return _nonlinear(Cubic(direction, parameter), cubic_law(identity, direction, parameter), n_train)
    index = np.arange(dimension)
    spectrum = (index + 1.0) ** -parameter
    other = np.diag(spectrum * dimension / spectrum.sum())
    # Of the context and of the query.
    spectra: dict[str, tuple[Matrix, Matrix]] = {
        "query scale": (identity, parameter**2 * identity),
        "query subspace": (identity, np.diag(np.where(index < parameter, dimension / max(parameter, 1), 0.0))),
        "input scale": (parameter**2 * identity, parameter**2 * identity),
        "input spectrum": (other, other),
    }
    return _linear(
        *spectra.get(shift, (identity, identity)), n_train, noise=parameter if shift == "label noise" else 0.0
    )


def _linear(context: Matrix, query: Matrix, n_train: int, noise: float) -> Case:
    identity = np.eye(len(context))
    learner = optimal_learner(Gaussian(identity), n_train)
    changes = () if np.array_equal(context, query) else (IndependentQueries(query),)
    return Case(
        PromptDistribution(Gaussian(context), Linear(), noise, changes=changes),
        float(np.trace(query)),
        0.0,
        lambda m: {
            LSA: shift_risk(learner, context, query, m, identity, noise**2),
            LEAST_SQUARES: least_squares_risk(context, query, m, noise**2),
        },
    )


def _nonlinear(tasks: LinearPlusQuadratic | Cubic, moments: Any, n_train: int) -> Case:
    identity = np.eye(len(tasks.direction))
    return Case(
        PromptDistribution(Gaussian(identity), tasks),
        tasks.mean_square(identity),
        moments.best,
        lambda m: {LSA: theorem5_risk(identity, n_train, m, *moments), LEAST_SQUARES: math.nan},
    )


def errors_of(shift: str, parameter: float, dimension: int, n_train: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Exact and Monte Carlo errors of both predictors under a shift, by M."""
    case = case_of(shift, parameter, dimension, n_train)
    lengths = sorted({max(n_train // 2, 1), n_train, 2 * n_train})
    layer = TrainedLSA(minimizer(Gaussian.isotropic(dimension), n_train))
    errors = SquaredErrors(((LSA, layer), (LEAST_SQUARES, LeastSquares())))
    [moments] = accumulate(
        errors, case.distribution, max(lengths) + 1, n_prompts=n_prompts, seed=seed, summaries=(Moments,)
    )
    rows: list[dict[str, Any]] = []
    for m in lengths:
        exact = case.exact(m)
        for k, (name, _) in enumerate(errors.predictors):
            mean, stderr = float(moments.mean[k, m]), float(moments.stderr[k, m])
            row = {"shift": shift, "changed": CHANGED[shift], "parameter": parameter, "M": m, "predictor": name}
            row |= {"exact": exact[name], "mean": mean, "stderr": stderr, "n": moments.n}
            row |= {"z": _z_score(mean, stderr, exact[name], case.zero), "zero": case.zero, "best": case.best}
            rows.append(row)
    return pd.DataFrame(rows)


def _z_score(mean: float, stderr: float, exact: float, scale: float) -> float:
    """(mean − exact)/stderr; NaN without a finite exact value, 0 where both are zero up to rounding."""
    if not math.isfinite(exact):
        return math.nan
    if abs(mean - exact) < 1e-20 * scale:
        return 0.0
    return (mean - exact) / stderr


def growth_of(errors: pd.DataFrame, n_train: int) -> pd.DataFrame:
    """Table ``growth`` of table ``errors``; exact errors where they are known, measured ones elsewhere."""
    at_n = where(errors, M=n_train)
    value = at_n["exact"].where(at_n["exact"].notna(), at_n["mean"])
    at_n = at_n.assign(relative=(value - at_n["best"]) / at_n["zero"])
    unshifted = where(at_n, shift=UNSHIFTED).set_index("predictor")["relative"]
    rows: list[dict[str, Any]] = []
    shifted = at_n[at_n["shift"] != UNSHIFTED]
    for (shift, changed, predictor), inside in shifted.groupby(["shift", "changed", "predictor"], sort=False):
        ordered = inside.sort_values("parameter")
        worst = inside.iloc[int(inside["relative"].argmax())]
        before = float(unshifted[str(predictor)])
        row = {"shift": shift, "changed": changed, "predictor": predictor, "parameter": float(worst["parameter"])}
        row |= {"relative": float(worst["relative"]), "unshifted": before}
        # Differences of exact relative errors below this are rounding.
        row |= {
            "growth": float(worst["relative"]) - before,
            "parameters": len(ordered),
            "rises": bool((np.diff(ordered["relative"]) > 1e-9).any()),
        }
        rows.append(row)
    return pd.DataFrame(rows)
