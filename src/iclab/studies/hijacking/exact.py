"""Exact attacks on learners that are affine in the labels: sizes by number and position of labels, and of inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.foundations import InvalidInputError, Vector, standard_error
from iclab.predictors import Averaging, DeltaRule, LeastSquares, NearestNeighbors, Ridge, TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts
from iclab.studies.store import several
from iclab.theory import (
    attacked_risk,
    context_attack,
    label_attack_sizes,
    label_influence,
    minimal_label_attack,
    minimizer,
    optimal_learner,
    query_attack,
    ridge_attack,
    robust_layer,
)

LAYER, LEAST_SQUARES, RIDGE = "linear layer", "least squares", "ridge"
CLASSICAL = (LAYER, LEAST_SQUARES, RIDGE, "averaging", "delta rule", "3-NN")
# Least squares with this penalty is ridge.
_PENALTY = 1.0
# A prediction within this part of the wanted change has reached its target.
REACHED = 0.05


class Forced(NamedTuple):
    """Changed labels, shape (B, M), and what is predicted from them, shape (B,)."""

    labels: Float64[np.ndarray, "B M"]
    prediction: Vector


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


def context(prompts: Prompts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs and labels of the examples, and the query that is attacked."""
    return prompts.xs[:, :-1], prompts.ys[:, :-1], prompts.queries[:, -1]


def relabelled(prompts: Prompts, labels: Float64[np.ndarray, "B M"]) -> Prompts:
    """The prompts with other labels of their examples."""
    return Prompts(prompts.xs, np.column_stack([labels, prompts.ys[:, -1]]), prompts.queries, prompts.targets)


def targets_of(clean: Vector, dimension: int) -> Vector:
    """Predictions moved by √d, the standard deviation of a label, up and down in turn."""
    return clean + math.sqrt(dimension) * np.where(np.arange(len(clean)) % 2, -1.0, 1.0)


def attacked(
    source: str, ys: Float64[np.ndarray, "B M"], clean: Vector, target: Vector, forced: Mapping[str, Forced]
) -> pd.DataFrame:
    """A row per kind of attack and prompt: source, kind, wanted, moved (1 where it reaches), size, labels y0 …."""
    tables: list[pd.DataFrame] = []
    for kind, (labels, prediction) in forced.items():
        numbers = {"prompt": np.arange(len(ys)), "wanted": target - clean}
        numbers |= {"moved": (prediction - clean) / (target - clean)}
        numbers |= {"size": np.linalg.norm(labels - ys, axis=1)}
        numbers |= {f"y{j}": labels[:, j] for j in range(labels.shape[1])}
        tables.append(pd.DataFrame({"source": source, "kind": kind, **numbers}))
    return pd.concat(tables, ignore_index=True)


def attack_classical(name: str, dimension: int, m: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """The smallest attacks with one label and with all of them, solved for; as ``attacked`` has them."""
    prompts, one = prompts_of(dimension, m, n_prompts, seed), learner(name, dimension, m)
    clean = one(prompts)[:, m]
    target, forced = targets_of(clean, dimension), dict[str, Forced]()
    for kind, norm in (("one", 1.0), ("all", 2.0)):
        labels = minimal_label_attack(one, *context(prompts), range(m), target, norm).labels
        forced[kind] = Forced(labels, one(relabelled(prompts, labels))[:, m])
    return attacked(name, prompts.ys[:, :m], clean, target, forced)


def sizes(name: str, dimension: int, m: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Median sizes of attacks that move the prediction by √d: tables ``numbers``, ``positions`` and ``inputs`` in one.

    Sizes are divided by √d, the standard deviation of a label; those of inputs by the same, the length of an input.
    """
    prompts, one = prompts_of(dimension, m, n_prompts, seed), learner(name, dimension, m)
    xs, ys, query = context(prompts)
    target = targets_of(one(prompts)[:, m], dimension)
    numbers: dict[str, Any] = {"labels": np.arange(1, m + 1)}
    for label, norm in (("l2", 2.0), ("max", math.inf)):
        found = label_attack_sizes(one, xs, ys, query, target, norm)
        numbers[f"size_{label}"] = np.median(found / math.sqrt(dimension), axis=0)
    with np.errstate(divide="ignore"):
        alone = np.median(1 / np.abs(label_influence(one, xs, query)), axis=0)
    tables = {
        "numbers": pd.DataFrame(numbers),
        "positions": pd.DataFrame({"position": np.arange(m), "size": alone}),
        "inputs": _inputs(name, prompts, target),
    }
    return several(tables, learner=name)


def _inputs(name: str, prompts: Prompts, target: Vector) -> pd.DataFrame:
    """Nearest changed input of the last example, and nearest query, that force the target, where they are known."""
    xs, ys, queries = context(prompts)
    dimension, m = prompts.dimension, ys.shape[1]
    if name not in (LAYER, LEAST_SQUARES, RIDGE):
        return pd.DataFrame({"changed": [], "size": [], "reached": [], "n": []})
    K = optimal_learner(Gaussian.isotropic(dimension), m)
    if name == LAYER:
        weights = np.einsum("bnd,bn->bd", xs, ys) / m @ K
    else:
        weights = learner(name, dimension, m).weights(prompts)[:, m]
    found: dict[str, list[float]] = {"example": [], "query": []}
    for x, y, query, weight, goal in zip(xs, ys, queries, weights, target.tolist(), strict=True):
        found["query"].append(query_attack(weight, query, goal).size)
        try:
            if name == LAYER:
                size = context_attack(K, x, y, query, m - 1, goal).size
            else:
                size = ridge_attack(_PENALTY if name == RIDGE else 0.0, x, y, query, m - 1, goal).size
        except InvalidInputError:  # no input reaches it
            size = math.inf
        found["example"].append(size)
    sizes = {changed: np.array(values) / math.sqrt(dimension) for changed, values in found.items()}
    return pd.DataFrame(
        {"changed": changed, "size": np.median(own), "reached": np.isfinite(own).mean(), "n": len(own)}
        for changed, own in sizes.items()
    )


def exact_layers(dimension: int, n_test: int, budgets: Sequence[float]) -> pd.DataFrame:
    """The layer trained for every budget, under every budget: trained, budget, coefficient, error / d, exact."""
    rows = []
    for trained in budgets:
        coefficient = robust_layer(dimension, n_test, trained).coefficient
        for budget in budgets:
            error = attacked_risk(coefficient, dimension, n_test, budget) / dimension
            rows.append({"trained": trained, "budget": budget, "coefficient": coefficient, "error": error})
    return pd.DataFrame(rows)


def squares_under_attack(dimension: int, m: int, budgets: Sequence[float], n_prompts: int, seed: int) -> pd.DataFrame:
    """Least squares without noise and M ≥ d: its error is ε²‖c‖² exactly, given the prompt; mean over prompts."""
    prompts = prompts_of(dimension, m, n_prompts, seed)
    influence = label_influence(LeastSquares(), prompts.xs[:, :m], prompts.queries[:, m])
    base = (LeastSquares()(prompts)[:, m] - prompts.targets[:, m]) ** 2
    rows = []
    for budget in budgets:
        errors = (np.sqrt(base) + budget * np.linalg.norm(influence, axis=1)) ** 2 / dimension
        row = {"trained": np.nan, "budget": budget, "error": errors.mean(), "stderr": float(standard_error(errors))}
        rows.append({**row, "median": np.median(errors), "n": n_prompts})
    return pd.DataFrame(rows)
