"""Gradient attacks on trained models: labels that force a prediction, and labels of bounded change that spoil it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from iclab.foundations import Vector
from iclab.models import TransformerPredictor, load
from iclab.prompts import Prompts
from iclab.studies.hijacking.exact import learner, prompts_of
from iclab.studies.hijacking.hardened import directions, projected
from iclab.studies.hijacking.prompt_attacks import REACHED, Forced, attacked, targets_of
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
    points, labels = (torch.tensor(part, dtype=torch.float32) for part in (prompts.xs, prompts.ys))
    clean, slope = _answer(predictor, points, labels)
    target = targets_of(clean.double().numpy(), dimension)
    strongest = torch.nn.functional.one_hot(slope.abs().argmax(1), m + 1).to(slope)
    found = {
        kind: _forced(predictor, points, labels, torch.tensor(target, dtype=torch.float32), allowed, n_steps)
        for kind, allowed in (("one", strongest), ("all", torch.ones_like(slope)))
    }
    table = attacked(name, prompts.ys[:, :m], clean.double().numpy(), target, found)
    first = pd.DataFrame({f"slope{j}": np.tile(slope[:, j].double().numpy(), len(found)) for j in range(m)})
    return pd.concat([table, first], axis="columns")


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
    change = torch.zeros_like(labels)
    best, nearest = change, torch.full_like(target, torch.inf)
    longest = _LONGEST * points.shape[2] ** 0.5
    said = target
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
    points, labels = (torch.tensor(part, dtype=torch.float32) for part in (prompts.xs, prompts.ys))
    truth = torch.tensor(prompts.targets[:, -1], dtype=torch.float32)
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
    clean = predictor(prompts)[:, m]
    rows: list[pd.DataFrame] = []
    for attack, labels in attacks.items():
        changed = np.column_stack([np.array(labels), prompts.ys[:, m]])
        said: Vector = predictor(Prompts(prompts.xs, changed, prompts.xs, prompts.targets))[:, m]
        rows.append(pd.DataFrame({"attack": attack, "prompt": np.arange(n_prompts), "change": said - clean}))
    return pd.concat(rows, ignore_index=True)
