"""A sweep's table holds every cell, whoever trains it and however often it is interrupted."""

import math
import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from iclab.evaluation import error_curve
from iclab.foundations import InvalidInputError, exclusive
from iclab.models import load
from iclab.studies.grid import Grid, Judging, claim, parse_axis
from iclab.training import Run, preset

BASE = {
    "preset": "tiny",
    "dimension": 2,
    "n_train": 3,
    "steps": 6,
    "batch_size": 4,
    "n_evaluation": 4,
    "precision": "float32",
    "model": {"width": 8, "layers": 1, "heads": 1},
}


@pytest.fixture
def base(tmp_path):
    def write(**changes):
        path = tmp_path / "base.yaml"
        path.write_text(yaml.safe_dump({**BASE, **changes}))
        return path

    return write


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seed=0..3", [0, 1, 2, 3]),
        ("n_train=10,20", [10, 20]),
        ("optimizer.learning_rate=1e-3, 3e-3", [1e-3, 3e-3]),
        ("model.attention=linear,softmax", ["linear", "softmax"]),
        ("covariates=identity,{kind: gaussian, dimension: 2}", ["identity", {"kind": "gaussian", "dimension": 2}]),
        ("optimizer.clip=null,1.0", [None, 1.0]),
    ],
)
def test_axes_are_read_as_people_write_them(text, values):
    assert parse_axis(text) == (text.partition("=")[0], values)


@pytest.mark.parametrize("text", ["seed", "=1", "seed=", "seed=3..1", "n=0..1000000"])
def test_other_axes_are_refused(text):
    with pytest.raises(InvalidInputError, match="axis"):
        parse_axis(text)


def test_cells_are_all_combinations_as_the_preset_makes_them():
    grid = Grid({"preset": "tiny", "dimension": 2}, {"n_train": [3, 5], "seed": [0, 1]}, {"steps": 50})
    expected = [preset("tiny", dimension=2, n_train=n, seed=s, steps=50) for n, s in product([3, 5], [0, 1])]
    assert [cell.config for cell in grid.cells] == expected
    assert len({cell.name for cell in grid.cells}) == 4


def test_a_table_holds_what_each_cell_alone_gives(iclab, base, tmp_path):
    arguments = ("--over", "n_train=2,3", "seed=0..1", "--evaluate", "standard,scale-x=2,length=5", "--prompts", 40)
    code, out, err = iclab("sweep", base(), *arguments, "--directory", "s", "--workers", 1, "--plot", "s.svg")
    assert code == 0, err
    assert out.splitlines()[-1] == "s/table.csv"
    table = pd.read_parquet(tmp_path / "s/table.parquet")
    assert table["n_train"].dtype == table["seed"].dtype == "int64"
    positions = table.groupby(["shift", "n_train"])["position"].nunique()
    assert (positions["standard"] == [3, 4]).all()
    assert (positions["scale-x=2"] == [3, 4]).all()
    assert (positions["length=5"] == 6).all()
    assert (tmp_path / "s.svg").exists()
    for run in (tmp_path / "s/runs").iterdir():
        config = Run.open(run).config
        curve = error_curve(load(run), config.prompts.build(), config.n_points, n_prompts=40, seed=0)
        rows = table[(table["n_train"] == config.n_train) & (table["seed"] == config.seed)]
        rows = rows[(rows["predictor"] == "model") & (rows["shift"] == "standard")]
        assert rows["mean"].tolist() == pytest.approx(curve.mean.tolist(), rel=1e-12)


def test_sequences_of_symbols_are_swept_beside_their_bayes_predictor(iclab, tmp_path):
    """Bayes has the smaller cross-entropy at every position, and at position 0 that of the uniform law: ln 3."""
    model = {"dimension": 0, "head": "classes", "outputs": 3, "max_points": 6, "width": 8, "layers": 1, "heads": 1}
    config = {
        "prompts": {"kind": "markov_chains", "n_symbols": 3, "start": "uniform"},
        "model": model,
        "n_train": 5,
        "steps": 3,
    }
    path = tmp_path / "chains.yaml"
    path.write_text(yaml.safe_dump({**config, "batch_size": 4, "n_evaluation": 4}))
    arguments = ("--over", "seed=0..1", "--beside", "bayes", "--prompts", 200, "--directory", "s", "--workers", 1)
    code, _, err = iclab("sweep", path, *arguments)
    assert code == 0, err
    table = pd.read_csv(tmp_path / "s/table.csv").pivot_table("mean", ["seed", "position"], "predictor")
    assert (table["bayes"] < table["model"]).all()
    assert table["bayes"].xs(0, level="position").to_numpy() == pytest.approx(math.log(3))


def test_a_shift_that_a_cell_cannot_have_leaves_the_others(iclab, base, tmp_path):
    shifts = ("--evaluate", "standard,half_subspace", "--prompts", 20, "--workers", 1)
    code, _, err = iclab("sweep", base(), "--over", "dimension=1,2", *shifts, "--directory", "s")
    assert code == 1
    assert "on half_subspace: " in err
    table = pd.read_csv(tmp_path / "s/table.csv")
    rows = set(zip(table["dimension"], table["shift"], strict=True))
    assert rows == {(1, "standard"), (2, "standard"), (2, "half_subspace")}
    assert list(pd.read_csv(tmp_path / "s/failed.csv")["dimension"]) == [1]


def test_columns_of_axes_hold_one_type(iclab, base, tmp_path):
    code, _, err = iclab(
        "sweep", base(), "--over", "optimizer.clip=null,1.5", "--prompts", 20, "--workers", 1, "--directory", "s"
    )
    assert code == 0, err
    table = pd.read_parquet(tmp_path / "s/table.parquet")
    assert list(table["optimizer.clip"].unique()) == ["null", "1.5"]
    grid = Grid({**BASE}, {"seed": np.arange(2), "n_train": [np.int64(3)]})
    assert [type(value) for cell in grid.cells for value in cell.axes.values()] == [int] * 4


def test_a_grid_of_too_many_cells_is_refused_at_once(soon):
    with soon():
        with pytest.raises(InvalidInputError, match="at most 100000 cells"):
            Grid("tiny", {"seed": range(100_000), "n_train": [3, 4]})
        Grid("tiny", {"seed": range(100_000)})


def test_axes_may_grow_and_cells_that_are_there_stay(iclab, base, tmp_path):
    path = base()
    assert iclab("sweep", path, "--over", "seed=0..1", "--prompts", 20, "--directory", "s", "--workers", 1)[0] == 0
    before = {run: (run / "metrics.jsonl").stat().st_mtime_ns for run in (tmp_path / "s/runs").iterdir()}
    small = pd.read_csv(tmp_path / "s/table.csv")
    assert iclab("sweep", path, "--over", "seed=0..2", "--prompts", 20, "--directory", "s", "--workers", 1)[0] == 0
    assert {run: (run / "metrics.jsonl").stat().st_mtime_ns for run in before} == before
    large = pd.read_csv(tmp_path / "s/table.csv")
    pd.testing.assert_frame_equal(large[large["seed"] < 2], small)
    code, _, err = iclab("sweep", base(steps=7), "--over", "seed=0..1", "--directory", "s")
    assert code == 2
    assert "a sweep of another one" in err


def test_an_axis_may_give_what_the_base_alone_lacks(tmp_path):
    """A finite pool needs its number of tasks, and the axis has it; a folder is claimed again for more values."""
    base = {"preset": "tiny", "dimension": 2, "prompts": {"tasks": {"kind": "finite_pool", "dimension": 2, "seed": 0}}}
    for sizes in ([2, 3], [2, 3, 4]):
        grid = Grid(base, {"prompts.tasks.n_tasks": sizes}, {"steps": 2})
        assert [cell.config.prompts.tasks.n_tasks for cell in grid.cells] == sizes
        claim(tmp_path, grid, Judging())
    with pytest.raises(InvalidInputError, match="a sweep of another one"):
        claim(tmp_path, Grid(base, {"prompts.tasks.n_tasks": [2]}, {"steps": 3}), Judging())


def test_a_cell_that_diverges_is_listed_and_the_others_finish(iclab, base, tmp_path):
    wild = {"optimizer": {"kind": "sgd", "clip": None}, "schedule": {"warmup": 0}, "steps": 20}
    arguments = ("--over", "optimizer.learning_rate=1e-3,1e9", "--prompts", 20, "--directory", "s", "--workers", 1)
    code, _, err = iclab("sweep", base(**wild), *arguments)
    assert code == 1
    assert "learning_rate = 1000000000.0: " in err
    failed = pd.read_csv(tmp_path / "s/failed.csv")
    assert failed["optimizer.learning_rate"].tolist() == [1e9]
    assert "must keep a finite loss" in failed["reason"][0]
    assert set(pd.read_csv(tmp_path / "s/table.csv")["optimizer.learning_rate"]) == {1e-3}


def test_a_dry_run_costs_and_writes_nothing(iclab, base, tmp_path):
    code, out, _ = iclab("sweep", base(), "--over", "seed=0..4", "--directory", "s", "--dry-run")
    assert code == 0
    assert out.splitlines()[-1].startswith("5 trainings, ")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--over", "sed=0..4"), "Did you mean 'seed'"),
        (("--over", "n_train=ten"), "n_train"),
        (("--over", "seed=1,1"), "must differ"),
        (("--over", "seed=1", "seed=2"), "must be given once"),
        (("--over", "seed=1", "--evaluate", "scael-x=2"), "scale-x"),
        (("--over", "seed=1", "--beside", "rigde"), "ridge"),
        (("--over", "seed=1", "--dask", "nowhere.json"), "could not be read"),
        (("--over", "seed=1", "--dask", "base.yaml"), "must name its queue"),
        (("--over", "seed=1", "--prompts", "1"), "--prompts"),
        (("--over", "seed=1", "--points", "1000"), "points must be at most model.max_points"),
        (("--over", "seed=1", "--evaluate", "length=1000"), "points must be at most model.max_points"),
        (("--over", "seed=1", "--set", "seed=3"), "seed must be an axis or have one value"),
        (("--over", "seed=1", "--seed", "-1"), "seed of the test prompts must be at least 0"),
        (("--over", "seed=1", "--workers", "0"), "--workers must be at least 1"),
        (("--over", "seed=1", "--points", "1000", "--dry-run"), "points must be at most model.max_points"),
        (("--over", "seed=1", "--workers", "0", "--dry-run"), "--workers must be at least 1"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(iclab, base, tmp_path, arguments, expected):
    code, _, err = iclab("sweep", base(), *arguments, "--directory", "s")
    assert code == 2
    assert expected in err
    assert err.startswith("iclab: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("s/runs"))


def test_two_sweeps_in_one_folder_are_refused(iclab, base, tmp_path):
    (tmp_path / "s").mkdir()
    with exclusive(tmp_path / "s"):
        code, _, err = iclab("sweep", base(), "--over", "seed=0..1", "--directory", "s", "--workers", 1)
    assert code == 2
    assert "one process at a time" in err
    assert not list(tmp_path.glob("s/runs"))


def test_a_scheduler_that_does_not_answer_is_refused_in_time(iclab, base, monkeypatch):
    monkeypatch.setattr("iclab.studies.cluster._ANSWER", 1)
    code, _, err = iclab("sweep", base(), "--over", "seed=1", "--directory", "s", "--dask", "tcp://127.0.0.1:9")
    assert code == 2
    assert "must answer at tcp://127.0.0.1:9 within 1 s" in err


# A real cluster: a scheduler and two workers, each a process of its own.


@pytest.fixture
def cluster(tmp_path):
    """Starts a scheduler, and workers one by one; ends them all."""
    started = []

    def launch(*arguments):
        command = [sys.executable, "-m", "distributed.cli.dask_worker", *arguments]
        if arguments[0] == "scheduler":
            command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *arguments[1:]]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    def start(name):
        file = tmp_path / f"{name}.json"
        scheduler = launch("scheduler", "--scheduler-file", file, "--port", "0", "--no-dashboard")
        while not file.exists():
            assert scheduler.poll() is None
            time.sleep(0.1)
        plain = ("--scheduler-file", file, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        return file, scheduler, [launch(*plain) for _ in range(2)]

    yield start
    for process in started:
        process.kill()
        process.wait()


def _sweep(base, directory, *arguments):
    command = ["sweep", base, "--over", "seed=0..5", "optimizer.learning_rate=1e-3,2e-3", "--prompts", "40"]
    command = [sys.executable, "-m", "iclab", *command, "--directory", directory, *arguments]
    # In a file of its own, so that nobody has to read along.
    with open(f"{directory}.log", "a") as log:
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=log)


def _said(directory):
    return Path(f"{directory}.log").read_text()


def _wait_for_steps(directory, process):
    while not any(path.stat().st_size for path in directory.glob("runs/*/metrics.jsonl")):
        assert process.poll() is None, _said(directory)
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A configuration, and the table of its sweep in one process that nobody kills."""
    folder = tmp_path_factory.mktemp("undisturbed")
    path = folder / "base.yaml"
    path.write_text(yaml.safe_dump({**BASE, "steps": 150, "checkpoint_every": 20, "log_every": 10}))
    assert _sweep(path, folder / "alone", "--workers", "1").wait() == 0, _said(folder / "alone")
    return path, (folder / "alone/table.csv").read_bytes()


@pytest.mark.slow
def test_a_worker_may_be_killed_during_a_training(undisturbed, cluster, tmp_path):
    """The other one does its cells."""
    path, expected = undisturbed
    file, _, workers = cluster("cluster")
    process = _sweep(path, tmp_path / "worker", "--dask", file)
    _wait_for_steps(tmp_path / "worker", process)
    os.kill(workers[0].pid, signal.SIGKILL)
    assert process.wait() == 0, _said(tmp_path / "worker")
    assert (tmp_path / "worker/table.csv").read_bytes() == expected


@pytest.mark.slow
def test_a_scheduler_may_be_killed(undisturbed, cluster, tmp_path):
    """The sweep ends with a sentence, and the same command on another cluster goes on."""
    path, expected = undisturbed
    file, scheduler, workers = cluster("first")
    process = _sweep(path, tmp_path / "scheduler", "--dask", file)
    _wait_for_steps(tmp_path / "scheduler", process)
    for victim in (scheduler, *workers):
        os.kill(victim.pid, signal.SIGKILL)
    assert process.wait() == 2
    assert "another one, and it resumes" in _said(tmp_path / "scheduler")
    file, _, _ = cluster("second")
    process = _sweep(path, tmp_path / "scheduler", "--dask", file)
    assert process.wait() == 0, _said(tmp_path / "scheduler")
    assert (tmp_path / "scheduler/table.csv").read_bytes() == expected


@pytest.mark.slow
def test_killed_at_random_a_sweep_ends_in_the_same_table(undisturbed, tmp_path):
    path, expected = undisturbed
    for life in (4, 7, 10, 13):
        process = _sweep(path, tmp_path / "killed", "--workers", "2")
        try:
            process.wait(timeout=life)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    process = _sweep(path, tmp_path / "killed", "--workers", "2")
    assert process.wait() == 0, _said(tmp_path / "killed")
    assert (tmp_path / "killed/table.csv").read_bytes() == expected
