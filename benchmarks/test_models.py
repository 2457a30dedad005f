"""Shifted queries at 41 positions: one pass with branches beside one pass per position, a ratio that must hold.

Both predict the same prompts, as many at a time as a predictor takes on a CPU, alternate in this process on one thread,
and are compared by CPU seconds.
Run with ``pytest benchmarks/test_models.py -n 0 -s``.
"""

from statistics import median

import numpy as np
import pytest
from hugging_face import seconds_of

from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts

N_PROMPTS, N_POINTS, D = 64, 41, 20
LEAST_RATIO = 10
ROUNDS = 3


@pytest.mark.parametrize("layers", [3, 6])
def test_query_branches_are_faster_than_one_pass_per_position(layers):
    predictor = TransformerPredictor(Transformer(Architecture.gpt2(layers, D, 101)))
    drawn = PromptDistribution(Gaussian.isotropic(D), Linear()).sample(N_PROMPTS, N_POINTS, seed=0)
    shifted = Prompts(drawn.xs, drawn.ys, -drawn.xs, -drawn.targets)
    # Position i alone: i examples and the query, which is then an example's input like any other.
    alone = [np.concatenate([drawn.xs[:, :i], -drawn.xs[:, i : i + 1]], 1) for i in range(N_POINTS)]
    alone = [Prompts(xs, drawn.ys[:, : xs.shape[1]], xs, drawn.targets[:, : xs.shape[1]]) for xs in alone]
    found = {}

    def branches():
        found["branches"] = predictor(shifted)

    def passes():
        found["passes"] = np.stack([predictor(prompts)[:, -1] for prompts in alone], 1)

    spent = {call: [] for call in (branches, passes)}
    for _ in range(ROUNDS + 1):
        for call, seconds in spent.items():
            seconds.append(seconds_of(call))
    np.testing.assert_allclose(found["branches"], found["passes"], rtol=0, atol=1e-5 * np.abs(found["passes"]).max())
    one, each = (median(seconds[1:]) for seconds in spent.values())
    print(
        f"{layers} layers: branches {1e3 * one:.0f} ms, a pass per position {1e3 * each:.0f} ms, "
        f"{each / one:.1f} times faster"
    )
    assert each >= LEAST_RATIO * one
