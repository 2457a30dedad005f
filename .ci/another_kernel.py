"""Print a BLAS kernel that this machine can run and does not choose itself, for OPENBLAS_CORETYPE; nothing if none."""

import os
import subprocess
import sys
from pathlib import Path

# Kernels that differ in their sums. Zen runs Haswell's; the newer ones of Intel are SkylakeX's with more instructions.
CANDIDATES = ("Haswell", "Sandybridge", "Nehalem", "NEOVERSEN1", "CORTEXA57", "ARMV8")
SAME = {"zen": "haswell", "cooperlake": "skylakex", "sapphirerapids": "skylakex"}
# What a kernel executes; OpenBLAS takes the word of the environment for it.
NEEDS = {"Haswell": "avx2", "Sandybridge": "avx", "Nehalem": "sse4_2", "NEOVERSEN1": "asimddp"}
ASK = "import numpy, threadpoolctl; print(*{pool.get('architecture') for pool in threadpoolctl.threadpool_info()})"


def kernel(wanted: str | None) -> str:
    """The kernel that OpenBLAS runs when this one is asked for, in small letters; its own choice for None."""
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    if wanted is not None:
        environment["OPENBLAS_CORETYPE"] = wanted
    asked = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=False)
    name = asked.stdout.strip().lower()
    return SAME.get(name, name)


def main() -> None:
    """Print the first candidate that the processor can execute, that OpenBLAS obeys to, and that is not its own."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split() if Path("/proc/cpuinfo").exists() else []
    own = kernel(None)
    for name in CANDIDATES:
        if NEEDS.get(name, "") in ["", *flags] and name.lower() != own and kernel(name) == name.lower():
            sys.stdout.write(f"{name}\n")
            return


if __name__ == "__main__":
    main()
