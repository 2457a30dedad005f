"""Writes that either happen whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iclab.foundations.errors import InvalidInputError
from iclab.foundations.validation import check_choice

# Marks temporary files, between the name of the file to be and random letters.
_UNFINISHED = ".unfinished-"
# How file systems say that they have no locks (Lustre without -o flock, some of NFS, FUSE and SMB).
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path as its user means it: a leading ``~`` is the home folder, also where no shell has replaced it.

    ``~name`` of nobody known stays as it is.
    """
    return Path(os.path.expanduser(path))


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """A temporary path beside ``path`` that is renamed to it when the block ends without an error.

    The data are flushed to disk before the rename, so after a crash ``path`` holds either the old or the
    new content, whole.
    """
    path = user_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{_UNFINISHED}{secrets.token_hex(8)}{path.suffix}")
    temporary.open("xb").close()  # refused where nothing can be written, before the work that the block does
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(directory: Path) -> None:
    """Remove what writes that were killed half-way left behind under ``directory``; hold it alone meanwhile."""
    for path in user_path(directory).rglob(f".*{_UNFINISHED}*"):
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InvalidInputError
        If the file is missing or not valid JSON.
    """
    try:
        return json.loads(user_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path} must exist; no such file was found.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInputError(f"{path} must be a readable JSON file; {error}.") from error


def require_writable(directory: Path) -> Path:
    """Create ``directory`` if needed and check that files can be written there.

    Raises
    ------
    InvalidInputError
        If it cannot be created or written to, or is a file.
    """
    directory = user_path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / f".{_UNFINISHED}{secrets.token_hex(8)}"
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidInputError(
            f"the directory {directory} must be writable ({reason}); choose another one."
        ) from error
    return directory


def require_writable_file(path: Path, name: str, suffixes: Iterable[str]) -> Path:
    """Check, before the work that makes it, that a file can be written; its directory is created if needed.

    Raises
    ------
    InvalidInputError
        If its suffix is none of ``suffixes``, it is a directory, or its directory cannot be written to.
    """
    path = user_path(path)
    check_choice(path.suffix, f"the {name}'s suffix", suffixes)
    if path.is_dir():
        raise InvalidInputError(f"the {name} must be a file; {path} is a directory: name a file in it.")
    require_writable(path.parent)
    return path


@contextmanager
def exclusive(directory: Path) -> Generator[None]:
    """Hold ``directory`` alone for the length of the block; the lock vanishes with the process.

    Where the file system has no locks, a warning says so and the block runs without one.

    Raises
    ------
    InvalidInputError
        If another process holds it.
    """
    from filelock import FileLock, Timeout

    directory = user_path(directory)
    lock = FileLock(directory / ".lock", timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise InvalidInputError(
            f"{directory} must be written by one process at a time; another one holds it: wait for it or choose "
            "another directory."
        ) from error
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"the file system of {directory} has no locks: nothing keeps a second process from writing there.",
            stacklevel=3,
        )
    try:
        yield
    finally:
        lock.release()
