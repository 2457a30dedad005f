"""Configurations from files, presets and the command line, all read by one function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from iclab.foundations import InvalidInputError, check_choice
from iclab.prompts.specification import validated
from iclab.training.config import TrainingConfig, merge
from iclab.training.presets import KEYS, preset


def read_config(source: Path | str | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> TrainingConfig:
    """Read a configuration from a YAML file or plain data.

    Parameters
    ----------
    source : Path, str or mapping
        A file, or what it would hold. The key ``preset`` (with that preset's arguments) starts from a preset;
        the other keys then change it, as in :func:`preset`.
    overrides : mapping
        Dotted keys to values, such as ``{"optimizer.clip": None}``; they win over the source.

    Raises
    ------
    InvalidInputError
        If the file is missing or no YAML mapping, a key is given twice or unknown (the closest known one is
        named), or a value does not fit.
    """
    name = "the configuration" if isinstance(source, Mapping) else str(source)
    data = merge({}, source if isinstance(source, Mapping) else _read_yaml(Path(source)))
    for key, value in (overrides or {}).items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        data = merge(data, nested)
    if "preset" in data:
        chosen = data.pop("preset")
        for key in data:
            check_choice(key, f"a key beside the preset {chosen}", KEYS)
        return preset(chosen, **data)
    return validated(TrainingConfig, data, name)


class _Loader(yaml.SafeLoader):
    """YAML as people write it: duplicate keys are an error, and 1e6 is a number."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise InvalidInputError(f"a key must be given once; {key!r} is given twice (again in line {line}).")
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def parse_value(text: str) -> Any:
    """A value as written on the command line, read as YAML."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InvalidInputError(f"a value must be valid YAML; {text!r} was given.") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path} must be a configuration file; no such file was found.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path} must be a readable YAML file; {' '.join(str(error).split())}.") from error
    if not isinstance(data, dict):
        raise InvalidInputError(f"{path} must hold a YAML mapping of keys to values; {type(data).__name__} was found.")
    return data
