"""Truths about one pass that is looked at: it is the plain one, and its activations add up to it."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from iclab.foundations import InvalidInputError
from iclab.inspect import ablate, activations, probe, run
from iclab.models import Architecture, Transformer, TransformerPredictor, load, predictor
from iclab.predictors import LeastSquares
from iclab.prompts import Gaussian, Linear, MarkovChains, PromptDistribution

from .conftest import ARCHITECTURES, D, P, drawn, randomised


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_looking_changes_no_bit(case):
    model, prompts = case
    predictions, cache = run(model, prompts)
    np.testing.assert_array_equal(predictions, model(prompts))
    np.testing.assert_array_equal(cache["head"][..., 0], predictions)


def test_looking_at_a_shipped_model_changes_no_bit():
    model = load("gpt2-d20-identity")
    prompts = PromptDistribution(Gaussian.isotropic(20), Linear()).sample(26, 41, seed=0)  # more than one batch
    np.testing.assert_array_equal(run(model, prompts, "norm")[0], model(prompts))


def test_the_stream_is_the_sum_of_what_parts_add(few, prompts):
    model = few
    _, cache = run(model, prompts)
    architecture = model.architecture
    before, first = cache["embedding"], cache["embedding"]
    n_blocks = architecture.layers * architecture.loops
    for block in range(n_blocks):
        if block and architecture.inject and block % architecture.layers == 0:
            before = before + first
        mix = f"blocks.{block}.attention" if f"blocks.{block}.attention.out" in cache else f"blocks.{block}.mixer"
        after = cache[f"blocks.{block}.residual_out"]
        added = cache[f"{mix}.out"] + (cache[f"blocks.{block}.mlp.out"] if architecture.mlp else 0)
        close(after, before + added if architecture.residual else added)
        before = after
    read = cache.tokens.query("position >= 0").sort_values("position")["token"].to_numpy()
    last = before[:, read]
    if architecture.layer_norm:
        last = (last - last.mean(-1, keepdims=True)) / np.sqrt(last.var(-1, keepdims=True) + 1e-5)
        norm = model.model.norm
        last = last * norm.weight.detach().numpy() + norm.bias.detach().numpy()
    close(cache["norm"], last)


@pytest.mark.parametrize("kind", ["softmax", "linear", "merged", "lsa", "alibi", "rotary-linear", "stacked-softmax"])
def test_a_pattern_mixes_the_values_that_a_token_sees(kind, prompts):
    model = randomised(ARCHITECTURES[kind])
    _, cache = run(model, prompts)
    tokens = cache.tokens
    for block in range(model.architecture.layers):
        pattern = cache[f"blocks.{block}.attention.pattern"]
        assert cache.axes[f"blocks.{block}.attention.pattern"] == ("prompt", "head", "token", "seen")
        if "linear" not in kind and kind not in ("merged", "lsa"):
            close(pattern.sum(-1), 1.0)
        if f"blocks.{block}.attention.v" in cache:
            mixed = np.einsum("bhts,bshc->bthc", pattern, cache[f"blocks.{block}.attention.v"])
            close(cache[f"blocks.{block}.attention.mixed"], mixed)
        # Position i is read where exactly i labels are seen, and no query but its own.
        seen = (pattern != 0).any((0, 1))
        labelled = tokens["role"].isin(["label", "example"]).to_numpy()
        for position in range(P):
            at = int(tokens.index[tokens["position"] == position][0])
            assert (seen[at] & labelled).sum() == position
            asked = tokens[seen[at] & (tokens["role"] == "query").to_numpy()]["token"].tolist()
            assert asked == ([at] if tokens["role"][at] == "query" else [])


def test_the_pattern_of_linear_self_attention_is_its_bilinear_form(prompts):
    model = randomised(ARCHITECTURES["lsa"])
    _, cache = run(model, prompts)
    e, w_kq = cache["embedding"], model.model.blocks[0].attention.w_kq[0].detach().numpy()
    pattern, tokens = cache["blocks.0.attention.pattern"][:, 0], cache.tokens
    for i in range(1, P):
        at = int(tokens.index[tokens["position"] == i][0])
        close(pattern[:, at, :i], np.einsum("bjk,kl,bl->bj", e[:, :i], w_kq, e[:, at]) / i)


@pytest.mark.parametrize("kind", ["softmax", "stacked-linear", "mamba2", "stacked-gated_delta", "lstm"])
def test_the_last_block_has_the_tokens_that_it_need_not_compute(kind, prompts):
    deep = randomised(ARCHITECTURES[kind])
    parts = deep.architecture.__dict__ | {"layers": 1, "mixers": deep.architecture.mixers[:1]}
    short = Transformer(Architecture(**{key: value for key, value in parts.items() if not key.startswith("_")}))
    weights = short.double().state_dict()
    short.load_state_dict({key: deep.model.state_dict()[key] for key in weights})
    _, expected = run(deep, prompts, "blocks.0.*")
    _, found = run(short, prompts, "blocks.0.*")
    assert list(found) == list(expected)
    for name in found:
        close(found[name], expected[name])


def test_the_split_into_batches_is_not_seen(few, prompts, monkeypatch):
    model = few
    _, whole = run(model, prompts)
    monkeypatch.setattr(predictor, "_TOKENS_ON_CPU", 1)
    _, one_by_one = run(model, prompts)
    for name in whole:
        close(one_by_one[name], whole[name])


def test_a_large_cache_lies_on_disk_and_goes_with_it(tmp_path):
    model, prompts = randomised(ARCHITECTURES["softmax"]), drawn(5, shifted=False)
    _, held = run(model, prompts)
    _, kept = run(model, prompts, memory=held.nbytes - 1, directory=tmp_path)
    assert (held.on_disk, kept.on_disk, kept.nbytes) == (False, True, held.nbytes)
    assert held.nbytes == activations(model, prompts)["bytes"].sum()
    for name in held:
        np.testing.assert_array_equal(kept[name], held[name])
    assert any(tmp_path.iterdir())
    del kept
    assert not any(tmp_path.iterdir())
    with pytest.raises(InvalidInputError, match="bytes"):
        run(model, prompts, memory="1 GB")


def test_sequences_of_symbols():
    model = TransformerPredictor(
        Transformer(Architecture(dimension=0, max_points=9, width=8, head="classes", outputs=3)).double()
    )
    prompts = MarkovChains(3).sample(4, 9, seed=0)
    predictions, cache = run(model, prompts)
    np.testing.assert_array_equal(predictions, model(prompts))
    assert cache.tokens["role"].tolist() == ["start"] + ["label"] * 8
    assert cache.tokens["example"].tolist() == list(range(-1, 8))


def test_a_module_of_ones_own_shows_its_named_parts(own):
    prompts = drawn(5, shifted=False)
    predictions, cache = run(own, prompts)
    np.testing.assert_array_equal(predictions, own(prompts))
    assert list(cache) == ["read.in", "read.out", "memory.in", "memory.out", "answer.in", "answer.out"]
    np.testing.assert_array_equal(cache["memory.out"], cache["answer.in"])
    assert cache["memory.in"].shape == (5, P, 5)
    with pytest.raises(InvalidInputError, match=r"read\.\{in, out\}"):
        cache["blocks.0.attention.pattern"]


def test_a_bare_module_is_looked_into_as_it_is(own):
    prompts, net = drawn(5, shifted=False), own.model.net
    predictions, cache = run(net, prompts, "memory.out")
    np.testing.assert_array_equal(predictions, own(prompts))
    np.testing.assert_array_equal(ablate(net, "memory.out")(prompts), ablate(own, "memory.out")(prompts))
    np.testing.assert_array_equal(cache["memory.out"], run(own, prompts, "memory.out")[1]["memory.out"])
    for ask in (lambda: run(net, drawn(5, shifted=True)), lambda: ablate(net, "memory.out")(drawn(5, shifted=True))):
        with pytest.raises(InvalidInputError, match="leave queries unshifted"):
            ask()
    with pytest.raises(InvalidInputError, match="untrained=False"):
        probe(net, prompts, "moment", folds=2)


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("softmax", "blocks.0.attention.patern", "blocks.0.attention.pattern"),
        ("softmax", "blocks.2.residual_out", "blocks.1.residual_out"),
        ("mamba2", "blocks.0.attention.pattern", "mixer.{q, k, v, decay, rate, read, out}"),
    ],
)
def test_an_unknown_activation_is_told_with_those_that_exist(kind, name, hint):
    model, prompts = randomised(ARCHITECTURES[kind]), drawn(2, shifted=False)
    _, cache = run(model, prompts)
    for ask in (lambda: run(model, prompts, name), lambda: cache[name]):
        with pytest.raises(InvalidInputError) as told:
            ask()
        assert hint in str(told.value)
        assert "embedding" in str(told.value)


def test_a_cache_that_does_not_fit_is_told_with_its_size(monkeypatch, tmp_path):
    model, prompts = randomised(ARCHITECTURES["softmax"]), drawn(5, shifted=False)
    total = activations(model, prompts)["bytes"].sum()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(InvalidInputError, match=rf"{total / 1e3:.3g} kB.*blocks\.\*\.residual_out"):
        run(model, prompts, memory=10, directory=tmp_path)


def test_what_has_no_inside_is_refused():
    with pytest.raises(InvalidInputError, match="LeastSquares"):
        run(LeastSquares(), drawn(2, shifted=False))
    with pytest.raises(InvalidInputError, match="at least one"):
        run(randomised(ARCHITECTURES["lsa"]), drawn(2, shifted=False), keep=[])
    with pytest.raises(InvalidInputError, match=f"dimension {D}"):
        run(randomised(ARCHITECTURES["lsa"]), PromptDistribution(Gaussian.isotropic(2), Linear()).sample(2, 3, seed=0))
