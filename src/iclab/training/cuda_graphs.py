"""Steps on a GPU as CUDA graphs: a step is a thousand small kernels, slower to launch than to run.

A graph repeats the same kernels on the same memory, and so gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from iclab.models import OwnModule
from iclab.models.mixers.mesa import Mesa
from iclab.training.checkpoint import State
from iclab.training.config import TrainingConfig
from iclab.training.distributed import World
from iclab.training.step import Step

Tensors = tuple[Tensor, ...]


def step_of(config: TrainingConfig, state: State, processes: World) -> Step:
    """The step of a training, from CUDA graphs where its model is on a GPU and they can hold it."""
    return (GraphedStep if recordable(state.model) else Step)(config, state, processes)


def recordable(model: nn.Module) -> bool:
    """Whether a model's steps can be replayed from CUDA graphs.

    A module of your own may do what a graph cannot hold, and so may the factorisations of the mesa layer.
    """
    unknown = isinstance(model, OwnModule) or any(isinstance(part, Mesa) for part in model.modules())
    return next(model.parameters()).is_cuda and not unknown


class GraphedStep(Step):
    """A step whose two halves, before and after the sum over processes, are replayed from graphs."""

    def __init__(self, config: TrainingConfig, state: State, processes: World) -> None:
        super().__init__(config, state, processes)
        self._backward, self._update = Graphed(self._plain_backward), Graphed(self._scaled_update)

    def use(self, config: TrainingConfig) -> None:
        """Take the values that ramps have in the next step; those of optimiser and model are constants of graphs."""
        if config.optimizer != self.config.optimizer:
            self._update = Graphed(self._scaled_update)
        if config.model != self.config.model:
            self._backward = Graphed(self._plain_backward)
        super().use(config)

    def backward(self, *tensors: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As the plain step's."""
        (losses,) = self._backward(*tensors)
        return losses

    def update(self, share: float) -> None:
        """As the plain step's."""
        (self.norm,) = self._update(torch.tensor(share, dtype=torch.float64, device=self.parameters[0].device))

    def _plain_backward(self, *tensors: Tensor) -> Tensors:
        return (super().backward(*tensors),)

    @torch.no_grad()
    def _scaled_update(self, share: Tensor) -> Tensors:
        """The update at the peak rate, which is fixed in a graph, of which the share is taken: it is linear in it."""
        before = [parameter.clone() for parameter in self.parameters]
        super().update(1.0)
        for parameter, old in zip(self.parameters, before, strict=True):
            parameter.copy_(old.lerp(parameter, share.to(old.dtype)))
        return (self.norm,)


class Graphed:
    """A function of tensors, replayed from a CUDA graph from its second call in a row with the same shapes on.

    One graph is kept: each holds the memory of a whole call, and the prompts of a training only grow.

    Parameters
    ----------
    function : callable
        Takes and returns tensors on a GPU. What else it reads and writes must stay where it is in memory, and it
        must not ask for the value of a tensor.
    """

    def __init__(self, function: Callable[..., Tensors]) -> None:
        self._function = function
        self._shapes: tuple[torch.Size, ...] = ()
        self._graph: _Graph | None = None

    def __call__(self, *arguments: Tensor) -> Tensors:
        """What the function returns, in memory of its own."""
        shapes = tuple(tensor.shape for tensor in arguments)
        if shapes != self._shapes:  # the first call lets libraries and caches take what they need
            self._shapes, self._graph = shapes, None
            return self._function(*arguments)
        if self._graph is None:
            self._graph = _Graph(self._function, arguments)
        return self._graph(arguments)


class _Graph:
    """A captured call: its arguments' and results' memory, and the graph between them."""

    def __init__(self, function: Callable[..., Tensors], arguments: Tensors) -> None:
        self._arguments = [tensor.clone() for tensor in arguments]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._results = function(*self._arguments)

    def __call__(self, arguments: Tensors) -> Tensors:
        for slot, tensor in zip(self._arguments, arguments, strict=True):
            slot.copy_(tensor)
        self._graph.replay()
        return tuple(tensor.clone() for tensor in self._results)
