"""``iclab train`` as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

SMALL = [
    "--set",
    "dimension=2",
    "--set",
    "n_train=4",
    "--set",
    "steps=3e1",
    "--set",
    "batch_size=8",
    "--set",
    "n_evaluation=16",
]


def test_a_preset_trains_reports_resumes_and_draws(iclab, tmp_path):
    code, out, err = iclab("train", "tiny", *SMALL, "--json")
    assert code == 0, err
    assert "least squares 0, zero" in err
    assert "nan" not in err
    assert "step 30 of 30" in err
    result = json.loads(out)
    assert [row["position"] for row in result["evaluation"]] == [0, 1, 2, 3, 4]
    assert (tmp_path / "runs" / "tiny" / "checkpoints" / "30").is_dir()

    code, _, err = iclab("train", "tiny", *SMALL)
    assert (code, "must hold no run yet" in err) == (2, True)
    code, out, _ = iclab("train", "--resume", "--directory", "runs/tiny")
    assert (code, "30 steps on posterior mean targets" in out) == (0, True)
    code, _, err = iclab("train", "tiny", *SMALL, "--resume", "--set", "seed=7")
    assert (code, "differs in seed" in err) == (2, True)
    code, _, err = iclab("train", "--directory", "runs/tiny", "--curve", "loss.svg")
    assert code == 0, err
    assert "predicting 0" in (tmp_path / "loss.svg").read_text()


def test_a_file_may_start_from_a_preset(iclab, tmp_path):
    (tmp_path / "mine.yaml").write_text("preset: lsa\ndimension: 2\nn_train: 4\nsteps: 20\nbatch_size: 8\n")
    code, out, err = iclab("train", "mine.yaml", "--set", "n_evaluation=16")
    assert code == 0, err
    assert "runs/mine: 20 steps on labels targets" in out


def test_a_presets_name_wins_over_a_folder_of_that_name(iclab, tmp_path):
    (tmp_path / "tiny").mkdir()
    code, out, err = iclab("train", "tiny", *SMALL, "--check")
    assert code == 0, err
    assert "240 prompts" in out


def test_a_sampled_mean_is_not_shown_where_the_mean_is_infinite(iclab):
    code, out, err = iclab("train", "tiny", *SMALL, "--set", "prompts.noise=0.5", "--set", "targets=labels")
    assert code == 0, err
    assert "least squares" not in err
    references = [line.split()[-1] for line in out.splitlines()[2:]]
    assert [reference == "infinite" for reference in references] == [False, True, True, True, False]


def test_checking_says_the_cost_and_what_is_odd(iclab, tmp_path):
    arguments = [*SMALL, "--set", "curriculum.points.every=10", "--set", "curriculum.points.increment=1", "--check"]
    code, out, err = iclab("train", "tiny", *arguments, "--set", "curriculum.points.start=1")
    assert code == 0, err
    assert "240 prompts" in out
    assert "Positions 3 to 4 are never trained: the curriculum reaches 3 of 5 points in 30 steps." in out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tinny"], "Did you mean 'tiny'"),
        (["tinny.yaml"], "no such file"),
        (["lsa", "--set", "dimesion=2"], "Did you mean 'dimension'"),
        (["lsa", "--set", "optimizer.learning_rate=1e400"], "finite"),
        (["--directory", "runs/first", "--resume", "--set", "seed=4"], "--set must go with the configuration"),
        (["--directory", "runs/first", "--set", "steps=400"], "must be the folder of a run"),
        (["tiny", "--set", "step=3"], "Did you mean 'steps'"),
        (["tiny", "--set", "steps"], "key=value"),
        (["tiny", "--set", "optimizer.kind=mion"], "optimizer.kind"),
        (["tiny", "--resume"], "must hold a run to resume"),
        (["--directory", "runs/none"], "to resume one, add --resume"),
        (["--directory", "runs/none", "--resume"], "must be the folder of a run"),
        ([], "neither was"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(iclab, arguments, sentence):
    code, out, err = iclab("train", *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_divergence_is_said_and_exits_with_1(iclab):
    code, _, err = iclab("train", "tiny", *SMALL, "--set", "optimizer={kind: sgd, learning_rate: 1e30, clip: null}")
    assert code == 1
    assert "lower the learning rate" in err


def test_sigterm_leaves_a_resumable_run_and_exits_with_130(tmp_path):
    changes = [*SMALL, "--set", "steps=1e5", "--set", "log_every=1"]
    command = [sys.executable, "-m", "iclab", "train", "tiny", *changes, "--directory", "run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline:  # until it takes steps
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err
    assert any((tmp_path / "run" / "checkpoints").iterdir())


@pytest.fixture
def command(tmp_path):
    """``iclab`` in a process of its own, as a terminal starts it."""

    started = []

    def start(*arguments):
        run = subprocess.Popen(
            [sys.executable, "-P", "-m", "iclab", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(run)
        return run

    yield start
    for run in started:
        run.terminate()
        run.communicate()


@pytest.mark.slow
def test_two_processes_train_what_one_does(iclab, command, tmp_path):
    double = [*SMALL, "--set", "precision=float64"]
    assert iclab("train", "tiny", *double, "--directory", "one")[0] == 0
    both = command("train", "tiny", *double, "--directory", "two", "--processes", "2", "--json")
    out, err = both.communicate()
    assert both.returncode == 0, err
    assert json.loads(out)["steps"] == 30
    assert err.count("step 30 of 30") == 1
    one, two = (load_file(tmp_path / name / "checkpoints" / "30" / "model.safetensors") for name in ("one", "two"))
    for key, expected in one.items():
        np.testing.assert_allclose(two[key], expected, rtol=1e-9, atol=1e-10)
    again = command("train", "tiny", *double, "--directory", "two", "--processes", "2")
    out, err = again.communicate()
    assert (again.returncode, out) == (2, "")
    assert err.count("must hold no run yet") == 1
    assert "Traceback" not in err


def begun(run, directory):
    """Wait until a training has written its first line."""
    metrics = directory / "metrics.jsonl"
    while run.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("asking", ["SIGINT", "SIGUSR1"])
def test_two_processes_are_interrupted_and_resumed(asking, iclab, command, tmp_path):
    longer = [*SMALL, "--set", "precision=float64", "--set", "steps=500", "--set", "log_every=1"]
    run = command("train", "tiny", *longer, "--directory", "two", "--processes=2")
    begun(run, tmp_path / "two")
    processes = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(getattr(signal, asking))
    out, err = run.communicate()
    assert (run.returncode, out) == (130, "")
    assert err.count("--resume resumes") == err.count("signal") + 1 == 1
    assert not any(process.is_running() for process in processes)
    (reached,) = (tmp_path / "two" / "checkpoints").iterdir()
    assert int(reached.name) < 500
    resumed = command("train", "--directory", "two", "--resume", "--processes=2")
    _, err = resumed.communicate()
    assert resumed.returncode == 0, err
    assert iclab("train", "tiny", *longer, "--directory", "one")[0] == 0
    one, two = (load_file(tmp_path / name / "checkpoints" / "500" / "model.safetensors") for name in ("one", "two"))
    for key, expected in one.items():
        np.testing.assert_allclose(two[key], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("[]", "init_from must name a model, or several in a list; [] was given"),
        ("[a, 3]", "init_from must name a model, or several in a list; ['a', 3] was given"),
        ("[linear-columns-d20-identity, nowhere]", "init_from must name a model of the same architecture"),
        ("nowhere", "init_from must name models that are there"),
    ],
)
@pytest.mark.parametrize("check", [[], ["--check"]])
def test_models_to_begin_from_must_be_there(iclab, check, given, sentence):
    code, out, err = iclab("train", "tiny", *SMALL, "--set", f"init_from={given}", *check)
    assert (code, out) == (2, "")
    assert sentence in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--processes=0"], "--processes must be at least 1; 0 was given"),
        (["--processes=9"], "batch_size must be at least the number of processes, 9; 8 was given"),
        (["--processes=9", "--check"], "batch_size must be at least the number of processes, 9; 8 was given"),
        (
            ["--processes=2", "--set", "curriculum={fields: {batch_size: {start: 8, end: 1, every: 2}}}"],
            "batch_size must be at least the number of processes, 2; 1 was given",
        ),
    ],
)
def test_processes_that_cannot_be(iclab, arguments, sentence):
    code, out, err = iclab("train", "tiny", *SMALL, *arguments)
    assert (code, out) == (2, "")
    assert sentence in err


@pytest.mark.slow
def test_a_process_that_is_lost_ends_the_training(command, tmp_path):
    run = command("train", "tiny", *SMALL, "--set", "steps=100000", "--directory", "run", "--processes=2")
    begun(run, tmp_path / "run")
    ranks = {}
    for process in psutil.Process(run.pid).children(recursive=True):
        if "RANK" in (environment := process.environ()):
            ranks[environment["RANK"]] = process
    ranks["1"].kill()
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (128 + signal.SIGKILL, "")
    assert err.count("ended by signal 9") == err.count("iclab: ") == 1
    assert "Traceback" not in err


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(command, tmp_path):
    run = command("train", "tiny", *SMALL, "--set", "steps=100000", "--directory", "run", "--processes=2")
    begun(run, tmp_path / "run")
    processes = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    assert not psutil.wait_procs(processes, timeout=60)[1]
    assert list((tmp_path / "run" / "checkpoints").iterdir())  # saved


@pytest.mark.slow
def test_what_the_leading_process_cannot_write_is_said_once(command):
    run = command("train", "tiny", *SMALL, "--directory", "/proc/none", "--processes=2")
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (2, "")
    assert err.count("iclab: ") == err.count("must be writable") == 1


def test_processes_that_cannot_be_change_no_run(iclab, tmp_path):
    steady = ["--set", "schedule.decay=0", "--set", "curriculum={}"]
    assert iclab("train", "tiny", *SMALL, *steady, "--directory", "run")[0] == 0
    before = (tmp_path / "run/config.yaml").read_bytes()
    assert iclab("train", "--directory", "run", "--set", "steps=40", "--processes", "9")[0] == 2
    assert (tmp_path / "run/config.yaml").read_bytes() == before


@pytest.mark.slow
def test_processes_import_no_namesake_from_the_current_folder(command, tmp_path):
    (tmp_path / "statistics.py").write_text("raise RuntimeError('shadow')")
    run = command("train", "tiny", *SMALL, "--processes=2")
    _, err = run.communicate(timeout=120)
    assert run.returncode == 0, err


def test_torchrun_starts_the_processes_itself(iclab, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = iclab("train", "tiny", *SMALL, "--processes=2")
    assert (code, "must be left out under torchrun" in err) == (2, True)
