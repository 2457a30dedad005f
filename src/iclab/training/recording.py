"""Work on a GPU, recorded once and replayed: a step is a thousand small kernels, slower to launch than to run.

A recording (a CUDA graph) repeats the same kernels on the same memory, and so gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]


class Recorded:
    """A function of tensors; on a GPU, replayed from a recording from its second call in a row with the same shapes on.

    One recording is kept: each holds the memory of a whole call, and the prompts of a training only grow.

    Parameters
    ----------
    function : callable
        Takes and returns tensors. What else it reads and writes must stay where it is in memory, and it
        must not ask for the value of a tensor.
    """

    def __init__(self, function: Callable[..., Tensors]) -> None:
        self._function = function
        self._shapes: tuple[torch.Size, ...] = ()
        self._recording: _Recording | None = None

    def __call__(self, *given: Tensor) -> Tensors:
        """What the function returns, in memory of its own."""
        if not given[0].is_cuda:
            return self._function(*given)
        shapes = tuple(tensor.shape for tensor in given)
        if shapes != self._shapes:  # the first call lets libraries and caches take what they need
            self._shapes, self._recording = shapes, None
            return self._function(*given)
        if self._recording is None:
            self._recording = _Recording(self._function, given)
        return self._recording(given)


class _Recording:
    def __init__(self, function: Callable[..., Tensors], given: Tensors) -> None:
        self._given = [tensor.clone() for tensor in given]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._results = function(*self._given)

    def __call__(self, given: Tensors) -> Tensors:
        for own, tensor in zip(self._given, given, strict=True):
            own.copy_(tensor)
        self._graph.replay()
        return tuple(tensor.clone() for tensor in self._results)
