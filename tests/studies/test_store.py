"""A unit is computed once, anew when its code or arguments change, and never read from a damaged file."""

import dataclasses
import importlib
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iclab.foundations import InvalidInputError
from iclab.predictors import Averaging, LeastSquares, Ridge
from iclab.prompts import Gaussian
from iclab.studies import code
from iclab.studies.folder import load_package
from iclab.studies.lab import Lab
from iclab.studies.store import Store, Unit, several


def double(value, predictor=None):
    return pd.DataFrame({"double": np.atleast_1d(np.asarray(value, float)) * 2})


def both():
    return several({"a": pd.DataFrame({"x": [1.0]}), "b": pd.DataFrame({"y": [2.0, 3.0]})})


def test_what_is_kept_is_what_was_computed(tmp_path):
    store, unit = Store(tmp_path), Unit(double, {"value": 0.1})
    assert store.find(unit) is None
    store.keep(unit, unit.compute())
    pd.testing.assert_frame_equal(store.find(unit), unit.compute(), check_exact=True)
    assert Store(tmp_path).find(Unit(double, {"value": 0.2})) is None


@pytest.mark.parametrize("position", np.linspace(0, 0.999, 40))
def test_a_flipped_bit_makes_a_unit_unfinished(tmp_path, position):
    store, unit = Store(tmp_path), Unit(double, {"value": list(range(50))})
    store.keep(unit, unit.compute())
    [path] = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << int(position * 8)
    path.write_bytes(content)
    assert store.find(unit) is None
    assert not path.exists()


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3))
arguments = st.dictionaries(
    st.text(min_size=1, max_size=3), st.one_of(values, st.lists(values, max_size=3)), max_size=3
)


@settings(max_examples=40)
@given(arguments, arguments)
def test_keys_are_equal_exactly_when_arguments_are(one, other):
    def spelled(given):
        return sorted((key, repr(value)) for key, value in given.items())

    assert (Unit(double, one).key == Unit(double, other).key) == (spelled(one) == spelled(other))


def test_predictors_and_distributions_are_arguments():
    keys = [
        Unit(double, {"value": 1, "predictor": each}).key
        for each in (
            LeastSquares(),
            Ridge(1.0),
            Ridge(2.0),
            Averaging(),
            Gaussian.isotropic(2),
            Gaussian.isotropic(3),
            Ridge,
        )
    ]
    assert len(set(keys)) == len(keys)
    assert Unit(double, {"value": 1, "predictor": Ridge(1.0)}).key == keys[1]


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        (lambda: None, {}, "must be found by its name in its module"),
        (double, {"value": object()}, "must be a plain value, a dataclass or have an identity"),
    ],
)
def test_a_unit_that_has_no_key_is_refused(function, arguments, reason):
    with pytest.raises(InvalidInputError, match=reason):
        _ = Unit(function, arguments).key


def test_tables_of_units_are_joined_with_what_tells_them_apart(tmp_path):
    """A unit of several tables, and units of one each, whose columns are no part of their keys."""
    lab = Lab(tmp_path, lambda *_: None)
    units = [Unit(double, {"value": [v]}, columns={"v": v}, table="doubles") for v in (1, 2)]
    assert lab.rows(units).to_dict("list") == {"double": [2.0, 4.0], "v": [1, 2]}
    tables = lab.named_tables([*units, Unit(both, {}, columns={"of": "both"})])
    assert tables["doubles"].to_dict("list") == {"double": [2.0, 4.0], "v": [1, 2]}
    assert tables["a"].to_dict("list") == {"x": [1.0], "of": ["both"]}
    assert tables["b"].to_dict("list") == {"y": [2.0, 3.0], "of": ["both", "both"]}
    assert Unit(double, {"value": [1]}).key == units[0].key


def _changed(monkeypatch, module):
    """As if the code of one module of the package were another."""
    read = code._read

    def other(name, path, changed):
        source = read(name, path, changed)
        return dataclasses.replace(source, digest="other") if name == module else source

    monkeypatch.setattr(code, "_read", other)


def test_an_edited_predictor_voids_the_units_that_use_it_alone(monkeypatch):
    def keys():
        return [Unit(double, {"value": 1, "predictor": each}).key for each in (LeastSquares(), Averaging(), None)]

    before = keys()
    _changed(monkeypatch, "iclab.predictors.least_squares")
    least_squares, averaging, none = keys()
    assert least_squares != before[0]
    assert [averaging, none] == before[1:]
    _changed(monkeypatch, "iclab.predictors.base")  # which both import
    assert keys()[1] != before[1]


def test_carriers_of_work_void_nothing(monkeypatch):
    before = code.digest_of("iclab.studies.positions.measure")
    for name in ("lab", "executors", "runner"):
        _changed(monkeypatch, f"iclab.studies.{name}")
    assert code.digest_of("iclab.studies.positions.measure") == before


@pytest.mark.parametrize(
    ("old", "new", "voids"),
    [
        ("FACTOR = 1.0", "FACTOR = 1.5", True),
        ("errors.mean()", "errors.mean() + 1", True),
        ("def error(predictor", "# a comment\ndef error(predictor", False),
        ("def other(n_prompts):", 'def other(n_prompts):\n    """What it is."""', False),
    ],
)
def test_an_edited_measuring_module_voids_its_units_and_an_edited_comment_none(own_study, old, new, voids):
    folder = own_study()
    package = load_package(folder)

    def key():
        sys.modules.pop(f"{package}.measure", None)
        importlib.invalidate_caches()
        module = importlib.import_module(f"{package}.measure")
        return Unit(module.error, {"predictor": Averaging(), "length": 2, "n_prompts": 5}).key

    before, text = key(), (folder / "measure.py").read_text()
    assert old in text
    (folder / "measure.py").write_text(text.replace(old, new))
    assert (key() != before) == voids


def test_only_what_a_function_uses_is_its_code():
    used = code._source("iclab.studies.positions.measure").imported("errors_of")
    assert "iclab.predictors.least_squares" in used
    assert "iclab.training.presets" not in used
