"""The study of hijacking: gradients find the exact attacks on a linear module; training meets labels within budget."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer
from iclab.studies.hijacking.exact import (
    CLASSICAL,
    attack_classical,
    exact_layers,
    prompts_of,
    sizes,
    squares_under_attack,
)
from iclab.studies.hijacking.gradients import _forced, worst_errors
from iclab.studies.hijacking.hardened import Hardened
from iclab.studies.hijacking.measure import Settings, job
from iclab.studies.lab import Lab
from iclab.theory import label_influence, minimal_label_attack
from iclab.training.causality import check_causal

SHAPE = {"dimension": 3, "max_points": 9, "width": 8, "layers": 1, "heads": 1, "embedding": "stacked"}


class Averager(nn.Module):
    """x_q'(1/i) Σ y x at every position."""

    def forward(self, xs, ys):
        sums = torch.cumsum(ys[..., None] * xs, 1) - ys[..., None] * xs
        counts = torch.arange(xs.shape[1]).clamp_min(1)
        return (sums * xs).sum(-1) / counts


@pytest.fixture
def prompts():
    return prompts_of(3, 6, 5, 0)


def test_gradient_attacks_on_a_linear_module_are_the_smallest(prompts):
    x, y, query = prompts.xs[:, :6], prompts.ys[:, :6], prompts.queries[:, 6]
    points, labels = (torch.tensor(part, dtype=torch.float32) for part in (prompts.xs, prompts.ys))
    target = np.linspace(-2, 2, 5)
    every = torch.ones_like(labels)
    found = _forced(SimpleNamespace(model=Averager()), points, labels, torch.tensor(target).float(), every, 3)
    exact = minimal_label_attack(np.eye(3), x, y, query, range(6), target)
    assert found.labels == pytest.approx(exact.labels, abs=1e-4)
    assert found.prediction == pytest.approx(target, abs=1e-4)


def test_the_worst_error_of_a_linear_module(prompts):
    """(|ŷ − y| + ε‖c‖)²."""
    influence = np.linalg.norm(label_influence(np.eye(3), prompts.xs[:, :6], prompts.queries[:, 6]), axis=1)
    average = np.einsum("bnd,bn->bd", prompts.xs[:, :6], prompts.ys[:, :6]) / 6
    gap = np.abs(np.einsum("bd,bd->b", average, prompts.queries[:, 6]) - prompts.targets[:, 6])
    for budget in (0.0, 0.7):
        worst = worst_errors(SimpleNamespace(model=Averager()), prompts, budget, 2)
        assert worst == pytest.approx((gap + budget * influence) ** 2, rel=1e-3)


def test_training_meets_attacked_labels_within_the_budget_and_evaluation_does_not():
    torch.manual_seed(0)
    model = Hardened(budget=0.5, ascent=3, **SHAPE)
    xs, ys = torch.randn(4, 7, 3), torch.randn(4, 7)
    change = model._attack(xs, ys)
    assert (change.norm(dim=1) <= 0.5 + 1e-5).all()
    errors = [(model.model(xs, labels)[:, -1] - ys[:, -1]).square().sum() for labels in (ys, ys + change)]
    assert errors[1] > errors[0]
    assert not torch.equal(model(xs, ys), model.model(xs, ys))
    model.eval()
    assert torch.equal(model(xs, ys), model.model(xs, ys))


def test_a_module_trained_on_attacked_labels_is_checked_as_it_predicts(tmp_path):
    """The attacker raises the error, and so knows the labels; nothing else may."""
    settings = Settings(hard_dimension=2, hard_n_train=4, overrides={"model": {"width": 8, "layers": 1, "heads": 1}})
    check_causal(job(1.0, settings, Lab(tmp_path, lambda *_: None)).config)


def test_a_budget_of_zero_is_the_plain_model():
    model = Hardened(budget=0.0, **SHAPE)
    assert isinstance(model.model, Transformer)
    xs, ys = torch.randn(2, 5, 3), torch.randn(2, 5)
    assert torch.equal(model(xs, ys), model.model(xs, ys))
    assert model.model.architecture == Architecture(**SHAPE)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"budget": -1.0}, "budget must be"),
        ({"budget": 1.0, "ascent": 0}, "ascent must be"),
        ({"budget": 1, "x": 2}, "x"),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        Hardened(**{**SHAPE, **arguments})


@pytest.mark.parametrize("name", CLASSICAL)
def test_labels_that_are_solved_for_force_classical_learners(name):
    rows = attack_classical(name, 4, 7, 6, 1)
    assert rows["moved"].to_numpy() == pytest.approx(1, abs=1e-8)
    by_kind = rows.pivot_table(index="prompt", columns="kind", values="size")
    assert (by_kind["all"] <= by_kind["one"] * (1 + 1e-9)).all()


def test_more_labels_need_smaller_changes():
    rows = sizes("ridge", 4, 7, 5, 0)
    numbers = rows[rows["table"] == "numbers"]
    assert (np.diff(numbers["size_l2"]) <= 0).all()
    assert (np.diff(numbers["size_max"]) <= 0).all()


def test_hardened_layers_are_best_at_their_budget():
    rows = exact_layers(5, 10, (0.0, 1.0, 2.0))
    best = rows.loc[rows.groupby("budget")["error"].idxmin()]
    assert (best["trained"] == best["budget"]).all()


def test_least_squares_under_attack_errs_by_the_square_of_the_budget():
    rows = squares_under_attack(3, 8, (1.0, 2.0), 50, 0)
    assert rows["error"].iloc[1] == pytest.approx(4 * rows["error"].iloc[0], rel=1e-6)
