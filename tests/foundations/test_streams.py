"""Randomness is a pure function of its address."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iclab.foundations import Draws, InvalidInputError
from iclab.prompts import Gaussian, PromptDistribution


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


def test_a_law_draws_from_an_address_once():
    draws = Draws(0, count=3)
    np.testing.assert_array_equal(draws.normals("task", 4), draws.normals("task", 4))  # outside of a law
    with draws.once() as once:
        first, second = once.normals("task", 4), once.at(channel=1).normals("task", 4)
        np.testing.assert_array_equal(first, draws.normals("task", 4))
        assert (first != second).all()
        for again in (once.normals, once.uniforms):
            with pytest.raises(InvalidInputError, match=r"take draws.at\(channel=1\)"):
                again("task", 2)
        # Of several laws one is taken: they may share addresses, and none draws twice from its own.
        for member in (once.apart(), once.apart()):
            np.testing.assert_array_equal(member.normals("task", 4), first)
            with pytest.raises(InvalidInputError, match="address of its own"):
                member.normals("task", 4)
    # What a function draws later is the same at every call.
    np.testing.assert_array_equal(once.normals("x", 2), once.normals("x", 2))
    with pytest.raises(InvalidInputError, match="address of its own"):
        once.normals("task", 4)


def test_a_law_of_two_layers_is_told_how_to_draw_the_second():
    class TwoLayers:
        def mean_square(self, covariance):
            return 1.0

        def draw(self, draws, dimension):
            first, second = draws.normals("task", dimension, 3), draws.normals("task", 3)
            return lambda xs: np.einsum("bph,bh->bp", np.maximum(xs @ first, 0.0), second)

    law = PromptDistribution(Gaussian.isotropic(2), TwoLayers())
    with pytest.raises(InvalidInputError, match="gives the same numbers"):
        law.sample(2, 3, seed=0)
