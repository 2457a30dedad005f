"""Truths about mixers: which layer has which, and what each computes."""

import dataclasses

import numpy as np
import pytest
import torch

from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.models.embedding import layout, tokens
from iclab.models.mixers import ATTENTION, MIXERS
from iclab.models.storage import describe

from .recurrences import update

SMALL = Architecture(dimension=3, max_points=7, width=8, layers=4)


def test_naming_attention_for_every_layer_is_naming_it_once(prompts):
    named = Transformer(dataclasses.replace(SMALL, mixers=("linear",)), seed=3)
    whole = Transformer(dataclasses.replace(SMALL, attention="linear"), seed=3)
    np.testing.assert_array_equal(TransformerPredictor(named)(prompts), TransformerPredictor(whole)(prompts))


def test_a_hybrid_has_the_blocks_of_its_pattern():
    hybrid = Transformer(dataclasses.replace(SMALL, mixers=("softmax", "linear")), seed=None)
    assert [block.mixes.softmax for block in hybrid.blocks] == [True, False, True, False]


def test_an_architecture_without_new_parts_is_described_as_before():
    # Runs are kept under the digest of this description.
    fields = {field.name for field in dataclasses.fields(Architecture)}
    assert fields - describe(SMALL).keys() == {
        "mixers",
        "convolution",
        "keys",
        "bare",
        "head",
        "outputs",
        "loops",
        "inject",
    }
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


RECURRENT = tuple(kind for kind in MIXERS if kind not in ATTENTION)
PUBLISHED_UNIT = {"delta", "gated_delta", "mesa"}


@pytest.mark.parametrize(("embedding", "branches"), [("interleaved", False), ("interleaved", True), ("stacked", True)])
@pytest.mark.parametrize("parts", [{}, {"convolution": 0, "keys": "plain", "bare": True}], ids=["published", "bare"])
@pytest.mark.parametrize("kind", RECURRENT)
def test_chunks_are_the_recurrence_step_by_step(kind, parts, embedding, branches, randomised):
    architecture = dataclasses.replace(SMALL, layers=1, width=12, heads=2, mixers=(kind,), **parts)
    mixer = randomised(architecture).blocks[0].mixes
    if "keys" in parts and kind in ("delta", "gated_delta"):
        with torch.no_grad():  # plain keys are long: a rate that keeps the recurrence from growing, as in training
            mixer.rate.bias.sub_(3)
    mixer.longest = 4  # several chunks, the last one not full
    weights = {name: value.numpy() for name, value in mixer.state_dict().items()}
    where = layout(embedding, 6, branches, torch.device("cpu"))
    x = torch.randn(3, len(where.positions), 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = np.empty(x.shape)
    for sequence, own in zip(x.numpy(), expected, strict=True):
        for token, sees in enumerate(where.visible.numpy()):
            question = where.questions and token >= where.context
            unit = "keys" not in parts and kind in PUBLISHED_UNIT
            own[token] = update(kind, weights, 2, sequence[sees], question, unit)
    for rows in (slice(None), where.readout):
        found = mixer(x, where, rows).detach().numpy()
        wanted = expected[:, rows]
        assert np.abs(found - wanted).max() <= 1e-10 * np.abs(wanted).max()


@pytest.mark.parametrize(("kind", "theirs"), [("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)])
def test_layers_of_a_recurrent_net_alone_are_torchs_stack(kind, theirs, prompts, randomised):
    architecture = dataclasses.replace(
        SMALL, mixers=(kind,), residual=False, layer_norm=False, mlp=False, positions="none"
    )
    model = randomised(architecture)
    stack = theirs(8, 8, num_layers=4, batch_first=True).double()
    with torch.no_grad():
        for layer, block in enumerate(model.blocks):
            for name, value in block.mixes.cell.named_parameters():
                getattr(stack, name.replace("l0", f"l{layer}")).copy_(value)
        xs, ys = torch.from_numpy(prompts.xs), torch.from_numpy(prompts.ys)
        hidden, _ = stack(model.read_in(tokens("interleaved", xs, ys, None)))
        torch.testing.assert_close(model(xs, ys), model.read_out(hidden)[:, ::2, 0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", [0.0, 1e-20, 1e3], ids=["zero", "tiny", "large"])
@pytest.mark.parametrize("embedding", ["interleaved", "stacked"])
@pytest.mark.parametrize("kind", MIXERS)
def test_gradients_stay_finite_where_gates_and_rates_are_nothing(kind, embedding, size, randomised):
    """In float32 the logistic function of −104 is 0, whose root has no gradient."""
    architecture = dataclasses.replace(SMALL, layers=1, width=12, heads=2, mixers=(kind,), embedding=embedding)
    mixer = randomised(architecture).blocks[0].mixes.float()
    where = layout(embedding, 6, True, torch.device("cpu"))
    x = size * torch.randn(3, len(where.positions), 12, generator=torch.Generator().manual_seed(2))
    mixer(x.requires_grad_(), where, slice(None)).sum().backward()
    assert all(part.grad.isfinite().all() for part in (x, *mixer.parameters()) if part.grad is not None)
