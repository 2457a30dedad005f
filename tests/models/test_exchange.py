"""Other formats: what is read predicts what its origin predicts, and nothing in a file is executed."""

import argparse
import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from iclab.estimators import InContextRegressor
from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor, load, save_model
from iclab.models.exchange import from_garg, from_hugging_face, to_hugging_face
from iclab.models.hub import HubPredictor
from iclab.prompts import Prompts


class Original(nn.Module):
    """The 2022 model, as its paper describes it: interleave, read in, GPT-2, read out at every x."""

    def __init__(self, dimension, width, layers, heads, points):
        from transformers import GPT2Config, GPT2Model  # loads for seconds

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
    training = {"task": "linear_regression", "curriculum": {"points": {"start": 3, "end": 5, "inc": 1}}}
    (run / "config.yaml").write_text(yaml.safe_dump({"model": model, "training": training}))
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


def test_the_length_trained_for_survives_every_format(garg_run, tmp_path):
    """Prompts of 5 points have 4 examples before the last; rows of the table beyond were never trained."""
    model = from_garg(garg_run)
    to_hugging_face(model, tmp_path / "hf")
    save_model(from_hugging_face(tmp_path / "hf"), tmp_path / "saved")
    HubPredictor(load(tmp_path / "saved")).save_pretrained(tmp_path / "hub")
    HubPredictor(TransformerPredictor(model)).save_pretrained(tmp_path / "bare")
    again = [load(tmp_path / name) for name in ("saved", "hub", "bare")]
    again.append(HubPredictor.from_pretrained(str(tmp_path / "hub")))
    assert [each.n_train for each in again] == [4, 4, 4, 4]
    (garg_run / "config.yaml").write_text(
        yaml.safe_dump({"model": yaml.safe_load((garg_run / "config.yaml").read_text())["model"]})
    )
    assert from_garg(garg_run).n_train is None


class Malicious:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("code", "must be a run"),
        ("truncated", "must be a run"),
        ("empty", "must be a run"),
        ("no weights", "must hold weights by name; list was found"),
        ("no state", "no such file"),
        ("no config", "no such file"),
        ("no model", r"section 'model' .*; 'model' is missing"),
        ("no width", r"section 'model' .*; 'n_embd' is missing"),
        ("other family", "'lstm' was found"),
        ("other size", "fit its configuration"),
        ("no such size", "width must be a multiple of heads; 17 and 2"),
        ("missing", "'_read_in.weight'; they are missing"),
    ],
)
def test_runs_that_cannot_be_read_are_refused_in_words(garg_run, fault, sentence, capfd):
    state, config = garg_run / "state.pt", garg_run / "config.yaml"
    if fault == "code":
        torch.save({"model_state_dict": Malicious()}, state)
    elif fault == "truncated":
        state.write_bytes(state.read_bytes()[:-500])
    elif fault == "empty":
        state.write_bytes(b"")
    elif fault == "no weights":
        torch.save([torch.zeros(2)], state)
    elif fault == "no model":
        config.write_text("training: {}\n")
    elif fault == "no width":
        config.write_text(config.read_text().replace("n_embd", "embd"))
    elif fault == "no such size":
        config.write_text(config.read_text().replace("n_embd: 16", "n_embd: 17"))
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
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        from_garg(garg_run)
    assert "\n" not in str(caught.value)
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize("activation", ["gelu_new", "gelu"])
def test_hugging_face_reads_what_is_written_and_back(activation, tmp_path, randomised, prompts):
    from transformers import GPT2Model  # loads for seconds

    model = randomised(dataclasses.replace(Architecture.gpt2(3, 3, 7), activation=activation), torch.float32)
    to_hugging_face(model, tmp_path / "hf")
    theirs = GPT2Model.from_pretrained(tmp_path / "hf").eval()
    back = from_hugging_face(tmp_path / "hf")
    assert back.architecture == model.architecture
    for (name, a), (_, b) in zip(model.state_dict().items(), back.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    xs, ys = torch.from_numpy(prompts.xs).float(), torch.from_numpy(prompts.ys).float()
    from iclab.models.embedding import tokens

    with torch.no_grad():
        hidden = theirs(inputs_embeds=back.read_in(tokens("interleaved", xs, ys, None))).last_hidden_state
        expected = back.read_out(hidden)[:, ::2, 0]
        assert (model(xs, ys) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_language_gpt2_becomes_a_start_with_a_new_read_in(tmp_path, prompts):
    from transformers import GPT2Config, GPT2Model  # loads for seconds

    torch.manual_seed(1)
    GPT2Model(GPT2Config(n_positions=14, n_embd=16, n_layer=2, n_head=2, vocab_size=5)).save_pretrained(tmp_path / "lm")
    model = from_hugging_face(tmp_path / "lm", dimension=3)
    assert (model.architecture.max_points, model.architecture.width) == (7, 16)
    assert np.isfinite(TransformerPredictor(model)(prompts)).all()
    with pytest.raises(InvalidInputError, match="dimension must be given"):
        from_hugging_face(tmp_path / "lm")
    to_hugging_face(model, tmp_path / "ours")
    assert from_hugging_face(tmp_path / "ours", dimension=3).architecture == model.architecture
    for other in (0, 7):
        with pytest.raises(InvalidInputError, match=f"must be the 3 of .*; {other} was given"):
            from_hugging_face(tmp_path / "ours", dimension=other)
    with pytest.raises(InvalidInputError, match=r"only a GPT-2 .*'stacked'"):
        to_hugging_face(Transformer(Architecture.lsa(3, 7)), tmp_path / "out")


def test_the_hub_folder_is_a_model_of_ours(tmp_path, randomised, prompts):
    predictor = TransformerPredictor(randomised(Architecture.lsa(3, 7)))
    HubPredictor(predictor).save_pretrained(tmp_path / "hub")
    for again in (HubPredictor.from_pretrained(str(tmp_path / "hub")), load(tmp_path / "hub")):
        np.testing.assert_array_equal(again(prompts), predictor(prompts))
    page = (tmp_path / "hub" / "README.md").read_text()
    assert "library_name: iclab" in page
    assert "More Information" not in page


def licence_on(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])["license"]


def test_a_card_of_the_hub_names_the_licence_of_the_package_for_its_own_models_alone(tmp_path, randomised):
    ships = load("gpt2-d20-identity")
    mine = TransformerPredictor(randomised(Architecture.gpt2(3, 3, 7)))
    save_model(mine.model, tmp_path / "saved", texts={"README.md": "# mine\n"})
    for predictor, named, licence in (
        (ships, None, "apache-2.0"),
        (mine, None, "unknown"),
        (load(tmp_path / "saved"), None, "unknown"),
        (load(tmp_path / "saved"), "mit", "mit"),
        (mine, "mit", "mit"),
    ):
        folder = tmp_path / "hub"
        HubPredictor(predictor, licence=named).save_pretrained(folder)
        assert licence_on(folder) == licence
        # What a card says of weights goes with them, until their owner says otherwise.
        HubPredictor.from_pretrained(str(folder)).save_pretrained(tmp_path / "again")
        assert licence_on(tmp_path / "again") == licence
        HubPredictor(load(folder), licence="cc-by-4.0").save_pretrained(folder)
        assert licence_on(folder) == "cc-by-4.0"
        shutil.rmtree(folder), shutil.rmtree(tmp_path / "again")
    with torch.no_grad():
        ships.model.read_out.bias += 1
    HubPredictor(ships).save_pretrained(tmp_path / "tuned")
    assert licence_on(tmp_path / "tuned") == "unknown"
    with pytest.raises(InvalidInputError, match="licence must be an identifier"):
        HubPredictor(mine, licence="MIT licence")


def test_a_saved_model_goes_to_the_hub_with_all_that_is_known_of_it(tmp_path, randomised):
    model = randomised(Architecture.gpt2(3, 3, 7), torch.float32)
    texts = {"README.md": "# mine\n", "config.yaml": "n_train: 4\n", "metrics.jsonl": "{}\n"}
    save_model(model, tmp_path / "mine", card={"note": 1}, texts=texts, half=True)
    HubPredictor(load(tmp_path / "mine")).save_pretrained(tmp_path / "hub")
    for path in (tmp_path / "mine").iterdir():
        if path.name not in ("README.md", "manifest.json"):
            assert (tmp_path / "hub" / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "hub/README.md").read_text().endswith("\n" + texts["README.md"])
    # What is told of these weights does not hold for others.
    changed = load(tmp_path / "mine")
    with torch.no_grad():
        changed.model.read_out.bias += 1
    HubPredictor(changed).save_pretrained(tmp_path / "hub")
    assert not (tmp_path / "hub" / "metrics.jsonl").exists()
    assert load(tmp_path / "hub").model.read_out.bias == changed.model.read_out.bias
    assert load(tmp_path / "hub").n_train == 4


def test_the_page_of_a_model_is_its_owners_to_rewrite(tmp_path, randomised):
    model = randomised(Architecture.gpt2(3, 3, 7), torch.float32)
    save_model(model, tmp_path / "mine", texts={"README.md": "# mine\n", "config.yaml": "n_train: 4\n"})
    (tmp_path / "mine" / "README.md").write_text("# rewritten\n")
    HubPredictor(load(tmp_path / "mine")).save_pretrained(tmp_path / "hub")
    assert (tmp_path / "hub" / "README.md").read_text().endswith("\n# rewritten\n")
    assert (tmp_path / "hub" / "config.yaml").exists()
    (tmp_path / "mine" / "README.md").unlink()
    HubPredictor(load(tmp_path / "mine")).save_pretrained(tmp_path / "other")
    assert load(tmp_path / "other").model.read_out.bias == model.read_out.bias
    # A page elsewhere is none, and would be shared with the model.
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "mine" / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInputError, match=r"README\.md"):
        load(tmp_path / "mine")
    (tmp_path / "mine" / "README.md").unlink()
    (tmp_path / "mine" / "config.yaml").write_text("n_train: 5\n")
    with pytest.raises(InvalidInputError, match="checksum"):
        load(tmp_path / "mine")


def test_a_model_of_the_hub_is_a_regressor_like_any_other(tmp_path, randomised):
    model = randomised(Architecture.gpt2(3, 3, 7), torch.float32)
    model.n_train = 4
    save_model(model, tmp_path / "mine")
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 2)), rng.standard_normal(30)
    HubPredictor(load(tmp_path / "mine")).save_pretrained(tmp_path / "hub")
    hub = InContextRegressor(HubPredictor.from_pretrained(str(tmp_path / "hub"))).fit(X, y).predict(X)
    np.testing.assert_array_equal(hub, InContextRegressor(tmp_path / "mine").fit(X, y).predict(X))


def test_files_for_hugging_face_are_as_readable_as_any(tmp_path):
    before = os.umask(0o027)
    try:
        to_hugging_face(Transformer(Architecture.gpt2(3, 3, 7)), tmp_path / "hf")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "hf").iterdir()} == {0o640}


def _wrapped(weights, prefix):
    return {prefix + key: value for key, value in weights.items()}


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_around_a_2022_run_make_no_difference(garg_run, prompts, prefix):
    expected = TransformerPredictor(from_garg(garg_run))(unshifted(prompts))
    content = torch.load(garg_run / "state.pt", weights_only=True)
    weights = _wrapped(content["model_state_dict"], prefix)
    beside = {
        "loss": np.float64(0.1),
        "train_step": np.int64(5),
        "rate": np.float32(1e-4),
        "args": argparse.Namespace(lr=1e-4),
    }
    torch.save({**beside, "model_state_dict": weights}, garg_run / "state.pt")
    np.testing.assert_array_equal(TransformerPredictor(from_garg(garg_run))(unshifted(prompts)), expected)
    inner = {key.replace("_backbone.h", "_backbone._orig_mod.h"): value for key, value in weights.items()}
    torch.save({"model_state_dict": inner}, garg_run / "state.pt")
    np.testing.assert_array_equal(TransformerPredictor(from_garg(garg_run))(unshifted(prompts)), expected)
    torch.save({"model_state_dict": {**weights, **_wrapped(weights, "module.")}}, garg_run / "state.pt")
    with pytest.raises(InvalidInputError, match="each weight once"):
        from_garg(garg_run)


def test_half_precision_weights_compute_in_single_precision(garg_run, prompts):
    whole = TransformerPredictor(from_garg(garg_run))
    content = torch.load(garg_run / "state.pt", weights_only=True)
    half = {key: value.half() for key, value in content["model_state_dict"].items()}
    torch.save({"model_state_dict": half}, garg_run / "state.pt")
    whole.model.half().float()  # the same rounded weights, in single precision
    np.testing.assert_array_equal(
        TransformerPredictor(from_garg(garg_run))(unshifted(prompts)), whole(unshifted(prompts))
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"n_inner": 20},
        {"layer_norm_epsilon": 1e-6},
        {"activation_function": "relu"},
        {"add_cross_attention": True},
        {"pruned_heads": {"0": [1]}},
        {"quantization_config": {"bits": 8}},
        {"a_field_of_tomorrow": 1},
        {"n_head": "2"},
        {"n_layer": 200_000},
        {"n_positions": 9},
    ],
)
def test_a_field_that_changes_the_function_is_refused(garg_run, tmp_path, changed):
    to_hugging_face(from_garg(garg_run), tmp_path / "hf")
    path = tmp_path / "hf" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(InvalidInputError, match=next(iter(changed)) + "|layers"):
        from_hugging_face(tmp_path / "hf")


def test_what_transformers_writes_is_read_as_transformers_computes_it(garg_run, tmp_path, prompts):
    from transformers import GPT2Model  # loads for seconds

    to_hugging_face(from_garg(garg_run), tmp_path / "hf")
    read = (tmp_path / "hf" / "read.safetensors").read_bytes()
    GPT2Model.from_pretrained(tmp_path / "hf").save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "read.safetensors").write_bytes(read)
    one, other = (TransformerPredictor(from_hugging_face(tmp_path / name)) for name in ("hf", "theirs"))
    np.testing.assert_array_equal(one(unshifted(prompts)), other(unshifted(prompts)))


@pytest.mark.parametrize(("kind", "file"), [("garg", "state.pt"), ("hugging-face", "config.json")])
def test_a_folder_of_another_format_says_how_it_is_imported(tmp_path, kind, file):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / file).write_text("{}")
    with pytest.raises(InvalidInputError, match=f"--from {kind}"):
        load(tmp_path / "theirs")
