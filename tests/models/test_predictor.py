"""A model as a predictor, and on disk."""

import json

import numpy as np
import pytest
import torch

from iclab.evaluation.contexts import one_by_one
from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor, load, save_model
from iclab.prompts import Gaussian, Linear, PromptDistribution, Prompts

from .conftest import RECURRENT


def test_a_prompt_is_answered_the_same_in_any_batch(randomised):
    model = randomised(Architecture.gpt2(3, 3, 7), torch.float32)
    prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(1200, 7, seed=0)
    predictor = TransformerPredictor(model)
    whole = predictor(prompts)
    part = slice(1100, 1200)
    alone = predictor(Prompts(prompts.xs[part], prompts.ys[part], prompts.xs[part], prompts.targets[part]))
    assert whole.dtype == np.float64
    np.testing.assert_allclose(whole[part], alone, rtol=1e-4, atol=1e-5)


def test_predicting_leaves_the_model_as_it_was(model, prompts):
    model.train()
    TransformerPredictor(model)(prompts)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_is_saved_is_what_is_loaded(model, prompts, tmp_path):
    save_model(model, tmp_path / "saved", card={"note": "Γ"})
    loaded = load(tmp_path / "saved")
    assert loaded.architecture == model.architecture
    np.testing.assert_array_equal(loaded(prompts), TransformerPredictor(model)(prompts))
    assert not list(tmp_path.glob(".*"))
    assert {path.suffix for path in (tmp_path / "saved").iterdir()} == {".json", ".safetensors"}


@pytest.mark.parametrize("fault", ["truncate", "flip", "remove", "no manifest"])
def test_a_damaged_model_is_refused_in_words(fault, tmp_path):
    folder = tmp_path / "saved"
    save_model(Transformer(Architecture.lsa(3, 7)), folder)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if fault == "truncate":
        weights.write_bytes(content[:-7])
    elif fault == "flip":
        content[-5] ^= 1
        weights.write_bytes(content)
    else:
        (weights if fault == "remove" else folder / "manifest.json").unlink()
    with pytest.raises(InvalidInputError, match=r"checksum|missing"):
        load(folder)


def test_a_model_of_another_kind_is_refused(tmp_path):
    folder = tmp_path / "saved"
    save_model(Transformer(Architecture.lsa(3, 7)), folder)
    text = (folder / "architecture.json").read_text()
    (folder / "architecture.json").write_text(text.replace('"dimension": 3', '"dimension": 4'))
    (folder / "manifest.json").write_text(json.dumps({"sha256": {}}))
    with pytest.raises(InvalidInputError, match="must hold a model of this version"):
        load(folder)


def test_prompts_that_do_not_fit_are_refused(randomised):
    predictor = TransformerPredictor(randomised(Architecture.gpt2(3, 3, 7)))
    draw = PromptDistribution(Gaussian.isotropic(3), Linear()).sample
    with pytest.raises(InvalidInputError, match="at most the model's 7 positions; 8 were given"):
        predictor(draw(2, 8, seed=0))
    with pytest.raises(InvalidInputError, match="dimension 3; 4 was given"):
        predictor(PromptDistribution(Gaussian.isotropic(4), Linear()).sample(2, 5, seed=0))
    assert predictor(draw(2, 5, seed=0)).shape == (2, 5)


def test_a_gpu_that_is_not_there_is_refused_in_words(randomised):
    predictor = TransformerPredictor(randomised(Architecture(dimension=3, max_points=7, width=16, layers=1, heads=2)))
    assert next(predictor.to("auto").model.parameters()).device.type == "cpu"
    with pytest.raises(InvalidInputError, match="'cuda' was given and 0 GPUs were found"):
        predictor.to("cuda")
    with pytest.raises(InvalidInputError, match="must be 'auto', 'cpu' or 'cuda'; 'gpu' was given"):
        predictor.to("gpu")


def test_no_folder_is_refused_in_words(tmp_path):
    with pytest.raises(InvalidInputError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="a folder or a name; None was given"):
        load(None)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": 7}, "multiple of heads"),
        ({"positions": "rotary", "width": 6}, "even width per head"),
        ({"positions": "alibi", "attention": "linear"}, "softmax"),
        ({"read_in": "identity"}, "dimension \\+ 1 = 4"),
        ({"dimension": -1}, "dimension is not as it must be: .*greater than or equal to 0; -1 was given"),
        ({"attention": "hard"}, "'softmax', 'linear' or 'merged'; 'hard' was given"),
        ({"depth": 3}, "depth is not as it must be"),
    ],
)
def test_architectures_that_make_no_sense_are_refused(change, sentence):
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        Architecture(**({"dimension": 3, "max_points": 7, "width": 8} | change))
    assert "\n" not in str(caught.value)
    assert "http" not in str(caught.value)


@pytest.mark.parametrize("examples", [1, 6])
def test_many_queries_of_a_context_are_answered_as_one_by_one(model, examples):
    rng = np.random.default_rng(4)
    predictor = TransformerPredictor(model)
    xs, ys, queries = rng.standard_normal((2, examples, 3)), rng.standard_normal((2, examples)), rng.random((5, 3))
    expected = one_by_one(predictor, xs, ys, queries)
    np.testing.assert_allclose(predictor.answer(xs, ys, queries), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("embedding", ["interleaved", "stacked"])
@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("examples", [32, 35])  # with and without a chunk that is full
def test_queries_go_on_from_the_state_of_a_long_context(kind, embedding, examples, randomised):
    architecture = Architecture(
        dimension=3, max_points=7, width=8, layers=2, mixers=(kind,), embedding=embedding, positions="none",
        head="classes", outputs=3,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    predictor = TransformerPredictor(randomised(architecture))
    xs, ys, queries = rng.standard_normal((1, examples, 3)), rng.integers(0, 3, (1, examples)), rng.random((4, 3))
    expected = one_by_one(predictor, xs, ys, queries, 3)
    found = predictor.answer(xs, ys, queries)
    assert found.shape == (1, 4, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_class_outside_those_of_the_model_is_refused(wrong):
    predictor = TransformerPredictor(
        Transformer(Architecture(dimension=3, max_points=7, width=8, head="classes", outputs=3))
    )
    rng = np.random.default_rng(5)
    with pytest.raises(InvalidInputError, match=r"ys must be classes 0 … 2, as there are 3; .* given"):
        predictor.answer(rng.random((1, 2, 3)), np.array([[0, wrong]]), rng.random((4, 3)))
