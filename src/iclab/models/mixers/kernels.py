"""Kernels of flash-linear-attention (Yang and Zhang 2024) instead of our chunks, where a caller turns them on.

They compute the same recurrences on a GPU, in bfloat16 with states in float32, and give first derivatives. ``KERNELS``
says which of them computes which mixer. Mesa has none here: theirs solves by conjugate gradients in half precision,
ours exactly. A kernel reads at every token once the token has written; a branch that carries no label is a token that
writes nothing, put where it stands. Other branches, of shifted queries, are read by our chunks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from iclab.foundations import InvalidInputError
from iclab.models.embedding import Layout
from iclab.models.mixers.chunks import Tokens

PACKAGE = "flash-linear-attention"
DTYPE = torch.bfloat16  # what they are made for: of float32 some refuse, and others round products to ten bits
# Largest head that all of them take.
_LARGEST = 256


class Kernel(NamedTuple):
    """A function of the package, and what it is given.

    Attributes
    ----------
    module, function : str
        Where it is: the module within ``fla.ops``, and its name.
    arguments : callable
        Maps tokens (B, T, H, ·) to keyword arguments beside queries and keys: values that are multiplied by their rate
        where the kernel knows no rates, and logarithms of what is kept.
    """

    module: str
    function: str
    arguments: Callable[[Tokens], dict[str, Tensor]]

    def __call__(self, tokens: Tokens) -> Tensor:
        """What each token reads, (B, H, T, m), from tokens (B, H, T, ·)."""
        batch, heads = tokens.v.shape[:2]
        t = tokens.map(lambda part: part.expand(batch, heads, -1, -1).transpose(1, 2))
        decay, rate = (part.to(torch.promote_types(part.dtype, torch.float32)) for part in (t.decay, t.rate))
        given = {"q": t.q, "k": t.k, **self.arguments(t._replace(decay=decay, rate=rate))}
        given = {name: part.to(DTYPE) if name in "qkv" else part for name, part in given.items()}
        answer: Tensor = _function(self.module, self.function)(**given, scale=1.0)[0]
        return answer.transpose(1, 2)


def _per_token(t: Tokens) -> dict[str, Tensor]:
    return {"v": t.rate * t.v, "g": t.decay[..., 0]}


def _per_coordinate(t: Tokens) -> dict[str, Tensor]:
    return {"v": t.rate * t.v, "g": t.decay}


def _corrected(t: Tokens) -> dict[str, Tensor]:
    return {"v": t.v, "g": t.decay[..., 0], "beta": t.rate[..., 0]}


_SCALAR = Kernel("simple_gla", "chunk_simple_gla", _per_token)
# Without forgetting too: the kernel of the plain rule takes no float32, in which both can be tested.
_DELTA = Kernel("gated_delta_rule", "chunk_gated_delta_rule", _corrected)
KERNELS: dict[str, Kernel] = {
    "retention": _SCALAR,
    "mamba2": _SCALAR,
    "gla": Kernel("gla", "chunk_gla", _per_coordinate),
    "delta": _DELTA,
    "gated_delta": _DELTA,
}
"""The kernel of each mixer that has one."""

_ON: ContextVar[bool] = ContextVar("kernels", default=False)


@contextmanager
def using(on: bool) -> Generator[None]:
    """Let mixers read by kernels within, where there is one, or by our chunks."""
    token = _ON.set(on)
    try:
        yield
    finally:
        _ON.reset(token)


def kernel_of(kind: str, layout: Layout, size: int) -> Kernel | None:
    """The kernel by which a mixer with heads of this size reads, None for our chunks."""
    if not _ON.get() or size > _LARGEST or (layout.branches and (layout.gathered or not layout.questions)):
        return None
    return KERNELS.get(kind)


def answer(kernel: Kernel, tokens: Tokens, layout: Layout, ask_context: bool) -> Tensor:
    """What context tokens, if asked, and branches read, as ``Chunks.answer``."""
    if not layout.branches:
        return kernel(tokens)
    order, back, writes = _places(layout)
    k, decay = (part * writes.to(part.dtype) for part in (tokens.k, tokens.decay))
    placed = tokens._replace(k=k, decay=decay).map(lambda part: part[:, :, order])
    read = kernel(placed)
    return read[:, :, back if ask_context else back[layout.context :]]


# As in ``attention``: what a recorded step reads must outlast a stage of the curriculum.
@lru_cache(maxsize=256)
def _places(layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens in the order in which they stand, where each is then, and (T, 1) whether it writes."""
    writes = torch.arange(len(layout.positions), device=layout.positions.device) < layout.context
    order = torch.argsort(2 * layout.positions + writes, stable=True)
    return order, torch.argsort(order), writes[:, None]


def missing() -> str | None:
    """Why there are no kernels on this machine, None if there are."""
    if not torch.cuda.is_available():
        return "no GPU was found"
    try:
        for kernel in set(KERNELS.values()):
            _function(kernel.module, kernel.function)
    except Exception as error:  # a package may fail as it likes where its compiler and torch do not go together
        return f"{PACKAGE} cannot be used ({type(error).__name__}: {' '.join(str(error).split())})"
    return None


def check_kernels() -> None:
    """Refuse to go on without kernels that a training was begun with or is to use.

    Raises
    ------
    InvalidInputError
        If there is no GPU or no such package.
    """
    fault = missing()
    if fault is not None:
        raise InvalidInputError(
            f"kernels 'fla' must find a GPU and the package {PACKAGE}; {fault}: install it, or train anew with "
            "kernels=own."
        )


def _function(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"fla.ops.{module}"), name)
