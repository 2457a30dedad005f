"""``iclab exchange`` as a user meets it."""

import numpy as np
import pandas as pd
import pytest

from iclab.evaluation import error_curve
from iclab.models import Architecture, Transformer, load, save_model
from iclab.models.exchange import to_hugging_face
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.training import preset, train


def test_to_hugging_face_and_back_predicts_the_same(iclab, tmp_path):
    save_model(Transformer(Architecture.gpt2(3, 3, 7)), tmp_path / "mine")
    assert iclab("exchange", "mine", "theirs", "--to", "hugging-face")[0] == 0
    code, out, err = iclab("exchange", "theirs", "again", "--from", "hugging-face")
    assert (code, out, err) == (0, "again\n", "")
    prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(5, 7, seed=0)
    np.testing.assert_array_equal(load("mine")(prompts), load("again")(prompts))


def test_a_run_stored_in_half_precision_is_judged_as_it_is_stored(iclab, tmp_path):
    config = preset("tiny", dimension=2, n_train=4, steps=20, batch_size=8, n_evaluation=8, model={"width": 16})
    train(config, tmp_path / "run")
    code, _, err = iclab("exchange", "run", "half", "--suite", "grag")
    assert (code, err.count("\n")) == (2, 1)  # nothing was judged before
    assert "Did you mean 'garg'" in err
    assert iclab("exchange", "run", "half", "--half", "--suite", "garg", "--prompts", "50")[0] == 0
    table = pd.read_csv(tmp_path / "half" / "evaluation.csv")
    own = table[(table["distribution"] == "own law") & (table["predictor"] == "model")]
    stored = error_curve(load("half"), config.prompts.build(), 5, n_prompts=50, seed=0).mean
    np.testing.assert_allclose(own["mean"], stored, rtol=1e-12)
    assert not np.allclose(
        stored, error_curve(load("run"), config.prompts.build(), 5, n_prompts=50, seed=0).mean, rtol=1e-9
    )


@pytest.mark.parametrize("arguments", [[], ["--suite", "paper", "--prompts", "2"], ["--to", "hugging-face"]])
def test_a_damaged_checkpoint_is_told_of_once(iclab, tmp_path, arguments):
    config = preset("tiny", dimension=2, n_train=4, steps=4, batch_size=8, n_evaluation=8, model={"width": 16})
    train(config.with_(checkpoint_every=2), tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "4" / "model.safetensors").write_bytes(b"torn")
    code, _, err = iclab("exchange", "run", "target", *arguments)
    assert code == 0
    told = "run: the checkpoint of step 4 is damaged (model.safetensors does not match its checksum), "
    assert [line for line in err.splitlines() if "damaged" in line] == [told + "that of step 2 is used."]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "target"], "no such folder"),
        (["nowhere", "target", "--from", "garg"], "no such file"),
        (["nowhere", "target", "--from", "hugging-face"], "no such file"),
        (["nowhere", "full"], "must be new or empty"),
        (["nowhere", "target", "--from", "gargle"], "--from"),
        (["lsa", "target", "--to", "hugging-face"], "only a GPT-2"),
        (["lsa", "target", "--half"], "--half must go with a run"),
        (["lsa", "target", "--step", "5"], "--step must go with --from garg"),
        (["lsa", "target", "--dimension", "5"], "--dimension must go with --from hugging-face"),
        (["theirs", "target", "--from", "hugging-face", "--dimension", "0"], "dimension must be the 3 of theirs"),
        (["lsa", "target", "--prompts", "5"], "--prompts must go with --suite"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(iclab, tmp_path, arguments, sentence):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("all of it")
    save_model(Transformer(Architecture.lsa(3, 7)), tmp_path / "lsa")
    to_hugging_face(Transformer(Architecture.gpt2(3, 3, 7)), tmp_path / "theirs")
    code, out, err = iclab("exchange", *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert (tmp_path / "full" / "thesis.tex").read_text() == "all of it"
