"""What a step frees is there for the next one."""

import platform
import resource

import numpy as np

from iclab.training.memory import keep_memory


def faults_of(arrays):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.ones(2 << 20) for _ in range(arrays)]  # 16 MiB each
    del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again_without_asking_the_system():
    keep_memory()
    faults_of(8)
    again = min(faults_of(8) for _ in range(5))  # in a heap that other tests left in pieces it may still grow once
    if platform.libc_ver()[0] == "glibc":
        assert again < 0.05 * 8 * (16 << 20) / resource.getpagesize()
    keep_memory()  # as often as one likes
