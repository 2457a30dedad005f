"""Truths about mixers: which layer has which, and what each computes."""

import dataclasses

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.models.storage import describe

SMALL = Architecture(dimension=3, max_points=7, width=8, layers=4)


def test_naming_attention_for_every_layer_is_naming_it_once(prompts):
    named = Transformer(dataclasses.replace(SMALL, mixers=("linear",)), seed=3)
    whole = Transformer(dataclasses.replace(SMALL, attention="linear"), seed=3)
    np.testing.assert_array_equal(TransformerPredictor(named)(prompts), TransformerPredictor(whole)(prompts))


def test_a_hybrid_has_the_blocks_of_its_pattern(randomised):
    hybrid = Transformer(dataclasses.replace(SMALL, mixers=("softmax", "linear")), seed=None)
    assert [block.mixes.softmax for block in hybrid.blocks] == [True, False, True, False]


def test_an_architecture_without_new_parts_is_described_as_before():
    # Runs are kept under the digest of this description.
    fields = {field.name for field in dataclasses.fields(Architecture)}
    assert fields - describe(SMALL).keys() == {"mixers"}
    assert describe(dataclasses.replace(SMALL, mixers=("softmax",)))["mixers"] == ["softmax"]


@pytest.mark.parametrize(
    "parts",
    [
        {"mixers": ("softmax", "linear", "softmax")},
        {"mixers": ("softmax", "linear"), "tied": True},
        {"mixers": ("softmax",), "attention": "linear"},
        {"mixers": ("merged",), "positions": "rotary"},
        {"mixers": ("softmax", "linear"), "positions": "alibi"},
        {"mixers": ("soft",)},
    ],
)
def test_mixers_that_do_not_fit_are_refused_in_one_sentence(parts):
    with pytest.raises(InvalidInputError, match=r"^[^\n]*\.$"):
        dataclasses.replace(SMALL, **parts)
