"""One forward pass with its activations: what a model computes on the way to its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from iclab.foundations import InvalidInputError, PromptLabels
from iclab.inspect.cache import Cache, allocated, chosen
from iclab.inspect.opening import Inspectable, opened
from iclab.inspect.tokens import token_table
from iclab.models import Transformer
from iclab.models.taps import Axes, Place, Watch, watching
from iclab.prompts import Prompts

if TYPE_CHECKING:
    import pandas as pd

MEMORY = 1 << 30
"""Bytes of a cache that may be held in memory unless another number is given; larger ones lie on disk."""
# Prompts of the trial that finds the shapes: a number that is no other axis' length by habit.
_TRIAL = 3


def activations(model: Inspectable, prompts: Prompts) -> pd.DataFrame:
    """The activations that ``run`` can keep, and their size.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        As in ``run``.
    prompts : Prompts
        Of which the first few are answered.

    Returns
    -------
    DataFrame
        Columns name, axes (separated by commas), shape (of one prompt), bytes (of all prompts).

    Raises
    ------
    InvalidInputError
        If it is no model, or the prompts do not fit.
    """
    import pandas as pd

    found = _trial(opened(model), prompts)
    rows = [
        (name, ", ".join(axes), shape, int(np.prod((len(prompts), *shape), dtype=object)) * dtype.itemsize)
        for name, (axes, shape, dtype) in found.items()
    ]
    return pd.DataFrame(rows, columns=["name", "axes", "shape", "bytes"])


def run(
    model: Inspectable,
    prompts: Prompts,
    keep: str | Sequence[str] | None = None,
    *,
    memory: int = MEMORY,
    directory: str | Path | None = None,
) -> tuple[PromptLabels, Cache]:
    """Predictions, and the activations behind them, of all prompts.

    The predictions are ``model(prompts)`` bit for bit: the pass is the same, only looked at. Of a transformer there are

    ========================================  ================================  ===================================
    name                                      axes                              what
    ========================================  ================================  ===================================
    ``embedding``                             prompt, token, coordinate         what the first block reads
    ``blocks.0.attention.q``, ``.k``, ``.v``  prompt, token, head, coordinate   queries, keys, values of attention
    ``blocks.0.attention.pattern``            prompt, head, token, seen         weight of every token that is seen;
                                                                                for linear attention q·k/ρ
    ``blocks.0.attention.mixed``              prompt, token, head, coordinate   the sum of values by these weights
    ``blocks.0.attention.out``                prompt, token, coordinate         what attention adds to the stream
    ``blocks.0.residual_mid``                 prompt, token, coordinate         the stream between the two halves
    ``blocks.0.mlp.hidden``, ``.out``         prompt, token, coordinate         of the MLP
    ``blocks.0.residual_out``                 prompt, token, coordinate         the stream after the block
    ``norm``, ``head``                        prompt, position, coordinate      final norm; the numbers read out
    ========================================  ================================  ===================================

    Merged attention has no ``q``, ``k``, ``v``. The other mixers have ``blocks.0.mixer.`` in place of ``attention.``:
    ``q``, ``k``, ``v``, ``decay``, ``rate`` and ``read`` where they keep a state of keys and values, and all of them
    ``out``; they have no pattern. Blocks of looped and tied models are counted as they are applied. A module of one's
    own has ``name.in`` and ``name.out`` of its named submodules.

    Parameters
    ----------
    model : str, Path, Transformer, OwnModule or predictor
        A model's name or folder, or the model; also one with interventions.
    prompts : Prompts
        B prompts of P positions.
    keep : str or sequence of str, optional
        Names, or patterns such as ``"*.pattern"``; all when omitted.
    memory : int
        Bytes that may be held in memory, such as ``2 << 30`` for 2 GiB; a larger cache lies on disk.
    directory : str or Path, optional
        Where it lies then; the system's place for temporary files when omitted.

    Returns
    -------
    predictions : ndarray, shape (B, P), or (B, P, k)
        As the model gives them.
    cache : Cache
        The activations, in the model's precision.

    Raises
    ------
    InvalidInputError
        If it is no model, the prompts do not fit, there is no such activation, or the disk has no room for the cache.

    Examples
    --------
    >>> from iclab.models import Architecture, Transformer
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(8, 5, seed=0)
    >>> model = Transformer(Architecture.gpt2(3, 3, 5))
    >>> predictions, cache = run(model, prompts, keep="*.pattern")
    >>> cache["blocks.0.attention.pattern"].shape, cache.axes["blocks.0.attention.pattern"]
    ((8, 2, 9, 9), ('prompt', 'head', 'token', 'seen'))
    """
    predictor = opened(model)
    found = _trial(predictor, prompts)
    kept = chosen(keep, list(found))
    shapes = {name: (len(prompts), *found[name][1]) for name in kept}
    arrays, folder = allocated(shapes, {name: found[name][2] for name in kept}, memory, directory)
    cache = Cache(arrays, {name: found[name][0] for name in kept}, token_table(predictor.model, prompts), folder)
    recorder = _Recorder(arrays)
    with watching(recorder):
        predictions = predictor(prompts)
    for name, count in recorder.counts.items():
        if count != len(prompts):
            raise InvalidInputError(
                f"{name} must pass once for every prompt to be kept; it did for {count} of {len(prompts)}: name others."
            )
    return predictions, cache


def names_of(predictor: Any) -> dict[str, tuple[Axes, tuple[int, ...], np.dtype]] | None:
    """Axes, shape and type of every activation of a transformer on two positions; None for other modules."""
    if not isinstance(predictor.model, Transformer):
        return None
    dimension, labels = predictor.architecture.dimension, predictor.architecture.labels
    xs, ys = np.zeros((1, 2, dimension)), np.zeros((1, 2, *labels.shape))
    classes = labels.size if labels.kind == "class" else None
    ys = ys if classes is None else ys.astype(np.int64)
    return _trial(predictor, Prompts(xs, ys, xs, ys, classes))


def _trial(predictor: Any, prompts: Prompts) -> dict[str, tuple[Axes, tuple[int, ...], np.dtype]]:
    """Axes, shape of one prompt, and type of every activation, found by answering a few prompts."""
    if not isinstance(prompts, Prompts):
        raise InvalidInputError(f"prompts must be Prompts, as a distribution samples them; {prompts!r} was given.")
    sizes = _Sizes()
    with watching(sizes):
        predictor(first(prompts, _TRIAL))
    return sizes.found


def first(prompts: Prompts, count: int) -> Prompts:
    """The first so many prompts."""
    return some(prompts, slice(0, count))


def some(prompts: Prompts, which: slice | np.ndarray) -> Prompts:
    """Some of the prompts."""
    xs = prompts.xs[which]
    return Prompts(
        xs,
        prompts.ys[which],
        prompts.queries[which] if prompts.shifted_queries else xs,
        prompts.targets[which],
        prompts.n_classes,
        None if prompts.probabilities is None else prompts.probabilities[which],
    )


class _Sizes(Watch):
    """Notes what passes, of which shape."""

    complete: ClassVar[bool] = True

    def __init__(self) -> None:
        self.found: dict[str, tuple[Axes, tuple[int, ...], np.dtype]] = {}

    def see(self, name: str, value: Tensor, axes: Axes, place: Place) -> Tensor:
        """Shapes are those of the last time: a block that runs again has all its tokens then."""
        dtype = torch.float32 if value.dtype in (torch.bfloat16, torch.float16) else value.dtype
        shape, known = tuple(value.shape[1:]), self.found.get(name)
        if known is None or np.prod(shape) > np.prod(known[1]):
            self.found[name] = axes, shape, np.dtype(str(dtype).removeprefix("torch."))
        return value


class _Recorder(Watch):
    """Writes what passes into arrays, prompts in their places."""

    complete: ClassVar[bool] = True

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays
        self.counts = dict.fromkeys(arrays, 0)
        self._prompts = self._rows = slice(0, 0)
        self._partial: set[str] = set()

    def begin(self, prompts: slice) -> None:
        """These prompts come next."""
        self._prompts = prompts
        self._partial.clear()

    def see(self, name: str, value: Tensor, axes: Axes, place: Place) -> Tensor:
        """Of a block that runs again only tokens count that it has not computed before."""
        if name in self._arrays and (not place.again or name in self._partial):
            target = self._arrays[name][self._prompts]
            self.counts[name] += 0 if place.again else len(target)
            found = value.detach().to("cpu", torch.promote_types(torch.float32, value.dtype)).numpy()
            if "token" not in axes:
                target[...] = found
            else:
                axis = axes.index("token")
                target, found = np.moveaxis(target, axis, 0), np.moveaxis(found, axis, 0)
                self._write(name, target, found, place)
        return value

    def _write(self, name: str, target: np.ndarray, found: np.ndarray, place: Place) -> None:
        if place.again:
            others = np.setdiff1d(np.arange(len(target)), np.arange(len(target))[self._rows])
            target[others] = found[others]
        elif len(found) == len(target):
            target[...] = found
        else:
            self._rows = place.rows
            self._partial.add(name)
            target[place.rows] = found
