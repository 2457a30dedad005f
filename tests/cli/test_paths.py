"""``~`` is the home folder in every argument of every command, where shells leave it alone too."""

import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

from iclab.cli import _at_home, app

# Arguments that are names, or lists of them.
NAMES = ["over", "set_", "only", "evaluate", "beside", "profile", "from_", "to", "suite", "score", "log", "effort"]
REQUIRED = {"n_train": "5", "over": "seed=0..1", "name": "positions"}


def commands(found=app, path=()):
    """Every command that does something, as the words that call it, and its function."""
    for name in found:
        if name.startswith("-"):
            continue
        inner = found[name]
        if inner.default_command is not None:
            yield (*path, name), inner.default_command
        if len([each for each in inner if not each.startswith("-")]):
            yield from commands(inner, (*path, name))


def holds_a_path(hint):
    return Path in (hint, *getattr(hint, "__args__", ())) or str in (hint, *getattr(hint, "__args__", ()))


def places():
    """Every argument that takes a path, or a word that may be one."""
    for words, function in commands():
        hints = get_type_hints(function)
        for name, parameter in inspect.signature(function).parameters.items():
            if name in (
                "over",
                "set_",
                "only",
                "evaluate",
                "beside",
                "profile",
                "from_",
                "to",
                "suite",
                "score",
                "log",
                "effort",
            ):
                continue  # lists of names
            if holds_a_path(hints[name]):
                yield pytest.param(words, function, parameter, id=f"{'-'.join(words)}-{name}")


@pytest.mark.parametrize(("words", "function", "asked"), list(places()))
def test_a_tilde_is_the_home_folder(words, function, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    parameters = inspect.signature(function).parameters.values()
    positional = [each for each in parameters if each.kind is not each.KEYWORD_ONLY]
    given = {each.name: REQUIRED.get(each.name, "x") for each in parameters if each.default is each.empty}
    for form in ("joined", "apart") if asked not in positional else ("alone",):
        tokens = [*words]
        for each in positional:
            if each == asked:
                tokens.append("~/runs/mine")
            elif each.name in given:
                tokens.append(given[each.name])
        for each in parameters:
            option = f"--{each.name.strip('_').replace('_', '-')}"
            if each == asked and each not in positional:
                tokens += [f"{option}=~/runs/mine"] if form == "joined" else [option, "~/runs/mine"]
            elif each not in positional and each.name in given:
                tokens += [option, given[each.name]]
        _, bound, _ = app.parse_args([_at_home(each) for each in tokens], exit_on_error=False, print_error=False)
        assert Path(bound.arguments[asked.name]) == tmp_path / "runs" / "mine", tokens


def test_there_are_many_such_places():
    assert len(list(places())) > 25
