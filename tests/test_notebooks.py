"""The notebooks run from top to bottom, and as marimo apps."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_as_a_marimo_app(path, tmp_path):
    """Converted as the page says: no name is defined in two cells, and every cell runs."""
    subprocess.run([sys.executable, "-m", "marimo", "-q", "convert", path, "-o", "app.py"], cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "app.py"], cwd=tmp_path, check=True, env=os.environ | {"MPLBACKEND": "agg"})


def test_there_are_three_and_none_has_stored_output():
    assert len(NOTEBOOKS) == 3
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs")
