"""Where several processes begin to pay: one training shared by them, and the cells of a sweep spread over them.

Run on an otherwise idle machine: ``pytest benchmarks/test_processes.py -n 0 -s``.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

CORES = len(os.sched_getaffinity(0))
D20 = ("dimension=20", "n_train=40", "max_points=41")
# Presets, what is set, steps, and how many times the speed of one process that of all cores must be. An update of the
# weights is computed by every process, so that small trainings gain little.
TRAININGS = {
    "tiny": ("tiny", (), 300, 1.05),
    "columns": ("columns", (), 80, 0.95),
    "columns, d = 20": ("columns", D20, 40, 1.25),
    "base, d = 20": ("base", D20, 10, 1.05),
}
CELLS, LENGTHS = 8, (50, 500)
pytestmark = pytest.mark.skipif(CORES < 2, reason="processes share cores, of which there must be two")


def iclab(*arguments):
    """Seconds of a command."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "iclab", *arguments], check=True, capture_output=True, env=environment())
    return time.perf_counter() - began


def environment():
    return {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MKL_", "OPENBLAS_"))}


def step_seconds(directory, preset, sizes, steps, processes):
    changes = (*sizes, f"steps={steps}", "log_every=1", "n_evaluation=2", f"evaluate_every={steps}")
    options = [part for each in changes for part in ("--set", each)]
    iclab("train", preset, *options, "--processes", str(processes), "--directory", str(directory))
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    losses = [line for line in lines if "loss" in line]
    half = losses[len(losses) // 2 :]  # the first steps load and plan
    return (half[-1]["seconds"] - half[0]["seconds"]) / (half[-1]["step"] - half[0]["step"])


@pytest.mark.parametrize("name", TRAININGS)
def test_processes_share_a_training(name, tmp_path):
    preset, sizes, steps, bar = TRAININGS[name]
    alone, shared = (step_seconds(tmp_path / str(n), preset, sizes, steps, n) for n in (1, CORES))
    print(
        f"{name}: a step {1e3 * alone:.0f} ms, in {CORES} processes {1e3 * shared:.0f} ms, {alone / shared:.2f} times"
    )
    assert alone >= bar * shared


@pytest.mark.parametrize("steps", LENGTHS)
def test_where_spread_cells_begin_to_pay(steps, tmp_path):
    from dask.distributed import LocalCluster

    grid = ("--over", f"seed=0..{CELLS - 1}", "--set", f"steps={steps}", "--set", "n_evaluation=2")

    def sweep(name, *where):
        return iclab("sweep", "tiny", *grid, "--directory", str(tmp_path / name), "--prompts", "10", *where)

    one = sweep("one", "--workers", "1")
    many = sweep("many", "--workers", str(CORES))
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=None))
        cold = sweep("cold", "--dask", cluster.scheduler_address)
        warm = sweep("warm", "--dask", cluster.scheduler_address)
    print(
        f"{CELLS} cells of {steps} steps: one process {one:.1f} s, {CORES} workers {many:.1f} s, Dask {cold:.1f} s, "
        f"its workers started before {warm:.1f} s"
    )
    if steps == max(LENGTHS):
        assert max(many, cold, warm) < one
