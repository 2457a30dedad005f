"""Exact attacks on learners that are affine in the labels: sizes by number and position of labels, and of inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import InvalidInputError
from iclab.predictors import Averaging, DeltaRule, LeastSquares, NearestNeighbors, Ridge, TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
from iclab.studies.hijacking.prompt_attacks import Forced, attacked, targets_of
from iclab.studies.store import several
from iclab.theory import (
    context_attack,
    label_attack_sizes,
    label_influence,
    minimal_label_attack,
    minimizer,
    optimal_learner,
    query_attack,
    ridge_attack,
)

LAYER, LEAST_SQUARES, RIDGE = "linear layer", "least squares", "ridge"
CLASSICAL = (LAYER, LEAST_SQUARES, RIDGE, "averaging", "delta rule", "3-NN")
# Least squares with this penalty is ridge.
_PENALTY = 1.0


def learner(name: str, dimension: int, m: int) -> Any:
    """A classical learner by name."""
    return {
        LAYER: TrainedLSA(minimizer(Gaussian.isotropic(dimension), m)),
        LEAST_SQUARES: LeastSquares(),
        RIDGE: Ridge(_PENALTY),
        "averaging": Averaging(),
        "delta rule": DeltaRule(1 / (dimension + 2)),
        "3-NN": NearestNeighbors(3),
    }[name]


def prompts_of(dimension: int, m: int, n_prompts: int, seed: int) -> Prompts:
    """Prompts of m examples and a query: x, w ~ N(0, I), no noise."""
    return PromptDistribution(Gaussian.isotropic(dimension), Linear()).sample(n_prompts, m + 1, seed=seed)


def sizes(name: str, dimension: int, m: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Median sizes of attacks that move the prediction by √d: tables ``numbers``, ``positions`` and ``inputs`` in one.

    Sizes are divided by √d, the standard deviation of a label; those of inputs by the same, the length of an input.
    """
    prompts, unit = prompts_of(dimension, m, n_prompts, seed), math.sqrt(dimension)
    one = learner(name, dimension, m)
    xs, ys, query = prompts.xs[:, :m], prompts.ys[:, :m], prompts.queries[:, m]
    target = targets_of(one(prompts)[:, m], dimension)
    influence = np.abs(label_influence(one, xs, query))
    tables = {
        "numbers": pd.DataFrame(
            {
                "labels": np.arange(1, m + 1),
                **{
                    f"size_{label}": np.median(label_attack_sizes(one, xs, ys, query, target, norm) / unit, axis=0)
                    for label, norm in (("l2", 2.0), ("max", math.inf))
                },
            }
        ),
        "positions": pd.DataFrame(
            {
                "position": np.arange(m),
                "size": np.median(np.divide(1, influence, out=np.full_like(influence, np.inf), where=influence > 0), 0),
            }
        ),
        "inputs": inputs(name, prompts, target, m),
    }
    return several(tables, learner=name)


def inputs(name: str, prompts: Prompts, target: np.ndarray, m: int) -> pd.DataFrame:
    """Nearest changed input of the last example, and nearest query, that force the target, where they are known."""
    dimension, unit = prompts.dimension, math.sqrt(prompts.dimension)
    found: dict[str, list[float]] = {"example": [], "query": []}
    if name not in (LAYER, LEAST_SQUARES, RIDGE):
        return pd.DataFrame({"changed": [], "size": [], "reached": [], "n": []})
    K = optimal_learner(Gaussian.isotropic(dimension), m)
    if name == LAYER:
        weights = np.einsum("bnd,bn->bd", prompts.xs[:, :m], prompts.ys[:, :m]) / m @ K
    else:
        weights = learner(name, dimension, m).weights(prompts)[:, m]
    for i in range(len(prompts)):
        x, y, query, goal = prompts.xs[i, :m], prompts.ys[i, :m], prompts.queries[i, m], float(target[i])
        found["query"].append(query_attack(weights[i], query, goal).size / unit)
        try:
            if name == LAYER:
                one = context_attack(K, x, y, query, m - 1, goal)
            else:
                one = ridge_attack(_PENALTY if name == RIDGE else 0.0, x, y, query, m - 1, goal)
            found["example"].append(one.size / unit)
        except InvalidInputError:  # no input reaches it
            found["example"].append(math.inf)
    rows = [
        {
            "changed": key,
            "size": float(np.median(values)),
            "reached": float(np.isfinite(values).mean()),
            "n": len(values),
        }
        for key, values in found.items()
    ]
    return pd.DataFrame(rows)


def attack_classical(name: str, dimension: int, m: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """The smallest attacks with one label and with all of them, solved for; as ``attacked`` has them."""
    prompts = prompts_of(dimension, m, n_prompts, seed)
    one = learner(name, dimension, m)
    xs, ys, query = prompts.xs[:, :m], prompts.ys[:, :m], prompts.queries[:, m]
    clean = one(prompts)[:, m]
    target = targets_of(clean, dimension)
    found = {
        kind: minimal_label_attack(one, xs, ys, query, range(m), target, norm).labels
        for kind, norm in (("one", 1.0), ("all", 2.0))
    }
    forced: dict[str, Forced] = {}
    for kind, labels in found.items():
        said = one(Prompts(prompts.xs, np.column_stack([labels, prompts.ys[:, m]]), prompts.queries, prompts.targets))
        forced[kind] = Forced(labels, said[:, m])
    return attacked(name, ys, clean, target, forced)
