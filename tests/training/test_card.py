"""An exported run: the same predictions, and a card whose every number is the run's."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from iclab.estimators import InContextRegressor
from iclab.evaluation import error_curve
from iclab.foundations import InvalidInputError, plus_minus
from iclab.models import load
from iclab.predictors import Ridge, registry
from iclab.training import Run, read_config, train
from iclab.training.card import OWN_LAW, judge


@pytest.fixture
def run(config, tmp_path):
    return train(config, tmp_path / "run")


@pytest.fixture
def shipped(run, tmp_path, monkeypatch):
    """The run's model as if it came with the package."""
    monkeypatch.setattr(registry, "files", lambda _: tmp_path / "package")
    run.export(tmp_path / "package" / "models" / "shipped" / "linear-3")
    return "linear-3"


def rows(text):
    """Cells of the table rows of a page."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_an_exported_model_predicts_the_same_and_says_how_it_was_trained(config, run, tmp_path):
    run.export(tmp_path / "model")
    prompts = config.prompts.build().sample(5, 7, seed=0)
    np.testing.assert_array_equal(load(tmp_path / "model")(prompts), run.predictor()(prompts))
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert (card["steps"], card["targets"], card["evaluation"]["step"]) == (40, "posterior_mean", 40)
    assert card["seconds"] > 0
    assert read_config(card["config"]) == run.config == read_config(tmp_path / "model" / "config.yaml")
    assert run.config.filled_from(config) == config.filled_from(run.config) == run.config
    assert Run.open(tmp_path / "model").metrics == run.metrics
    page = (tmp_path / "model" / "README.md").read_text()
    assert page.startswith("# model\n")
    assert "Fitted to Rao-Blackwell targets" in page
    assert "40 steps of 8 prompts (320 prompts), seed 0" in page
    errors = [[float(cell) for cell in row] for row in rows(page)[2:]]
    expected = run.evaluations()
    last = expected[expected["step"] == 40]
    assert [row[0] for row in errors] == list(range(7))
    np.testing.assert_allclose([row[1:3] for row in errors], last[["mean", "stderr"]] / 3, rtol=5e-3)


def test_a_card_says_whose_weights_a_training_began_from(config, run, tmp_path):
    again = train(config.with_(init_from=str(run.directory)), tmp_path / "again")
    for each, named in ((run, False), (again, True)):
        each.export(tmp_path / f"model-{named}")
        assert (str(run.directory) in (tmp_path / f"model-{named}" / "README.md").read_text()) is named
    both = train(config.with_(init_from=(str(run.directory), str(again.directory))), tmp_path / "both")
    both.export(tmp_path / "model-of-both")
    page = (tmp_path / "model-of-both" / "README.md").read_text()
    assert f"the mean of those of `{run.directory}` and `{again.directory}`" in page


def test_half_precision_is_half_the_size_and_what_was_judged(config, run, tmp_path):
    run.export(tmp_path / "whole")
    run.export(tmp_path / "half", half=True)
    sizes = [
        sum(v.nbytes for v in load_file(tmp_path / name / "model.safetensors").values()) for name in ("whole", "half")
    ]
    assert sizes[0] == 2 * sizes[1]
    prompts = config.prompts.build().sample(50, 7, seed=0)
    half = load(tmp_path / "half")(prompts)
    np.testing.assert_array_equal(half, run.predictor(half=True)(prompts))
    # Weights are rounded to 11 bits.
    whole = run.predictor()(prompts)
    assert 0 < np.abs(half - whole).max() < 2**-8 * np.abs(whole).max()


def test_a_card_shows_an_evaluation_of_the_runs_own_law_and_of_shifts(config, run, tmp_path):
    table = judge(run.predictor(), run.config, "garg", n_prompts=32)
    run.export(tmp_path / "model", table)
    own = table[(table["distribution"] == OWN_LAW) & (table["predictor"] == "model")]
    curve = error_curve(run.predictor(), config.prompts.build(), 7, n_prompts=32, seed=0)
    np.testing.assert_allclose(own["mean"], curve.mean)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "model" / "evaluation.csv"), table, check_dtype=False)
    shown = {row[0]: row for row in rows((tmp_path / "model" / "README.md").read_text()) if row[1] == "6"}
    expected = table[(table["position"] == 6) & (table["predictor"] == "model")].set_index("distribution")
    for name in set(expected.index) - {OWN_LAW}:
        mean, bar = expected.loc[name, ["mean", "stderr"]] / 3
        assert shown[name][2] == plus_minus(mean, bar)


def test_a_card_of_noisy_prompts_shows_what_bayes_does_there(config, tmp_path):
    noisy = train(replace(config, prompts=replace(config.prompts, noise=0.5)), tmp_path / "run")
    noisy.export(tmp_path / "model", judge(noisy.predictor(), noisy.config, "garg", n_prompts=32))
    shown = rows((tmp_path / "model" / "README.md").read_text())
    assert shown[0] == ["examples", "model", "standard error", "least squares", "ridge"]
    bayes = error_curve(Ridge(0.25), noisy.config.prompts.build(), 7, n_prompts=32, seed=0).mean / 3
    np.testing.assert_allclose([float(row[4]) for row in shown[2:9]], bayes, rtol=5e-3)


def test_a_shipped_model_loads_by_name_everywhere(config, run, shipped):
    prompts = config.prompts.build().sample(5, 7, seed=0)
    np.testing.assert_array_equal(load(shipped)(prompts), run.predictor()(prompts))
    assert load(shipped).n_train == load(run.directory).n_train == config.n_train
    X, y = prompts.xs[0, :6], prompts.ys[0, :6]
    regressor = InContextRegressor(model=shipped, standardize=False).fit(X, y)
    answer = run.predictor()(prompts)[0, 6]
    np.testing.assert_allclose(regressor.predict(prompts.xs[:1, 6])[0], answer, rtol=1e-5)
    for call in (load, lambda name: InContextRegressor(model=name).fit(X, y)):
        with pytest.raises(InvalidInputError, match="Did you mean 'linear-3'"):
            call("linear-33")


def test_a_saved_model_is_no_folder_to_train_in(config, run, tmp_path):
    run.export(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="holds a saved model"):
        train(config, tmp_path / "model")


def test_the_example_on_a_card_runs(run, shipped, tmp_path):
    page = (tmp_path / "package" / "models" / "shipped" / shipped / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    known = {}
    exec("\n".join(line[4:] for line in code.splitlines() if line.startswith(">>> ")), known)
    assert known["predictor"].architecture.dimension == 3
