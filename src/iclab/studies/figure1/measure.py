"""Transformers trained on fixed and on random covariances, tested at every context length on four distributions.

Two families of models × training lengths N are tested on x ~ N(0, I) and on x ~ N(0, c·diag(λ)), λ_i ~ Exponential(1)
drawn anew in every prompt, c = 1, 4, 9. Beside them: least squares on the same prompts, and the exact error of the
trained linear self-attention layer at finite N and M and in its limit. All errors are divided by d.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from iclab.foundations import standard_error
from iclab.models import load
from iclab.predictors import LeastSquares
from iclab.studies.figure1.checks import ErrorsByModel, weigh
from iclab.studies.figure1.models import Model, ModelSettings, describe, find_or_train, missing
from iclab.studies.lab import Lab
from iclab.studies.measuring import FAMILIES, OWN, Errors, Panel, curve, panels, squared_errors
from iclab.studies.store import Unit
from iclab.studies.trainings import Trained
from iclab.theory import expected_risk

TITLE = {
    "figure1": "Figure 1: transformers on fixed and random covariances",
    "figure1-d20": "Figure 1 from shipped models",
    "figure1-d20-columns": "Figure 1 from models that read columns (x, y)",
    "figure1-seeds": "Figure 1 over several training seeds",
}
# Unless a study asks for an error at N: a model trained on the fixed covariance has learned its task when its error / d
# at 2d examples is at most this; one trained on random covariances when it beats the exact layer at every M up to N.
LEARNED = 0.05
# None stands for least squares.
Judged: TypeAlias = Mapping[tuple[Model | None, Panel], Errors]


@dataclass(frozen=True)
class Settings(ModelSettings):
    """Sizes of the study: its models, and what they are tested on.

    Attributes
    ----------
    scales : tuple of float
        Factors c of the random test covariances, ascending.
    learned_at_n : float, optional
        Largest error / d at M = N, on its own inputs, of a model that counts as having learned; when omitted the
        criterion is ``LEARNED``.
    """

    n_prompts: int = 4_000
    scales: tuple[float, ...] = (1.0, 4.0, 9.0)
    learned_at_n: float | None = None


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Find or train the models, test them, and weigh the paper's observations.

    Returns
    -------
    dict of DataFrame
        ``curves``, ``bands``, ``spread``, ``lsa``, ``models``, ``missing`` and ``checks``; errors are divided by d.
    """
    found = find_or_train(settings, lab)
    tested = panels(settings.scales)
    errors = _test(settings, found, tested, lab)
    models = describe(settings, found).merge(_own_errors(found, errors, settings), on=list(Model._fields), how="left")
    learned = [model for model, row in zip(found, models["learned"], strict=True) if row]
    curves = []
    for (model, panel), values in errors.items():
        family, n_train, training_seed = model or ("least squares", pd.NA, pd.NA)
        table = curve(values, **panel._asdict(), family=family, n_train=n_train, training_seed=training_seed)
        curves.append(table.astype({"n_train": "Int64", "training_seed": "Int64"}))
    bands = _bands(_by_length(list(found), tested, errors))
    tables = {
        "curves": pd.concat(curves, ignore_index=True),
        "bands": bands,
        "lsa": _lsa(settings, tested),
        "models": models,
        "missing": missing(settings, found),
        # What a model does that has not learned its own task tells nothing about one that has.
        "checks": weigh(_by_length(learned, tested, errors), tested, settings.n_train, settings.seed),
    }
    return tables | {"spread": _spread(tables["curves"], bands)}


def _test(settings: Settings, found: Mapping[Model, Trained], tested: Sequence[Panel], lab: Lab) -> Judged:
    """Squared errors of every predictor on every panel, on the same prompts."""
    sizes = {"d": settings.dimension, "n_points": settings.max_context + 1}
    sizes |= {"n_prompts": settings.n_prompts, "seed": settings.seed}
    units: dict[tuple[Model | None, Panel], Unit] = {}
    for panel, model in product(tested, (None, *found)):
        given = {"model": found[model] if model else None, "panel": panel, **sizes}
        units[model, panel] = Unit(errors_of, given, f"{model or 'least squares'} on {panel}")
    tables = lab.tables(list(units.values()), "testing")
    return {case: table.to_numpy() for case, table in zip(units, tables, strict=True)}


def errors_of(model: Trained | None, panel: Panel, d: int, n_points: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Squared errors / d of a model, or of least squares without one, by prompt and position."""
    predictor = load(model.path, device="auto") if model else LeastSquares()
    return squared_errors(predictor, panel.covariates(d), n_points, n_prompts=n_prompts, seed=seed)


def _by_length(models: Sequence[Model], tested: Sequence[Panel], errors: Judged) -> ErrorsByModel:
    """Squared errors by (family, N, panel): training seeds × prompts × positions."""
    seeds: dict[tuple[str, int], list[Model]] = {}
    for model in models:
        seeds.setdefault((model.family, model.n_train), []).append(model)
    return {
        (family, n, panel): np.array([errors[model, panel] for model in alike])
        for (family, n), alike in seeds.items()
        for panel in tested
    }


def _bands(by_length: ErrorsByModel) -> pd.DataFrame:
    """Mean over training seeds by position, its standard error over prompts, and the range and spread over seeds."""
    frames = [pd.DataFrame(columns=["inputs", "c", "family", "n_train", "position", "mean", "stderr", "n"])]
    for (family, n_train, panel), by_seed in by_length.items():
        means = by_seed.mean(axis=1)
        spread = means.std(axis=0, ddof=1) if len(means) > 1 else math.nan
        seeds = {"lowest": means.min(axis=0), "highest": means.max(axis=0), "deviation": spread, "seeds": len(means)}
        table = curve(by_seed.mean(axis=0), **panel._asdict(), family=family, n_train=n_train)
        frames.append(table.assign(**seeds))
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _spread(curves: pd.DataFrame, bands: pd.DataFrame) -> pd.DataFrame:
    """How far training seeds spread beside one model's error over prompts, up to N and beyond; medians.

    ``over_prompts`` is the standard error of the mean over seeds as a share of the mean, ``range`` likewise the range
    over seeds, ``ratio`` the standard deviation between seeds over one model's standard error.
    """
    columns = ["beyond", "over_prompts", "range", "ratio", "points"]
    if not len(bands) or int(bands["seeds"].max()) < 2:
        return pd.DataFrame(columns=columns)
    point = ["inputs", "c", "family", "n_train", "position"]
    of_one = curves.dropna(subset="n_train").groupby(point)["stderr"].mean().rename("of_one").reset_index()
    joined = bands.merge(of_one.astype({"n_train": "int64"}), on=point, validate="one_to_one")
    joined = joined[joined["position"] > 0].assign(beyond=lambda rows: rows["position"] > rows["n_train"])
    shares = joined.assign(
        over_prompts=joined["stderr"] / joined["mean"],
        range=(joined["highest"] - joined["lowest"]) / joined["mean"],
        ratio=joined["deviation"] / joined["of_one"],
    ).groupby("beyond")
    return shares[columns[1:4]].median().assign(points=shares.size()).reset_index()


def _lsa(settings: Settings, tested: Sequence[Panel]) -> pd.DataFrame:
    """Exact error / d of the trained linear self-attention layer at finite N and M, and its limit (M, N → ∞)."""
    rows = []
    for panel, family in product(tested, FAMILIES):
        lengths = [*product(settings.n_train, range(settings.max_context + 1)), (math.inf, math.inf)]
        for n, m in lengths:
            row = {**panel._asdict(), "family": family, "n_train": float(n), "position": float(m)}
            rows.append({**row, "error": _exact(family, panel, n, m, settings)})
    return pd.DataFrame(rows)


def _exact(family: str, panel: Panel, n: float, m: float, settings: ModelSettings) -> float:
    """Error / d of the layer trained on a family's inputs; without examples it predicts zero."""
    d = settings.dimension
    return expected_risk(OWN[family].covariates(d), n, m, panel.covariates(d)) / d if m else panel.c


def _own_errors(found: Mapping[Model, Trained], errors: Judged, settings: Settings) -> pd.DataFrame:
    """One row per model: its errors on its own inputs, and whether it learned its task."""
    rows = []
    for model in found:
        own, n = OWN[model.family], model.n_train
        values = errors[model, own]
        row: dict[str, Any] = {**model._asdict(), "n": len(values)}
        for label, position in (("2d", 2 * settings.dimension), ("N", n)):
            at = values[:, position]
            row |= {f"error_at_{label}": float(at.mean()), f"stderr_at_{label}": float(standard_error(at))}
        lsa = np.array([_exact(model.family, own, n, m, settings) for m in range(1, n + 1)])
        largest = float((values[:, 1 : n + 1].mean(axis=0) / lsa).max())
        learned = row["error_at_2d"] <= LEARNED if model.family == "fixed" else largest < 1
        if settings.learned_at_n is not None:
            learned = row["error_at_N"] <= settings.learned_at_n
        rows.append({**row, "largest_ratio_to_lsa": largest, "learned": learned})
    ends = ["n", "error_at_2d", "stderr_at_2d", "error_at_N", "stderr_at_N", "largest_ratio_to_lsa", "learned"]
    return pd.DataFrame(rows, columns=[*Model._fields, *ends])
