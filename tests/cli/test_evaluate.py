"""``iclab evaluate`` as a user meets it."""

import json

import pandas as pd
import pytest

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
