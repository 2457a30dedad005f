"""Figure 1 from models at hand: those that are missing are left out and named; bands tell seeds from prompts."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from iclab.report.figures import figure1 as drawn
from iclab.studies import figure1
from iclab.studies.store import Store
from iclab.training import preset, read_config, train

SIZES = {
    "dimension": 2,
    "n_train": (3, 4),
    "max_context": 6,
    "preset": "tiny",
    "overrides": {"steps": 2, "batch_size": 4, "n_evaluation": 4},
    "n_prompts": 60,
    "workers": 1,
}


def _run(folder, **changes):
    return figure1.run(store=Store(folder / "units"), runs=folder / "runs", progress=lambda *_: None, **SIZES | changes)


def test_models_at_hand_are_used_and_missing_ones_left_out_in_words_and_pictures(tmp_path):
    given = {"dimension": 2, "max_points": 7, "batch_size": 4, "n_evaluation": 4}
    train(preset("tiny", n_train=3, steps=3, **given), tmp_path / "runs" / "mine")
    train(preset("tiny", n_train=4, steps=2, covariates="exponential", **given), tmp_path / "runs" / "other")
    record = _run(tmp_path, reuse=True, train_missing=False, learned_at_n=1e-9)
    models = record.tables["models"].set_index("model")
    assert list(models.index) == ["fixedcov_N3", "randomcov_N4"]
    assert models["origin"].to_list() == [f"runs/{name} in the reproduction's folder" for name in ("mine", "other")]
    assert models["steps"].to_list() == [3, 2]
    assert not models["learned"].any()
    words = " ".join(record.facts["sentences"])
    assert "fixedcov_N3: runs/mine in the reproduction's folder, 3 steps (2)" in words
    assert "no trained model is at hand: fixedcov_N4, randomcov_N3." in words
    assert not any((tmp_path / "runs" / name).exists() for name in ("fixedcov_N4", "randomcov_N3"))
    panels, against = drawn.draw(record)
    texts = [text.get_text() for figure in (panels.figure, against.figure) for ax in figure.axes for text in ax.texts]
    assert texts.count("no model") == 2 * 4
    assert texts.count("not learned") == 2 * 4
    assert "not learned (fixedcov): N = 3" in texts
    # Only a run of the very configuration will do where nothing else is said; here that is one of them.
    strict = _run(tmp_path, reuse=False, train_missing=False)
    assert strict.tables["models"]["model"].to_list() == ["randomcov_N4"]


def test_the_command_for_a_missing_model_trains_what_was_wanted(tmp_path):
    overrides = SIZES["overrides"] | {"model": {"embedding": "stacked", "attention": "linear"}}
    words = " ".join(_run(tmp_path, train_missing=False, overrides=overrides, n_train=(3,)).facts["sentences"])
    name, options = re.search(r"`iclab train (\S+) (.*?) --directory", words).groups()
    changes = dict(option.split("=", 1) for option in options.replace("--set ", "").split())
    config = read_config({"preset": name}, {key: yaml.safe_load(value) for key, value in changes.items()})
    wanted = {"dimension": 2, "n_train": 3, "max_points": 7, "covariates": "identity"}
    assert config == preset("tiny", **wanted, **overrides)


def test_without_any_model_the_references_remain(tmp_path):
    record = _run(tmp_path, train_missing=False)
    assert set(record.tables["curves"]["predictor"]) == {"least squares"}
    assert record.tables["observations"].empty
    assert len(drawn.draw(record)) == 2


def test_what_else_differs_between_short_and_long_training_is_said(tmp_path):
    given = {"dimension": 2, "max_points": 7, "batch_size": 4, "n_evaluation": 4, "covariates": "exponential"}
    plain = {"dimensions": None, "points": None, "examples_per_dimension": None}
    train(preset("tiny", n_train=3, steps=4, curriculum=plain, **given), tmp_path / "runs" / "short")
    train(preset("tiny", n_train=4, steps=2, curriculum=plain, **given), tmp_path / "runs" / "long")
    notes = _run(tmp_path, reuse=True, train_missing=False).facts["notes"]
    # 2 steps of 5 points against 4 steps of 4.
    assert notes == {
        "Larger training contexts help": "N = 4 had 0.5 times the steps and 0.62 times the labels of N = 3: this check "
        "cannot tell N from training."
    }


def test_bands_part_seeds_from_prompts(tmp_path):
    record = _run(tmp_path, training_seeds=(0, 1, 2), n_train=(3,))
    curves, bands = record.tables["curves"], record.tables["bands"]
    at = {"panel": "4·Exp(1)", "family": "random", "position": 5}
    band = bands.loc[(bands[list(at)] == pd.Series(at)).all(axis=1)].iloc[0]
    means = curves.loc[(curves[list(at)] == pd.Series(at)).all(axis=1), "mean"].to_numpy()
    assert band["seeds"] == 3
    np.testing.assert_allclose(
        band[["mean", "lowest", "highest"]].astype(float), [means.mean(), means.min(), means.max()]
    )
    assert band["deviation"] == pytest.approx(means.std(ddof=1))
    # The seeds answer the same prompts, so averaging them leaves the error over prompts about as it was.
    single = curves.loc[(curves[list(at)] == pd.Series(at)).all(axis=1), "stderr"]
    assert single.min() * 0.9 < band["stderr"] < single.max() * 1.1
    # The page says how wide both are, and how far one model's seeds spread beside its own error over prompts.
    words = " ".join(record.facts["sentences"])
    point = ["panel", "family", "n_train", "position"]
    of_one = curves.groupby(point, as_index=False)["stderr"].mean().rename(columns={"stderr": "of_one"})
    bands = bands.merge(of_one.astype({"n_train": "int64"}), on=point, validate="one_to_one")
    trained = bands[(bands["position"] > 0) & (bands["position"] <= bands["n_train"])]
    beyond = bands[bands["position"] > bands["n_train"]]
    for said, value in (
        ("inner band is ±", lambda rows: 1.96 * rows["stderr"] / rows["mean"]),
        ("outer one", lambda rows: (rows["highest"] - rows["lowest"]) / rows["mean"]),
        ("deviation between seeds", lambda rows: rows["deviation"] / rows["of_one"]),
    ):
        assert f"{said} {value(trained).median():.2g} ({value(beyond).median():.2g})" in words
    assert "trained once for all pages that show it" in words
    assert record.tables["models"]["origin"].str.fullmatch(r"runs/\S+ in the reproduction's folder").all()
    again = _run(tmp_path, training_seeds=(0, 1, 2), n_train=(3,))
    for name, table in record.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name], check_exact=True)
