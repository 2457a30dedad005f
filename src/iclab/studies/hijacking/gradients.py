"""Gradient attacks on trained models: labels that force a prediction, and labels of bounded change that spoil it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from iclab.foundations import mean_interval, standard_error
from iclab.models import TransformerPredictor, load
from iclab.prompts import Prompts
from iclab.studies.hijacking.exact import REACHED, Forced, attacked, learner, prompts_of, relabelled, targets_of
from iclab.studies.hijacking.hardened import directions, projected
from iclab.studies.trainings import Trained

# One step changes the labels by at most this, in standard deviations of a label.
_LONGEST = 5.0


def attack_model(
    model: Trained, name: str, dimension: int, m: int, n_prompts: int, n_steps: int, seed: int
) -> pd.DataFrame:
    """Attack with the label of largest influence, and with all labels; as ``attacked`` has them, and ``slope0`` … .

    Every step is the smallest change that reaches the target to first order; the nearest prediction is kept.
    """
    predictor, prompts = load(model.path), prompts_of(dimension, m, n_prompts, seed)
    points, labels = _single(prompts.xs), _single(prompts.ys)
    said, slope = _answer(predictor, points, labels)
    clean = said.double().numpy()
    target = targets_of(clean, dimension)
    strongest = torch.nn.functional.one_hot(slope.abs().argmax(1), m + 1).to(slope)
    found = {
        kind: _forced(predictor, points, labels, _single(target), allowed, n_steps)
        for kind, allowed in (("one", strongest), ("all", torch.ones_like(slope)))
    }
    table = attacked(name, prompts.ys[:, :m], clean, target, found)
    return table.assign(**{f"slope{j}": np.tile(slope[:, j].double().numpy(), len(found)) for j in range(m)})


def _single(values: np.ndarray) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _answer(predictor: TransformerPredictor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions at the last position, shape (B,), and their gradients in the labels before it, shape (B, P)."""
    predictor.model.eval()
    moved = labels.detach().clone().requires_grad_()
    said = predictor.model(points, moved)[:, -1]
    [slope] = torch.autograd.grad(said.sum(), moved)
    return said.detach(), slope.detach()


def _forced(
    predictor: TransformerPredictor, points: Tensor, labels: Tensor, target: Tensor, allowed: Tensor, n_steps: int
) -> Forced:
    best = change = torch.zeros_like(labels)
    nearest, longest = torch.full_like(target, torch.inf), _LONGEST * points.shape[2] ** 0.5
    for _ in range(n_steps + 1):
        said, slope = _answer(predictor, points, labels + change)
        gap = target - said
        closer = gap.abs() < nearest
        best, nearest = torch.where(closer[:, None], change, best), torch.where(closer, gap.abs(), nearest)
        if bool((nearest <= REACHED * points.shape[2] ** 0.5 / 5).all()):
            break
        slope = slope * allowed
        step = gap[:, None] * slope / slope.square().sum(1, keepdim=True).clamp_min(1e-12)
        change = change + projected(step, longest)
    said, _ = _answer(predictor, points, labels + best)
    return Forced((labels + best)[:, :-1].double().numpy(), said.double().numpy())


def worst_errors(
    predictor: TransformerPredictor, prompts: Prompts, budget: float, n_steps: int
) -> Float64[np.ndarray, " B"]:
    """(ŷ − y)² after the last example, the largest found for changes of the labels of norm at most ``budget``.

    Projected gradient ascent from no change and, up and down, from the first gradient; a lower bound of the maximum.
    """
    points, labels, truth = _single(prompts.xs), _single(prompts.ys), _single(prompts.targets[:, -1])
    said, slope = _answer(predictor, points, labels)
    worst = (said - truth).square()
    for sign in (1.0, -1.0) if budget > 0 else ():
        change = sign * budget * directions(slope)
        for step in range(n_steps):
            said, here = _answer(predictor, points, labels + change)
            worst = torch.maximum(worst, (said - truth).square())
            uphill = directions(here * torch.sign(said - truth)[:, None])
            change = projected(change + budget * uphill / (step + 1), budget)
        said, _ = _answer(predictor, points, labels + change)
        worst = torch.maximum(worst, (said - truth).square())
    return worst.double().numpy()


def moved_by(
    target: str | Trained, attacks: dict[str, list[list[float]]], dimension: int, m: int, n_prompts: int, seed: int
) -> pd.DataFrame:
    """What a learner predicts from labels that attack others: attack, prompt, change of its prediction."""
    prompts = prompts_of(dimension, m, n_prompts, seed)
    predictor = learner(target, dimension, m) if isinstance(target, str) else load(target.path)
    clean, tables = predictor(prompts)[:, m], list[pd.DataFrame]()
    for attack, labels in attacks.items():
        change = predictor(relabelled(prompts, np.array(labels)))[:, m] - clean
        tables.append(pd.DataFrame({"attack": attack, "prompt": np.arange(n_prompts), "change": change}))
    return pd.concat(tables, ignore_index=True)


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
    prompts, rows = prompts_of(dimension, m, n_prompts, seed), []
    plain: dict[float, np.ndarray] = {}
    for trained, model in models.items():
        predictor = load(model.path, allow_code=True)
        for budget in budgets:
            errors = worst_errors(predictor, prompts, budget, n_steps) / dimension
            difference = errors - plain.setdefault(budget, errors)
            low, high = mean_interval(difference) if difference.any() else (0.0, 0.0)
            row = {"trained": float(trained), "budget": budget, "error": errors.mean(), "n": n_prompts}
            row |= {"stderr": float(standard_error(errors)), "median": np.median(errors)}
            rows.append({**row, "change": difference.mean(), "change_low": low, "change_high": high})
    return pd.DataFrame(rows)
