"""Weights kept along a training: at the steps asked for, whole, and the same however often it was interrupted."""

import os
import signal
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iclab.foundations import InvalidInputError
from iclab.models import load
from iclab.models.storage import verify
from iclab.training import Run, Series, preset, read_config, train
from iclab.training.continuing import extend
from iclab.training.step import new_state


@pytest.fixture
def config(config):
    return config.with_(steps=16, checkpoints=Series(count=7))


def files(run):
    return {
        path.relative_to(run.directory).as_posix(): path.read_bytes()
        for path in sorted((run.directory / "series").rglob("*"))
        if path.is_file()
    }


@settings(max_examples=200, deadline=None)
@given(total=st.integers(1, 10**6), count=st.integers(2, 200), spacing=st.sampled_from(["log", "linear"]))
def test_steps_are_as_many_as_asked_for_from_the_first_to_the_last(total, count, spacing):
    steps = Series(spacing=spacing, count=count).at(total)
    assert len(steps) == min(count, total + 1)
    assert (steps[0], steps[-1]) == (0, total)
    assert all(a < b for a, b in pairwise(steps))


def test_log_spaced_steps_have_equal_ratios_and_linear_ones_equal_differences():
    log, linear = (np.array(Series(spacing=name, count=50).at(10**6)) for name in ("log", "linear"))
    assert np.ptp(np.diff(linear)) <= 1
    far = np.log(log[log > 100])  # below, whole numbers are coarser than the ratio
    np.testing.assert_allclose(np.diff(far), np.diff(far).mean(), rtol=0.05)


def test_the_weights_kept_are_those_of_their_steps(config, tmp_path):
    run = train(config, tmp_path / "run")
    kept = run.checkpoints()
    assert [each.step for each in kept] == list(config.checkpoints.at(16)) == sorted(config.kept_steps)
    start = new_state(run.config).model.state_dict()
    for key, value in kept[0].predictor().model.state_dict().items():
        assert torch.equal(value, start[key])
    # Those for resuming rotate as ever, and the last of both is the same.
    assert sorted(int(path.name) for path in (run.directory / "checkpoints").iterdir()) == [15, 16]
    for key, value in load(kept[-1].path).model.state_dict().items():
        assert torch.equal(value, run.predictor().model.state_dict()[key])
    assert kept[-1].predictor().n_train == config.n_train


def test_half_precision_is_the_rounded_weights_in_half_the_size(config, tmp_path):
    whole = train(config, tmp_path / "whole").checkpoints()[-1]
    half = train(config.with_(checkpoints=Series(count=7, precision="half")), tmp_path / "half").checkpoints()[-1]
    for key, value in half.predictor().model.state_dict().items():
        assert torch.equal(value, whole.predictor().model.state_dict()[key].half().float())
    sizes = [(each.path / "model.safetensors").stat().st_size for each in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_list_of_steps(config, tmp_path):
    listed = read_config(config.as_dict(), {"checkpoints": [10, 3]})
    assert [each.step for each in train(listed, tmp_path).checkpoints()] == [0, 3, 10]
    with pytest.raises(InvalidInputError, match="up to 16; 17 was given"):
        read_config(config.as_dict(), {"checkpoints": [17]})
    with pytest.raises(InvalidInputError, match="log"):
        read_config(config.as_dict(), {"checkpoints.spacing": "sqrt"})


def test_interrupted_and_damaged_it_keeps_the_same_bits(config, tmp_path, monkeypatch):
    whole = train(config, tmp_path / "whole")
    monkeypatch.setattr("iclab.training.reporting._SECONDS_BETWEEN_REPORTS", 0.0)
    for at in (1, 6, 13):

        def interrupt(step, total, loss, left, at=at):
            if step == at:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "cut", progress=interrupt)
        cut = Run.open(tmp_path / "cut")
        assert all(each.step <= cut.step for each in cut.checkpoints())
    (tmp_path / "cut" / "series" / ".14.torn").mkdir()  # what a kill in the middle of a write leaves behind
    assert files(train(config, tmp_path / "cut")) == files(whole)


def test_a_longer_training_keeps_what_was_kept_and_goes_on(tmp_path):
    base = {"schedule": {"decay": 0.0}, "curriculum": {"dimensions": None, "points": None}, "n_evaluation": 4}
    config = preset("tiny", dimension=2, n_train=4, steps=8, batch_size=4, checkpoints={"count": 5}, **base)
    train(config, tmp_path / "run")
    run = train(extend(tmp_path / "run", 16).config, tmp_path / "run")
    steps = [each.step for each in run.checkpoints()]
    assert steps == [*Series(count=5).at(8), *(step for step in Series(count=5).at(16) if step > 8)]
    assert all(verify(each.path) is None for each in run.checkpoints())
