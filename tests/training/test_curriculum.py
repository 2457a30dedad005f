"""Any number of prompts, optimiser or batch may move with the step: what a step sees is that configuration's."""

import os
import subprocess
import sys

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.predictors import Ridge
from iclab.training import Run, preset, read_config, train
from iclab.training.batches import Batches
from iclab.training.config import write_yaml
from iclab.training.cost import estimate_cost
from iclab.training.distributed import World
from iclab.training.linting import lint
from iclab.training.precision import decided
from iclab.training.step import Step, new_state

FIELDS = {
    "prompts.noise": {"start": 0.0, "end": 0.6, "increment": 0.2, "every": 5},
    "prompts.covariates.variance": {"start": 0.5, "end": 1.0, "increment": 0.5, "every": 12},
    "optimizer.momentum": {"start": 0.95, "end": 0.9, "increment": 0.05, "every": 7},
    "optimizer.matrix_learning_rate": {"start": 1e-3, "end": 3e-3, "increment": 1e-3, "every": 4},
    "batch_size": {"start": 6, "end": 8, "increment": 1, "every": 10},
}


@pytest.fixture
def moving(config):
    """The training of ``config`` with everything that can move, moving."""
    data = config.with_(n_evaluation=8).as_dict()
    data["prompts"]["noise"], data["optimizer"]["momentum"] = 0.6, 0.9
    data["curriculum"]["fields"] = FIELDS
    data["device"] = "cpu"  # on a GPU the optimisers keep the peak rate
    return read_config(data)


def test_a_step_sees_the_prompts_and_targets_of_its_own_configuration(moving):
    """At every step of a ramp: the batch of a training whose configuration says those values, step by step."""
    with Batches(moving, World()) as batches:
        for step in (0, 4, 5, 11, 12, 20, 39, 3):
            values = {name: moving.curriculum.fields[name].at(step) for name in FIELDS}
            still = read_config(
                {**moving.as_dict(), "curriculum": {**moving.as_dict()["curriculum"], "fields": {}}}, values
            )
            found = batches.draw(step)
            with Batches(still, World()) as plain:
                expected = plain.draw(step)
            for part in ("xs", "ys", "targets"):
                np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
            assert found.config == still
            if found.stage.dimensions == 3:
                prompts = still.prompts.build().sample(
                    still.batch_size, found.stage.points, seed=0, step=step, stream="training"
                )
                np.testing.assert_array_equal(found.xs, prompts.xs)
                if still.prompts.noise:
                    np.testing.assert_allclose(found.targets, Ridge(still.prompts.noise**2)(prompts), atol=1e-12)


def test_the_optimiser_takes_the_values_of_the_step(moving):
    moving = decided(moving)
    state = new_state(moving)
    step = Step(moving, state, World())
    with Batches(moving, World()) as batches:
        for number in range(9):
            step(batches.draw(number))
            group = state.optimizers["muon"].param_groups[0]
            share = moving.schedule.at(number, moving.steps)
            assert group["lr"] == pytest.approx(share * min(3e-3, 1e-3 * (1 + number // 4)))
            assert group["momentum"] == (0.95 if number < 7 else 0.9)
            assert state.optimizers["adamw"].param_groups[0]["lr"] == pytest.approx(share * 3e-3)


def test_a_training_on_ramps_goes_on_in_the_same_bits(moving, outcome, tmp_path):
    whole = train(moving, tmp_path / "whole")
    assert [line["ramps"]["batch_size"] for line in whole.metrics if "loss" in line][::3] == [6, 7, 8, 8]
    train(moving, tmp_path / "cut", until=lambda line: True)  # the first evaluation is the last step
    moving = moving.with_(evaluate_every=12)
    whole = train(moving, tmp_path / "again")
    cut = train(moving, tmp_path / "cut twice", until=lambda line: True)
    assert cut.step == 12
    assert outcome(train(moving, tmp_path / "cut twice")) == outcome(whole)


@pytest.mark.slow
def test_two_processes_agree_with_one_on_ramps(moving, tmp_path):
    moving = moving.with_(precision="float64", steps=20)
    one = train(moving, tmp_path / "one")
    (tmp_path / "config.yaml").write_text(write_yaml(moving))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "iclab", "train"]
    subprocess.run(
        [*command, "config.yaml", "--directory", "two"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    for a, b in zip(one.metrics, Run.open(tmp_path / "two").metrics, strict=True):
        for key in ("loss", "error"):
            if key in a:
                np.testing.assert_allclose(a[key], b[key], rtol=1e-10)


def test_a_configuration_with_ramps_is_data_and_one_without_keeps_its_own(moving, config, tmp_path):
    assert read_config(moving.as_dict()) == moving
    assert "fields" not in config.as_dict()["curriculum"]
    assert config.at(7) is config
    assert moving.at(7).curriculum.fields == {}


def test_cost_and_linter_follow_the_ramps(moving):
    assert estimate_cost(moving).sequences == 10 * 6 + 10 * 7 + 20 * 8
    assert not [remark for remark in lint(moving) if "in the last step" in remark]
    short = read_config(
        moving.as_dict(), {"curriculum.fields": {"prompts.noise": {**FIELDS["prompts.noise"], "every": 30}}}
    )
    assert [remark for remark in lint(short) if "prompts.noise is at 0.2 in the last step but 0.6" in remark]
    assert [remark for remark in lint(short) if "The curriculum ends at step 90 of 40" in remark]


@pytest.mark.parametrize(
    ("name", "ramp", "sentence"),
    [
        ("prompts.nois", {"start": 0, "end": 1}, "Did you mean 'noise'"),
        ("prompts.noise", {"start": 0.5, "end": -0.5, "increment": 0.5}, "noise is not as it must be"),
        ("optimizer.kind", {"start": 0, "end": 1}, "optimizer.kind is not as it must be"),
        ("batch_size", {"start": 1, "end": 2, "increment": 0.5}, "batch_size is not as it must be"),
        ("model.width", {"start": 8, "end": 16}, "a field of prompts, optimizer, batch_size"),
        ("seed", {"start": 0, "end": 1}, "a field of prompts, optimizer, batch_size"),
        ("prompts.covariates.dimension", {"start": 2, "end": 3}, "same dimension"),
    ],
)
def test_ramps_that_cannot_be_are_refused_before_the_start(name, ramp, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        preset("tiny", dimension=3, curriculum={"fields": {name: ramp}})
