"""What all tests share: one BLAS thread each, and no GPU but for those that ask for one."""

import os

import pytest
import threadpoolctl


def pytest_configure(config):
    """Tests assert bits and float64 sums of a CPU; ``pytest -m gpu`` runs those of a GPU."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Two cores, two workers: one BLAS thread each keeps them from fighting."""
    with threadpoolctl.threadpool_limits(1):
        yield
