"""Other formats: what is read predicts what its origin predicts, and nothing in a file is executed."""

import dataclasses

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from transformers import GPT2Config, GPT2Model

from incontext.foundations import InvalidInputError
from incontext.models import Architecture, Transformer, TransformerPredictor, load
from incontext.models.exchange import from_garg, from_hugging_face, to_hugging_face
from incontext.models.hub import HubPredictor
from incontext.prompts import Prompts


class Original(nn.Module):
    """The 2022 model, as its paper describes it: interleave, read in, GPT-2, read out at every x."""

    def __init__(self, dimension, width, layers, heads, points):
        super().__init__()
        self._read_in = nn.Linear(dimension, width)
        self._backbone = GPT2Model(
            GPT2Config(
                n_positions=2 * points,
                n_embd=width,
                n_layer=layers,
                n_head=heads,
                resid_pdrop=0,
                embd_pdrop=0,
                attn_pdrop=0,
            )
        )
        self._read_out = nn.Linear(width, 1)

    def forward(self, xs, ys):
        wide = torch.cat([ys[..., None], torch.zeros(*ys.shape, xs.shape[2] - 1)], 2)
        sequence = torch.stack([xs, wide], 2).reshape(len(xs), -1, xs.shape[2])
        hidden = self._backbone(inputs_embeds=self._read_in(sequence)).last_hidden_state
        return self._read_out(hidden)[:, ::2, 0]


@pytest.fixture
def original():
    torch.manual_seed(0)
    model = Original(3, 16, 2, 2, 7).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.fixture
def garg_run(original, tmp_path):
    run = tmp_path / "garg"
    run.mkdir()
    model = {"family": "gpt2", "n_dims": 3, "n_positions": 7, "n_embd": 16, "n_layer": 2, "n_head": 2}
    (run / "config.yaml").write_text(yaml.safe_dump({"model": model, "training": {"task": "linear_regression"}}))
    weights = original.state_dict() | {"_backbone.h.0.attn.masked_bias": torch.tensor(-1e4)}
    optimizer = torch.optim.Adam(original.parameters()).state_dict()
    torch.save({"model_state_dict": weights, "optimizer_state_dict": optimizer, "train_step": 5}, run / "state.pt")
    torch.save(weights, run / "model_5.pt")
    return run


def unshifted(prompts):
    return Prompts(prompts.xs, prompts.ys, prompts.xs, prompts.targets)


@pytest.mark.parametrize("step", [None, 5])
def test_an_imported_2022_run_predicts_what_it_did(garg_run, original, prompts, step):
    with torch.no_grad():
        expected = original(torch.from_numpy(prompts.xs).float(), torch.from_numpy(prompts.ys).float()).numpy()
    predictions = TransformerPredictor(from_garg(garg_run, step))(unshifted(prompts))
    np.testing.assert_allclose(predictions, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


class Malicious:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    "fault", ["code", "truncated", "no state", "no config", "other family", "other size", "missing"]
)
def test_runs_that_cannot_be_read_are_refused_in_words(garg_run, fault, capfd):
    state, config = garg_run / "state.pt", garg_run / "config.yaml"
    if fault == "code":
        torch.save({"model_state_dict": Malicious()}, state)
    elif fault == "truncated":
        state.write_bytes(state.read_bytes()[:-500])
    elif fault == "no state":
        state.unlink()
    elif fault == "no config":
        config.unlink()
    elif fault == "other family":
        config.write_text(config.read_text().replace("gpt2", "lstm"))
    elif fault == "other size":
        config.write_text(config.read_text().replace("n_embd: 16", "n_embd: 18"))
    else:
        content = torch.load(state, weights_only=True)
        del content["model_state_dict"]["_read_in.weight"]
        torch.save(content, state)
    with pytest.raises(InvalidInputError) as caught:
        from_garg(garg_run)
    assert "\n" not in str(caught.value)
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize("activation", ["gelu_new", "gelu"])
def test_hugging_face_reads_what_is_written_and_back(activation, tmp_path, randomised, prompts):
    model = randomised(dataclasses.replace(Architecture.gpt2("tiny", 3, 7), activation=activation), torch.float32)
    to_hugging_face(model, tmp_path / "hf")
    theirs = GPT2Model.from_pretrained(tmp_path / "hf").eval()
    back = from_hugging_face(tmp_path / "hf")
    assert back.architecture == model.architecture
    for (name, a), (_, b) in zip(model.state_dict().items(), back.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    xs, ys = torch.from_numpy(prompts.xs).float(), torch.from_numpy(prompts.ys).float()
    from incontext.models.embedding import tokens

    with torch.no_grad():
        hidden = theirs(inputs_embeds=back.read_in(tokens("interleaved", xs, ys, None))).last_hidden_state
        expected = back.read_out(hidden)[:, ::2, 0]
        assert (model(xs, ys) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_language_gpt2_becomes_a_start_with_a_new_read_in(tmp_path, prompts):
    torch.manual_seed(1)
    GPT2Model(GPT2Config(n_positions=14, n_embd=16, n_layer=2, n_head=2, vocab_size=5)).save_pretrained(tmp_path / "lm")
    model = from_hugging_face(tmp_path / "lm", dimension=3)
    assert (model.architecture.max_points, model.architecture.width) == (7, 16)
    assert np.isfinite(TransformerPredictor(model)(prompts)).all()
    with pytest.raises(InvalidInputError, match="dimension must be given"):
        from_hugging_face(tmp_path / "lm")
    with pytest.raises(InvalidInputError, match="only a GPT-2"):
        to_hugging_face(Transformer(Architecture.lsa(3, 7)), tmp_path / "out")


def test_the_hub_folder_is_a_model_of_ours(tmp_path, randomised, prompts):
    predictor = TransformerPredictor(randomised(Architecture.lsa(3, 7)))
    HubPredictor(predictor).save_pretrained(tmp_path / "hub")
    for again in (HubPredictor.from_pretrained(str(tmp_path / "hub")), load(tmp_path / "hub")):
        np.testing.assert_array_equal(again(prompts), predictor(prompts))
