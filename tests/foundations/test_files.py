"""Writes happen whole or not at all."""

import subprocess
import sys
import textwrap

import pytest

from iclab.foundations import (
    InvalidInputError,
    atomic_path,
    exclusive,
    read_json,
    remove_unfinished,
    require_writable,
    write_json,
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
