"""``incontext exchange`` as a user meets it."""

import numpy as np
import pytest

from incontext.models import Architecture, Transformer, load, save_model
from incontext.prompts import Gaussian, Linear, PromptDistribution


def test_to_hugging_face_and_back_predicts_the_same(incontext, tmp_path):
    save_model(Transformer(Architecture.gpt2("tiny", 3, 7)), tmp_path / "mine")
    assert incontext("exchange", "mine", "theirs", "--to", "hugging-face")[0] == 0
    code, out, err = incontext("exchange", "theirs", "again", "--from", "hugging-face")
    assert (code, out, err) == (0, "again\n", "")
    prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(5, 7, seed=0)
    np.testing.assert_array_equal(load("mine")(prompts), load("again")(prompts))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "target"], "no such folder"),
        (["nowhere", "target", "--from", "garg"], "no such file"),
        (["nowhere", "target", "--from", "hugging-face"], "no such file"),
        (["nowhere", "full"], "must be new or empty"),
        (["nowhere", "target", "--from", "gargle"], "--from"),
        (["lsa", "target", "--to", "hugging-face"], "only a GPT-2"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(incontext, tmp_path, arguments, sentence):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("all of it")
    save_model(Transformer(Architecture.lsa(3, 7)), tmp_path / "lsa")
    code, out, err = incontext("exchange", *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert (tmp_path / "full" / "thesis.tex").read_text() == "all of it"
