"""Randomness is a pure function of its address."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iclab.foundations import Draws, InvalidInputError


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 10**6),
    start=st.integers(0, 10**9),
    split=st.integers(1, 6),
    shorter=st.integers(1, 11),
)
def test_any_split_and_any_length_draw_the_same_numbers(seed, step, start, split, shorter):
    whole = Draws(seed, "training", step, start, 7).normals("x", 11)
    part = Draws(seed, "training", step, start + split, 7 - split).normals("x", shorter)
    np.testing.assert_array_equal(whole[split:, :shorter], part)


def test_every_part_of_the_address_matters():
    address = {"seed": 1, "purpose": "evaluation", "step": 2, "start": 3, "channel": 0}
    first = Draws(**address).normals("x", 5)
    for change in ({"seed": 2}, {"purpose": "training"}, {"step": 3}, {"start": 4}, {"channel": 1}):
        assert not np.intersect1d(first, Draws(**{**address, **change}).normals("x", 5)).size
    assert not np.intersect1d(first, Draws(**address).normals("task", 5)).size


def test_neighbouring_prompts_are_independent_normals():
    z = Draws(5, count=4000).normals("x", 30)
    correlation = np.corrcoef(z[:-1].ravel(), z[1:].ravel())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(z[1:].size)
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)


def test_shared_generator_ignores_the_prompt_range():
    a = Draws(5, start=0, count=10).shared("shift").normal(size=4)
    b = Draws(5, start=7, count=2).shared("shift").normal(size=4)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [{"seed": -1}, {"seed": 2**64}, {"start": -1}, {"purpose": "trainig"}, {"step": 0.5}])
def test_bad_addresses_are_refused_in_a_sentence(bad):
    with pytest.raises(InvalidInputError, match=r"\."):
        Draws(**{"seed": 0, **bad})
