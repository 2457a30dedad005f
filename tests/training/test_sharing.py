"""The card of a Hugging Face folder: its example predicts what the model does, its numbers are the run's."""

import re

import numpy as np
import pytest
import torch
import yaml

from iclab.foundations import InvalidInputError
from iclab.models import Architecture, Transformer, TransformerPredictor, load, save_model
from iclab.models.exchange import to_hugging_face
from iclab.training import preset, train
from iclab.training.card import page_of
from iclab.training.sharing import shared_texts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = preset(
        "small",
        dimension=3,
        n_train=4,
        steps=3,
        batch_size=4,
        n_evaluation=8,
        model={"width": 16, "layers": 2, "heads": 2, "positions": "learned"},
    )
    return train(config, tmp_path_factory.mktemp("runs") / "first")


def examples(page):
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def test_the_examples_on_a_card_predict_what_the_model_does(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predictor = run.predictor()
    to_hugging_face(predictor.model, "theirs", texts=shared_texts(predictor, "theirs"))
    theirs, ours = examples((tmp_path / "theirs/README.md").read_text())
    prompts = run.config.prompts.build().sample(5, 5, seed=0)
    known = {}
    exec(theirs, known)
    with torch.no_grad():
        answers = known["predict"](torch.from_numpy(prompts.xs).float(), torch.from_numpy(prompts.ys).float())
    np.testing.assert_allclose(answers, predictor(prompts), rtol=1e-4, atol=1e-5)
    exec(ours, known)
    np.testing.assert_array_equal(known["predictor"](prompts), predictor(prompts))


def test_a_run_and_its_exported_model_have_the_same_card_there(run, tmp_path):
    run.export(tmp_path / "model")
    one, other = (shared_texts(load(path), "name", "mit") for path in (run.directory, tmp_path / "model"))
    assert one == other
    _, front, page = one["README.md"].split("---\n", 2)
    assert yaml.safe_load(front) == {
        "license": "mit",
        "library_name": "transformers",
        "tags": ["in-context-learning", "iclab"],
    }
    own = page_of("name", run.config, run.card, run.predictor().model.n_parameters)
    assert page.strip().startswith(own.partition("## How to use it")[0].strip())
    assert one["metrics.jsonl"] == (run.directory / "metrics.jsonl").read_text()


def test_the_licence_of_a_shipped_model_is_that_of_the_package_and_of_others_unknown(tmp_path):
    save_model(Transformer(Architecture.gpt2(3, 3, 7)), tmp_path / "mine")
    for predictor, licence in ((load("gpt2-d20-identity"), "apache-2.0"), (load(tmp_path / "mine"), "unknown")):
        page = shared_texts(predictor, "name")["README.md"]
        assert yaml.safe_load(page.split("---\n")[1])["license"] == licence
        assert len(examples(page)) == 2


@pytest.mark.parametrize("licence", ["MIT licence", "mit\nx: 1", ""])
def test_a_licence_that_is_no_identifier_is_refused(licence):
    with pytest.raises(InvalidInputError, match="licence must be an identifier"):
        shared_texts(TransformerPredictor(Transformer(Architecture.gpt2(3, 3, 7))), "name", licence)
