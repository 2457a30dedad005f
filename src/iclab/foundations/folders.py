"""Folders that appear whole or not at all, also over an earlier one."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

# Of Linux: paths are relative to the current folder; two entries change places in one step.
_CURRENT, _EXCHANGE = -100, 2


@contextmanager
def whole_folder(folder: Path) -> Generator[Path]:
    """A temporary folder beside ``folder`` that takes its place when the block ends without an error.

    Everything in it is flushed to disk first. An earlier folder and the new one change places in one step where the
    system can (Linux); elsewhere a crash between two renames leaves the earlier one under a name of its own beside it.

    Raises
    ------
    OSError
        If the disk is full or the place not writable; then the earlier folder stays and nothing else is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield temporary
        for path in [*temporary.iterdir(), temporary]:
            _flush(path)
        temporary.chmod(0o755)  # mkdtemp gives 0700; a model should be as readable as any folder
        _take_place(temporary, folder)
        _flush(folder.parent)
    except OSError as error:
        # A failed write does not know its file: say which folder is missing now.
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
    elif not _exchange(temporary, folder):
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.earlier."))
        folder.rename(aside / folder.name)
        try:
            temporary.rename(folder)
        except OSError:
            (aside / folder.name).rename(folder)
            raise
        finally:
            if folder.exists():
                shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two entries of one file system change places; False where that cannot be done."""
    with suppress(OSError, AttributeError, TypeError):
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        return rename(_CURRENT, os.fsencode(one), _CURRENT, os.fsencode(other), _EXCHANGE) == 0
    return False


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
