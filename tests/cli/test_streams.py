"""What is lost when a reader has gone, a stream is closed, a locale lacks a sign: nothing but what nobody can read."""

import json
import os
import subprocess
import sys

import pytest

FLOW = "flow --n-train 5 --covariance identity:d=2"
TRAIN = (
    "train tiny --set dimension=2 --set n_train=4 --set steps=60 --set model.width=16 --set model.layers=1 "
    "--set n_evaluation=8 --set batch_size=4 --directory run"
)


def shell(command, tmp_path, **environment):
    """The command with ``iclab`` in place of @: (exit code of it, stdout)."""
    line = command.replace("@", f"{sys.executable} -m iclab")
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=tmp_path,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        check=False,
    )
    return result.returncode, result.stdout.decode("utf-8", errors="replace"), result.stderr.decode(errors="replace")


def test_a_reader_of_progress_that_goes_stops_no_training(tmp_path):
    shell(f"(@ {TRAIN} 2>&1; echo $? > code) | head -1", tmp_path)
    assert (tmp_path / "code").read_text() == "0\n"
    assert (tmp_path / "run" / "checkpoints" / "60").is_dir()


def test_the_exit_code_is_that_of_the_work_and_not_of_its_reader(tmp_path):
    code, _, _ = shell("@ evaluate zero --suite standard --prompts 4 --against none --output t.csv | true", tmp_path)
    assert code == 0
    assert (tmp_path / "t.csv").exists()
    assert shell("@ flow --n-train 0 --covariance identity:d=2 2>&1 | true", tmp_path)[0] == 2


def test_closed_streams(tmp_path):
    """JSON is ASCII, and so the same in every encoding."""
    code, out, _ = shell(f"@ {FLOW} --json 2>&-", tmp_path, PYTHONIOENCODING="ascii")
    assert code == 0
    assert out.isascii()
    assert json.loads(out)["dimension"] == 2
    code, _, err = shell(f"@ {FLOW} --output out >&-", tmp_path)
    assert (code, "not shown" in err) == (0, True)
    assert (tmp_path / "out" / "trajectory.parquet").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_result_that_a_full_disk_does_not_take_is_an_error(tmp_path):
    code, _, err = shell(f"@ {FLOW} > /dev/full", tmp_path)
    assert code == 2
    assert "No space left" in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", pytest.param("utf-8", marks=pytest.mark.slow)])
def test_every_encoding_shows_the_result(tmp_path, encoding):
    code, out, err = shell(f"@ {FLOW}", tmp_path, PYTHONIOENCODING=encoding)
    assert (code, "limit" in out) == (0, True), err


@pytest.mark.parametrize(
    "backend", ["no_such_backend", pytest.param("module://matplotlib_inline.backend_inline", marks=pytest.mark.slow)]
)
def test_nothing_of_a_users_matplotlib_matters(tmp_path, iclab, backend):
    (tmp_path / "matplotlibrc").write_text(
        "text.usetex: True\nfont.family: No Such Font\nsvg.fonttype: none\naxes.facecolor: red\n"
    )
    draw = "evaluate least_squares --suite standard --prompts 8 --dimension 2 --against none --figure"
    assert iclab(*draw.split(), "usual.svg")[0] == 0
    code, out, err = shell(f"@ {draw} c.svg", tmp_path, MPLCONFIGDIR=str(tmp_path), MPLBACKEND=backend)
    assert (code, "least_squares" in out) == (0, True), err
    ours, theirs = ((tmp_path / name).read_text() for name in ("c.svg", "usual.svg"))
    assert ours.split("</metadata>")[-1] == theirs.split("</metadata>")[-1]


def test_home_is_understood_where_shells_do_not_see_it(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code, _, err = shell(
        "@ evaluate zero --suite standard --prompts 4 --against none --output=~/t.csv", tmp_path, HOME=str(home)
    )
    assert code == 0, err
    assert (home / "t.csv").exists()


def test_names_with_signs_that_a_terminal_obeys_are_shown_without_them(tmp_path, iclab):
    """In results as in messages; the folder has the name that it was given."""
    name = "a\x1b[31m\nb"
    code, out, err = iclab(*TRAIN.replace("--directory run", "").split(), "--directory", name)
    assert code == 0, err
    assert (tmp_path / name).is_dir()
    for arguments in (("exchange", name, f"{name}c"), ("train", "--directory", name, "--resume")):
        code, more, said = iclab(*arguments)
        assert code == 0, said
        out, err = out + more, err + said
    assert "a\ufffd[31m\ufffdb: 60 steps" in out
    assert "\x1b" not in out + err
