"""Work on a GPU, recorded once and replayed: a step is a thousand small kernels, slower to launch than to run.

A recording (a CUDA graph) repeats the same kernels on the same memory, and so gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]


class Recorded:
    """A function of tensors; on a GPU, from its second call with the same shapes on, replayed from a recording.

    Parameters
    ----------
    function : callable
        Takes and returns tensors. What else it reads and writes must stay where it is in memory, and it
        must not ask for the value of a tensor.
    """

    def __init__(self, function: Callable[..., Tensors]) -> None:
        self._function = function
        self._recordings: dict[tuple[torch.Size, ...], _Recording | None] = {}

    def __call__(self, *given: Tensor) -> Tensors:
        """What the function returns, in memory of its own."""
        if not given[0].is_cuda:
            return self._function(*given)
        shapes = tuple(tensor.shape for tensor in given)
        if shapes not in self._recordings:  # the first call lets libraries and caches take what they need
            self._recordings[shapes] = None
            return self._function(*given)
        recording = self._recordings[shapes]
        if recording is None:
            recording = self._recordings[shapes] = _Recording(self._function, given)
        return recording(given)


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
