"""What adversarial training gains and costs: one layer exactly, and GPT-2 trained against a gradient attacker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import mean_interval, standard_error
from iclab.models import load
from iclab.predictors import LeastSquares
from iclab.prompts.specification import plain, validated
from iclab.studies.hijacking.exact import prompts_of
from iclab.studies.hijacking.gradients import worst_errors
from iclab.studies.lab import Lab
from iclab.studies.trainings import Job, Trained
from iclab.theory import attacked_risk, label_influence, robust_layer
from iclab.training import preset
from iclab.training.config import TrainingConfig

_HARDENED = "iclab.studies.hijacking.hardened:Hardened"


def job(
    budget: float, ascent: int, seed: int, dimension: int, n_train: int, name: str, changes: Mapping[str, Any], lab: Lab
) -> Job:
    """A training of a preset whose labels are attacked with this budget; with budget 0 the same module, unattacked."""
    base = preset(name, dimension=dimension, n_train=n_train, **{"seed": seed, **changes})
    arguments = {"budget": budget, "ascent": ascent, **plain(base.model)}
    data = base.as_dict() | {"model": {"kind": "own", "object": _HARDENED, "arguments": arguments}}
    config = validated(TrainingConfig, data, f"the preset {name}", allow_code=[_HARDENED])
    return lab.job(f"budget {budget:g}, seed {seed}", f"hijacking-budget{budget:g}-seed{seed}", config)


def exact_layers(dimension: int, n_test: int, budgets: Sequence[float]) -> pd.DataFrame:
    """The layer trained for every budget, under every budget: trained, budget, coefficient, error / d, exact."""
    rows: list[dict[str, Any]] = []
    for trained in budgets:
        layer = robust_layer(dimension, n_test, trained)
        for budget in budgets:
            error = attacked_risk(layer.coefficient, dimension, n_test, budget) / dimension
            rows.append({"trained": trained, "budget": budget, "coefficient": layer.coefficient, "error": error})
    return pd.DataFrame(rows)


def squares_under_attack(dimension: int, m: int, budgets: Sequence[float], n_prompts: int, seed: int) -> pd.DataFrame:
    """Least squares without noise and M ≥ d: its error is ε²‖c‖² exactly, given the prompt; mean over prompts."""
    prompts = prompts_of(dimension, m, n_prompts, seed)
    influence = label_influence(LeastSquares(), prompts.xs[:, :m], prompts.queries[:, m])
    base = (LeastSquares()(prompts)[:, m] - prompts.targets[:, m]) ** 2
    rows: list[dict[str, Any]] = []
    for budget in budgets:
        errors = (np.sqrt(base) + budget * np.linalg.norm(influence, axis=1)) ** 2 / dimension
        row = {"trained": np.nan, "budget": budget, "error": errors.mean(), "stderr": float(standard_error(errors))}
        rows.append(row | {"median": float(np.median(errors)), "n": n_prompts})
    return pd.DataFrame(rows)


def hardened_errors(
    models: Mapping[str, Trained],
    m: int,
    dimension: int,
    budgets: Sequence[float],
    n_prompts: int,
    n_steps: int,
    seed: int,
) -> pd.DataFrame:
    """GPT-2 trained for every budget, under every budget: error / d, and its difference from the one never attacked."""
    prompts, rows = prompts_of(dimension, m, n_prompts, seed), list[dict[str, Any]]()
    plain: dict[float, np.ndarray] = {}
    for trained, model in models.items():
        predictor = load(model.path, allow_code=True)
        for budget in budgets:
            errors = worst_errors(predictor, prompts, budget, n_steps) / dimension
            difference = errors - plain.setdefault(budget, errors)
            low, high = mean_interval(difference) if difference.any() else (0.0, 0.0)
            row = {"trained": float(trained), "budget": budget, "error": errors.mean(), "n": n_prompts}
            row |= {"stderr": float(standard_error(errors)), "median": float(np.median(errors))}
            row |= {"change": difference.mean(), "change_low": float(low), "change_high": float(high)}
            rows.append(row)
    return pd.DataFrame(rows)
