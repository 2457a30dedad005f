"""What a forward pass leaves behind: named activations, in memory or on disk."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iclab.foundations import InvalidInputError, check_choice, check_integer, require_writable, user_path

if TYPE_CHECKING:
    import pandas as pd

# Bytes of a disk that are left alone.
_MARGIN = 1 << 28


class Cache:
    """Named activations of all prompts of a forward pass, as arrays whose first axis is the prompt.

    Made by ``run``; ``cache[name]`` is an array, ``cache.axes[name]`` names its axes, ``cache.tokens`` says which token
    is what. An array may lie on disk and is read where it is touched; the files go with the cache.

    Attributes
    ----------
    axes : mapping
        Activation's name to the names of its axes: "prompt", "token" (who computes), "seen" (which token it weighs),
        "head", "position" (of the prompt, where predictions are read), "coordinate".
    tokens : DataFrame
        A row per token: token, role ("input", "label", "example", "query" or "start"), example, position (whose
        prediction is read there; −1 for none). Empty for modules of one's own.
    on_disk : bool
        Where the arrays lie.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        axes: Mapping[str, tuple[str, ...]],
        tokens: pd.DataFrame,
        folder: Path | None,
    ) -> None:
        self._arrays = dict(arrays)
        self.axes = dict(axes)
        self.tokens = tokens
        self.on_disk = folder is not None
        if folder is not None:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[check_activation(name, self._arrays)]

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def keys(self) -> Iterable[str]:
        """Names of the activations, in the order in which they pass."""
        return self._arrays.keys()

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return len(next(iter(self._arrays.values())))

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._arrays.values())

    def __repr__(self) -> str:
        place = "on disk" if self.on_disk else "in memory"
        return f"Cache({len(self)} activations of {self.n_prompts} prompts, {size_of(self.nbytes)} {place})"


def check_activation(name: str, known: Iterable[str]) -> str:
    """Return a name of an activation that there is.

    Raises
    ------
    InvalidInputError
        If there is none such; the sentence lists those that exist, block by block, and names the closest.
    """
    names = list(known)
    if not names:
        raise _nothing()
    if name in names:
        return name
    try:
        return check_choice(name, "an activation", names)
    except InvalidInputError as error:
        hint = str(error).rpartition(" Did you mean ")
        close = f" Did you mean {hint[2]}" if hint[1] else ""
    raise InvalidInputError(f"an activation must be one of {', '.join(_grouped(names))}; {name!r} was given.{close}")


def chosen(keep: str | Sequence[str] | None, names: Sequence[str]) -> list[str]:
    """The names that are to be kept: given ones, and those that patterns such as ``*.residual_out`` match."""
    if not names:
        raise _nothing()
    if keep is None:
        return list(names)
    wanted: list[str] = [keep] if isinstance(keep, str) else list(keep) if isinstance(keep, Iterable) else []
    if not wanted or not all(isinstance(each, str) for each in wanted):
        raise InvalidInputError(
            f"keep must name at least one activation, or a pattern of names; {keep!r} was given: leave it out for all."
        )
    found: set[str] = set()
    for each in wanted:
        matched = [name for name in names if name == each or fnmatchcase(name, each)]
        found.update(matched or [check_activation(each, names)])
    return [name for name in names if name in found]


def allocated(
    shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, np.dtype], memory: int, directory: str | Path | None
) -> tuple[dict[str, np.ndarray], Path | None]:
    """Arrays of these shapes, in memory if they fit into so many bytes together, else in files of a new folder.

    Raises
    ------
    InvalidInputError
        If the disk has no room for them.
    """
    memory = check_integer(memory, "memory, in bytes,", minimum=0)
    sizes = {name: int(np.prod(shape, dtype=object)) * dtypes[name].itemsize for name, shape in shapes.items()}
    total = sum(sizes.values())
    if total <= memory:
        return {name: np.zeros(shape, dtypes[name]) for name, shape in shapes.items()}, None
    parent = Path(tempfile.gettempdir()) if directory is None else user_path(directory)
    require_writable(parent)
    free = shutil.disk_usage(parent).free - _MARGIN
    if total > free:
        fewer = _smallest(sizes)
        raise InvalidInputError(
            f"a cache must fit; it would take {size_of(total)}, {size_of(memory)} may be held in memory and "
            f"{size_of(max(free, 0))} are free in {parent}: take fewer prompts, or name less, such as "
            f"keep={fewer!r} ({size_of(sum(size for name, size in sizes.items() if fnmatchcase(name, fewer)))})."
        )
    folder = Path(tempfile.mkdtemp(prefix="iclab-cache-", dir=parent))
    arrays: dict[str, np.ndarray] = {
        name: np.memmap(folder / f"{i}.bin", dtypes[name], "w+", shape=shape)
        for i, (name, shape) in enumerate(shapes.items())
    }
    return arrays, folder


def _nothing() -> InvalidInputError:
    return InvalidInputError(
        "a model must show activations with an axis of the prompts; this one shows none on these: a module of one's "
        "own that takes no queries answers shifted ones by other prompts, so leave queries unshifted."
    )


def size_of(count: int) -> str:
    """Bytes as people say them."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {unit}"
    return f"{count} bytes"


def _smallest(sizes: Mapping[str, int]) -> str:
    """The pattern of names, over all blocks, that takes least."""
    patterns: dict[str, int] = {}
    for name, size in sizes.items():
        pattern = re.sub(r"\d+", "*", name, count=1)
        patterns[pattern] = patterns.get(pattern, 0) + size
    return min(patterns, key=lambda pattern: (pattern != "blocks.*.residual_out", patterns[pattern]))


def _grouped(names: Sequence[str]) -> list[str]:
    """Names with the numbers of blocks, and what differs in the last part alone, put together."""
    numbers = sorted({int(found[1]) for name in names if (found := re.match(r"blocks\.(\d+)\.", name))})
    blocks = "blocks.0." if len(numbers) < 2 else f"blocks.{{0…{numbers[-1]}}}."
    groups: dict[str, list[str]] = {}
    for name in names:
        head, _, last = re.sub(r"^blocks\.\d+\.", blocks, name).rpartition(".")
        members = groups.setdefault(f"{head}." if head else "", [])
        if last not in members:
            members.append(last)
    plain = groups.pop("", [])
    told = [f"{head}{lasts[0] if len(lasts) == 1 else '{' + ', '.join(lasts) + '}'}" for head, lasts in groups.items()]
    return [*plain, *told]
