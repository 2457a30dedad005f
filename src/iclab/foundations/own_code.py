"""Code of a user's own, named as ``module:object``: its errors become one sentence with a place.

Importing a module runs it. Whoever calls ``import_object`` has the user's consent: the object was an argument of the
command line, or ``allow_code=True`` was said (docs/security.md).
"""

from __future__ import annotations

import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iclab.foundations.errors import InvalidInputError

# Frames in these folders are libraries', never the user's.
_LIBRARIES = tuple(
    Path(place).resolve()
    for place in {*sysconfig.get_paths().values(), str(Path(__file__).parents[1])}
    if Path(place) != Path(sys.prefix)
)


class CodeNotAllowedError(InvalidInputError):
    """Raised where a file names code that it would run, and nobody allowed it."""

    def __init__(self, target: str) -> None:
        self.target = target
        super().__init__(
            f"{target!r} names code to import, which runs only if you allow it; if you trust it, add --allow-code "
            "(in Python allow_code=True)."
        )

    def __reduce__(self) -> tuple[type[CodeNotAllowedError], tuple[str]]:
        return type(self), (self.target,)


def import_object(target: str) -> Any:
    """Import the object of ``module:object``; modules are found where Python finds them, and in the current folder.

    Parameters
    ----------
    target : str
        ``module:object``, the object perhaps dotted.

    Raises
    ------
    InvalidInputError
        If there is no such object, or its module raises or exits while it is imported.
    """
    module, colon, name = target.partition(":")
    if not colon or not module or not name:
        raise InvalidInputError(f"code of your own must be named as module:object; {target!r} was given.")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        with own_errors(target, "must name an importable module and an object in it"):
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    return found


@contextmanager
def own_errors(name: str, must: str) -> Generator[None]:
    """Turn whatever a user's code raises, an exit included, into one sentence that says where.

    Parameters
    ----------
    name, must : str
        The sentence begins with them: what must hold of what.

    Raises
    ------
    InvalidInputError
        In place of any exception but an interruption and a lack of memory.
    """
    try:
        yield
    except (InvalidInputError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise InvalidInputError(f"{name} {must}; {told(error)}.") from error


def told(error: BaseException) -> str:
    """An exception in words, with the innermost place in a file that is the user's own."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):
        at = f" ({_short(error.filename)}, line {error.lineno})"
    else:
        at = f" ({_short(places[-1].filename)}, line {places[-1].lineno})" if places else ""
    reason = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}{': ' if reason else ''}{reason}{at}"


def defined_at(value: Any) -> str:
    """Where a function or the class of an object is defined, as " (file, line n)"; empty where that is unknown."""
    for part in (value, inspect.getattr_static(value.__class__, "__call__", None)):
        code = getattr(getattr(part, "__func__", part), "__code__", None)
        if code is not None and _is_own(code.co_filename):
            return f" ({_short(code.co_filename)}, line {code.co_firstlineno})"
    return ""


def _is_own(filename: str) -> bool:
    if filename.startswith("<"):
        return False
    path = Path(filename).resolve()
    return not any(path.is_relative_to(library) for library in _LIBRARIES)


def _short(filename: str) -> str:
    path = Path(filename).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
