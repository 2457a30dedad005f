"""One way to run the command line in this process, as a user would in an empty folder."""

import pytest

from iclab.cli import main


@pytest.fixture
def iclab(capsys, monkeypatch, tmp_path):
    """Run a command in ``tmp_path``: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return stop.value.code, *capsys.readouterr()

    return run
