"""A folder that is written over an earlier one is whole at every moment, whatever kills the process."""

import os

import pytest

from iclab.foundations import folders
from iclab.foundations.folders import whole_folder

OLD, NEW = {"a": "old", "b": "old"}, {"a": "new", "c": "new"}


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def write(folder, files):
    with whole_folder(folder) as temporary:
        for name, text in files.items():
            (temporary / name).write_text(text)


def killed_at(moment, folder):
    """Write the new folder in another process that ends, with nothing cleaned up, before its n-th call of the system.

    Returns whether it got to its end.
    """
    child = os.fork()
    if not child:
        calls = 0

        def counted(function):
            def call(*given, **named):
                nonlocal calls
                calls += 1
                if calls > moment:
                    os._exit(9)
                return function(*given, **named)

            return call

        for name in ("mkdir", "open", "fsync", "rename", "chmod", "rmdir", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        folders._exchange = counted(folders._exchange)
        try:
            write(folder, NEW)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
@pytest.mark.parametrize("exchanging", [True, False], ids=["in one step", "in two"])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(tmp_path, monkeypatch, exchanging):
    if not exchanging:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    seen, done, moment = set(), False, 0
    while not done:
        folder = tmp_path / str(moment) / "model"
        write(folder, OLD)
        done = killed_at(moment, folder)
        if folder.exists():
            assert content(folder) in (OLD, NEW)
            seen.add("new" if content(folder) == NEW else "old")
        else:  # between two renames: the earlier one lies beside, whole
            assert not exchanging
            [aside] = folder.parent.glob(".model.earlier.*/model")
            assert content(aside) == OLD
            seen.add("aside")
        moment += 1
    assert moment > 10
    assert content(folder) == NEW
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]
    assert {"old", "new"} <= seen
    assert ("aside" in seen) == (not exchanging)


@pytest.mark.parametrize("failing", ["fsync", "chmod", "rename"])
def test_a_failure_leaves_the_old_and_nothing_else(tmp_path, monkeypatch, failing):
    folder = tmp_path / "model"
    write(folder, OLD)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "_exchange", lambda one, other: False)
        patch.setattr(os, failing, full)
        with pytest.raises(OSError, match="No space left"):
            write(folder, NEW)
    assert content(folder) == OLD
    assert [path.name for path in tmp_path.iterdir() if any(path.iterdir())] == ["model"]
    write(folder, NEW)
    assert content(folder) == NEW
