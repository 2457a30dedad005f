"""Truths about one causal pass: it equals one pass per position, it equals GPT-2, it equals the theory."""

import dataclasses

import numpy as np
import pytest
import torch

from iclab import theory
from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.models.embedding import Layout, layout, tokens
from iclab.models.mixers import Attention, MergedLinearAttention
from iclab.prompts import Prompts


def unshifted(prompts):
    return Prompts(prompts.xs, prompts.ys, prompts.xs, prompts.targets)


def one_pass_per_position(model, prompts):
    """Position i alone: a prompt of i examples and the query, read at its last position."""
    columns = []
    for i in range(prompts.n_points):
        xs = np.concatenate([prompts.xs[:, :i], prompts.queries[:, i : i + 1]], axis=1)
        ys = np.concatenate([prompts.ys[:, :i], np.full((len(prompts), 1), np.pi)], axis=1)
        with torch.no_grad():
            columns.append(model(torch.from_numpy(xs), torch.from_numpy(ys))[:, -1].numpy())
    return np.stack(columns, axis=1)


def test_query_branches_equal_one_pass_per_position(model, prompts):
    np.testing.assert_allclose(
        TransformerPredictor(model)(prompts), one_pass_per_position(model, prompts), rtol=1e-10, atol=1e-12
    )


def test_the_sequence_itself_equals_branches_with_the_same_queries(model, prompts):
    inside = TransformerPredictor(model)(unshifted(prompts))
    branches = TransformerPredictor(model)(dataclasses.replace(prompts, queries=prompts.xs.copy()))
    np.testing.assert_allclose(inside, branches, rtol=1e-10, atol=1e-12)


def test_no_prediction_depends_on_what_comes_after_it(model, prompts):
    before = TransformerPredictor(model)(unshifted(prompts))
    xs, ys = prompts.xs.copy(), prompts.ys.copy()
    xs[:, 5:] += 1
    ys[:, 4:] += 1
    after = TransformerPredictor(model)(Prompts(xs, ys, xs, prompts.targets))
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] != after[:, 5:]).all()


def test_gradients_flow_to_every_parameter_that_matters(model, prompts):
    xs, ys = torch.from_numpy(prompts.xs), torch.from_numpy(prompts.ys)
    model(xs, ys).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("layers", [3, 6])
def test_gpt2_is_hugging_faces_gpt2(layers, dtype, tolerance, randomised):
    from transformers import GPT2Config, GPT2Model  # loads for seconds

    architecture = Architecture.gpt2(layers, 7, 11)
    model = Transformer(architecture, seed=3).to(dtype)
    theirs = GPT2Model(
        GPT2Config(
            n_positions=22,
            n_embd=architecture.width,
            n_layer=architecture.layers,
            n_head=architecture.heads,
            resid_pdrop=0,
            embd_pdrop=0,
            attn_pdrop=0,
            attn_implementation="eager",
        )
    ).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # larger than at the start, so that attention is far from uniform
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=dtype))
        assert model.positions is not None
        theirs.wpe.weight.copy_(model.positions.weight)
        for ours, block in zip(model.blocks, theirs.h, strict=True):
            pairs = [
                (ours.norm1, block.ln_1, False),
                (ours.norm2, block.ln_2, False),
                (ours.attention.qkv, block.attn.c_attn, True),
                (ours.attention.out, block.attn.c_proj, True),
                (ours.mlp[0], block.mlp.c_fc, True),
                (ours.mlp[2], block.mlp.c_proj, True),
            ]
            for mine, other, transposed in pairs:
                other.weight.copy_(mine.weight.T if transposed else mine.weight)
                other.bias.copy_(mine.bias)
        theirs.ln_f.weight.copy_(model.norm.weight)
        theirs.ln_f.bias.copy_(model.norm.bias)
        xs = torch.randn(5, 11, 7, dtype=dtype, generator=generator)
        ys = torch.randn(5, 11, dtype=dtype, generator=generator)
        hidden = theirs(inputs_embeds=model.read_in(tokens("interleaved", xs, ys, None))).last_hidden_state
        expected = model.read_out(hidden)[:, ::2, 0]
        assert (model(xs, ys) - expected).abs().max() <= tolerance * expected.abs().max()


def test_linear_self_attention_is_the_papers(prompts, randomised):
    model = randomised(Architecture.lsa(prompts.dimension, prompts.n_points))
    attention = model.blocks[0].attention
    parameters = theory.LSAParameters(attention.w_pv[0].detach().numpy(), attention.w_kq[0].detach().numpy())
    predictions = TransformerPredictor(model)(prompts)
    for i in range(1, prompts.n_points):
        expected = theory.predict(parameters, prompts.xs[:, :i], prompts.ys[:, :i], prompts.queries[:, i])
        np.testing.assert_allclose(predictions[:, i], expected, rtol=1e-12, atol=1e-12)


def test_linear_attention_with_separate_matrices_is_merged_attention_with_their_products(prompts):
    architecture = Architecture(
        dimension=3, max_points=7, width=8, heads=2, embedding="stacked", attention="linear", positions="none"
    )
    torch.manual_seed(0)
    separate = Attention(architecture, "linear").double()
    merged = MergedLinearAttention(dataclasses.replace(architecture, attention="merged")).double()
    with torch.no_grad():
        separate.qkv.bias.zero_()
        separate.out.bias.zero_()
        q, k, v = separate.qkv.weight.view(3, 2, 4, 8)  # per head (4, 8)
        p = separate.out.weight.view(8, 2, 4).permute(1, 0, 2)  # per head (8, 4)
        merged.w_kq.copy_(k.mT @ q)
        merged.w_pv.copy_(p @ v)
        where = layout("stacked", 7, True, torch.device("cpu"))
        x = torch.randn(5, len(where.positions), 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(
            separate(x, where, slice(None)), merged(x, where, slice(None)), rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize("positions", ["rotary", "alibi"])
def test_relative_positions_depend_on_differences_only(positions):
    attention = Attention(Architecture(dimension=3, max_points=7, width=8, positions=positions)).double()
    here = layout("interleaved", 7, False, torch.device("cpu"))
    later = Layout(here.positions + 100, here.visible, here.examples, here.readout)
    spread = Layout(here.positions * 2, here.visible, here.examples, here.readout)
    x = torch.randn(5, 13, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    everything = slice(None)
    torch.testing.assert_close(attention(x, here, everything), attention(x, later, everything), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(attention(x, here, everything), attention(x, spread, everything), rtol=1e-3)


def test_without_positions_stacked_examples_may_be_permuted(prompts, randomised):
    # One layer: with more, causality among the examples makes their order matter.
    model = randomised(
        Architecture(dimension=3, max_points=7, width=8, layers=1, embedding="stacked", positions="none")
    )
    order = np.array([3, 0, 5, 1, 4, 2, 6])
    xs, ys = prompts.xs[:, order], prompts.ys[:, order]
    predictor = TransformerPredictor(model)
    permuted = predictor(Prompts(xs, ys, prompts.queries, prompts.targets))
    np.testing.assert_allclose(predictor(prompts)[:, 6], permuted[:, 6], rtol=1e-10)


def test_a_looped_transformer_is_a_deep_one_with_equal_blocks(prompts, randomised):
    tied = randomised(Architecture(dimension=3, max_points=7, width=8, layers=3, tied=True))
    deep = Transformer(dataclasses.replace(tied.architecture, tied=False)).double()
    shared = tied.state_dict()
    deep.load_state_dict(
        {
            key: shared[key.replace("blocks.1.", "blocks.0.").replace("blocks.2.", "blocks.0.")]
            for key in deep.state_dict()
        }
    )
    np.testing.assert_array_equal(TransformerPredictor(tied)(prompts), TransformerPredictor(deep)(prompts))


def test_the_paper_sizes_have_the_papers_parameter_counts():
    counts = {layers: Transformer(Architecture.gpt2(layers, 20, 101), seed=None).n_parameters for layers in (3, 6)}
    # 12·L·w² + 13·L·w of blocks, 2w of the last norm, positions, read-in, read-out.
    for layers, count in counts.items():
        w = Architecture.gpt2(layers, 20, 101).width
        assert count == 12 * layers * w * w + 13 * layers * w + 2 * w + 202 * w + 21 * w + w + 1


def test_the_start_is_a_function_of_the_seed_alone():
    architecture = Architecture.gpt2(3, 3, 7)
    torch.manual_seed(5)
    one = Transformer(architecture, seed=4)
    torch.manual_seed(6)
    same, other = Transformer(architecture, seed=4), Transformer(architecture, seed=5)
    for a, b, c in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c) == (a.std() == 0 if a.numel() > 1 else bool(a == c))
