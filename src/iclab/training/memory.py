"""Memory between steps."""

from __future__ import annotations

import ctypes

# mallopt(3): when freed memory goes back to the system, and from which size on it is never kept.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_BYTES = 1 << 30


def keep_memory() -> None:
    """Let this process keep what a step frees for the next one.

    By default the C library returns the activations of every step to the system, and touching fresh pages again costs
    about a tenth of a step of the small model. Only glibc has the switch; elsewhere nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_TRIM_THRESHOLD, _BYTES)
    mallopt(_MMAP_THRESHOLD, _BYTES)
