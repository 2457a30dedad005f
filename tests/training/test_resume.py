"""Whatever interrupts a training, it ends in the same bits."""

import logging
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch

from iclab.foundations import InvalidInputError, exclusive
from iclab.models import load
from iclab.training import Run, Series, TrainingDivergedError, read_config, train
from iclab.training.config import write_yaml


@pytest.fixture(autouse=True)
def one_thread():
    """Bits are promised for a number of threads: here and in the processes started below, one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SCRIPT = """
import sys, torch
from iclab.training import read_config, train
torch.set_num_threads(1)
train(read_config(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_state_and_the_rest_is_the_same(config, outcome, tmp_path, number):
    whole = train(config, tmp_path / "whole")
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    first = True

    def interrupt(step, total, loss, left):
        nonlocal first
        if first and step >= 13:
            first = False
            os.kill(os.getpid(), number)

    import iclab.training.reporting as reporting

    before, reporting._SECONDS_BETWEEN_REPORTS = reporting._SECONDS_BETWEEN_REPORTS, 0.0
    try:
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "cut", progress=interrupt)
    finally:
        reporting._SECONDS_BETWEEN_REPORTS = before
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    cut = Run.open(tmp_path / "cut")
    assert cut.step == 14
    assert not cut.finished
    assert outcome(train(config, tmp_path / "cut")) == outcome(whole)


def test_a_finished_run_returns_at_once_and_untouched(config, tmp_path):
    run = train(config, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    calls = []
    again = train(config, tmp_path, progress=lambda *given: calls.append(given))
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert run.finished
    assert again == run
    assert before == after
    assert not calls


def test_a_training_may_end_when_it_has_reached_what_it_was_for(config, outcome, tmp_path):
    """Ended by ``until``, asked again, and gone on with: the same bits as never ended; time only adds up."""
    config = config.with_(evaluate_every=8)
    whole = train(config, tmp_path / "whole")
    asked = []

    def at_half(line):
        asked.append(line["step"])
        return line["step"] >= 20

    ended = train(config, tmp_path / "ended", until=at_half)
    assert (asked, ended.step, ended.finished) == ([8, 16, 24], 24, False)
    with pytest.warns(UserWarning, match="step 24 of 40 is used, the training is not finished"):
        assert load(tmp_path / "ended").n_train == config.n_train
    before = ended.metrics
    assert train(config, tmp_path / "ended", until=at_half).metrics == before
    assert outcome(train(config, tmp_path / "ended")) == outcome(whole)
    clocks = [line["seconds"] for line in ended.metrics if "loss" in line]
    assert clocks == sorted(clocks)
    assert all(line["cpu_seconds"] > 0 for line in ended.metrics if "loss" in line)


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "empty"])
def test_a_damaged_checkpoint_is_passed_over_and_said_so(config, outcome, tmp_path, caplog, damage):
    run = train(config, tmp_path)
    expected = outcome(run)
    last = tmp_path / "checkpoints" / "40"
    victim = last / "optimizers.safetensors"
    content = bytearray(victim.read_bytes())
    if damage == "truncate":
        victim.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[-9] ^= 4
        victim.write_bytes(content)
    elif damage == "remove":
        victim.unlink()
    else:
        for path in last.iterdir():
            path.unlink()
    with caplog.at_level(logging.WARNING, logger="iclab"):
        with pytest.warns(UserWarning, match=r"step 40 is damaged \(.*\), that of step 35 is used"):
            load(tmp_path)
        assert Run.open(tmp_path).step == 35
        assert outcome(train(config, tmp_path)) == expected
    [said] = [record.getMessage() for record in caplog.records]
    assert "the checkpoint of step 40 is damaged" in said
    assert "that of step 35 is used" in said


def test_torn_metrics_are_written_anew(config, outcome, tmp_path):
    run = train(config, tmp_path)
    expected = outcome(run)
    for path in (tmp_path / "checkpoints" / "40").iterdir():
        path.unlink()
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-25])
    assert outcome(train(config, tmp_path)) == expected


def start(config, directory, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(write_yaml(config))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(file), str(directory)], stderr=subprocess.PIPE, text=True, env=environment
    )


def kill_at_random(config, directory, tmp_path, kills, seed):
    """SIGKILL a training at random moments after its first step, ``kills`` times."""
    rng = random.Random(seed)
    for _ in range(kills):
        process = start(config, directory, tmp_path)
        metrics = directory / "metrics.jsonl"
        before = metrics.stat().st_mtime_ns if metrics.exists() else 0
        while process.poll() is None and (not metrics.exists() or metrics.stat().st_mtime_ns == before):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.communicate()
    return Run.open(directory)


def kept(run):
    """All that is kept along a training, by file."""
    series = run.directory / "series"
    return {path.relative_to(series): path.read_bytes() for path in series.rglob("*") if path.is_file()}


@pytest.mark.slow  # one kill, of a fork, is in every run: tests/fuzz
def test_sigkill_at_random_moments_changes_nothing(config, outcome, tmp_path):
    config = config.with_(checkpoint_every=1, checkpoints=Series(spacing="linear", count=30))
    whole = train(config, tmp_path / "whole")
    # One kill, then the rest in this process: starting Python and torch is what takes time.
    killed = kill_at_random(config, tmp_path / "killed", tmp_path, kills=1, seed=0)
    assert outcome(train(config, killed.directory)) == outcome(whole)
    assert kept(killed) == kept(whole)


@pytest.mark.slow
def test_twenty_sigkills_change_nothing(config, outcome, tmp_path):
    config = read_config(config.as_dict(), {"steps": 600, "checkpoint_every": 7, "checkpoints.count": 200})
    process = start(config, tmp_path / "whole", tmp_path)
    assert process.communicate()[1] == ""
    killed = kill_at_random(config, tmp_path / "killed", tmp_path, kills=20, seed=1)
    whole = Run.open(tmp_path / "whole")
    assert outcome(train(config, killed.directory)) == outcome(whole)
    assert len(whole.checkpoints()) == 200
    assert kept(killed) == kept(whole)


def test_a_full_disk_leaves_a_run_that_resumes(config, outcome, tmp_path):
    """A limit on file size stands for the disk: writing beyond it fails in the same way."""
    reference = outcome(train(config, tmp_path / "whole"))
    largest = max(path.stat().st_size for path in (tmp_path / "whole").rglob("*.safetensors"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = largest - 100  # no checkpoint fits
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        with pytest.raises(OSError, match=r"full/checkpoints/5"):
            train(config, tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "full" / "checkpoints").iterdir())
    assert outcome(train(config, tmp_path / "full")) == reference


def test_two_trainings_into_one_folder_are_refused(config, tmp_path):
    with exclusive(tmp_path), pytest.raises(InvalidInputError, match="one process at a time"):
        train(config, tmp_path)
    assert train(config, tmp_path).finished


def test_another_configuration_in_the_folder_is_refused(config, tmp_path):
    train(config, tmp_path)
    with pytest.raises(InvalidInputError, match=r"differs in optimizer.clip, seed"):
        train(read_config(config.as_dict(), {"seed": 1, "optimizer.clip": 2.0}), tmp_path)


def test_resume_says_what_must_be_there(config, tmp_path):
    with pytest.raises(InvalidInputError, match="must hold a run to resume"):
        train(config, tmp_path, resume=True)
    train(config, tmp_path, resume=False)
    with pytest.raises(InvalidInputError, match="must hold no run yet"):
        train(config, tmp_path, resume=False)
    assert train(config, tmp_path, resume=True).finished


def test_an_unwritable_folder_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="must be writable"):
        train(config, tmp_path / "file" / "run")


def test_divergence_stops_and_keeps_the_last_good_state(config, tmp_path):
    wild = read_config(
        config.as_dict(), {"optimizer.kind": "sgd", "optimizer.learning_rate": 1e30, "optimizer.clip": None}
    )
    wild = wild.with_(checkpoint_every=1, log_every=10)
    with pytest.raises(TrainingDivergedError, match="lower the learning rate"):
        train(wild, tmp_path)
    for folder in (tmp_path / "checkpoints").iterdir():
        assert int(folder.name) < 10
    assert all(line["loss"] < 1e6 for line in Run.open(tmp_path).metrics if "loss" in line)
