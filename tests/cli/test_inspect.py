"""``iclab inspect`` writes a page that needs nothing else, for any model, and refuses what has no inside."""

import re

import pandas as pd
import pytest

from iclab.cli import main
from iclab.models import Architecture, Transformer, save_model

pytestmark = pytest.mark.usefixtures("svg_alone")


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["inspect", *map(str, arguments)])
    return ended.value.code


@pytest.fixture
def folder(tmp_path):
    model = Transformer(Architecture.lsa(2, 6), seed=0)
    model.n_train = 5
    save_model(model, tmp_path / "layer")
    return tmp_path / "layer"


def test_a_page_of_a_layer_of_linear_self_attention(folder, tmp_path, capsys):
    assert run(folder, "--directory", tmp_path / "pages", "--prompts", 60) == 0
    said = capsys.readouterr()
    page = tmp_path / "pages" / "layer.html"
    assert said.out == f"{page}\n"
    assert "ablations" in said.err
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="https?:', text)
    images = re.findall(r'<img[^>]*src="([^"]*)"', text)
    assert len(images) == 6
    assert all(image.startswith("data:image/svg+xml;base64,") for image in images)
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "pages" / "layer").glob("*.csv")}
    assert {"errors", "shares", "readouts", "probes", "importance", "critical", "learner", "descent"} <= tables.keys()
    # Its one head is all that it predicts with: without it (mean 0 over prompts) the error is that of zero, nearly.
    errors = tables["errors"].set_index(["predictor", "position"])["mean"]
    without = tables["importance"].query("position == 5")["after"].item()
    assert abs(without / errors["zero", 5] - 1) < 0.5
    assert list(tables["learner"]["explained"] > 1 - 1e-9) == [True] * 5


def test_what_has_no_inside_is_refused_in_one_sentence(folder, tmp_path, capsys):
    refused = {
        "closed form": ["least_squares"],
        "no such folder": ["gpt2-d20-identit"],
        "at least 2": [folder, "--points", 1],
        "at least 12": [folder, "--prompts", 3],
        "at least 0": [folder, "--seed", "-1"],
    }
    for sentence, arguments in refused.items():
        assert run(*arguments, "--directory", tmp_path / "none") == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1
