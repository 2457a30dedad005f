"""Units of work whose tables are kept: nothing is computed twice, and an interrupted study resumes where it stopped.

A *unit* is a call of a module's function with plain arguments; it returns a table. Its table is kept under a key of the
function's code (see ``code.py``) and its arguments: an edited page voids nothing, an edited predictor voids the units
that use it. A file's name holds the digest of its bytes, so that a damaged one counts as unfinished.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from hashlib import sha256
from inspect import isclass, isfunction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iclab.foundations import InvalidInputError, atomic_path
from iclab.studies.code import digest_of_all

if TYPE_CHECKING:
    import pandas as pd

# Letters of the digests in a file's name.
_LETTERS = 16


@dataclass(frozen=True)
class Unit:
    """A call whose table is kept.

    Attributes
    ----------
    function : callable
        Of a module, from keyword arguments to a DataFrame; a pure function of them.
    arguments : mapping
        Plain values, sequences and mappings of them, functions and classes of modules, dataclasses (such as predictors
        and distributions), and objects with an ``identity``, which alone is their key (such as trained models).
    label : str
        What is reported while it is computed, and the beginning of the file's name; the function's name when omitted.
    columns : mapping
        What a table of many units says of this one, in further columns; no part of its key.
    table : str
        The table that its rows belong to, where units make several and this one is for one of them.
    """

    function: Callable[..., pd.DataFrame]
    arguments: Mapping[str, Any]
    label: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    table: str = ""

    @property
    def name(self) -> str:
        """Label, or the function's name."""
        return self.label or self.function.__name__

    @cached_property
    def key(self) -> str:
        """Digest of the function, its code and its arguments."""
        used = {(self.function.__module__, self.function.__name__)}
        content = {"unit": _reference(self.function), "arguments": _canonical(dict(self.arguments), used)}
        content["code"] = digest_of_all(sorted(used))
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_LETTERS]

    def compute(self) -> pd.DataFrame:
        """The table."""
        return self.function(**self.arguments)


@dataclass(frozen=True)
class Store:
    """A folder of finished units.

    Attributes
    ----------
    directory : Path
        Where the tables are kept, one Parquet file per unit.
    """

    directory: Path

    def find(self, unit: Unit) -> pd.DataFrame | None:
        """The table of a finished unit; None if it is not finished, or its file is damaged, which then goes."""
        import pandas as pd

        for path in self.directory.glob(f"*-{unit.key}-*.parquet"):
            if path.name.startswith("."):
                continue
            if _digest(path) == path.stem.rpartition("-")[2]:
                return pd.read_parquet(path)
            path.unlink(missing_ok=True)
        return None

    def keep(self, unit: Unit, table: pd.DataFrame) -> None:
        """Write the table of a unit, atomically."""
        import pandas as pd

        if not isinstance(table, pd.DataFrame):
            raise InvalidInputError(
                f"the unit {unit.name} must return a DataFrame; it returned {type(table).__name__}."
            )
        name = "".join(letter if letter.isalnum() else "-" for letter in unit.name)[:80]
        unfinished = self.directory / f"{name}-{unit.key}.parquet"
        with storable(f"the table of the unit {unit.name}"), atomic_path(unfinished) as temporary:
            table.to_parquet(temporary)
        unfinished.replace(self.directory / f"{name}-{unit.key}-{_digest(unfinished)}.parquet")


def several(tables: Mapping[str, pd.DataFrame], **columns: Any) -> pd.DataFrame:
    """Several tables in one, as a unit returns them, told apart by the column ``table``; with more columns in each."""
    import pandas as pd

    return pd.concat([table.assign(**columns, table=name) for name, table in tables.items()], ignore_index=True)


@contextmanager
def storable(what: str) -> Generator[None]:
    """Say in one sentence that a table cannot be kept.

    Raises
    ------
    InvalidInputError
        In place of what pandas and Arrow raise.
    """
    import pyarrow as pa

    try:
        yield
    except InvalidInputError:
        raise
    except (pa.ArrowException, ValueError, TypeError) as error:
        said = " ".join(str(error).split()).removesuffix(".")
        raise InvalidInputError(
            f"{what} must have columns of different names, each of one type (numbers, truth values or text); {said}."
        ) from error


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:_LETTERS]


def _reference(function: Callable[..., Any] | type) -> str:
    """``module:name`` of a function or class, which must be found there."""
    module, name = function.__module__, function.__qualname__
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function:
        raise InvalidInputError(
            f"a unit's function must be found by its name in its module; {module}.{name} is not: define it at the top "
            "of the module."
        )
    return f"{module}:{name}"


def _is_law(value: Any) -> bool:
    """Whether it is a frozen continuous law; what has no ``dist`` is none, and scipy.stats is not loaded for it."""
    if not hasattr(value, "dist"):
        return False
    from scipy.stats import rv_continuous

    return isinstance(value.dist, rv_continuous)


def _canonical(value: Any, used: set[tuple[str, str]]) -> Any:
    """A value for the key, and in ``used`` the functions and classes that it names."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _canonical(inner, used) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(inner, used) for inner in value]
    if isinstance(identity := getattr(value, "identity", None), str):
        return {"identity": identity}
    if _is_law(value):
        return {"law": value.dist.name, "given": _canonical([list(value.args), dict(value.kwds)], used)}
    if isfunction(value) or isclass(value):
        used.add((value.__module__, value.__qualname__))
        return {"object": _reference(value)}
    if is_dataclass(value):
        used.add((type(value).__module__, type(value).__qualname__))
        inside = {each.name: _canonical(getattr(value, each.name), used) for each in fields(value)}
        return {"object": _reference(type(value)), "fields": inside}
    raise InvalidInputError(
        f"an argument of a unit must be a plain value, a dataclass or have an identity; {type(value).__name__} is none."
    )
