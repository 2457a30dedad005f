"""``iclab flow``: what it prints is what the library says, and bad input is one sentence with exit code 2."""

import json

import numpy as np
import pandas as pd
import pytest

from iclab.cli import main
from iclab.theory import gamma


def _run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["flow", *arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def _json(capsys, *arguments):
    code, out, _ = _run(capsys, *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_limit_and_certificate(capsys, tmp_path):
    covariance = np.array([[1, 0.3, 0.1], [0.3, 0.7, -0.2], [0.1, -0.2, 0.5]])
    np.savetxt(tmp_path / "covariance.csv", covariance, delimiter=",")
    np.save(tmp_path / "theta.npy", np.array([[2.0, 1, 0], [1, 2, 1], [0, 1, 2]]))
    found = _json(
        capsys,
        *("--covariance", str(tmp_path / "covariance.csv"), "--theta", str(tmp_path / "theta.npy")),
        *("--n-train", "6", "--scale", "0.3", "--output", str(tmp_path / "out"), "--points", "50"),
    )
    assert found["limit"]["u"] == pytest.approx(1.32167033471, rel=1e-11)
    assert found["certificate"]["threshold"] == pytest.approx(0.81220252011, rel=1e-10)
    assert found["limit"]["u"] * np.array(found["limit"]["U"]) == pytest.approx(np.linalg.inv(gamma(covariance, 6)))
    table = pd.read_parquet(tmp_path / "out" / "trajectory.parquet")
    u = table[table["quantity"] == "u"].sort_values("t")
    assert len(u) == 50
    assert u["value"].iloc[0] == pytest.approx(0.3)
    excess = table[table["quantity"] == "excess"].sort_values("t")["value"]
    assert (np.diff(excess) < 0).all()
    assert (tmp_path / "out" / "flow.png").read_bytes()[:4] == b"\x89PNG"


def test_covariance_of_real_data(capsys, tmp_path):
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.standard_normal((50, 3)) @ rng.standard_normal((3, 3)), columns=["a", "b", "c"])
    data["name"] = "x"
    data.to_csv(tmp_path / "data.csv", index=False)
    found = _json(capsys, "--data", str(tmp_path / "data.csv"), "--columns", "a,c", "--n-train", "9")
    inverse = np.linalg.inv(gamma(data[["a", "c"]].cov().to_numpy(), 9))
    assert found["limit"]["u"] * np.array(found["limit"]["U"]) == pytest.approx(inverse)
    assert _json(capsys, "--data", str(tmp_path / "data.csv"), "--n-train", "9")["dimension"] == 3


@pytest.mark.parametrize(
    ("expression", "eigenvalues"),
    [
        ("power:d=4,alpha=2", [1, 1 / 4, 1 / 9, 1 / 16]),
        ("two-level:d=3,top=2,low=0.5", [1, 1, 0.5]),
        ("exponential-decay:d=3,rate=1", np.exp([0, -1, -2])),
        ("identity:d=3,scale=2", [2, 2, 2]),
    ],
)
def test_spectra(capsys, expression, eigenvalues):
    found = _json(capsys, "--covariance", expression, "--n-train", "10")
    expected = 1 / np.linalg.eigvalsh(gamma(np.diag(eigenvalues), 10))
    assert found["limit"]["eigenvalues_of_uU"] == pytest.approx(np.sort(expected)[::-1])


def test_random_covariances(capsys):
    found = _json(capsys, "--covariance", "random-exponential:d=3", "--n-train", "10", "--scale", "0.1")
    assert found["limit"]["u"] == pytest.approx(0.675131723516, rel=1e-11)
    assert found["limit"]["eigenvalues_of_uU"] == pytest.approx([2 / 7.6] * 3)


def test_starts(capsys, tmp_path):
    common = ("--covariance", "identity:d=2", "--n-train", "10")
    perturbed = _json(capsys, *common, "--scale", "0.3", "--start", "perturbed:size=0.2,seed=3")
    assert "certificate" not in perturbed
    assert perturbed["limit"]["excess_loss"] == pytest.approx(0, abs=1e-12)
    np.savez(tmp_path / "start.npz", u=1.0, U=-np.eye(2) / np.sqrt(2))
    stuck = _json(capsys, *common, "--start", str(tmp_path / "start.npz"))
    assert "saddle" in stuck["status"]
    assert stuck["time_to"]["90 %"] is None
    assert stuck["time_to"]["99 %"] is None


@pytest.mark.parametrize(("u", "U", "word"), [(1e200, np.eye(2), "unit"), (1.0, 1.0, "shape")])
def test_bad_start_files(capsys, tmp_path, u, U, word):
    np.savez(tmp_path / "start.npz", u=u, U=U)
    common = ("--covariance", "identity:d=2", "--n-train", "10")
    code, _, err = _run(capsys, *common, "--start", str(tmp_path / "start.npz"))
    assert code == 2
    assert err.count("\n") == 1
    assert word in err


def test_text(capsys):
    code, out, err = _run(capsys, "--covariance", "power:d=3", "--n-train", "8")
    assert (code, err) == (0, "")
    assert out.startswith("The flow converges to a global minimum")
    assert "below the threshold" in out
    assert "99 % at t" in out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--n-train", "5"], "--covariance"),
        (["--covariance", "pwer:d=3", "--n-train", "5"], "power"),
        (["--covariance", "power:alpha=1", "--n-train", "5"], "d"),
        (["--covariance", "power:d=3,alfa=1", "--n-train", "5"], "alpha"),
        (["--covariance", "power:d=three", "--n-train", "5"], "number"),
        (["--covariance", "missing.csv", "--n-train", "5"], "missing.csv"),
        (["--covariance", "power:d=3", "--n-train", "0"], "--n-train must be at least 1"),
        (["--covariance", "power:d=3", "--n-train", "5", "--scale", "-1"], "scale"),
        (["--covariance", "power:d=3", "--n-train", "5", "--start", "nowhere"], "--start"),
        (["--covariance", "power:d=3", "--n-train", "5", "--t-end", "0"], "t_end"),
        (["--covariance", "power:d=3", "--n-train", "five"], "n-train"),
        (["--covariance", "exponential-decay:d=3,rate=-800", "--n-train", "5"], "rate"),
        (["--covariance", "identity:d=2,scale=1e200", "--n-train", "5"], "unit"),
        (["--covariance", "identity:d=2", "--n-train", "5", "--scale", "1e-200"], "1e-40"),
        (["--covariance", "power:d=2", "--n-train", "5", "--scale", "1e-200"], "1e-40"),
        (["--covariance", "power:d=3", "--n-train", "5", "--scale", "1e100"], "unit"),
        (["--covariance", "identity:d=2", "--n-train", "5", "--start", "normal:size=1e100"], "unit"),
        (["--covariance", "identity:d=2,scale=1e-300", "--n-train", "5"], "unit"),
    ],
)
def test_bad_input(capsys, arguments, word):
    code, out, err = _run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert word in err


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("1,2\n3,4\n", "symmetric"),
        ("1,2\n2,1\n", "semi-definite"),
        ("a,b\n1,2\n", "numbers"),
        ("1,nan\nnan,1\n", "finite"),
        ("1,2,3\n4,5,6\n", "square"),
        ("0,0\n0,0\n", "covariance must not be zero"),
        ("", "empty"),
    ],
)
def test_bad_covariance_files(capsys, tmp_path, content, word):
    (tmp_path / "c.csv").write_text(content)
    code, _, err = _run(capsys, "--covariance", str(tmp_path / "c.csv"), "--n-train", "5")
    assert code == 2
    assert err.count("\n") == 1
    assert word in err


def test_a_complex_covariance_is_refused_and_not_cut_in_half(capsys, tmp_path):
    np.save(tmp_path / "c.npy", np.eye(2) * (1 + 1j))
    code, _, err = _run(capsys, "--covariance", str(tmp_path / "c.npy"), "--n-train", "5")
    assert code == 2
    assert "complex" in err


def test_a_column_named_twice_is_refused(capsys, tmp_path):
    pd.DataFrame({"a": [1.0, 2.0], "b": [0.0, 1.0]}).to_csv(tmp_path / "data.csv", index=False)
    code, _, err = _run(capsys, "--data", str(tmp_path / "data.csv"), "--columns", "a,b,a", "--n-train", "5")
    assert code == 2
    assert "once" in err


def test_the_end_of_a_start_with_a_and_b_shows_them(capsys):
    common = ("--covariance", "identity:d=2", "--n-train", "10", "--start", "normal:size=1,seed=0")
    _, out, _ = _run(capsys, *common)
    limit = _json(capsys, *common)["limit"]
    assert f"‖a‖ = {np.linalg.norm(limit['a']):.6g}" in out
    assert f"‖b‖ = {np.linalg.norm(limit['b']):.6g}" in out
