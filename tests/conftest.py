"""Two cores, two workers: one BLAS thread each keeps them from fighting."""

import pytest
import threadpoolctl


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    with threadpoolctl.threadpool_limits(1):
        yield
