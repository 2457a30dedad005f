"""Reddy (2024): whether a transformer answers by what it knows of a class, or by what the context shows of it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from iclab.evaluation import error_curve
from iclab.models import load
from iclab.predictors import NearestNeighbors, Predictor
from iclab.prompts import BurstyClasses
from iclab.prompts.bursty_classes import Shown
from iclab.studies.trainings import Trained

SHOWN, OWN = "swapped, shown label", "swapped, own label"
# A test, its prompts, and whether the query is right by the label that the context shows or by the one learned.
TESTS: tuple[tuple[str, Shown, str], ...] = (
    ("as trained", "as trained", "accuracy"),
    ("new classes", "new", "accuracy"),
    (SHOWN, "swapped", "accuracy"),
    (OWN, "swapped", "target_accuracy"),
    ("no copies", "absent", "target_accuracy"),
)


def accuracies(model: Trained, problem: dict[str, Any], n_prompts: int, seed: int) -> pd.DataFrame:
    """Accuracy at the query on every test, of a model and of the label of the nearest example.

    Returns
    -------
    DataFrame
        predictor, test, mean, stderr, n.
    """
    predictors: dict[str, Predictor] = {
        "model": load(model.path, device="auto"),
        "nearest example": NearestNeighbors(1),
    }
    rows = []
    for name, predictor in predictors.items():
        for test, shown, score in TESTS:
            law = BurstyClasses(**problem, shown=shown)
            curve = error_curve(predictor, law, law.n_pairs + 1, n_prompts=n_prompts, seed=seed, score=score)
            rows.append((name, test, float(curve.mean[-1]), float(curve.stderr[-1]), n_prompts))
    return pd.DataFrame(rows, columns=["predictor", "test", "mean", "stderr", "n"])
