"""The worked examples run, and their claims about themselves hold."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from iclab.prompts import Gaussian, PromptDistribution

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("judge_your_own", "flipped"), pytest.param("diabetes", "LSA, noise-free", marks=pytest.mark.slow)],
)
def test_runs(name, expected):
    done = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_own_tasks_know_their_mean_square():
    sine = runpy.run_path(str(EXAMPLES / "judge_your_own.py"))["Sine"]()
    covariance = np.array([[1.0, 0.3], [0.3, 0.2]])
    squares = PromptDistribution(Gaussian(covariance), sine).sample(40_000, 1, seed=0).targets[:, 0] ** 2
    # w'x given x is N(0, |x|²), so E sin² = (1 − E exp(−2|x|²))/2, and E exp(−2|x|²) = det(I + 4Λ)^−½.
    assert abs(squares.mean() - sine.mean_square(covariance)) < 4 * squares.std() / 200
