"""A trained model on the fifteen evaluations of Garg et al. (2022), whatever law it was trained on."""

from __future__ import annotations

import pandas as pd

from iclab.evaluation import Suite
from iclab.models import load
from iclab.studies.trainings import Trained


def judge(model: Trained, dimension: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Errors / d of a trained model on the fifteen evaluations of Λ = I, whatever it was trained on."""
    suite = Suite.named("garg", dimension)
    table = suite.run({"model": load(model.path)}, 2 * dimension + 1, n_prompts=n_prompts, seed=seed)
    # Queries orthogonal to their context end before d examples.
    last = table.groupby("distribution")["position"].transform("max")
    table = table[table["position"].isin([dimension, 2 * dimension]) | (table["position"] == last)]
    table = table.rename(columns={"distribution": "evaluation", "position": "examples", "mean": "error"})
    for column in ("error", "stderr", "zero"):
        table[column] = table[column] / dimension
    return table[["evaluation", "examples", "error", "stderr", "zero", "n"]].reset_index(drop=True)
