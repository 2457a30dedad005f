"""Markdown as HTML, with formulas between dollar signs as MathML, which browsers set without network."""

from __future__ import annotations

from functools import cache
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from iclab.foundations import InvalidInputError


def to_html(text: str) -> str:
    """A page's text as HTML blocks."""
    return _reader().render(text)


def to_inline(text: str) -> str:
    """A caption or a cell as HTML without paragraphs."""
    return _reader().renderInline(" ".join(text.split()))


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    return reader.use(dollarmath_plugin, renderer=_formula, allow_space=False)


def _formula(content: str, options: dict[str, Any]) -> str:
    try:
        return convert(content, display="block" if options["display_mode"] else "inline")
    except Exception as error:  # what the library raises has no class in common
        raise InvalidInputError(f"a formula must be LaTeX; ${content}$ is not ({type(error).__name__}).") from error
