"""Small transformers on nine classes of functions and a mixture, beside the Bayes predictor of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from iclab.studies.contests import BAYES, board, contest, jobs_of, with_dimension
from iclab.studies.function_classes.learners import APART, READOUTS, apart, readouts
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.studies.trainings import TrainingSettings, trained

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
# Classes that no linear learner fits, and learners that are slow and asked of these alone.
STRUCTURED = ("trees", "networks")
FITTED = ("tree", "network")
MIXTURE = "linear or sparse"
LEAST_SQUARES, RIDGE = "least_squares", "ridge"
CLASSICAL = (LEAST_SQUARES, RIDGE, "3_nearest_neighbors", "lasso-0.1")
# Classes whose models are opened and compared with one another, and the learners that they may be.
OPENED = ("networks", "trees", MIXTURE)
LEARNERS = (*CLASSICAL, *FITTED)


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
    n_opened : int
        Prompts on which models are opened and compared with one another.
    """

    dimension: int = 5
    n_train: int = 20
    classes: tuple[str, ...] = tuple(CLASSES)
    targets: tuple[str, ...] = (LABELS, POSTERIOR)
    steps: int = 2000
    n_opened: int = 300


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train on every class from labels and from posterior means, and judge all on prompts of their own class.

    Returns
    -------
    dict of DataFrame
        ``errors`` (see ``contests.contest``), ``board``: class, targets, case, predictor, score at N with its interval
        over training seeds. ``readouts`` and ``apart`` (see ``learners``; with class): models trained on labels of some
        classes, opened, and compared with one another.
    """
    labels = {
        f"{name}, {targets}": {"class": name, "targets": targets}
        for name in settings.classes
        for targets in settings.targets
        if targets == LABELS or name not in NO_BAYES
    }
    cases = {case: _case(each["class"], each["targets"], settings) for case, each in labels.items()}
    beside = {case: (*_bayes(each["class"]), *_classical(each["class"])) for case, each in labels.items()}
    errors = contest(cases, beside, settings, lab)
    tables = {"errors": errors, "board": board(errors, labels, ("class", "targets"))}
    return tables | _opened(cases, settings, lab)


def _bayes(name: str) -> tuple[str, ...]:
    return () if name in NO_BAYES else (BAYES,)


def _classical(name: str) -> tuple[str, ...]:
    return (*CLASSICAL, *FITTED) if name in STRUCTURED else CLASSICAL


def _opened(cases: Mapping[str, Mapping[str, Any]], settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Tables of ``learners``: what models of some classes are near to, and how far from one another."""
    jobs = jobs_of(cases, settings, lab)
    models = {
        name: {str(s): trained(jobs[f"{name}, {LABELS}", s]) for s in settings.training_seeds}
        for name in OPENED
        if f"{name}, {LABELS}" in cases
    }
    common = {"n_prompts": settings.n_opened, "seed": settings.seed}
    units = [
        Unit(readouts, {"models": own, "beside": [*_bayes(name), *LEARNERS], **common}, f"read-outs, {name}")
        for name, own in models.items()
    ]
    units += [Unit(apart, {"own": name, "models": models, **common}, f"models apart, {name}") for name in models]
    found = [
        table.assign(**{"class": name})
        for name, table in zip([*models, *models], lab.tables(units, "opening"), strict=True)
    ]
    half = len(models)
    return {
        "readouts": pd.concat(found[:half], ignore_index=True) if found else pd.DataFrame(columns=["class", *READOUTS]),
        "apart": pd.concat(found[half:], ignore_index=True) if found else pd.DataFrame(columns=["class", *APART]),
    }


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
