"""Configurations from files, presets and the command line, all read by one function."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from iclab.foundations import InvalidInputError, check_choice, user_path
from iclab.foundations.documents import parse_yaml, read_yaml
from iclab.prompts.reading import known_keys
from iclab.prompts.specification import validated
from iclab.training.config import TrainingConfig, merge
from iclab.training.presets import KEYS, preset


def read_config(
    source: Path | str | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    allow_code: bool | Collection[str] = False,
) -> TrainingConfig:
    """Read a configuration from a YAML file or plain data.

    Reading imports nothing and runs nothing that the configuration names.

    Parameters
    ----------
    source : Path, str or mapping
        A file, or what it would hold. The key ``preset`` (with that preset's arguments) starts from a preset;
        the other keys then change it, as in :func:`preset`.
    overrides : mapping
        Dotted keys to values, such as ``{"optimizer.clip": None}``. They are one change, whatever their order, and win
        over the source. Where they give another ``kind``, what the source says and that kind has too is kept.
    allow_code : bool or collection of str
        Whether code of your own that the configuration names may run later, or which (``module:object``).

    Raises
    ------
    InvalidInputError
        If the file is missing or no YAML mapping, a key is given twice or unknown (the closest known one is
        named), or a value does not fit.

    Examples
    --------
    >>> from iclab.training import read_config
    >>> read_config({"preset": "lsa", "dimension": 3}, {"optimizer.learning_rate": 1e-3}).n_train
    6
    """
    name = "the configuration" if isinstance(source, Mapping) else str(source)
    data = stated(source, overrides)
    if "preset" in data:
        chosen = data.pop("preset")
        for key in data:
            check_choice(key, f"a key beside the preset {chosen}", KEYS)
        return preset(chosen, allow_code=allow_code, **data)
    return validated(TrainingConfig, data, name, allow_code=allow_code)


def stated(source: Path | str | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a source says, changed by overrides, before presets and defaults fill in the rest; as in ``read_config``.

    Raises
    ------
    InvalidInputError
        If the file is missing or no YAML mapping, or a field is given two values.
    """
    data = merge({}, source if isinstance(source, Mapping) else _read_mapping(user_path(source)))
    return _amended(data, nested((overrides or {}).items()), ())


def nested(changes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Dotted keys and values as one nested change.

    Raises
    ------
    InvalidInputError
        If two of them give one field two values: which of them holds would be a matter of their order.
    """
    change: dict[str, Any] = {}
    for key, value in changes:
        for part in reversed(key.split(".")):
            value = {part: value}
        _join(change, value, ())
    return change


def _join(change: dict[str, Any], more: Mapping[str, Any], place: tuple[str, ...]) -> None:
    for key, value in more.items():
        known = change.get(key)
        if key not in change:
            change[key] = merge({}, value) if isinstance(value, Mapping) else value
        elif isinstance(known, dict) and isinstance(value, Mapping):
            _join(known, value, (*place, key))
        elif known != value or type(known) is not type(value):
            raise InvalidInputError(
                f"{'.'.join((*place, key))} must be changed once; {known!r} and {value!r} were given: keep one."
            )


def _amended(data: Mapping[str, Any], change: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    """What a file says with the change made; of a mapping that gets another kind, what that kind has too is kept."""
    return merge(_kept(data, change, place), change)


def _kept(data: Mapping[str, Any], change: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    kept = dict(data)
    for key, value in change.items():
        old = kept.get(key)
        if not isinstance(old, Mapping) or not isinstance(value, Mapping):
            continue
        here = (*place, key)
        kind = value.get("kind")
        if "kind" in old and kind is not None and kind != old["kind"]:
            # A preset's argument stands at the top.
            path = ("prompts", *here) if here[0] == "covariates" else here
            known = {*known_keys(TrainingConfig, [*path, str(kind)])} - {"kind"}
            old = {name: entry for name, entry in old.items() if name in known}
        kept[key] = _kept(old, value, here)
    return kept


def parse_value(text: str) -> Any:
    """A value as written on the command line, read as YAML."""
    return parse_yaml(text, "a value")


def _read_mapping(path: Path) -> dict[str, Any]:
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InvalidInputError(f"{path} must hold a YAML mapping of keys to values; {type(data).__name__} was found.")
    return data
