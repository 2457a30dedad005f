"""Threads of the libraries that compute: BLAS and OpenMP."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


def on_one_thread(kind: str | None = None) -> AbstractContextManager[Any]:
    """Keep the libraries of a kind, "blas" or "openmp", or all of them, to one thread within the block."""
    return _libraries(len(sys.modules)).limit(limits=1, user_api=kind)  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Those that are loaded: finding them takes milliseconds, and another one comes with a module more."""
    return ThreadpoolController()
