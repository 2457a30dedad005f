"""Looped models train: more loops by a ramp, the loss of a window, and resuming bit for bit."""

import pytest
import torch
from safetensors.torch import load_file

from iclab.foundations import InvalidInputError
from iclab.models import Transformer
from iclab.training import read_config, train

LOOPED = {
    "prompts": {"covariates": {"kind": "gaussian", "dimension": 3}},
    "model": {"dimension": 3, "max_points": 8, "width": 8, "layers": 1, "loops": 4, "inject": True},
    "n_train": 7,
    "steps": 8,
    "batch_size": 4,
    "window": 2,
    "n_evaluation": 8,
    "evaluate_every": 4,
    "checkpoint_every": 2,
    "log_every": 1,
    "curriculum": {"fields": {"model.loops": {"start": 1, "end": 4, "every": 2}}},
}


def weights(run):
    return load_file(run.directory / "checkpoints" / str(run.step) / "model.safetensors")


def test_a_looped_training_that_was_stopped_ends_with_the_same_weights(tmp_path):
    config = read_config(LOOPED)
    whole = train(config, tmp_path / "whole")
    train(config, tmp_path / "stopped", until=lambda line: line["step"] == 4)
    again = train(config, tmp_path / "stopped")
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(again)[key]), key


def test_the_loss_is_the_mean_over_the_window(tmp_path):
    """At a rate that moves nothing, it is the untrained model's after each of the loops that are fitted."""
    still = {"optimizer": {"kind": "sgd", "learning_rate": 1e-30}}
    run = train(read_config({**LOOPED, **still}), tmp_path / "run")
    model = Transformer(run.config.model, run.config.seed)
    losses = [line["loss"] for line in run.metrics if "loss" in line]
    for step, loss in enumerate(losses):
        loops = 1 + step // 2
        prompts = run.config.prompts.build().sample(4, 8, seed=0, step=step, stream="training")
        xs, ys = (torch.from_numpy(part).float() for part in (prompts.xs, prompts.ys))
        with torch.no_grad():
            each = [(model(xs, ys, loops=n) - ys).square().mean() for n in range(max(1, loops - 1), loops + 1)]
        assert loss == pytest.approx(float(sum(each) / len(each)), rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {**LOOPED["model"], "loops": 1, "tied": True}, "curriculum": {}},
        {"curriculum": {"fields": {"model.width": {"start": 1, "end": 4}}}},
        {"curriculum": {"fields": {"model.loops": {"start": 0, "end": 4}}}},
    ],
)
def test_windows_and_ramps_that_fit_nothing_are_refused(changes):
    with pytest.raises(InvalidInputError, match=r"^[^\n]*\.$"):
        read_config({**LOOPED, **changes})
