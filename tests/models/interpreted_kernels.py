"""Holds the kernels of flash-linear-attention to our chunks on a CPU, by Triton's interpreter, in float32.

Prints, as JSON, the largest relative differences of what is read and of its gradients, by mixer and layout. A program
of its own: Triton asks whether it interprets when it is imported. Its interpreter lacks two things, which it is given:
a GPU to choose the sizes of tiles on, of which the first are taken, and loops whose counters are Triton's numbers.
"""

import builtins
import json
import os
import sys
import warnings

import torch

from iclab.models import Architecture, Transformer
from iclab.models.embedding import layout
from iclab.models.mixers import kernels


class Counter(int):
    """A loop's counter, which kernels cast."""

    def to(self, dtype):
        return self


def counted(*bounds):
    return map(Counter, builtins.range(*bounds))


def read_and_gradients(mixer, x, where, on):
    x = x.clone().requires_grad_()
    with kernels.using(on):
        read = mixer(x, where, slice(None))
    weights = torch.randn(read.shape, generator=torch.Generator().manual_seed(3))
    return read, torch.autograd.grad((weights * read).sum(), [x, *mixer.parameters()])


def largest(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


def main():
    warnings.simplefilter("ignore")  # no GPU
    os.environ["TRITON_INTERPRET"] = "1"
    from triton.runtime.autotuner import Autotuner

    Autotuner.prune_configs = lambda self, given: self.configs[:1]
    kernels.DTYPE = torch.float32
    assert {kernel.module for kernel in kernels.KERNELS.values()} == {"simple_gla", "gla", "gated_delta_rule"}
    for kernel in kernels.KERNELS.values():
        __import__(f"fla.ops.{kernel.module}")
    for name, module in list(sys.modules.items()):
        if name.startswith("fla."):
            module.range = counted
    found = {}
    for kind in kernels.KERNELS:
        # Heads of 6 and prompts of 35 points: neither fills a tile.
        architecture = Architecture(dimension=3, max_points=35, width=12, layers=1, heads=2, mixers=(kind,))
        mixer = Transformer(architecture).blocks[0].mixes
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for embedding in ("interleaved", "stacked"):
            where = layout(embedding, 35, False, torch.device("cpu"))
            x = torch.randn(1, len(where.positions), 12, generator=generator)
            (read, gradients), (own, own_gradients) = (read_and_gradients(mixer, x, where, on) for on in (True, False))
            differences = [largest(*pair) for pair in zip(gradients, own_gradients, strict=True)]
            found[f"{kind}, {embedding}"] = [largest(read, own), max(differences)]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
