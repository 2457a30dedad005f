"""The Dockerfile copies files that exist, installs extras that exist, and starts a command that the package has."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from iclab.cli import app

ROOT = Path(__file__).parents[1]
LINES = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if line and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
COPIED = {source for line in LINES if line.startswith("COPY ") for source in line.split()[1:-1]}
KNOWN = {"FROM", "ARG", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "ENTRYPOINT", "CMD"}


def argument(instruction):
    (found,) = (line.removeprefix(instruction).strip() for line in LINES if line.startswith(f"{instruction} "))
    return found


def test_every_line_is_an_instruction():
    assert {line.split()[0] for line in LINES} <= KNOWN
    assert LINES[0].startswith("FROM ")


def test_what_is_copied_exists_and_is_all_that_an_installation_reads():
    assert all((ROOT / source).exists() for source in COPIED)
    assert {"pyproject.toml", "src", PROJECT["readme"], *PROJECT["license-files"]} <= COPIED


def test_the_context_holds_what_is_copied_and_nothing_else():
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == COPIED


def test_what_is_installed_exists():
    (line,) = (line for line in LINES if "pip install" in line)
    words = shlex.split(line)
    assert words[words.index("-c") + 1] in COPIED
    extras = re.fullmatch(r"\.\[(.*)\]", words[-1])[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    used = set(re.findall(r"\$\{(\w+)", line))
    assert used == {line.split()[1].partition("=")[0] for line in LINES if line.startswith("ARG ")}


def test_its_python_is_one_that_the_package_is_for():
    version = re.fullmatch(r"python:(\d\.\d+)-slim", argument("FROM"))[1]
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_what_it_starts_is_a_command_of_the_package_and_writes_where_it_may():
    program, *arguments = json.loads(argument("ENTRYPOINT")) + json.loads(argument("CMD"))
    assert program in PROJECT["scripts"]
    _, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    assert Path(bound.arguments["directory"]).is_relative_to(argument("VOLUME"))


@pytest.mark.parametrize("directory", ["VOLUME", "WORKDIR"])
def test_folders_are_absolute(directory):
    assert all(line.split()[1].startswith("/") for line in LINES if line.startswith(directory))
