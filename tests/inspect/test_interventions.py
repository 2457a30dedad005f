"""Truths about interventions: which change nothing, which change everything, and by how much."""

import numpy as np
import pytest
import torch

from iclab.foundations import Draws, InvalidInputError
from iclab.inspect import ablate, clamp, effect, importance, patch, probe, run
from iclab.models import Architecture, Transformer, load, predictor
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.training import read_config, train

from .conftest import ARCHITECTURES, D, P, drawn, randomised


def test_patching_everything_gives_the_other_prompts_prediction_bit_for_bit(few, prompts):
    model = few
    other = drawn(5, shifted=prompts.shifted_queries, seed=3)
    expected, cache = run(model, other)
    np.testing.assert_array_equal(patch(model, cache)(prompts), expected)
    assert (expected != model(prompts)).any()


def test_the_stream_between_two_blocks_is_all_that_the_second_knows(few, prompts):
    model = few
    other = drawn(5, shifted=prompts.shifted_queries, seed=3)
    expected, cache = run(model, other)
    blocks = model.architecture.layers * model.architecture.loops
    cuts = ["embedding"] + [f"blocks.{block}.residual_out" for block in range(blocks)]
    for name in cuts if not model.architecture.inject else cuts[:1]:
        np.testing.assert_array_equal(patch(model, cache, name)(prompts), expected)


def test_patching_from_itself_changes_no_bit(few, prompts):
    model = few
    expected, cache = run(model, prompts)
    for name in cache:
        np.testing.assert_array_equal(patch(model, cache, name)(prompts), expected)


def test_parts_of_ones_own_module_are_patched_and_ablated(own):
    prompts, other = drawn(5, shifted=False), drawn(5, shifted=False, seed=3)
    expected, cache = run(own, other)
    for name in ("read.out", "memory.out"):
        np.testing.assert_array_equal(patch(own, cache, name)(prompts), expected)
    bias = float(own.model.net.answer.bias.detach())
    np.testing.assert_allclose(ablate(own, "memory.out")(prompts), bias, rtol=1e-6)
    with pytest.raises(InvalidInputError, match=r"memory\.\{in, out\}"):
        ablate(own, "blocks.0.attention")(prompts)


def test_without_its_only_head_linear_self_attention_predicts_zero(prompts):
    layer = randomised(ARCHITECTURES["lsa"])
    assert (ablate(layer, "blocks.0.attention", head=0)(prompts) == 0).all()
    assert (ablate(layer, "blocks.0")(prompts) == 0).all()


@pytest.mark.parametrize("kind", ["softmax", "stacked-merged", "delta"])
def test_ablating_all_heads_one_after_the_other_is_ablating_what_they_mix(kind, prompts):
    model = randomised(ARCHITECTURES[kind])
    part = "blocks.1.attention" if kind != "delta" else "blocks.1.mixer"
    last = "mixed" if kind != "delta" else "read"
    both = ablate(ablate(model, part, head=0), part, head=1)
    np.testing.assert_array_equal(both(prompts), ablate(model, f"{part}.{last}")(prompts))
    assert (ablate(model, part, head=0)(prompts) != both(prompts)).any()


def test_what_is_intervened_on_is_seen_changed():
    model, prompts = randomised(ARCHITECTURES["softmax"]), drawn(5, shifted=False)
    _, plain = run(model, prompts)
    _, cache = run(ablate(model, "blocks.0.attention", head=1), prompts)
    mixed = cache["blocks.0.attention.mixed"]
    assert (mixed[:, :, 1] == 0).all()
    np.testing.assert_array_equal(mixed[:, :, 0], plain["blocks.0.attention.mixed"][:, :, 0])


def test_the_mean_over_one_prompt_is_that_prompt(prompts):
    model, other = randomised(ARCHITECTURES["softmax"]), drawn(1, shifted=prompts.shifted_queries, seed=4)
    _, cache = run(model, other)
    expected = patch(model, cache, "blocks.1.attention.mixed", head=1)(prompts)
    found = ablate(model, "blocks.1.attention", head=1, how="mean", over=other)(prompts)
    np.testing.assert_array_equal(found, expected)


def test_resampled_values_are_a_function_of_seed_and_prompt(prompts, monkeypatch):
    model, other = randomised(ARCHITECTURES["softmax"]), drawn(11, shifted=prompts.shifted_queries, seed=4)
    _, cache = run(model, other, "blocks.0.mlp.out")
    drawn_rows = (Draws(7, count=5).uniforms("bootstrap", 1)[:, 0] * 11).astype(int)
    resampled = ablate(model, "blocks.0.mlp", how="resample", over=other, seed=7)
    expected = []
    for i, row in enumerate(drawn_rows):
        cache._arrays["blocks.0.mlp.out"], kept = cache["blocks.0.mlp.out"][row : row + 1], cache["blocks.0.mlp.out"]
        expected.append(patch(model, cache)(prompts)[i])
        cache._arrays["blocks.0.mlp.out"] = kept
    np.testing.assert_allclose(resampled(prompts), expected, rtol=1e-9)
    monkeypatch.setattr(predictor, "_TOKENS_ON_CPU", 1)
    np.testing.assert_allclose(resampled(prompts), expected, rtol=1e-9)


def test_patching_a_token_that_a_position_does_not_see_changes_nothing_there(prompts):
    model, other = randomised(ARCHITECTURES["softmax"]), drawn(5, shifted=prompts.shifted_queries, seed=3)
    _, cache = run(model, other)
    label = int(cache.tokens.query("role == 'label' and example == 3")["token"].iloc[0])
    changed, plain = patch(model, cache, "embedding", tokens=[label])(prompts), model(prompts)
    np.testing.assert_array_equal(changed[:, :4], plain[:, :4])
    assert (changed[:, 4:] != plain[:, 4:]).all()


def test_an_effect_is_the_paired_difference_of_errors():
    model, prompts = randomised(ARCHITECTURES["softmax"]), drawn(40, shifted=False)
    changed = ablate(model, "blocks.0.attention", head=0)
    table = effect(model, changed, prompts)
    before, after = ((each(prompts) - prompts.targets) ** 2 for each in (model, changed))
    np.testing.assert_allclose(table["difference"], (after - before).mean(0), rtol=1e-12)
    np.testing.assert_allclose(table["stderr"], (after - before).std(0, ddof=1) / np.sqrt(40), rtol=1e-12)
    np.testing.assert_allclose(table["before"] + table["difference"], table["after"], rtol=1e-12)
    whole = importance(model, prompts, how="zero")
    assert list(whole.groupby(["block", "part"], sort=False)["head"].nunique()) == [2, 0, 2, 0]
    one = whole.query("block == 0 and part == 'attention' and head == 0")
    np.testing.assert_array_equal(one["difference"], table["difference"])


def test_what_is_clamped_in_training_does_not_learn(tmp_path):
    config = {
        "prompts": {"covariates": {"kind": "gaussian", "dimension": D}},
        "model": {"dimension": D, "max_points": P, "width": 8, "layers": 1, "heads": 2},
        "n_train": P - 1,
        "steps": 3,
        "batch_size": 4,
        "n_evaluation": 4,
        "optimizer": {"kind": "adamw", "learning_rate": 0.01, "weight_decay": 0.0},
    }
    with clamp("blocks.0.attention.mixed", lambda mixed: mixed.detach().zero_(), head=0):
        trained = train(read_config(config), tmp_path / "run").predictor().model
    start = Transformer(trained.architecture, seed=0)
    qkv, before = (model.blocks[0].attention.qkv.weight.detach().view(3, 2, 4, 8) for model in (trained, start))
    assert torch.equal(qkv[:, 0], before[:, 0])
    assert not torch.equal(qkv[:, 1], before[:, 1])


def test_what_is_not_there_is_refused():
    model, prompts = randomised(ARCHITECTURES["softmax"]), drawn(5, shifted=False)
    _, cache = run(model, prompts)
    refused = {
        r"cache must be a Cache": lambda: patch(model, {}),
        r"keep must name": lambda: run(model, prompts, 5),
        r"prompts must be Prompts": lambda: run(model, 5),
        r"head must be one of 0 … 1": lambda: ablate(model, "blocks.0.attention", head=2),
        r"heads of blocks.0.attention.q": lambda: patch(model, cache, "blocks.0.attention.q", head=5),
        r"must have heads": lambda: ablate(model, "blocks.0.mlp", head=0),
        r"blocks\.\{0…1\}": lambda: ablate(model, "blocks.5.attention"),
        r"over=": lambda: ablate(model, "blocks.0.mlp", how="mean"),
        r"Did you mean 'zero'": lambda: ablate(model, "blocks.0.mlp", how="zeros"),
        r"more were given": lambda: patch(model, cache)(drawn(6, shifted=False)),
        r"as many positions": lambda: patch(model, cache)(drawn(5, shifted=True)),
        r"13 of a prompt": lambda: patch(model, cache, tokens=[13]),
    }
    for sentence, ask in refused.items():
        with pytest.raises(InvalidInputError, match=sentence):
            ask()
    with pytest.raises(InvalidInputError, match="Did you mean"), clamp("blocks.0.attention.quer", 0.0):
        model(prompts)


def test_a_deep_model_needs_no_more_than_its_stream():
    # Without the MLP and attention of both blocks, the stream is the embedding.
    model, prompts = randomised(Architecture(dimension=D, max_points=P, width=8, layers=2)), drawn(5, shifted=False)
    _, cache = run(ablate(ablate(model, "blocks.0"), "blocks.1"), prompts)
    np.testing.assert_array_equal(cache["blocks.1.residual_out"], cache["embedding"])


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_ablating_a_head_is_what_a_hook_before_the_output_matrix_does(how):
    # Torch's own hooks and no tap: heads lie side by side in what the output matrix reads.
    model, prompts, others = (
        randomised(ARCHITECTURES["softmax"]),
        drawn(5, shifted=False),
        drawn(9, shifted=False, seed=4),
    )
    read, heads = model.model.blocks[0].attention.out, model.architecture.heads
    seen = []
    with read.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach())):
        model(others)
    width = seen[0].shape[-1] // heads
    constant = torch.cat(seen).mean(0)[:, width : 2 * width] * (how == "mean")

    def without(_, given):
        changed = given[0].clone()
        changed[..., width : 2 * width] = constant
        return (changed,)

    with read.register_forward_pre_hook(without):
        expected = model(prompts)
    found = ablate(model, "blocks.0.attention", head=1, how=how, over=others)(prompts)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (abs(found - model(prompts)) > 1e-6).any()


@pytest.mark.slow
def test_the_head_that_costs_the_most_carries_the_input_of_an_example_to_its_label():
    # Why the error without it exceeds that of the zero predictor: no later block can pair inputs with labels.
    model, law = load("gpt2-d20-identity"), PromptDistribution(Gaussian.isotropic(20), Linear())
    prompts = law.sample(300, 21, seed=0)
    inputs = {"input": lambda given: np.pad(given.xs[:, :-1], ((0, 0), (1, 0), (0, 0)))}  # of the last example
    without, found = ablate(model, "blocks.1.attention", head=1), []
    for each in (model, without):
        table = probe(each, prompts, inputs, "blocks.1.residual_out", at="label", positions=[20], untrained=False)
        found.append(table.query("not control")["r2"].item())
    assert found[0] > 0.99
    assert found[1] < 0.5
    after = effect(model, without, prompts).set_index("position")["after"]
    assert after[20] > 2 * np.square(prompts.targets).mean()
