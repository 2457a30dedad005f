"""Several processes train the model that one would."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from iclab.foundations import InvalidInputError
from iclab.training import Run, preset, train
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


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path):
    config = preset(
        "tiny",
        dimension=3,
        n_train=6,
        steps=20,
        batch_size=7,
        precision="float64",
        model={"width": 16},
        n_evaluation=8,
        checkpoint_every=5,
        keep_checkpoints=20,
    )
    one = train(config, tmp_path / "one")
    (tmp_path / "config.yaml").write_text(write_yaml(config))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "iclab", "train"]
    subprocess.run(
        [*command, "config.yaml", "--directory", "two"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    two = Run.open(tmp_path / "two")
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
