"""Every public function of theory and flow names its place in the paper, or says that it has none, and its shapes."""

import importlib
import inspect
import re

import pytest

import iclab

# Theorem 4, Lemma 9, (27), §4.2, "not in the paper": where a reader may look it up.
SOURCE = re.compile(r"Theorem|Lemma|Corollary|Definition|Assumption|Appendix|\(\d+\)|§|in the paper|the paper leaves")
ARRAYS = re.compile(r"ndarray|ArrayLike|Vector|Matri|Float64|_Array|Blocks|Times|State\b|_Values")
SHAPE = re.compile(r"shape|those of|as in", re.IGNORECASE)


def functions():
    for room in ("theory", "flow"):
        module = importlib.import_module(f"iclab.{room}")
        for name in module.__all__:
            entry = getattr(module, name)
            if inspect.isfunction(entry) and entry.__module__.startswith("iclab."):
                yield f"{room}.{name}", entry
            elif inspect.isclass(entry):
                for key, member in vars(entry).items():
                    plain = getattr(member, "__func__", member)
                    if inspect.isfunction(plain) and (key == "__call__" or not key.startswith("_")):
                        yield f"{room}.{name}.{key}", plain


FUNCTIONS = dict(functions())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_name_their_source_and_their_shapes(name):
    text = " ".join((inspect.getdoc(FUNCTIONS[name]) or "").split())
    assert SOURCE.search(text), "names neither theorem nor equation, nor says that it is not in the paper"
    if ARRAYS.search(str(inspect.signature(FUNCTIONS[name]))):
        assert SHAPE.search(text), "takes or returns arrays and gives no shape"


def public_functions():
    for room in iclab.__all__:
        module = importlib.import_module(f"iclab.{room}")
        for name in module.__all__:
            entry = getattr(module, name)
            if inspect.isfunction(entry) and entry.__module__.startswith("iclab."):
                yield f"{room}.{name}", entry


PUBLIC = dict(public_functions())


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_explained_or_said_to_be_that_of_another_function(name):
    text = inspect.getdoc(PUBLIC[name]) or ""
    unnamed = {key for key in inspect.signature(PUBLIC[name]).parameters if not key.startswith("_")}
    unnamed -= set(re.findall(r"\w+", text))
    assert not unnamed or re.search(r":func:`\w+`", text), unnamed
