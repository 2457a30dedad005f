"""One layer of each mixer beside the learner that it can be, and small models of each mixer on five problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from iclab.evaluation import compare
from iclab.predictors import DeltaRule, LeastSquares, Predictor, predictor
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.contests import board, contest, with_dimension
from iclab.studies.lab import Lab
from iclab.studies.trainings import TrainingSettings
from iclab.theory import expected_risk
from iclab.training.config import merge

TITLE = "Mixers: who learns what"
# The paper's columns (x, y), read and answered as they are, and one mixer without norm, gate and convolution.
BARE: Mapping[str, Any] = {
    "layers": 1,
    "heads": 1,
    "embedding": "stacked",
    "read_in": "identity",
    "positions": "none",
    "mlp": False,
    "layer_norm": False,
    "bare": True,
    "convolution": 0,
}
LAYERS: Mapping[str, Mapping[str, Any]] = {
    "linear attention": {"attention": "merged"},
    "delta rule": {"mixers": ["delta"], "keys": "plain"},
    "mesa": {"mixers": ["mesa"], "keys": "plain"},
}
# Of one layer as in the preset ``lsa``. Muon's steps are too short for Mesa: least squares is the limit of ridge
# regression at penalty 0, where keys and the logarithm of the ridge are infinite.
_ADAM = {"optimizer": {"kind": "adam", "learning_rate": 5e-3}}
# The minimiser of Theorem 4 is that of the query after N examples; the others are the same at every position.
RECIPES: Mapping[str, Mapping[str, Any]] = {"linear attention": {"loss_at": "query", **_ADAM}, "mesa": _ADAM}
MODELS: Mapping[str, Mapping[str, Any]] = {
    "softmax": {"attention": "softmax"},
    "linear": {"attention": "linear"},
    "delta": {"mixers": ["delta"], "positions": "none"},
    "mesa": {"mixers": ["mesa"], "positions": "none"},
    "mamba2": {"mixers": ["mamba2"], "positions": "none"},
    "lstm": {"mixers": ["lstm"], "positions": "none"},
    "hybrid": {"mixers": ["mamba2", "mamba2", "softmax"], "positions": "none"},
}
PROBLEMS: Mapping[str, Mapping[str, Any]] = {
    "linear": {},
    "sparse": {"prompts": {"tasks": {"kind": "sparse_linear", "nonzeros": 1}}},
    "parity": {
        "prompts": {
            "covariates": {"kind": "hypercube", "dimension": "d"},
            "tasks": {"kind": "sparse_parity", "size": 2},
        }
    },
    "outliers": {"prompts": {"outliers": {"probability": 0.3, "scale": 5.0}}, "targets": "labels"},
    "recall": {
        "prompts": {"covariates": {"kind": "categories", "count": "d"}, "tasks": {"kind": "lookup", "n_classes": 3}},
        "model": {"head": "classes", "outputs": 3},
        "targets": "labels",
        "per_dimension": False,
    },
}
BESIDE = {
    "linear": ("bayes", "lsa"),
    "sparse": ("bayes", "least_squares"),
    "parity": ("bayes",),
    "outliers": ("least_squares", "lasso-0.1"),
    "recall": ("bayes",),
}


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N.
    layers, models, problems : tuple of str
        Which layers, models and problems.
    on_linear : tuple of str
        More models, of linear functions alone: what several layers add to the one that has an exact learner.
    layer_steps, steps : int
        Of the trainings of one layer, and of models.
    """

    dimension: int = 5
    n_train: int = 20
    layers: tuple[str, ...] = tuple(LAYERS)
    models: tuple[str, ...] = tuple(MODELS)
    problems: tuple[str, ...] = tuple(PROBLEMS)
    on_linear: tuple[str, ...] = ()
    layer_steps: int = 3000
    steps: int = 1500
    n_prompts: int = 2000


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train every layer and every model, and judge them on prompts of their own law.

    Returns
    -------
    dict of DataFrame
        ``errors`` (see ``contests.contest``): the scores by position of every case. ``board``: problem, model, case,
        predictor, score at N with its interval over training seeds. ``layers``: layer, training_seed, position, mean,
        stderr, exact (the expected error of the learner that the layer can be), learner (its error on the same
        prompts), ratio (of mean to learner where exact is positive).
    """
    pairs = _pairs(settings)
    beside = {f"{p}: {m}": BESIDE[p] for p, m in pairs}
    errors = contest(changes(settings), beside, settings, lab)
    labels = {f"{p}: {m}": {"problem": p, "model": m} for p, m in pairs}
    return {
        "errors": errors,
        "board": board(errors, labels, ("problem", "model")),
        "layers": _layers(errors, settings, lab),
    }


def changes(settings: Settings) -> dict[str, dict[str, Any]]:
    """What every case changes of the preset ``tiny``; single layers have the size of their learner in every profile."""
    common = {"n_train": settings.n_train, "dimension": settings.dimension, "max_points": settings.n_train + 1}
    training = {key: value for key, value in settings.overrides.items() if key != "model"}
    bare = {
        name: {
            **common,
            "steps": settings.layer_steps,
            "model": {**BARE, "width": settings.dimension + 1, **LAYERS[name]},
            **merge(RECIPES.get(name, {}), training),
        }
        for name in settings.layers
    }
    cases = {f"{p}: {m}": merge({**common, **_case(p, m, settings)}, settings.overrides) for p, m in _pairs(settings)}
    return {**bare, **cases}


def _pairs(settings: Settings) -> list[tuple[str, str]]:
    """Each problem with each of its models."""
    pairs = [*product(settings.problems, settings.models), *(("linear", model) for model in settings.on_linear)]
    return list(dict.fromkeys(pairs))


def _case(problem: str, model: str, settings: Settings) -> dict[str, Any]:
    change = dict(PROBLEMS[problem])
    prompts = with_dimension(change.pop("prompts", {}), settings.dimension)
    parts = {**dict(change.pop("model", {})), **MODELS[model]}
    return {"steps": settings.steps, "prompts": prompts, "model": parts, **change}


def _layers(errors: pd.DataFrame, settings: Settings, lab: Lab) -> pd.DataFrame:
    """Trained layers beside their learner, from one example to N: its expected error, and that on the same prompts."""
    rows = errors[errors["case"].isin(settings.layers) & (errors["position"] > 0)].copy()
    exact = [exact_error(case, i, settings) for case, i in zip(rows["case"], rows["position"], strict=True)]
    rows = rows.rename(columns={"case": "layer"}).drop(columns="predictor").assign(exact=exact)
    size = {"dimension": settings.dimension, "n_train": settings.n_train}
    sample = {"n_prompts": settings.n_prompts, "seed": settings.seed}
    learners = lab.table(learner_errors, "exact learners", **size, **sample)
    rows = rows.merge(learners, on=["layer", "position"], validate="many_to_one")
    return rows.assign(ratio=rows["mean"] / rows["learner"].where(rows["exact"] > 0)).reset_index(drop=True)


def learner_errors(dimension: int, n_train: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Squared errors of the exact learners on the prompts of the trained layers: layer, position, learner."""
    named: dict[str, Predictor] = {
        "linear attention": predictor("lsa", dimension, n_train),
        "delta rule": DeltaRule(1 / (dimension + 2)),
        "mesa": LeastSquares(),
    }
    law = PromptDistribution(Gaussian.isotropic(dimension), Linear())
    table = compare(named, {"": law}, n_train + 1, n_prompts=n_prompts, seed=seed)
    return table.rename(columns={"predictor": "layer", "mean": "learner"})[["layer", "position", "learner"]]


def exact_error(layer: str, position: int, settings: Settings) -> float:
    """Squared error after i examples of the learner that a layer can be, x, w ~ N(0, I), no noise.

    Linear attention: the minimiser of Theorem 4 for prompts of N examples, at M = i. Delta rule: d(1 − 1/(d + 2))^i at
    its best constant rate. Mesa: d − i, that of least squares, and 0 from d examples on.
    """
    d = settings.dimension
    if layer == "linear attention":
        return expected_risk(Gaussian.isotropic(d), settings.n_train, position)
    if layer == "delta rule":
        return d * (1 - 1 / (d + 2)) ** position
    return float(max(d - position, 0))
