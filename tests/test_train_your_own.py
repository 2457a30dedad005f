"""docs/train-your-own.md, followed literally: its files are written, its commands run in order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from iclab.models import load
from iclab.training import Run

PAGE = Path(__file__).parents[1] / "docs" / "train-your-own.md"


def blocks():
    """Language and content of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_every_block_is_a_file_commands_an_example_or_left_to_the_reader():
    kinds = [
        language if language in ("sh", "text") else "example" if body.startswith(">>>") else "file"
        for language, body in blocks()
    ]
    assert set(kinds) == {"sh", "text", "example", "file"}
    assert kinds.count("file") == len([body for _, body in blocks() if re.match(r"# \w+\.(yaml|py)\n", body)]) == 2
    commands = "".join(body for language, body in blocks() if language == "sh")
    for verb in ("train", "evaluate", "exchange", "torch.distributed.run", "--resume", "--check", "--curve"):
        assert verb in commands


@pytest.mark.slow
def test_the_page_followed_literally(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for language, body in blocks():
        name = re.match(r"# (\w+\.(?:yaml|py))\n", body)
        if name:
            (tmp_path / name[1]).write_text(body)
        elif language == "sh":
            for command in body.strip().splitlines():
                done = subprocess.run(
                    ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{command}\n{done.stderr}"
                assert "Traceback" not in done.stderr, command
    assert load(tmp_path / "models" / "linear-3").architecture.positions == "rotary"
    assert Run.open(tmp_path / "runs" / "killed").finished
    assert Run.open(tmp_path / "runs" / "two").finished
