"""Small transformers on nine classes of functions and a mixture, beside the Bayes predictor of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from iclab.studies.contests import BAYES, board, contest, with_dimension
from iclab.studies.lab import Lab
from iclab.studies.trainings import TrainingSettings

TITLE = "Classes of functions, and their Bayes predictors"
LABELS, POSTERIOR = "labels", "posterior mean"
_HYPERCUBE = {"covariates": {"kind": "hypercube", "dimension": "d"}}
_NOISY = {"noise": 0.3}
# Prompts of every class; "d" stands for the dimension.
CLASSES: Mapping[str, Mapping[str, Any]] = {
    "sparse": {"tasks": {"kind": "sparse_linear", "nonzeros": 2}, **_NOISY},
    "sign vectors": {"tasks": {"kind": "sign_vectors"}, **_NOISY},
    "Fourier sums": {
        "covariates": {"kind": "uniform", "dimension": 1, "half_width": 5.0},
        "tasks": {"kind": "fourier_sums", "frequencies": 3, "half_width": 5.0},
        **_NOISY,
    },
    "monomials": {"tasks": {"kind": "monomials"}, **_NOISY},
    "networks": {"tasks": {"kind": "relu_network", "hidden": 20}},
    "trees": {"tasks": {"kind": "decision_tree", "depth": 2}},
    "conjunctions": {"tasks": {"kind": "conjunction"}, **_HYPERCUBE},
    "majorities": {"tasks": {"kind": "majority", "size": 3}, **_HYPERCUBE},
    "sparse parities": {"tasks": {"kind": "sparse_parity", "size": 2}, **_HYPERCUBE},
    "linear or sparse": {
        "tasks": {"kind": "task_mixture", "members": [{"kind": "linear"}, {"kind": "sparse_linear", "nonzeros": 1}]},
        **_NOISY,
    },
}
# No closed form: what is nearest among the classical learners stands there instead.
NO_BAYES = ("networks",)
MIXTURE = "linear or sparse"
CLASSICAL = ("least_squares", "ridge", "3_nearest_neighbors", "lasso-0.1")


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N; functions of one variable have d = 1.
    classes : tuple of str
        Which classes.
    targets : tuple of str
        "labels", "posterior mean": what is trained on, the latter where the Bayes predictor is known.
    steps : int
        Of every training.
    """

    dimension: int = 5
    n_train: int = 20
    classes: tuple[str, ...] = tuple(CLASSES)
    targets: tuple[str, ...] = (LABELS, POSTERIOR)
    steps: int = 2000


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train on every class from labels and from posterior means, and judge all on prompts of their own class.

    Returns
    -------
    dict of DataFrame
        ``errors`` (see ``contests.contest``), ``board``: class, targets, case, predictor, score at N with its interval
        over training seeds.
    """
    labels = {
        f"{name}, {targets}": {"class": name, "targets": targets}
        for name in settings.classes
        for targets in settings.targets
        if targets == LABELS or name not in NO_BAYES
    }
    cases = {case: _case(each["class"], each["targets"], settings) for case, each in labels.items()}
    beside = {case: (*(() if each["class"] in NO_BAYES else (BAYES,)), *CLASSICAL) for case, each in labels.items()}
    errors = contest(
        cases,
        beside,
        settings,
        lab,
    )
    return {"errors": errors, "board": board(errors, labels, ("class", "targets"))}


def _case(name: str, targets: str, settings: Settings) -> dict[str, Any]:
    dimension = 1 if name == "Fourier sums" else settings.dimension
    return {
        "dimension": dimension,
        "n_train": settings.n_train,
        "max_points": settings.n_train + 1,
        "steps": settings.steps,
        "prompts": with_dimension(CLASSES[name], dimension),
        "targets": "labels" if targets == LABELS else "posterior_mean",
        **settings.overrides,
    }
