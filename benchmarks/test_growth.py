"""How cost grows: CPU seconds of a training step against d, N, batch and layers, and of evaluations against prompts.

One thread, the least of a few rounds, so that other work on the machine changes little. The bars are what the
algorithms say: linear in batch, layers and prompts, at most quadratic in N, and next to nothing in d, which only the
read-in sees. ``pytest benchmarks/test_growth.py -n 0 -s`` prints the curves.
"""

import math

import pytest
from hugging_face import seconds_of

from iclab.evaluation import error_curve
from iclab.predictors import LeastSquares
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.training import preset
from iclab.training.batches import Batches
from iclab.training.distributed import World
from iclab.training.memory import keep_memory
from iclab.training.precision import decided
from iclab.training.step import Step, new_state

BASE = {"d": 20, "N": 40, "batch": 16, "layers": 3}
# From the base to so many times of each, and the largest exponent of the cost; noise of a busy machine included.
GROWTH = {"d": (4, 0.5), "N": (4, 2.0), "batch": (4, 1.15), "layers": (4, 1.15)}
ROUNDS = 3


def step_seconds(d, N, batch, layers):
    """CPU seconds of a step with its batch: the preset ``columns`` at the width of 6 layers, float32."""
    config = decided(
        preset(
            "columns",
            dimension=d,
            n_train=N,
            max_points=N + 1,
            batch_size=batch,
            steps=100,
            precision="float32",
            model={"layers": layers},
        )
    )
    step, world = Step(config, new_state(config), World()), World()
    with Batches(config, world) as batches:
        step(batches.draw(99))
        return min(seconds_of(lambda: step(batches.draw(99))) for _ in range(ROUNDS))


@pytest.mark.parametrize("axis", GROWTH)
def test_a_step_against_sizes(axis):
    keep_memory()
    times, most = GROWTH[axis]
    values = [BASE[axis] * 2**k for k in range(int(math.log2(times)) + 1)]
    seconds = [step_seconds(**{**BASE, axis: value}) for value in values]
    exponent = math.log(seconds[-1] / seconds[0]) / math.log(times)
    print(f"{axis}: " + ", ".join(f"{v} {1e3 * s:.0f} ms" for v, s in zip(values, seconds, strict=True)))
    print(f"  exponent {exponent:.2f}, at most {most}")
    assert exponent <= most


def test_an_evaluation_against_prompts():
    base = PromptDistribution(Gaussian.isotropic(20), Linear())
    counts = (512, 2048, 8192)
    seconds = [
        min(seconds_of(lambda n=n: error_curve(LeastSquares(), base, 41, n_prompts=n, seed=0)) for _ in range(ROUNDS))
        for n in counts
    ]
    exponent = math.log(seconds[-1] / seconds[0]) / math.log(counts[-1] / counts[0])
    print("prompts: " + ", ".join(f"{n} {1e3 * s:.0f} ms" for n, s in zip(counts, seconds, strict=True)))
    print(f"  exponent {exponent:.2f}")
    assert exponent <= 1.15
