"""YAML as its core schema reads it, and what is refused before it costs anything."""

import pytest

from iclab.foundations import InvalidInputError
from iclab.foundations.documents import parse_yaml, read_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e6", 1e6),
        ("-.5e-3", -0.0005),
        ("0e9", 0.0),
        ("'12'", "12"),
        ("1_000", "1_000"),
        ("2001-02-03", "2001-02-03"),
        ("~", None),
        ("True", True),
        ("{a: &b {c: 1, d: 2}, e: {<<: *b, d: 3}}", {"a": {"c": 1, "d": 2}, "e": {"c": 1, "d": 3}}),
        ("{<<: [{a: 1}, {a: 2, b: 3}]}", {"a": 1, "b": 3}),
    ],
)
def test_the_core_schema(text, value):
    found = parse_yaml(text, "a value")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1e400", "double precision"),
        ("1e-400", "double precision"),
        ("1" + "0" * 5000, "300 digits"),
        ("!!int foo", "no tags"),
        ("!!python/object/apply:os.system [ls]", "no tags"),
        ("!!timestamp 2001-01-01", "no tags"),
        ("{? [a] : b}", "strings as keys"),
        ("{{ template }}", "strings as keys"),
        ("{1: a}", "strings as keys"),
        ("{a: 1, a: 2}", "given twice"),
        ("&x {a: *x}", "contain itself"),
        ("[" * 500, "at most 60 levels"),
        ("[" * 200_000, "at most 60 levels"),
        ("\n".join(["- &a0 []", *(f"- &a{i} [*a{i - 1}]" for i in range(1, 9000))]), "levels|values"),
        ("\n".join(["- &a0 [1,1,1]", *(f"- &a{i} [*a{i - 1},*a{i - 1}]" for i in range(1, 60))]), "200000 values"),
        ("a: b: c", "readable YAML"),
        ("a: 1\n---\nb: 2", "readable YAML"),
        ("a: \x00", "readable YAML"),
        ("a: \ud800", "readable YAML"),
        ("x" * (1 << 21), "bytes"),
    ],
)
def test_what_is_refused_is_refused_at_once(soon, text, sentence):
    with soon(), pytest.raises(InvalidInputError, match=sentence) as error:
        parse_yaml(text, "a value")
    assert "\n" not in str(error.value)


def test_devices_and_pipes_are_not_read(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(InvalidInputError):
            read_text(path)
