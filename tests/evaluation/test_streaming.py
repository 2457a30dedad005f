"""Prompts of a chunk are drawn while those of the chunk before are measured."""

import threading

import numpy as np
import pytest

from iclab.evaluation import accumulate
from iclab.evaluation.streaming import chunk_size
from iclab.prompts import Gaussian, Linear, PromptDistribution

PLAIN = PromptDistribution(Gaussian.isotropic(2), Linear())
SIZE = chunk_size(3, 2)


class Watched:
    """A distribution that tells which chunks it has begun to draw."""

    dimension, labels = PLAIN.dimension, PLAIN.labels

    def __init__(self, fails=None):
        self.begun = {k * SIZE: threading.Event() for k in range(4)}
        self.fails = fails

    def sample(self, n_prompts, n_points, *, start=0, **address):
        self.begun[start].set()
        if start == self.fails:
            raise RuntimeError("no prompts")
        return PLAIN.sample(n_prompts, n_points, start=start, **address)


def test_the_next_chunk_is_drawn_while_one_is_measured():
    law, starts = Watched(), iter([*range(SIZE, 4 * SIZE, SIZE), None])

    def measure(prompts):
        coming = next(starts)
        assert coming is None or law.begun[coming].wait(60)  # for ever, if it came after
        return prompts.ys

    [found] = accumulate(measure, law, 3, n_prompts=4 * SIZE, seed=0)
    np.testing.assert_allclose(found.mean, PLAIN.sample(4 * SIZE, 3, seed=0).ys.mean(0), atol=1e-12)


def test_what_drawing_raises_ends_the_measurement():
    seen = []

    def measure(prompts):
        seen.append(len(prompts))
        return prompts.ys

    with pytest.raises(RuntimeError, match="no prompts"):
        accumulate(measure, Watched(fails=2 * SIZE), 3, n_prompts=4 * SIZE, seed=0)
    assert seen == [SIZE, SIZE]
    assert not any(thread.name.startswith("prompts") for thread in threading.enumerate())
