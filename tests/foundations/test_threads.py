"""One thread where it is asked for, and as many as before behind it."""

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from iclab.foundations.threads import on_one_thread


def _threads(kind):
    return [found["num_threads"] for found in threadpool_info() if kind in (None, found["user_api"])]


@pytest.mark.parametrize("kind", [None, "blas"])
def test_libraries_compute_on_one_thread_within_the_block_alone(kind):
    np.ones((2, 2)) @ np.ones((2, 2))  # NumPy's BLAS is loaded
    with ThreadpoolController().limit(limits=2):
        before = _threads(None)
        for _ in range(2):
            with on_one_thread(kind):
                assert _threads(kind)
                assert set(_threads(kind)) == {1}
            assert _threads(None) == before
