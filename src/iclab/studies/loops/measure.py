"""One block applied b times, its input added again before each loop, beside untied models and tied GD++."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from iclab.evaluation import compare
from iclab.models import load
from iclab.predictors import GradientDescentPlusPlus, LeastSquares, Predictor
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
from iclab.studies.contests import board, job_of
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.studies.trainings import Trained, TrainingSettings, trained
from iclab.training.config import merge

TITLE = "Loops: one block applied many times"
LOOPED, SAME_WEIGHTS, SAME_COMPUTE = "looped", "one layer", "untied"


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N.
    loops, window : int
        b and T: predictions after the last T loops are fitted.
    untied : int
        Layers of the model with the same compute.
    tested : tuple of int
        Loops at test.
    steps : int
        Of every training.
    n_draws : int
        Spectra on which the rate and curvature of GD++ are chosen.
    """

    dimension: int = 5
    n_train: int = 10
    loops: int = 12
    window: int = 6
    untied: int = 12
    tested: tuple[int, ...] = (1, 2, 4, 6, 8, 10, 12, 16, 24, 36)
    steps: int = 2000
    n_draws: int = 4000


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train the looped model, the untied one and one layer; read the looped one with other numbers of loops.

    Returns
    -------
    dict of DataFrame
        ``errors``: case, predictor ("model", "least squares"), training_seed, position, mean, stderr, n. ``board``:
        model, case, predictor, score at N with its interval. ``loops``: training_seed (−1 for GD++), predictor, loops,
        mean (error at N), stderr, n. ``trained``: loops and window of the training, rate and curvature of GD++.
    """
    # As published, loops are few at first.
    growing = {
        "start": min(2, settings.loops),
        "end": settings.loops,
        "increment": 2,
        "every": max(1, settings.steps // 8),
    }
    shape: dict[str, Mapping[str, Any]] = {
        LOOPED: {
            "model": {"layers": 1, "loops": settings.loops, "inject": True},
            "window": settings.window,
            "curriculum": {"fields": {"model.loops": growing}},
        },
        SAME_WEIGHTS: {"model": {"layers": 1}},
        SAME_COMPUTE: {"model": {"layers": settings.untied}},
    }
    common = {"dimension": settings.dimension, "n_train": settings.n_train, "max_points": settings.n_train + 1}
    jobs = {
        (name, s): job_of(
            f"loops {name}", merge({**common, "steps": settings.steps, **change}, settings.overrides), s, lab
        )
        for name, change in shape.items()
        for s in settings.training_seeds
    }
    lab.train(list(jobs.values()))
    sizes = {"dimension": settings.dimension, "n_train": settings.n_train, "seed": settings.seed}
    descent = lab.table(best_descent, "tied GD++", steps=settings.loops, n_draws=settings.n_draws, **sizes)
    rate, curvature = (float(descent[name].iloc[0]) for name in ("rate", "curvature"))
    tested = {"points": settings.n_train + 1, "n_prompts": settings.n_prompts, "seed": settings.seed}
    numbers = list(settings.tested)
    units = [
        Unit(
            judge,
            {"model": trained(job), "loops": numbers if name == LOOPED else [], **tested},
            job.label,
            {"case": name, "training_seed": seed},
        )
        for (name, seed), job in jobs.items()
    ]
    law = next(iter(jobs.values())).config.prompts.build()
    descents = {"law": law, "rate": rate, "curvature": curvature, "loops": numbers}
    # Who is not trained is the same beside every model.
    exact = lab.table(references, "least squares and GD++", **descents, **tested)
    beside = [exact.assign(case=name, training_seed=-1) for name in shape]
    whole = pd.concat([lab.rows(units, "judging"), *beside], ignore_index=True)
    plain = whole["loops"].isna()
    every = whole[plain].drop(columns="loops").reset_index(drop=True)
    steps = whole[~plain & (whole["position"] == settings.n_train)].drop(columns=["case", "position"])
    steps = steps.drop_duplicates(["predictor", "training_seed", "loops"])
    return {
        "errors": every,
        "board": board(every, {name: {"model": name} for name in shape}, ("model",)),
        "loops": steps.astype({"loops": int}).reset_index(drop=True),
        "trained": descent.assign(loops=settings.loops, window=settings.window),
    }


def best_descent(dimension: int, n_train: int, steps: int, n_draws: int, seed: int) -> pd.DataFrame:
    """Rate and curvature of tied GD++ with the least error at N of x, w ~ N(0, I), on drawn spectra.

    Without noise the error is the mean of Σ (1 − s(λ))² over the eigenvalues λ of (1/N) X'X, where s(λ) is the weight
    that GD++ finds in one dimension from a single example of x² = λ and w = 1.
    """
    xs = Gaussian.isotropic(dimension)
    drawn = PromptDistribution(xs, Linear()).sample(n_draws, n_train, seed=seed, stream="training").xs
    roots = (np.linalg.svd(drawn, compute_uv=False) / n_train**0.5).reshape(-1, 1)
    pairs = np.repeat(roots, 2, axis=1)
    lone = Prompts(pairs[..., None], pairs, pairs[..., None], pairs)

    def error(values: np.ndarray) -> float:
        rate, curvature = np.exp(values)
        with np.errstate(over="ignore", invalid="ignore"):
            left = 1 - GradientDescentPlusPlus(steps, rate, curvature).weights(lone)[:, 1, 0]
            return float(np.nan_to_num((left**2).sum() / n_draws, nan=np.inf))

    # Stable at the edge of the Marchenko-Pastur law.
    first = 1 / (1 + (dimension / n_train) ** 0.5) ** 2
    found = minimize(error, np.log([first, first / 3]), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": np.inf})
    rate, curvature = np.exp(found.x)
    return pd.DataFrame({"rate": [rate], "curvature": [curvature], "error_at_n": [found.fun], "n_draws": [n_draws]})


@dataclass(frozen=True)
class _AtN:
    """A predictor that answers at the last position only: with few examples GD++ of a rate for N may diverge."""

    predictor: GradientDescentPlusPlus

    def __call__(self, prompts: Prompts) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            predictions = self.predictor(prompts)
        return np.concatenate([np.zeros_like(predictions[:, :-1]), predictions[:, -1:]], axis=1)


def judge(model: Trained, loops: list[int], points: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Errors by position of a model as it was trained, and with other numbers of loops."""
    predictor = load(model.path)
    named: dict[tuple[str, int | None], Predictor] = {("model", None): predictor}
    named |= {("model", n): predictor.looped(n) for n in loops}
    return _errors(named, model.config.prompts.build(), points, n_prompts, seed)


def references(
    law: Any, loops: list[int], points: int, rate: float, curvature: float, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Errors by position of least squares, and of GD++ of as many steps as loops."""
    named: dict[tuple[str, int | None], Predictor] = {("least squares", None): LeastSquares()}
    named |= {("GD++", n): _AtN(GradientDescentPlusPlus(n, rate, curvature)) for n in loops}
    return _errors(named, law, points, n_prompts, seed)


def _errors(
    named: Mapping[tuple[str, int | None], Predictor], law: Any, points: int, n_prompts: int, seed: int
) -> pd.DataFrame:
    keys = {str(i): key for i, key in enumerate(named)}
    contestants = dict(zip(keys, named.values(), strict=True))
    table = compare(contestants, {"": law}, points, n_prompts=n_prompts, seed=seed).drop(columns="distribution")
    who = [keys[str(key)] for key in table["predictor"]]
    return table.assign(predictor=[name for name, _ in who], loops=pd.array([n for _, n in who], dtype="Float64"))
