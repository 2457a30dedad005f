"""Models without numbers: their names and shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_INITIALISERS = frozenset(name for name in dir(nn.init) if name.endswith("_") and not name.startswith("_"))


class _Uninitialised(TorchFunctionMode):
    """Initialisers return their tensor as it is."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        named: Mapping[str, Any] = kwargs or {}
        if getattr(func, "__name__", "") in _INITIALISERS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)


@contextmanager
def without_numbers() -> Generator[None]:
    """Modules that are made within have shapes and take no memory.

    Torch would initialise them by Python code for tensors without numbers, whose import alone takes 1.5 CPU seconds.
    """
    with torch.device("meta"), _Uninitialised():
        yield
