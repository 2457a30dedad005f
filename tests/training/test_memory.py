"""What a step frees is there for the next one."""

import platform
import subprocess
import sys

import pytest

from iclab.training import memory

# In a process of its own: a heap that other tests left in pieces may have to grow for arrays of 16 MiB.
FAULTS = """
import resource, runpy, sys
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.ones(2 << 20) for _ in range(8)]
    del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults()
keep_memory = runpy.run_path(sys.argv[1])["keep_memory"]
keep_memory()
keep_memory()  # as often as one likes
faults()
print(fresh, min(faults() for _ in range(5)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the switch")
def test_freed_memory_is_used_again_without_asking_the_system():
    done = subprocess.run([sys.executable, "-c", FAULTS, memory.__file__], capture_output=True, text=True, check=True)
    fresh, again = map(int, done.stdout.split())
    assert again < 0.05 * fresh
