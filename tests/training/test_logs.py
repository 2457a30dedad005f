"""Whatever logs are told is what the metrics say, once each, however often the training was interrupted."""

import csv
import os
import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from iclab.foundations import InvalidInputError
from iclab.training import Log, Run, train
from iclab.training.logs import LOGS, WandbLog, logs_of, scalars
from iclab.training.step import Step


class Told(Log):
    """Keeps what it is told."""

    def __init__(self):
        self.lines, self.steps, self.ends = [], [], []

    def begin(self, run, lines):
        self.lines = list(lines)

    def line(self, line):
        self.lines.append(line)

    def progress(self, step, total, loss, left):
        self.steps.append(step)

    def end(self, *, finished):
        self.ends.append(finished)


@pytest.fixture
def config(config):
    return config.with_(steps=24, evaluate_every=10, checkpoint_every=4)


def interrupted(config, directory, log, monkeypatch, at=14):
    """A run that was interrupted after a line that its checkpoint does not have yet, and went on."""
    monkeypatch.setattr("iclab.training.reporting._SECONDS_BETWEEN_REPORTS", 0.0)

    def stop(step, total, loss, left):
        if step == at:
            raise RuntimeError("as by a kill: nothing is saved")

    with pytest.raises(RuntimeError):
        train(config, directory, log=log, progress=stop)
    return train(config, directory, log=log)


def without_clocks(lines):
    return [{key: value for key, value in line.items() if not key.endswith("seconds")} for line in lines]


def test_a_log_of_ones_own_is_told_what_the_metrics_say(config, tmp_path, monkeypatch):
    told = Told()
    run = interrupted(config, tmp_path, told, monkeypatch)
    assert told.lines == run.metrics
    assert told.ends == [False, True]
    assert told.steps[-1] == 24


def test_metrics_say_learning_rates_and_gradient(config, tmp_path):
    run = train(config, tmp_path)
    losses = run.losses()
    schedule = np.array([config.schedule.at(step - 1, 24) for step in losses["step"]])
    for name in ("adamw", "muon"):
        np.testing.assert_allclose(losses[f"learning_rates.{name}"], config.optimizer.options(name)["lr"] * schedule)
    assert (losses["gradient_norm"] > 0).all()


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_the_gradients_norm_is_that_before_it_is_clipped(config, clip, monkeypatch, tmp_path):
    found = []
    update = Step.update

    def noted(self, share):
        found.append(float(torch.cat([g.ravel() for g in self._gradients]).norm()))
        update(self, share)

    monkeypatch.setattr(Step, "update", noted)
    run = train(config.with_(steps=4, log_every=1, optimizer=replace(config.optimizer, clip=clip)), tmp_path)
    np.testing.assert_allclose(run.losses()["gradient_norm"], found, rtol=1e-5)


def test_tables_are_the_metrics_with_no_row_twice(config, tmp_path, monkeypatch):
    run = interrupted(config, tmp_path, "csv", monkeypatch)
    losses, errors = (pd.read_csv(tmp_path / name) for name in ("losses.csv", "errors.csv"))
    expected = run.losses().rename(columns=lambda name: name.replace(".", "/"))
    pd.testing.assert_frame_equal(losses[expected.columns], expected, check_dtype=False)
    evaluations = run.evaluations().rename(columns={"mean": "error"})
    pd.testing.assert_frame_equal(errors, evaluations, check_dtype=False)
    with (tmp_path / "losses.csv").open() as file:
        assert len(set(map(tuple, csv.reader(file)))) == 1 + len(losses)


def scalars_of(folder):
    """What TensorBoard shows of a folder: steps and values by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def expected_scalars(run):
    expected = {}
    for line in run.metrics:
        for name, value in scalars(line).items():
            expected.setdefault(name, []).append((line["step"], value))
    return expected


def test_tensorboard_shows_every_number_once(config, tmp_path, monkeypatch):
    run = interrupted(config, tmp_path, "tensorboard", monkeypatch)
    shown, expected = scalars_of(tmp_path / "tensorboard"), expected_scalars(run)
    assert shown.keys() == expected.keys()
    assert {"loss", "gradient_norm", "learning_rates/muon", "error/6", "least_squares/6"} <= shown.keys()
    for name, events in expected.items():
        if not name.endswith("seconds"):
            assert [step for step, _ in shown[name]] == [step for step, _ in events]
            np.testing.assert_allclose([v for _, v in shown[name]], [v for _, v in events], rtol=1e-6)


def test_a_finished_run_is_told_to_a_new_log(config, tmp_path):
    run = train(config, tmp_path)
    told = Told()
    assert train(config, tmp_path, log=[told, "tensorboard"]) == run
    assert told.lines == run.metrics
    assert scalars_of(tmp_path / "tensorboard").keys() == expected_scalars(run).keys()


def records_of(file):
    """The records of an offline run's file, in LevelDB's log format: blocks of 32 KiB, fragments with headers of 7."""
    content, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or last
            yield whole
            whole = b""


def told_to_wandb(folder):
    """Steps and values by name in the file of one offline run."""
    from wandb.proto.wandb_internal_pb2 import Record

    [file] = folder.glob("*.wandb")
    told = {}
    for record in map(Record.FromString, records_of(file)):
        if record.WhichOneof("record_type") == "history":
            entries = {item.key or "/".join(item.nested_key): float(item.value_json) for item in record.history.item}
            for name, value in entries.items():
                told.setdefault(name, []).append((entries["step"], value))
    return told


def test_wandb_stays_offline_and_holds_every_number(config, tmp_path):
    import wandb

    run = train(config, tmp_path / "run", log=WandbLog(project="mine"))
    wandb.teardown()  # its own process writes the file, a little later
    [folder] = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert folder.name.endswith((tmp_path / "run" / "wandb" / "identity").read_text().strip())
    told, expected = told_to_wandb(folder), expected_scalars(run)
    assert {name: events for name, events in told.items() if name in expected} == expected


def test_wandb_goes_on_offline_under_one_identity(config, tmp_path, monkeypatch):
    """Both parts hold together what the metrics say: a step that was done again has the same numbers again."""
    import wandb

    def later(*given, run_once=wandb.init, **named):
        time.sleep(1.1)  # folders are named by the second
        assert named["mode"] == "offline"
        return run_once(*given, **named)

    monkeypatch.setattr(wandb, "init", later)
    run = interrupted(config, tmp_path / "run", "wandb", monkeypatch)
    wandb.teardown()
    identity = (tmp_path / "run" / "wandb" / "identity").read_text().strip()
    parts = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert [part.name.rpartition("-")[2] for part in parts] == [identity, identity]
    first, second = map(told_to_wandb, parts)
    for name, events in expected_scalars(run).items():
        if not name.endswith("seconds"):
            found = dict(first.get(name, [])) | dict(second.get(name, []))
            assert sorted(found.items()) == events
            assert all(found[step] == value for step, value in first.get(name, []))


@pytest.mark.parametrize(("log", "module"), [("tensorboard", "tensorboard"), ("wandb", "wandb")])
def test_a_missing_package_is_named_with_the_command_before_anything_is_written(
    config, tmp_path, monkeypatch, log, module
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidInputError, match=r"pip install 'iclab\[log\]'"):
        train(config, tmp_path / "run", log=log)
    assert not (tmp_path / "run").exists()


def test_unknown_logs_are_refused():
    with pytest.raises(InvalidInputError, match=r"tensorboard.*tensorbord"):
        logs_of("csv,tensorbord")
    with pytest.raises(InvalidInputError, match="must be a name"):
        logs_of([3])
    assert set(LOGS) == {"tensorboard", "wandb", "wandb-online", "csv"}


def test_a_signal_ends_the_logs_too(config, tmp_path, monkeypatch):
    monkeypatch.setattr("iclab.training.reporting._SECONDS_BETWEEN_REPORTS", 0.0)
    told = Told()

    def stop(step, total, loss, left):
        if step == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, log=told, progress=stop)
    assert told.ends == [False]
    assert told.lines == Run.open(tmp_path).metrics
