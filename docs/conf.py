"""The documentation site: ``sphinx-build -W docs site``. It needs no network."""

import importlib
import re
import sys
from importlib import metadata
from pathlib import Path

import docutils.nodes
from sphinx.pycode import ModuleAnalyzer

project = "iclab"
author = "The iclab developers"
project_copyright = author
release = metadata.version("iclab")
html_title = "iclab"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]

# Markdown: formulas between dollars, anchors for every heading.
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# The reference is made from docstrings; ``__all__`` of each room says what is public.
autosummary_ignore_module_all = False
autosummary_imported_members = True


def _filenames():
    """Classes whose name is that of a function but for its case: on many disks their pages would be one file."""
    index = (Path(__file__).parent / "reference/index.md").read_text("utf-8")
    listed = re.findall(r"^   (iclab\.[\w.]+)$", index, re.MULTILINE)
    rooms = [importlib.import_module(name) for name in listed if name.count(".") == 1]
    names = {*listed, *(f"{room.__name__}.{name}" for room in rooms for name in room.__all__)}
    lowered = [name.lower() for name in names]
    return {name: f"{name}-class" for name in names if name != name.lower() and lowered.count(name.lower()) > 1}


autosummary_filename_map = _filenames()
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
templates_path = ["_templates"]
exclude_patterns = ["_templates", "reference/generated/*.inc"]

html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "show_prev_next": True,
    "header_links_before_dropdown": 4,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["phone.css"]
# Pages beside the start page have no pages of their own to list.
html_sidebars = {"*": []}

# Formulas are MathML, made while the site is built: nothing is fetched when it is read.
html_math_renderer = "mathml"

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/",
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,  # its page would fetch scripts from the network
    "reset_modules": ("matplotlib",),
    "min_reported_time": 5,
    "abort_on_example_error": True,
    "remove_config_comments": True,
}


def _mathml(display):
    from latex2mathml.converter import convert

    def visit(translator, node):
        text = node.astext()
        if display == "block" and "\\\\" in text and "\\begin" not in text:
            text = rf"\begin{{aligned}}{text}\end{{aligned}}"
        formula = convert(text, display=display)
        translator.body.append(f'<div class="formula">{formula}</div>' if display == "block" else formula)
        raise docutils.nodes.SkipNode

    return visit, None


def _bars(app, what, name, obj, options, lines):
    """In docstrings |x| is an absolute value, not a substitution of reStructuredText."""
    lines[:] = [
        "``".join(part if i % 2 else part.replace("|", r"\|") for i, part in enumerate(line.split("``")))
        for line in lines
    ]


def _constants(app, what, name, obj, options, lines):
    """A constant is described where it is assigned, not where a subpackage exports it."""
    if what != "data":
        return
    variable = name.rpartition(".")[2]
    for module in [each for path, each in sorted(sys.modules.items()) if path.startswith("iclab.")]:
        if vars(module).get(variable) is obj:
            found = ModuleAnalyzer.for_module(module.__name__).find_attr_docs().get(("", variable))
            if found:
                lines[:] = found
                return


def setup(app):
    """Connect the three above to Sphinx."""
    app.connect("autodoc-process-docstring", _constants, priority=50)
    app.connect("autodoc-process-docstring", _bars, priority=100)
    app.add_html_math_renderer("mathml", _mathml("inline"), _mathml("block"))
