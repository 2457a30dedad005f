"""Several processes train the model that one would."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from iclab.foundations import InvalidInputError
from iclab.training import Run, read_config, train
from iclab.training.config import write_yaml
from iclab.training.distributed import World


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_cover_the_batch_once(size):
    shares = [World(rank, size).share(16) for rank in range(size)]
    assert [index for share in shares for index in share] == list(range(16))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_batch_smaller_than_the_world_is_refused():
    with pytest.raises(InvalidInputError, match="at least the number of processes, 4; 3 was given"):
        World(0, 4).share(3)


NET = """
import torch
from torch import nn

class Lstm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.cell = nn.LSTM(d + 1, 8, batch_first=True)
        self.out = nn.Linear(8, 1)

    def forward(self, xs, ys):
        before = nn.functional.pad(ys[:, :-1], (1, 0))
        return self.out(self.cell(torch.cat([xs, before[..., None]], -1))[0])[..., 0]
"""
COMMON = {
    "n_train": 6,
    "steps": 20,
    "batch_size": 7,
    "precision": "float64",
    "n_evaluation": 8,
    "checkpoint_every": 5,
    "keep_checkpoints": 20,
}
GAUSSIAN = {"covariates": {"kind": "gaussian", "dimension": 3}}
SIZES = {"max_points": 7, "width": 16, "layers": 1, "heads": 2}
PROBLEMS = {
    "numbers": {"preset": "tiny", "dimension": 3, "model": {"width": 16}},
    "tokens": {
        "prompts": {"kind": "markov_chains", "n_symbols": 3},
        "model": {"dimension": 0, "head": "classes", "outputs": 3, **SIZES},
    },
    "own": {"prompts": GAUSSIAN, "model": {"kind": "own", "object": "net_of_two:Lstm", "arguments": {"d": 3}}},
}


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS)
def test_two_processes_agree_with_one(problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "net_of_two.py").write_text(NET)
    config = read_config({**PROBLEMS[problem], **COMMON}, allow_code=True)
    one = train(config, tmp_path / "one")
    (tmp_path / "config.yaml").write_text(write_yaml(config))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "iclab", "train"]
    subprocess.run(
        [*command, "config.yaml", "--directory", "two", "--allow-code"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    two = Run.open(tmp_path / "two", allow_code=True)
    assert_equal_runs(one, two)
    # What two began, one finishes: half of the run again, by this process alone.
    for folder in (two.directory / "checkpoints").iterdir():
        if int(folder.name) > 10:
            shutil.rmtree(folder)
    assert two.step == 10
    assert_equal_runs(one, train(config, two.directory))


def assert_equal_runs(one, two):
    weights = [load_file(run.directory / "checkpoints" / "20" / "model.safetensors") for run in (one, two)]
    for key, expected in weights[0].items():
        np.testing.assert_allclose(weights[1][key], expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    for a, b in zip(one.metrics, two.metrics, strict=True):
        for key in ("loss", "error"):
            if key in a:
                np.testing.assert_allclose(a[key], b[key], rtol=1e-10)
