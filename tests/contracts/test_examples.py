"""The names that are used most have an example in their docstring; ``--doctest-modules`` runs it."""

import ast
import doctest
import importlib
import inspect
import json
import re
from collections import Counter
from pathlib import Path

import iclab

ROOT = Path(__file__).parents[2]
MOST = 40


def programs():
    """Python that a reader sees: README, pages, notebooks, examples; other fragments of pages are skipped."""
    parser = doctest.DocTestParser()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text("utf-8")
        yield "".join(example.source for example in parser.get_examples(text))
        yield from (block for block in re.findall(r"^```python\n(.*?)^```", text, re.S | re.M) if ">>>" not in block)
    for path in (ROOT / "examples").rglob("*.py"):
        yield path.read_text("utf-8")
    for path in (ROOT / "docs/notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        yield "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def uses():
    """How often each name that is imported from a room is used."""
    counts = Counter()
    for program in programs():
        try:
            nodes = list(ast.walk(ast.parse(program)))
        except SyntaxError:  # a fragment
            continue
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        homes = {name.asname or name.name: (node.module, name.name) for node in imports for name in node.names}
        counts.update(homes[node.id] for node in nodes if isinstance(node, ast.Name) and node.id in homes)
    return counts


def test_every_one_of_the_names_used_most_has_an_example():
    rooms = {room: importlib.import_module(room) for room in (f"iclab.{name}" for name in iclab.__all__)}
    public = {
        (room, name): getattr(module, name)
        for room, module in rooms.items()
        for name in getattr(module, "__all__", ())
        if callable(getattr(module, name))
    }
    counts = Counter({name: count for name, count in uses().items() if name in public})
    least = counts.most_common(MOST)[-1][1]
    for name, count in counts.items():
        if count >= least:
            text = inspect.getdoc(public[name]) or ""
            section = re.search(r"^Examples\n-+\n(.*)", text, re.S | re.M)
            assert section, f"{'.'.join(name)}, used {count} times, has no example"
            assert doctest.DocTestParser().get_examples(section[1]), ".".join(name)
    assert sum(count >= least for count in counts.values()) >= MOST
