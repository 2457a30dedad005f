"""A training beside other work: threads that wait must leave the cores to whoever computes.

Run on an otherwise idle machine; what else runs counts as one of the busy processes and breaks the bar.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

CORES = len(os.sched_getaffinity(0))
SLACK = 1.3
STEPS = 120


@contextmanager
def busy():
    """A process that computes all the time."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def start(directory, **environment):
    """``iclab train`` as a user starts it, unless the environment says otherwise."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "KMP_"))}
    changes = {"steps": STEPS, "log_every": 10, "n_evaluation": 2, "evaluate_every": STEPS, "checkpoint_every": STEPS}
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "iclab", "train", "tiny", "--directory", str(directory), *options]
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=inherited | environment, **output)


def spent(process, directory):
    """Seconds and CPU seconds of a training's steps, without its start."""
    assert process.wait() == 0
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    losses = [line for line in lines if "loss" in line]
    return tuple(losses[-1][clock] - losses[0][clock] for clock in ("seconds", "cpu_seconds"))


@pytest.mark.parametrize("others", [1, CORES, 2 * CORES])
def test_a_training_beside_busy_processes_takes_its_share(others, tmp_path):
    quiet, _ = spent(start(tmp_path / "quiet"), tmp_path / "quiet")
    with ExitStack() as stack:
        for _ in range(others):
            stack.enter_context(busy())
        beside, _ = spent(start(tmp_path / "beside"), tmp_path / "beside")
    bar = max(1.0, (others + 1) / CORES) * SLACK
    print(f"beside {others} busy processes on {CORES} cores: {beside / quiet:.2f} times as long, bar {bar:.2f}")
    assert beside <= bar * quiet


def test_two_trainings_take_twice_the_time_of_one(tmp_path):
    alone, _ = spent(start(tmp_path / "alone"), tmp_path / "alone")
    both = [(start(tmp_path / name), tmp_path / name) for name in ("one", "two")]
    longest = max(spent(*each)[0] for each in both)
    print(f"two trainings: {longest / alone:.2f} times as long as one")
    assert longest <= 2 * SLACK * alone


def test_waiting_costs_no_cpu_seconds(tmp_path):
    """Beside other work a training as it is begun takes about the CPU seconds of one thread."""
    with ExitStack() as stack:
        for _ in range(CORES):
            stack.enter_context(busy())
        _, cpu = spent(start(tmp_path / "usual"), tmp_path / "usual")
        _, cpu_of_one = spent(start(tmp_path / "one", OMP_NUM_THREADS="1"), tmp_path / "one")
        _, cpu_of_all = spent(start(tmp_path / "all", OMP_NUM_THREADS=str(CORES)), tmp_path / "all")
    print(
        f"CPU seconds of {STEPS} steps beside {CORES} busy processes: {cpu:.1f}, {cpu_of_one:.1f} on one thread, "
        f"{cpu_of_all:.1f} on {CORES} that sleep"
    )
    assert cpu <= SLACK * cpu_of_one
