"""Going on: more steps than configured, signals that save, files that disappear."""

import os
import shutil
import signal

import pytest
import torch

from iclab.foundations import InvalidInputError
from iclab.training import preset, train
from iclab.training.continuing import extend
from iclab.training.run import METRICS, read_metrics

SMALL = {
    "dimension": 2,
    "n_train": 4,
    "batch_size": 4,
    "n_evaluation": 4,
    "model": {"width": 16, "layers": 1},
    "schedule": {"warmup": 2, "decay": 0.0},
    "curriculum": {"dimensions": None, "points": None, "examples_per_dimension": None},
    "log_every": 2,
    "evaluate_every": 4,
    "checkpoint_every": 4,
}


def weights(run):
    return run.predictor().model.state_dict()


def test_more_steps_end_where_as_many_from_the_start_end(tmp_path):
    whole = train(preset("tiny", steps=12, **SMALL), tmp_path / "whole")
    train(preset("tiny", steps=6, **SMALL), tmp_path / "parts")
    longer = extend(tmp_path / "parts", 12)
    found = train(longer.config, tmp_path / "parts")
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(found)[key])
    assert [line["step"] for line in found.metrics if "loss" in line] == [2, 4, 6, 8, 10, 12]
    with pytest.raises(InvalidInputError, match="at least the 12"):
        extend(tmp_path / "parts", 8)


def test_a_rate_that_has_fallen_is_not_raised_again(tmp_path):
    train(preset("tiny", steps=6, **{**SMALL, "schedule": {"decay": 0.5}}), tmp_path / "run")
    with pytest.raises(InvalidInputError, match="begun to fall"):
        extend(tmp_path / "run", 12)


@pytest.fixture
def every_step(monkeypatch):
    """Progress is reported at every step, however fast the machine."""
    monkeypatch.setattr("iclab.training.reporting._SECONDS_BETWEEN_REPORTS", 0.0)


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_save_and_the_run_goes_on_as_if_nothing_had_been(tmp_path, name):
    config = preset("tiny", steps=8, **SMALL)
    whole = train(config, tmp_path / "whole")

    sent = []

    def interrupt(*_):
        if not sent:  # a second one would act as usual
            sent.append(os.kill(os.getpid(), getattr(signal, name)))

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", progress=interrupt)
    found = train(config, tmp_path / "run")
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(found)[key])


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("gone", ["metrics.jsonl", "config.yaml", "."])
def test_files_that_disappear_are_noticed(tmp_path, gone):
    config = preset("tiny", steps=40, **SMALL)

    def remove(*_):
        path = tmp_path / "run" / gone
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    with pytest.raises((InvalidInputError, OSError), match=r"deleted or moved|No such file"):
        train(config, tmp_path / "run", progress=remove)


def test_only_the_last_line_of_metrics_may_be_torn(tmp_path):
    run = train(preset("tiny", steps=8, **SMALL), tmp_path / "run")
    path = tmp_path / "run" / METRICS
    text = path.read_text()
    path.write_text(text + '{"step": 9, "lo')
    assert read_metrics(path) == run.metrics
    path.write_text('{"ste' + text[3:])
    with pytest.raises(InvalidInputError, match="line 1 is damaged"):
        read_metrics(path)


def test_a_training_begins_from_given_weights(tmp_path):
    first = train(preset("tiny", steps=4, **SMALL), tmp_path / "first")
    still = {"kind": "sgd", "learning_rate": 1e-30, "momentum": 0.0}
    config = preset("tiny", steps=4, **{**SMALL, "optimizer": still}, init_from=str(tmp_path / "first"))
    again = train(config, tmp_path / "again")
    for key, value in weights(first).items():
        assert torch.equal(value, weights(again)[key])
    shutil.rmtree(tmp_path / "first")
    assert train(config, tmp_path / "again").finished  # its own checkpoint is all it needs
    with pytest.raises(InvalidInputError, match="no such folder"):
        train(config, tmp_path / "third")
    assert not (tmp_path / "third").exists()
    other = preset("tiny", steps=4, **{**SMALL, "model": {"width": 32, "layers": 1}}, init_from=str(tmp_path / "again"))
    with pytest.raises(InvalidInputError, match="same architecture"):
        train(other, tmp_path / "fourth")
