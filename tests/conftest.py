"""What all tests share: one BLAS thread each, no GPU but for those that ask for one, and the command line."""

import gc
import os
import signal
import time
from contextlib import contextmanager

import pytest
import threadpoolctl

from iclab.cli import main

# Before torch is loaded: threads of two workers that wait for one another would take most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# While tests are collected nothing becomes garbage, and looking for some takes a third of the time.
gc.disable()


def pytest_configure(config):
    """Tests assert bits and float64 sums of a CPU; ``pytest -m gpu`` runs those of a GPU."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_finish():
    """What was loaded by now stays, and is not looked through again for garbage."""
    import hypothesis  # noqa: F401, as when it loads its plugins are asked who holds what, which freezing hides

    gc.enable()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Two cores, two workers: one BLAS thread each keeps them from fighting."""
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture
def svg_alone(monkeypatch):
    """Figures are saved as what pages show; files for print take as long again."""
    monkeypatch.setattr("iclab.studies.drawing.FORMATS", {"svg": {"Date": None, "Creator": None}})


@pytest.fixture(autouse=True, scope="session")
def usual_signals():
    """Tests send themselves signals, which whatever is begun by ``nohup`` or in the background would ignore."""
    for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
            signal.signal(getattr(signal, name), usual)


@pytest.fixture
def soon():
    """What refuses or counts at once takes less than 20 CPU seconds, on a machine of any speed; done in full it would
    take hours, or all memory. How fast things are is measured in ``benchmarks/``."""

    @contextmanager
    def within(what=""):
        start = time.process_time()
        yield
        spent = time.process_time() - start
        assert spent < 20, f"{spent:.1f} CPU seconds {what}"

    return within


@pytest.fixture
def iclab(capsys, monkeypatch, tmp_path):
    """Run a command in ``tmp_path``: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return stop.value.code, *capsys.readouterr()

    return run
