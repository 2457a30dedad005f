"""The documentation site builds without warnings, and its reference has every public name."""

import importlib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parents[1]
INDEX = (ROOT / "docs/reference/index.md").read_text("utf-8")
LISTED = [line.strip() for line in INDEX.splitlines() if line.strip().startswith("iclab.")]
ROOMS = [name for name in LISTED if name.count(".") == 1]


def test_the_reference_lists_every_room():
    import iclab

    public = {f"iclab.{name}" for name in iclab.__all__} | {"iclab.foundations"}
    assert set(ROOMS) == public


def test_the_reference_has_every_name_that_pages_and_examples_import():
    folders = [ROOT / "docs", ROOT / "examples", ROOT / "src/iclab/studies/example"]
    files = [ROOT / "README.md"] + [
        path for folder in folders for suffix in ("md", "py", "ipynb") for path in folder.rglob(f"*.{suffix}")
    ]
    public = {id(getattr(importlib.import_module(room), name)) for room in ROOMS for name in public_names(room)}
    imported = {
        (module, name)
        for path in files
        for module, names in re.findall(r"from (iclab\.[\w.]+) import ([\w, ]+)", path.read_text("utf-8"))
        for name in re.findall(r"\w+", names)
    }
    assert len(imported) > 50
    missing = [
        f"{module}.{name}"
        for module, name in sorted(imported)
        if f"{module}.{name}" not in LISTED and id(getattr(importlib.import_module(module), name)) not in public
    ]
    assert missing == []


def public_names(room):
    return importlib.import_module(room).__all__


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_says_what_it_is(room):
    """The reference is made from docstrings: none may be missing, nor be that of what it is made with."""
    module = importlib.import_module(room)
    for name in module.__all__:
        entry = getattr(module, name)
        if callable(entry) and entry.__module__.startswith("iclab."):
            assert vars(entry).get("__doc__") if isinstance(entry, type) else entry.__doc__, f"{room}.{name}"
        else:  # a constant or an alias: described below the line that assigns it
            homes = [path for path, each in sys.modules.items() if path.startswith(room) and name in vars(each)]
            assert any(("", name) in ModuleAnalyzer.for_module(path).find_attr_docs() for path in homes), name


def test_the_paper_in_ten_figures_shows_scripts_of_the_gallery_with_their_pictures():
    page = (ROOT / "docs/paper.md").read_text("utf-8")
    scripts = re.findall(r"literalinclude} ../examples/gallery/plot_(\w+)\.py", page)
    assert len(set(scripts)) == len(scripts) == 10
    assert scripts == re.findall(r"image} gallery/images/sphx_glr_plot_(\w+)_001\.png", page)
    for script in scripts:
        assert (ROOT / f"examples/gallery/plot_{script}.py").is_file()


def test_pages_of_names_that_differ_in_case_only_are_different_files_on_any_disk():
    files = runpy.run_path(str(ROOT / "docs/conf.py"))["autosummary_filename_map"]
    names = {*LISTED, *(f"{room}.{name}" for room in ROOMS for name in public_names(room))}
    assert len({name.casefold() for name in names}) < len(names)
    assert len({files.get(name, name).casefold() for name in names}) == len(names)


@pytest.mark.slow
def test_the_site_builds_and_has_every_public_name(tmp_path):
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", ROOT / "docs", tmp_path / "site"], check=True)
    inventory = InventoryFile.loads((tmp_path / "site/objects.inv").read_bytes(), uri="")
    known = {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}
    for room in ROOMS:
        assert {f"{room}.{name}" for name in public_names(room)} <= known
    assert set(LISTED) <= known
    pages = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert len({page.casefold() for page in pages}) == len(pages)
