"""``iclab evaluate`` as a user meets it."""

import json

import numpy as np
import pandas as pd
import pytest

from iclab.evaluation import error_curve
from iclab.predictors import bayes_predictor
from iclab.training import read_config, train

SMALL = ["--dimension", "3", "--points", "7", "--prompts", "64"]


def test_the_garg_suite_for_a_named_predictor(iclab, tmp_path):
    code, out, err = iclab(
        "evaluate", "ridge", "--suite", "garg", *SMALL, "--output", "table.parquet", "--figure", "curves.svg"
    )
    assert code == 0, err
    assert "random_quadrants" in (tmp_path / "curves.svg").read_text()
    assert "orthogonal_train_test" in out
    assert "scale-y=1/3" in out
    table = pd.read_parquet(tmp_path / "table.parquet")
    assert table["distribution"].nunique() == 15
    assert {"predictor", "distribution", "position", "mean", "stderr", "n", "normaliser", "zero"} <= set(table.columns)
    assert table.query("distribution == 'orthogonal_train_test'")["position"].max() == 2


def test_json_and_nearest(iclab):
    code, out, err = iclab(
        "evaluate", "least_squares", "--against", "ridge,zero", "--suite", "standard", *SMALL, "--nearest", "--json"
    )
    assert code == 0, err
    content = json.loads(out)
    errors = {(row["predictor"], row["position"]): row["mean"] for row in content["errors"]}
    assert errors["least_squares", 6] < 1e-12 < errors["zero", 6]
    assert content["nearest"][6]["closest"] == "ridge"


def test_own_python(iclab, tmp_path):
    (tmp_path / "mine_for_evaluate.py").write_text(
        "import numpy as np\n\n\ndef last_label(prompts):\n"
        "    predictions = np.zeros(prompts.ys.shape)\n"
        "    predictions[:, 1:] = prompts.ys[:, :-1]\n"
        "    return predictions\n"
    )
    code, out, err = iclab(
        "evaluate", "mine_for_evaluate:last_label", "--against", "none", "--suite", "noise=1", *SMALL
    )
    assert code == 0, err
    assert "mine_for_evaluate:last_label" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["leastsquares"], "Did you mean 'least_squares'?"),
        (["zero", "--suite", "grag"], "Did you mean 'garg'?"),
        (["zero", "--against", "rigde"], "Did you mean 'ridge'?"),
        (["zero", "--suite", "scale-x=two"], "must be given a number"),
        (["nothing_here:at_all"], "must name an importable module"),
        (["math:pi"], "cannot be called"),
        (["zero", "--figure", "curves.bmp"], "suffix must be one of"),
        (["zero", "--output", "table.svg"], "suffix must be one of"),
        (["zero", "--output", ""], "suffix must be one of"),
        (["zero", "--output", "folder.csv"], "folder.csv is a directory"),
        (["zero", "--suite", "standard", "--dimension", "1e8"], "must fit into memory"),
        (["zero", "--suite", "standard", "--dimension", "1e12"], "must fit into memory"),
        (["zero", "--suite", "scale-x=1e200"], "to 1e50"),
        (["math:sin"], "math:sin must map prompts to predictions; TypeError"),
        (["broken_module_for_evaluate:anything"], "SyntaxError"),
        (["broken_for_evaluate:predict"], "broken_for_evaluate.py, line 2)"),
        (["zero", "--prompts", "1"], "prompts must be at least 2"),
        (["zero", "--dimension", "0"], "dimension must be at least 1"),
        (["zero", "--nearest", "--against", "none"], "predictors to compare with"),
        (["zero", "--nearest", "--beyond", "-1"], "beyond must be greater"),
        (["zero", "--seed", str(2**64)], "seed must be below 2**64"),
        (["zero", "--problem", "own"], "give --problem"),
        (["zero", "--problem", "{kind: markov_chain}"], "Did you mean 'markov_chains'?"),
        (["zero", "--problem", "{kind: markov_chains, n_symbols: 2}"], "theirs are classes"),
        (["bigram", "--problem", "{kind: markov_chains, n_symbols: 2}", "--suite", "scale-x=2"], "take 'standard'"),
        (["bigram", "--problem", "{kind: markov_chains, n_symbols: 2}", "--score", "acuracy"], "Did you mean"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(iclab, arguments, sentence, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "broken_for_evaluate.py").write_text("def predict(prompts):\n    return prompts.no_such_thing\n")
    (tmp_path / "broken_module_for_evaluate.py").write_text("def predict(prompts)\n")
    code, out, err = iclab("evaluate", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_a_table_is_what_its_suffix_says(iclab, tmp_path):
    run = ("evaluate", "ridge", "--against", "none", "--suite", "standard,standard", *SMALL, "--output")
    for name in ("table.parquet", "table.csv"):
        code, _, err = iclab(*run, name)
        assert code == 0, err
    tables = (
        pd.read_parquet(tmp_path / "table.parquet"),
        pd.read_csv(tmp_path / "table.csv"),
    )
    pd.testing.assert_frame_equal(*tables, rtol=1e-12, check_dtype=False)
    assert len(tables[0]) == 7  # a shift named twice is run once


@pytest.mark.parametrize("problem", ["tokens", "vectors", "classes"])
def test_a_model_of_another_problem_is_judged_on_its_own(iclab, tmp_path, problem):
    prompts = {
        "tokens": {"kind": "markov_chains", "n_symbols": 3, "start": "uniform"},
        "vectors": {
            "covariates": {"kind": "gaussian", "dimension": 2},
            "tasks": {"kind": "vector_linear", "outputs": 2},
            "noise": 0.5,
        },
        "classes": {"kind": "gaussian_mixture", "dimension": 2, "radius": 2.0},
    }[problem]
    head, outputs, dimension = {
        "tokens": ("classes", 3, 0),
        "vectors": ("mean", 2, 2),
        "classes": ("classes", 2, 2),
    }[problem]
    model = {"dimension": dimension, "outputs": outputs, "head": head, "max_points": 9, "width": 8, "heads": 1}
    config = read_config({"prompts": prompts, "model": {**model, "layers": 1}, "n_train": 8, "steps": 1})
    law = config.prompts.build()
    train(config, tmp_path / "run")
    code, out, err = iclab("evaluate", "run", "--prompts", "32", "--json", "--figure", "curves.png")
    assert code == 0, err
    content = json.loads(out)
    found = {(row["predictor"], row["position"]): row["mean"] for row in content["errors"]}
    # Positions as trained, the floor as the library computes it, and nobody below it but by chance.
    assert max(position for _, position in found) == 8
    floor = error_curve(bayes_predictor(law), law, 9, n_prompts=32, seed=0).mean
    np.testing.assert_allclose([found["bayes", i] for i in range(9)], floor, rtol=1e-12)
    assert found["run", 8] > floor[8]
    assert content["score"] == ("squared_error" if problem == "vectors" else "cross_entropy")
    assert (tmp_path / "curves.png").stat().st_size > 0
    code, out, err = iclab("evaluate", "run", "--prompts", "32", "--against", "bayes", "--nearest")
    assert code == 0, err
    assert "behaves like" in out


def test_a_shift_that_prompts_cannot_have_is_refused_before_any_work(iclab):
    law = "{covariates: {kind: gaussian, dimension: 2}, tasks: {kind: binary, tasks: {kind: linear}}}"
    code, out, err = iclab("evaluate", "logistic_regression", "--problem", law, "--suite", "standard,scale-y=2")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "labels that are numbers" in err


def test_a_sequence_whose_first_label_is_0_has_a_nearest_algorithm(iclab):
    law = ("--problem", "{kind: linear_dynamics, size: 2}", "--points", "5", "--prompts", "16")
    code, out, err = iclab("evaluate", "bayes", *law, "--against", "zero,least_squares", "--nearest", "--json")
    assert code == 0, err
    assert json.loads(out)["nearest"][-1]["nearest"] == "least_squares"


def test_own_python_on_a_problem_of_classes(iclab, tmp_path):
    (tmp_path / "uniform_for_evaluate.py").write_text(
        "import numpy as np\n\n\ndef uniform(prompts):\n"
        "    return np.full((*prompts.ys.shape, prompts.n_classes), 1 / prompts.n_classes)\n\n\n"
        "def numbers(prompts):\n    return np.zeros(prompts.ys.shape)\n"
    )
    law = ("--problem", "{kind: markov_chains, n_symbols: 4}", "--points", "4", "--prompts", "8", "--against", "none")
    code, out, err = iclab("evaluate", "uniform_for_evaluate:uniform", *law, "--json")
    assert code == 0, err
    np.testing.assert_allclose([row["mean"] for row in json.loads(out)["errors"]], np.log(4), rtol=1e-12)
    code, _, err = iclab("evaluate", "uniform_for_evaluate:numbers", *law)
    assert code == 2
    assert "shape (8, 4, 4); shape (8, 4) was returned (uniform_for_evaluate.py, line 8)" in err


def test_a_problem_of_the_command_line_and_of_a_file(iclab, tmp_path):
    law = "{kind: markov_chains, n_symbols: 2, start: uniform}"
    (tmp_path / "law.yaml").write_text(f"prompts: {law}\n")
    said = [
        iclab(
            "evaluate", "bigram", "--problem", each, "--points", "4", "--prompts", "8", "--score", "accuracy", "--json"
        )
        for each in (law, "law.yaml")
    ]
    assert said[0] == said[1]
    rows = json.loads(said[0][1])["errors"]
    # Before any label every symbol is as likely.
    assert {row["mean"] for row in rows if row["position"] == 0} == {0.5}
