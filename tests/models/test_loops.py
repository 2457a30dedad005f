"""Truths about looped transformers: what a loop is, the input added again, more loops at test, windows of gradients."""

import dataclasses

import numpy as np
import pytest
import torch

from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.models.embedding import layout, tokens

LOOPED = Architecture(dimension=3, max_points=7, width=8, layers=2, loops=3)


def copied(architecture, weights):
    model = Transformer(architecture, seed=None).double()
    model.load_state_dict(weights)
    return model


def given(prompts):
    return torch.from_numpy(prompts.xs), torch.from_numpy(prompts.ys)


def test_loops_are_the_same_blocks_again(prompts, randomised):
    looped = randomised(LOOPED)
    deep = Transformer(dataclasses.replace(LOOPED, layers=6, loops=1), seed=None).double()
    weights = looped.state_dict()
    for name in deep.state_dict():
        if name.startswith("blocks."):
            layer, rest = name.removeprefix("blocks.").split(".", 1)
            weights[name] = weights[f"blocks.{int(layer) % 2}.{rest}"]
    deep.load_state_dict(weights)
    np.testing.assert_array_equal(TransformerPredictor(looped)(prompts), TransformerPredictor(deep)(prompts))


def test_loops_of_one_block_are_its_older_name(prompts, randomised):
    looped = randomised(dataclasses.replace(LOOPED, layers=1, loops=4))
    tied = copied(dataclasses.replace(LOOPED, layers=4, loops=1, tied=True), looped.state_dict())
    np.testing.assert_array_equal(TransformerPredictor(looped)(prompts), TransformerPredictor(tied)(prompts))


def test_the_input_is_added_before_every_further_loop(prompts, randomised):
    model = randomised(dataclasses.replace(LOOPED, layers=1, inject=True, embedding="stacked"))
    xs, ys = given(prompts)
    where = layout("stacked", 7, True, xs.device)
    first = model.read_in(tokens("stacked", xs, ys, None)) + model.positions(where.positions)
    x = model.blocks[0](first, where, slice(None))
    for _ in range(2):
        x = model.blocks[0](x + first, where, slice(None))
    expected = model.read_out(model.norm(x[:, where.readout]))[..., 0]
    torch.testing.assert_close(model(xs, ys), expected, rtol=1e-12, atol=1e-13)


def test_more_loops_at_test_than_in_training(prompts, randomised):
    model = randomised(LOOPED)
    longer = copied(dataclasses.replace(LOOPED, loops=5), model.state_dict())
    predictor = TransformerPredictor(model)
    np.testing.assert_array_equal(predictor.looped(5)(prompts), TransformerPredictor(longer)(prompts))
    assert model.loops == 3
    with pytest.raises(InvalidInputError, match="loops must be"):
        predictor.looped(0)


def test_a_window_holds_the_predictions_after_its_loops(prompts, randomised):
    predictor = TransformerPredictor(randomised(LOOPED))
    xs, ys = given(prompts)
    said = predictor.model(xs, ys, loops=5, window=3)
    assert said.shape == (3, 5, 7)
    for loops, one in zip((3, 4, 5), said, strict=True):
        torch.testing.assert_close(one, predictor.looped(loops).model(xs, ys), rtol=1e-12, atol=1e-13)
    assert predictor.model(xs, ys, loops=2, window=30).shape == (2, 5, 7)


def test_loops_before_the_window_have_no_gradient(prompts, randomised):
    """The gradient is that of the last loops from where the earlier ones have led."""
    model = randomised(dataclasses.replace(LOOPED, layers=1, embedding="stacked", positions="none"))
    xs, ys = given(prompts)
    where = layout("stacked", 7, True, xs.device)
    parameters = list(model.blocks.parameters())
    found = torch.autograd.grad(model(xs, ys, loops=4, window=1).square().sum(), parameters)
    with torch.no_grad():
        x = model.read_in(tokens("stacked", xs, ys, None))
        for _ in range(3):
            x = model.blocks[0](x, where, slice(None))
    last = model.read_out(model.norm(model.blocks[0](x, where, where.readout)))
    for one, other in zip(found, torch.autograd.grad(last.square().sum(), parameters), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("parts", [{"loops": 0}, {"loops": 10**9}, {"tied": True, "loops": 2}])
def test_loops_that_make_no_sense_are_refused(parts):
    with pytest.raises(InvalidInputError, match=r"^[^\n]*\.$"):
        dataclasses.replace(LOOPED, **parts)
