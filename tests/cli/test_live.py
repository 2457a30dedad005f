"""What the terminal shows of a training."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from iclab.cli.live import Panel, sparkline
from iclab.training import preset, train


def heights(word):
    return ["▁▂▃▄▅▆▇█".index(letter) for letter in word]


def test_a_sparkline_goes_from_the_lowest_to_the_highest_value():
    assert sparkline([]) == sparkline([math.nan]) == ""
    assert set(sparkline([2.0, 2.0])) == {"▁"}
    falling = heights(sparkline(np.geomspace(1, 1e-6, 500), width=16))
    assert falling == sorted(falling, reverse=True)
    assert len(falling) == 16
    assert np.ptp(np.bincount(falling)) == 0  # an exponential decay is a straight line
    assert heights(sparkline([-1.0, 0.0, 1.0])) == [0, 4, 7]


def test_the_panel_shows_loss_errors_at_d_and_2d_and_time_left(tmp_path):
    config = preset(
        "tiny", dimension=3, n_train=7, steps=20, batch_size=4, n_evaluation=16, evaluate_every=10, log_every=2
    )
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    panel = Panel(config, console)
    run = train(config, tmp_path, log=panel)
    errors = run.evaluations().set_index(["step", "position"])["mean"] / 3
    shown = console.file.getvalue()
    assert "20/20" in shown
    assert "0 s left" in shown
    for position in (3, 6):
        assert f"after {position} examples {errors[20, position]:.4g}" in shown
    assert sparkline(run.losses()["loss"].tolist()) in shown


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_logs_from_the_command_line(iclab, tmp_path, name):
    code, _, err = iclab(
        *["train", "tiny", "--set", "dimension=2", "--set", "n_train=2", "--set", "steps=2", "--set", "n_evaluation=2"],
        *["--log", name],
    )
    assert code == 0, err
    file = {"csv": "losses.csv", "tensorboard": "tensorboard"}[name]
    assert (tmp_path / "runs" / "tiny" / file).exists()
    code, _, err = iclab("train", "tiny", "--directory", "other", "--log", "comet")
    assert (code, "must be one of" in err) == (2, True)
