"""Writes happen whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from iclab.foundations import (
    InvalidInputError,
    atomic_path,
    exclusive,
    read_json,
    remove_unfinished,
    require_writable,
    require_writable_file,
    user_path,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"kept": 1})

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert read_json(path) == {"kept": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_what_a_killed_write_left_is_removed_and_nothing_else(tmp_path):
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from iclab.foundations import atomic_path, write_text
        write_text(Path({str(tmp_path)!r}) / "kept.csv", "whole")
        with atomic_path(Path({str(tmp_path)!r}) / "sub" / "table.csv") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    subprocess.run([sys.executable, "-c", program], check=False)
    assert len(list(tmp_path.rglob("*.csv"))) == 2
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.csv")] == ["kept.csv"]


def test_not_a_number_is_never_written_as_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "{", "\x00"])
def test_a_torn_file_is_named(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InvalidInputError, match=r"x\.json must be a readable JSON file"):
        read_json(tmp_path / "x.json")


def test_a_file_is_no_directory_to_write_into(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InvalidInputError, match="must be writable"):
        require_writable(tmp_path / "taken" / "below")


def test_a_directory_is_held_by_one_process_and_freed_with_it(tmp_path):
    program = textwrap.dedent(f"""
        from pathlib import Path
        from iclab.foundations import exclusive
        with exclusive(Path({str(tmp_path)!r})):
            print("held", flush=True)
            input()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InvalidInputError, match="one process at a time"), exclusive(tmp_path):
            pass
        other.kill()
        other.wait()
    with exclusive(tmp_path):
        pass


def test_a_directory_is_held_once_within_a_process_too(tmp_path):
    with exclusive(tmp_path), pytest.raises(InvalidInputError, match="one process at a time"), exclusive(tmp_path):
        pass


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gives_a_warning_and_works(tmp_path, monkeypatch, code):
    fcntl = pytest.importorskip("fcntl", reason="POSIX only")

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with pytest.warns(UserWarning, match="no locks"), exclusive(tmp_path):
            write_text(tmp_path / "kept.txt", "whole")
    assert (tmp_path / "kept.txt").read_text() == "whole"


def test_other_failures_to_lock_are_failures(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"), exclusive(tmp_path / "taken" / "below"):
        pass


def test_the_library_starts_without_what_only_posix_has(tmp_path):
    """As on Windows, where there is no module fcntl: rooms below torch import, and files are written."""
    program = textwrap.dedent(f"""
        import importlib, sys, warnings
        sys.modules["fcntl"] = sys.modules["resource"] = sys.modules["pwd"] = None
        for room in ("", ".foundations", ".prompts", ".theory", ".flow", ".predictors", ".evaluation", ".estimators",
                     ".cli", ".studies"):
            importlib.import_module("iclab" + room)
        from pathlib import Path
        from iclab.foundations import exclusive, write_text
        warnings.simplefilter("ignore")
        with exclusive(Path({str(tmp_path)!r})):
            write_text(Path({str(tmp_path)!r}) / "kept.csv", "whole")
    """)
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "kept.csv").read_text() == "whole"


def test_results_are_as_readable_as_any_file_and_the_mask_of_the_process_is_left_alone(tmp_path):
    program = textwrap.dedent(f"""
        import os
        from pathlib import Path
        from iclab.foundations import write_text
        os.umask(0o027)
        os.umask = None  # other threads create files meanwhile
        write_text(Path({str(tmp_path)!r}) / "table.csv", "whole")
    """)
    subprocess.run([sys.executable, "-c", program], check=True)
    assert stat.S_IMODE((tmp_path / "table.csv").stat().st_mode) == 0o640


def test_a_tilde_is_the_home_folder_wherever_a_file_is_named(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(tmp_path)
    write_json("~/a/record.json", {"kept": 1})
    assert read_json("~/a/record.json") == read_json(home / "a" / "record.json") == {"kept": 1}
    assert require_writable("~/b") == home / "b"
    assert require_writable_file("~/c/table.csv", "table", (".csv",)) == home / "c" / "table.csv"
    with exclusive("~/b"):
        pass
    (home / "b" / ".x.unfinished-1").write_text("half")
    remove_unfinished("~/b")
    assert sorted(path.name for path in (home / "b").iterdir()) == [".lock"]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert user_path("~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")
